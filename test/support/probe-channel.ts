import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** What an expression came to: the value printed, or the reason why there is none. */
export type Outcome = { readonly value: string } | { readonly reason: string; readonly where: string };

/**
 * Our half of the control connection of a node (the other half is test/erlang/isthmus_probe.erl): plain TCP on
 * loopback, beside the distribution, so that a test sees a node whatever becomes of its distribution.
 */
export class ProbeChannel {
  /** Value of the environment variable ISTHMUS_PROBE of the node. */
  readonly address: string;
  /** Settles when the node has connected. */
  readonly connected: Promise<void>;
  /** Settles when the node's connection has ended. */
  readonly closed: Promise<void>;
  readonly #server: Server;
  readonly #token: string;
  readonly #pending = new Map<number, (outcome: Outcome) => void>();
  #socket: Socket | undefined;
  #lastId = 0;
  #onConnected!: () => void;
  #onClosed!: () => void;

  static async listen(): Promise<ProbeChannel> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ProbeChannel(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    this.#token = randomBytes(16).toString("hex");
    this.address = `${(server.address() as { port: number }).port}:${this.#token}`;
    this.connected = new Promise((resolve) => {
      this.#onConnected = resolve;
    });
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    server.on("connection", (socket) => this.#accept(socket));
  }

  /** Sends an expression. `giveUp` ends its evaluation in the node. */
  evaluate(expression: string): { readonly outcome: Promise<Outcome>; giveUp(): void } {
    this.#lastId += 1;
    const id = this.#lastId;
    const outcome = new Promise<Outcome>((resolve) => this.#pending.set(id, resolve));
    this.#send("e", id, expression);
    return {
      outcome,
      giveUp: () => {
        this.#pending.delete(id);
        this.#send("c", id, "");
      },
    };
  }

  /** Ends the connection, upon which the node ends. */
  close(): void {
    this.#server.close();
    this.#socket?.destroy();
  }

  #send(kind: "e" | "c", id: number, text: string): void {
    const body = Buffer.from(text, "utf8");
    const head = Buffer.alloc(9);
    head.writeUInt32BE(5 + body.length);
    head.write(kind, 4, "latin1");
    head.writeUInt32BE(id, 5);
    this.#socket?.write(Buffer.concat([head, body]));
  }

  #accept(socket: Socket): void {
    let received = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
        const end = 4 + received.readUInt32BE(0);
        this.#receive(socket, received.subarray(4, end));
        received = received.subarray(end);
      }
    });
  }

  #receive(socket: Socket, frame: Buffer): void {
    const kind = String.fromCharCode(frame[0]!);
    const text = frame.toString("utf8", 5);
    if (kind === "h" && text === this.#token && this.#socket === undefined) {
      this.#socket = socket;
      this.#server.close();
      socket.once("close", this.#onClosed);
      this.#onConnected();
    } else if (socket !== this.#socket) {
      socket.destroy();
    } else {
      const id = frame.readUInt32BE(1);
      const [reason = "", where = ""] = text.split("\0");
      this.#pending.get(id)?.(kind === "o" ? { value: text } : { reason, where });
      this.#pending.delete(id);
    }
  }
}
