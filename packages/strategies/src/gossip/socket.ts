import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";

/** Where and how heartbeats are sent and received. */
export interface GossipSocketOptions {
  readonly port: number;
  /** Address that the socket is bound to. */
  readonly ifAddr: string;
  /** Where heartbeats are sent to: a multicast group, or a broadcast address with `broadcastOnly`. */
  readonly multicastAddr: string;
  /** Our address on the interface to send and join on (IPv6: `::%eth0`); undefined leaves it to the system. */
  readonly multicastIf: string | undefined;
  readonly multicastTtl: number;
  /** Whether programs on this host, ours too, get what is sent. */
  readonly multicastLoopback: boolean;
  /** No group is joined. */
  readonly broadcastOnly: boolean;
}

/** What becomes of a {@link GossipSocket}. */
export interface GossipSocketEvents {
  packet(packet: Buffer, sender: string): void;
  /** It is of no use any more. Does not come after `close`. */
  failed(error: Error): void;
}

/** A UDP socket for heartbeats, which shares its port with every other program that does the same. */
export class GossipSocket {
  readonly #options: GossipSocketOptions;
  readonly #socket: Socket;
  #closed: Promise<unknown> | undefined;

  /** Binds, and joins the group. @throws the system's error */
  static async open(options: GossipSocketOptions, events: GossipSocketEvents): Promise<GossipSocket> {
    const socket = createSocket({ type: isIPv6(options.multicastAddr) ? "udp6" : "udp4", reuseAddr: true });
    try {
      socket.bind({ port: options.port, address: options.ifAddr });
      await once(socket, "listening");
      const opened = new GossipSocket(socket, options);
      opened.#configure();
      socket.on("message", (packet, { address }) => events.packet(packet, address));
      socket.on("error", (error) => {
        if (opened.#closed === undefined) events.failed(error);
      });
      // discovery alone is no reason for a process to go on
      socket.unref();
      return opened;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket, options: GossipSocketOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** @throws the system's error, by rejecting; the socket stays good */
  send(packet: Buffer): Promise<void> {
    const { port, multicastAddr } = this.#options;
    return new Promise((resolve, reject) => {
      this.#socket.send(packet, port, multicastAddr, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Leaves the group and joins it again: an interface that went away and came back has forgotten it. */
  rejoin(): void {
    const { multicastAddr, multicastIf, broadcastOnly } = this.#options;
    if (broadcastOnly) return;
    try {
      this.#socket.dropMembership(multicastAddr, multicastIf);
    } catch {
      // that is why
    }
    this.#socket.addMembership(multicastAddr, multicastIf);
  }

  /** Any number of times. */
  async close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = once(this.#socket, "close");
      this.#socket.close();
    }
    await this.#closed;
  }

  #configure(): void {
    const { multicastAddr, multicastIf, multicastTtl, multicastLoopback, broadcastOnly } = this.#options;
    if (!isIPv6(multicastAddr)) this.#socket.setBroadcast(true);
    if (broadcastOnly) return;
    this.#socket.setMulticastTTL(multicastTtl);
    this.#socket.setMulticastLoopback(multicastLoopback);
    if (multicastIf !== undefined) this.#socket.setMulticastInterface(multicastIf);
    this.#socket.addMembership(multicastAddr, multicastIf);
  }
}
