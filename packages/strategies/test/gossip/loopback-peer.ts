import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { GossipStrategyOptions } from "@isthmus/strategies/gossip";

const LOOPBACK = "127.0.0.1";
const GROUP = "233.252.1.32";

/** Another member of the group on loopback, which sends what it is told. */
export class LoopbackPeer {
  /** What came from others and itself, the oldest first. */
  readonly heard: Buffer[] = [];
  readonly port: number;
  readonly #socket: Socket;
  readonly #to: string;
  #beats: NodeJS.Timeout | undefined;

  /** @param to the group, or the broadcast address */
  static async join(to = GROUP): Promise<LoopbackPeer> {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    socket.bind(0);
    await once(socket, "listening");
    if (to === GROUP) {
      socket.setMulticastInterface(LOOPBACK);
      socket.addMembership(to, LOOPBACK);
    } else socket.setBroadcast(true);
    return new LoopbackPeer(socket, to);
  }

  private constructor(socket: Socket, to: string) {
    this.#socket = socket;
    this.#to = to;
    this.port = socket.address().port;
    socket.on("message", (packet) => this.heard.push(packet));
  }

  /** Options that make a strategy a member of the same group. */
  get options(): GossipStrategyOptions {
    const broadcastOnly = this.#to !== GROUP;
    return {
      port: this.port,
      multicastAddr: this.#to,
      broadcastOnly,
      ...(broadcastOnly ? {} : { multicastIf: LOOPBACK }),
    };
  }

  send(packet: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(packet, this.port, this.#to, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends this again and again. */
  beat(packet: Buffer): void {
    clearInterval(this.#beats);
    this.#beats = setInterval(() => void this.send(packet).catch(() => undefined), 10);
  }

  async close(): Promise<void> {
    clearInterval(this.#beats);
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
