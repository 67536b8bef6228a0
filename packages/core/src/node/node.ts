import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { Cookie, HIDDEN_FULL } from "@isthmus/dist-handshake";
import { epmdEnvironment, epmdResolver, type Registration, register } from "@isthmus/epmd-client";
import { type Atom, atom, type Term } from "@isthmus/etf";
import {
  type Clock,
  type IsthmusError,
  type Logger,
  parseNodeName,
  silentLogger,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import type { ServerHandlers, ServerOptions } from "../calls/server.ts";
import type { Signal } from "../channel/signal.ts";
import { coreError } from "../errors.ts";
import { type Connection, DEFAULT_CONNECTION_LIMITS } from "../net/connection.ts";
import { type Listener, listen } from "../net/socket.ts";
import type { Address, ProcessAddress } from "../process/address.ts";
import type { ProcessContext } from "../process/context.ts";
import type { Process, SpawnOptions } from "../process/process.ts";
import { ProcessTable, type TableCallOptions } from "../process/table.ts";
import type { NodeOptions } from "./options.ts";
import { DEFAULT_SETUP_TIMEOUT_MS, Peers } from "./peers.ts";

/** Something that happened to the connection with another node. */
export type NodeEvent =
  | { readonly type: "up"; readonly node: string; readonly hidden: boolean; readonly creation: number }
  | { readonly type: "down"; readonly node: string; readonly hidden: boolean; readonly reason: IsthmusError };

/** A connected node. */
export interface ConnectedNode {
  readonly node: string;
  readonly hidden: boolean;
  readonly creation: number;
}

/** Creations 0 to 3 have a meaning of their own in the old one-byte forms. */
const FIRST_CREATION = 4;

/**
 * Starts a hidden node: listens, registers with epmd, and is then ready to connect and to be connected to.
 * @throws IsthmusError `NODE_NAME_INVALID`, `OPTION_INVALID`, `LISTEN_FAILED`, and the codes of `@isthmus/epmd-client`
 */
export async function startNode(options: NodeOptions): Promise<HiddenNode> {
  const name = parseNodeName(options.name);
  const tickTime = options.tickTimeSeconds ?? 60;
  if (!(tickTime >= 1 && tickTime <= 86_400)) {
    throw coreError("OPTION_INVALID", `tickTimeSeconds must be between 1 and 86400, not ${tickTime}.`);
  }
  const node = new HiddenNode(options, tickTime);
  if (options.listen === false) return node;
  const host = options.listen?.host;
  const listener = await listen({ host, port: options.listen?.port ?? 0 }, (socket) => node[ACCEPT](socket));
  try {
    let registration: Registration | undefined;
    if (options.epmd !== false) {
      registration = await register({
        name: name.name,
        port: listener.port,
        epmd: epmdAddress(options),
        logger: options.logger ?? silentLogger,
      });
    }
    node[LISTENING](listener, registration);
  } catch (error) {
    listener.close();
    await node.close();
    throw error;
  }
  return node;
}

const ACCEPT = Symbol("accept");
const LISTENING = Symbol("listening");

/** A hidden Erlang node in this process. Made by {@link startNode}; any number may live in one process. */
export class HiddenNode implements AsyncDisposable {
  /** Our node name. */
  readonly name: string;
  /** Local processes, registered names, calls. */
  readonly processes: ProcessTable;
  readonly #peers: Peers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events = new EventEmitter<{ event: [NodeEvent] }>();
  readonly #options: NodeOptions;
  #creation: number;
  #listener: Listener | undefined;
  #registration: Registration | undefined;
  #ticker: Timer | undefined;
  #closed = false;

  /** Use {@link startNode}. */
  constructor(options: NodeOptions, tickTimeSeconds: number) {
    this.#options = options;
    this.name = options.name;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#creation = options.creation ?? randomCreation();
    this.#events.setMaxListeners(0);
    const cookies = cookieSource(options.cookie);
    const epmd = epmdAddress(options);
    const router = options.router;
    this.#peers = new Peers({
      name: options.name,
      creation: () => this.#creation,
      flags: options.flags ?? HIDDEN_FULL,
      cookies,
      resolver: options.resolver ?? epmdResolver({ port: epmd.port }),
      allow: options.allow ?? (() => true),
      tls: options.tls,
      limits: { ...DEFAULT_CONNECTION_LIMITS, ...options.limits },
      maxPendingHandshakes: options.maxPendingHandshakes ?? 128,
      maxQueuedPerNode: options.maxQueuedPerNode ?? 10_000,
      setupTimeoutMs: options.setupTimeoutMs ?? DEFAULT_SETUP_TIMEOUT_MS,
      random: () => randomBytes(4).readUInt32BE(0),
      clock: this.#clock,
      logger: this.#logger,
      onUp: (connection) => this.#up(connection),
      onDown: (connection, reason) => this.#down(connection, reason),
      onSignal:
        router === undefined
          ? (connection, signal) => this.processes.signal(connection, signal)
          : (connection: Connection, signal: Signal) => {
              if (!router.route(connection, signal)) this.processes.signal(connection, signal);
            },
      onWritable: (connection) => router?.writable(connection),
    });
    const self = this;
    const context: ProcessContext = {
      self: atom(options.name),
      get creation() {
        return self.#creation;
      },
      clock: this.#clock,
      logger: this.#logger,
      connection: (node) => this.#peers.get(node),
      whenConnected: (node, run) => this.#peers.whenConnected(node, run),
    };
    this.processes = new ProcessTable(context, options.processes);
    const tick = (): void => {
      this.#peers.tick();
      this.#ticker = this.#clock.after(tickTimeSeconds * 250, tick);
    };
    this.#ticker = this.#clock.after(tickTimeSeconds * 250, tick);
  }

  /** Our incarnation, in every pid we make. Final once {@link startNode} has returned. */
  get creation(): number {
    return this.#creation;
  }

  /** The port we listen on; undefined when we do not. */
  get port(): number | undefined {
    return this.#listener?.port;
  }

  /** Whether epmd has us at present; false also for a node that does not register. */
  get registered(): boolean {
    return this.#registration?.registered ?? false;
  }

  /**
   * Connects to `node`; returns at once when it is connected already.
   * @throws IsthmusError `NODE_NAME_INVALID`, `NODE_IS_SELF`, `NODE_CLOSED`, `NO_CONNECTION`, and the codes of epmd and
   * handshake; the signal's reason when it is aborted first
   */
  async connect(node: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#peers.connect(node, options.signal);
  }

  /** Closes the connection to `node`. @returns whether there was one */
  disconnect(node: string): boolean {
    return this.#peers.disconnect(
      node,
      coreError("CONNECTION_CLOSED", `We disconnected from ${node}.`, { context: { node } }),
    );
  }

  /** The nodes we are connected to. */
  nodes(): ConnectedNode[] {
    return Array.from(this.#peers.connections(), ({ peer, hidden, peerCreation }) => ({
      node: peer.text,
      hidden,
      creation: peerCreation,
    }));
  }

  /** Sends a message; see {@link ProcessTable.send}. Connects by itself. */
  send(to: Address, message: Term): void {
    this.processes.send(to, message);
  }

  /** A `gen_server:call`; see {@link ProcessTable.call}. Connects by itself. */
  call(to: ProcessAddress, request: Term, options?: TableCallOptions): Promise<Term> {
    return this.processes.call(to, request, options);
  }

  /** A `gen_server:cast`. Connects by itself. */
  cast(to: ProcessAddress, message: Term): void {
    this.processes.cast(to, message);
  }

  /** Starts a process that others reach as a GenServer; see {@link ProcessTable.serve}. */
  serve(name: string | Atom | undefined, handlers: ServerHandlers, options?: ServerOptions): Process {
    return this.processes.serve(name, handlers, options);
  }

  /** Starts a process; see {@link ProcessTable.spawn}. */
  spawn(options?: SpawnOptions): Process {
    return this.processes.spawn(options);
  }

  /** The open connection to a node, for programs that route signals themselves. */
  connection(node: Atom): Connection | undefined {
    return this.#peers.get(node);
  }

  /** Whether an attempt to connect to `node` is under way. */
  isConnecting(node: Atom): boolean {
    return this.#peers.isConnecting(node);
  }

  /** Calls `run` with the connection to `node` once there is one (an attempt begins by itself), or with undefined. */
  whenConnected(node: Atom, run: (connection: Connection | undefined) => void): void {
    this.#peers.whenConnected(node, run);
  }

  /** Tells `listener` when nodes come and go. @returns a function that stops it */
  onNodeEvent(listener: (event: NodeEvent) => void): () => void {
    this.#events.on("event", listener);
    return () => this.#events.off("event", listener);
  }

  /** Listens no more and leaves epmd; open connections stay. The first half of a polite end. */
  async leave(): Promise<void> {
    this.#listener?.close();
    await this.#registration?.close();
  }

  /** Resolves when everything that was sent is with the operating system, or after `timeoutMs`. */
  async flushed(timeoutMs: number): Promise<void> {
    const deadline = this.#clock.now() + timeoutMs;
    const waiting = (): boolean =>
      Array.from(this.#peers.connections()).some((connection) => connection.backlog > 0);
    while (waiting() && this.#clock.now() < deadline) {
      await new Promise<void>((resolve) => this.#clock.after(10, resolve));
    }
  }

  /** Closes every connection and the listener, and leaves epmd. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#ticker?.cancel();
    this.#listener?.close();
    this.processes.close();
    this.#peers.close();
    await this.#registration?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [ACCEPT](socket: Parameters<Peers["accept"]>[0]): void {
    void this.#peers.accept(socket);
  }

  [LISTENING](listener: Listener, registration: Registration | undefined): void {
    this.#listener = listener;
    this.#registration = registration;
    if (registration !== undefined && this.#options.creation === undefined)
      this.#creation = registration.creation;
  }

  #up(connection: Connection): void {
    const node = connection.peer.text;
    this.#options.router?.up(connection);
    this.#events.emit("event", {
      type: "up",
      node,
      hidden: connection.hidden,
      creation: connection.peerCreation,
    });
  }

  #down(connection: Connection, reason: IsthmusError): void {
    const node = connection.peer.text;
    this.#options.router?.down(connection, reason);
    this.processes.connectionLost(connection.peer);
    this.#events.emit("event", { type: "down", node, hidden: connection.hidden, reason });
  }
}

function epmdAddress(options: NodeOptions): { host?: string; port: number } {
  const given = options.epmd === false ? {} : (options.epmd ?? {});
  return { ...given, port: given.port ?? epmdEnvironment().port };
}

function cookieSource(cookie: NodeOptions["cookie"]): (peer: string) => readonly Cookie[] {
  if (typeof cookie === "function") return cookie;
  const cookies =
    typeof cookie === "string" ? [Cookie.of(cookie)] : cookie instanceof Cookie ? [cookie] : cookie;
  return () => cookies;
}

function randomCreation(): number {
  return Math.max(FIRST_CREATION, randomBytes(4).readUInt32BE(0));
}
