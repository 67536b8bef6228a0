import type { Server, Socket } from "node:net";
import { type Clock, type Logger, silentLogger, systemClock, type Timer } from "@isthmus/wire";
import type { EpmdErrorCode } from "./errors.ts";
import { listenFailed, listenOn } from "./listen.ts";
import { NodeRegistry, type RegistryLimits } from "./registry.ts";
import { isLocalPeer, type ServerAction, ServerConnection } from "./server-machine.ts";

/** Options of `startEpmdServer`. */
export interface EpmdServerOptions extends RegistryLimits {
  /**
   * IP addresses to listen on; 127.0.0.1 and ::1 are always added. Default `ERL_EPMD_ADDRESS`, else none but those
   * two: unlike epmd, an embedded server is not open to other hosts unless it is told. Give `["0.0.0.0", "::"]` for
   * every address.
   */
  readonly addresses?: readonly string[];
  /** Default `ERL_EPMD_PORT`, else 4369. 0 = any free port. */
  readonly port?: number;
  /** Let local peers kill epmd while nodes are registered, and stop nodes. Default `ERL_EPMD_RELAXED_COMMAND_CHECK`. */
  readonly relaxedCommandCheck?: boolean;
  /** Milliseconds within which a connection must have sent its request and read the answer. Default 60 000. */
  readonly packetTimeoutMs?: number;
  /** Connections that hold no registration; when there is one more, the oldest is closed. Default 256. */
  readonly maxConnections?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Seconds since 1970: where the creation of a new name starts. Default the time of day. */
  readonly seconds?: () => number;
}

/** A running epmd server. Disposing of it closes it. */
export interface EpmdServer extends AsyncDisposable {
  readonly port: number;
  /** The addresses it listens on. */
  readonly addresses: readonly string[];
  /** Resolves when the server has ended: by {@link close}, or by a KILL command. */
  readonly closed: Promise<void>;
  /** Registered nodes, the newest first. */
  names(): { readonly name: string; readonly port: number; readonly creation: number }[];
  /** Ends all connections, and with them all registrations. May be called any number of times. */
  close(): Promise<void>;
}

interface Connection {
  readonly id: number;
  readonly socket: Socket;
  readonly machine: ServerConnection;
  timer: Timer | undefined;
}

/** The sockets and timers around {@link ServerConnection}. */
export class EmbeddedEpmd implements EpmdServer {
  readonly closed: Promise<void>;
  readonly #options: EpmdServerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #registry: NodeRegistry;
  readonly #seconds: () => number;
  readonly #connections = new Map<number, Connection>();
  /** Those without a registration, the oldest first. */
  readonly #passing = new Set<Connection>();
  #listeners: Server[] = [];
  #addresses: string[] = [];
  #port = 0;
  #nextId = 1;
  #closing: Promise<void> | undefined;
  #resolveClosed!: () => void;

  constructor(options: EpmdServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#registry = new NodeRegistry(options);
    this.#seconds = options.seconds ?? (() => Math.floor(Date.now() / 1000));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get port(): number {
    return this.#port;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  names(): { name: string; port: number; creation: number }[] {
    return this.#registry
      .active()
      .map(({ name, port, creation }) => ({ name: name.toString("utf8"), port, creation }));
  }

  /** Listens on all addresses with one port, or on none. A loopback that the host has not is passed over. */
  async listen(addresses: readonly string[], port: number, required: readonly string[]): Promise<void> {
    this.#port = port;
    try {
      for (const address of addresses) {
        const listener = await listenOn(address, this.#port, (socket) => this.#accept(socket));
        if (listener === undefined) {
          if (required.includes(address))
            throw listenFailed(address, this.#port, "the host has no such address");
          continue;
        }
        this.#listeners.push(listener);
        this.#addresses.push(address);
        const bound = listener.address();
        if (bound !== null && typeof bound === "object") this.#port = bound.port;
      }
      if (this.#listeners.length === 0)
        throw listenFailed(addresses.join(", "), port, "the host has no such address");
    } catch (error) {
      await this.#end();
      throw error;
    }
    this.#logger.info({ port: this.#port, addresses: this.#addresses }, "epmd server started");
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #shutDown(): Promise<void> {
    await this.#end();
    this.#logger.info({ port: this.#port }, "epmd server ended");
    this.#resolveClosed();
  }

  async #end(): Promise<void> {
    const listeners = this.#listeners;
    this.#listeners = [];
    this.#addresses = [];
    const stopped = listeners.map((listener) => new Promise((resolve) => listener.close(resolve)));
    for (const { socket } of this.#connections.values()) socket.destroy();
    await Promise.all(stopped);
  }

  #accept(socket: Socket): void {
    const id = this.#nextId++;
    const machine = new ServerConnection({
      id,
      registry: this.#registry,
      local: isLocalPeer(socket.remoteAddress, socket.localAddress),
      relaxedCommandCheck: this.#options.relaxedCommandCheck ?? false,
      epmdPort: this.#port,
    });
    const connection: Connection = { id, socket, machine, timer: undefined };
    this.#connections.set(id, connection);
    this.#passing.add(connection);
    this.#makeRoom();
    // Counted from the start and not from the last byte, so that a slow trickle gains nothing (as OTP 29 does).
    connection.timer = this.#clock.after(this.#options.packetTimeoutMs ?? 60_000, () => {
      this.#note(connection, "EPMD_REQUEST_TIMEOUT", "The peer did not finish its request in time.");
      socket.destroy();
    });
    socket.on("data", (chunk) => this.#act(connection, machine.receive(chunk, this.#seconds())));
    // Closing is all that a broken connection asks for, and "close" follows.
    socket.on("error", () => undefined);
    // Free the name at once: the next registration may be on its way.
    socket.on("end", () => machine.closed());
    socket.on("close", () => {
      connection.timer?.cancel();
      machine.closed();
      this.#connections.delete(id);
      this.#passing.delete(connection);
    });
  }

  #makeRoom(): void {
    if (this.#passing.size <= (this.#options.maxConnections ?? 256)) return;
    const [oldest] = this.#passing;
    this.#note(oldest!, "EPMD_TOO_MANY_CONNECTIONS", "Too many connections; the oldest is closed.");
    this.#passing.delete(oldest!);
    oldest!.socket.destroy();
  }

  #act(connection: Connection, action: ServerAction): void {
    const { socket } = connection;
    if (action.problem !== undefined) this.#note(connection, action.problem.code, action.problem.message);
    if (action.closeOther !== undefined) this.#connections.get(action.closeOther)?.socket.destroy();
    switch (action.next) {
      case "wait":
        return;
      case "hold":
        this.#passing.delete(connection);
        connection.timer?.cancel();
        socket.write(action.reply!);
        return;
      case "refused":
        // No limit of time, but it may have to make room for others.
        connection.timer?.cancel();
        socket.write(action.reply!);
        return;
      case "close":
        if (action.reply !== undefined) socket.write(action.reply);
        socket.destroySoon();
        return;
      case "exit":
        this.#logger.warn({ port: this.#port }, "epmd server was told to end by KILL");
        socket.end(action.reply!, () => void this.close());
        return;
    }
  }

  #note(connection: Connection, code: EpmdErrorCode, message: string): void {
    this.#logger.debug({ code, connection: connection.id, peer: connection.socket.remoteAddress }, message);
  }
}
