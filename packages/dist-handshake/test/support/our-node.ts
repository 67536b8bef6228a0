import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  type AcceptorOptions,
  acceptTls,
  Cookie,
  type HandshakeRun,
  HIDDEN_FULL,
  type LocalSide,
  type RunOptions,
  runAcceptor,
  type TlsSide,
} from "@isthmus/dist-handshake";
import { type Epmd, portOf } from "./beam.ts";

/** How one incoming connection ended. */
export type Arrival = { readonly done: HandshakeRun; readonly stream: Duplex } | { readonly error: unknown };

type Change = Partial<Omit<AcceptorOptions, "random"> & RunOptions> & {
  readonly tls?: TlsSide;
  /** As which version it is announced to epmd. */
  readonly highVersion?: number;
};

/** Our side as a node that a BEAM can find: a listener, announced to epmd. */
export class OurNode {
  readonly #server: Server;
  readonly #alive: Socket;
  readonly #streams = new Set<Duplex>();
  readonly #arrivals: Arrival[] = [];
  #waiting: ((arrival: Arrival) => void)[] = [];

  private constructor(server: Server, alive: Socket) {
    this.#server = server;
    this.#alive = alive;
  }

  /** @param as the name known to epmd, if it is another one */
  static async start(epmd: Epmd, local: LocalSide, change: Change = {}, as = local.name): Promise<OurNode> {
    const { tls, highVersion, ...options } = change;
    const { timeoutMs } = options;
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const node = new OurNode(server, await epmd.register(as.split("@")[0]!, portOf(server), highVersion));
    server.on("connection", async (socket) => {
      node.#streams.add(socket);
      socket.on("error", () => undefined);
      try {
        const stream =
          tls === undefined
            ? socket
            : await acceptTls(socket, tls, timeoutMs === undefined ? {} : { timeoutMs });
        node.#streams.add(stream);
        const lengthBytes = tls === undefined ? 2 : 4;
        const done = await runAcceptor(stream, { local, decide: () => "ok", lengthBytes, ...options });
        stream.on("error", () => undefined).resume();
        node.#arrived({ done, stream });
      } catch (error) {
        node.#arrived({ error });
      }
    });
    return node;
  }

  /** The next incoming connection, when its handshake has ended. */
  arrival(): Promise<Arrival> {
    const there = this.#arrivals.shift();
    if (there !== undefined) return Promise.resolve(there);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.destroy();
    this.#alive.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #arrived(arrival: Arrival): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#arrivals.push(arrival);
    else waiting(arrival);
  }
}

/** A node that takes a call and never answers. */
export class SilentNode {
  /** Fulfilled when somebody has sent its name. */
  readonly called: Promise<void>;
  readonly #server: Server;
  readonly #alive: Socket;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, alive: Socket) {
    this.#server = server;
    this.#alive = alive;
    this.called = new Promise((resolve) => {
      server.on("connection", (socket) => {
        this.#sockets.add(socket);
        socket.on("error", () => undefined).once("data", () => resolve());
      });
    });
  }

  static async start(epmd: Epmd, name: string): Promise<SilentNode> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new SilentNode(server, await epmd.register(name.split("@")[0]!, portOf(server)));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#alive.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A hidden node of ours with the given cookies, the first of which dials. */
export function hidden(name: string, cookies: readonly string[], change: Partial<LocalSide> = {}): LocalSide {
  return {
    name,
    creation: 4711,
    flags: HIDDEN_FULL,
    cookies: cookies.map((text) => Cookie.of(text)),
    ...change,
  };
}
