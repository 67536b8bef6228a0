import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A raw connection to a server on loopback, which remembers what it received. */
export class RawPeer {
  readonly socket: Socket;
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;
  readonly #chunks: Buffer[] = [];
  #more: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#more();
    });
    socket.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        resolve();
        this.#more();
      });
    });
  }

  static async connect(port: number, host = "127.0.0.1", localAddress?: string): Promise<RawPeer> {
    const socket = connect({
      port,
      host,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    const peer = new RawPeer(socket);
    await once(socket, "connect");
    return peer;
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  send(bytes: Buffer): this {
    this.socket.write(bytes);
    return this;
  }

  /** What was received as soon as it is `length` bytes, or less if the connection ends before. */
  async receive(length: number): Promise<Buffer> {
    while (this.received.length < length && !this.socket.closed) {
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
    return this.received;
  }

  /** Everything until the other side closes. */
  async all(): Promise<Buffer> {
    await this.closed;
    return this.received;
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** A TCP server that does with each connection what the test says. */
export class ScriptedServer {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, sockets: Set<Socket>) {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server does not listen.");
    this.port = address.port;
    this.#server = server;
    this.#sockets = sockets;
  }

  static async start(onSocket: (socket: Socket) => void, port = 0): Promise<ScriptedServer> {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
      onSocket(socket);
    }).listen(port, "127.0.0.1");
    await once(server, "listening");
    return new ScriptedServer(server, sockets);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = await ScriptedServer.start(() => undefined);
  await server.close();
  return server.port;
}
