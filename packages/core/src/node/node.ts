import { randomBytes } from "node:crypto";
import { EventEmitter, on } from "node:events";
import { Cookie, FLAG, HIDDEN_FULL } from "@isthmus/dist-handshake";
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
import { loopLate, nodeDown, nodeUp } from "./diagnostics.ts";
import { type Dialled, type DialOptions, dialNode } from "./dial.ts";
import type { DynamicName, NodeOptions } from "./options.ts";
import { DEFAULT_SETUP_TIMEOUT_MS, Peers } from "./peers.ts";

/** Something that happened to the connection with another node. */
export type NodeEvent =
  | { readonly type: "up"; readonly node: string; readonly hidden: boolean; readonly creation: number }
  | { readonly type: "down"; readonly node: string; readonly hidden: boolean; readonly reason: IsthmusError };

/** A connected node. */
export interface ConnectedNode {
  readonly node: string;
  /** Whether it is itself a hidden node: a BEAM is not, unless started with `-hidden`. */
  readonly hidden: boolean;
  readonly creation: number;
}

/** Ticks that are later than this are worth a warning. */
const LATE_MS = 1000;

/** Creations 0 to 3 have a meaning of their own in the old one-byte forms. */
const FIRST_CREATION = 4;

/**
 * Starts a hidden node: listens, registers with epmd, and is then ready to connect and to be connected to.
 * @throws IsthmusError `NODE_NAME_INVALID`, `OPTION_INVALID`, `LISTEN_FAILED`, and the codes of `@isthmus/epmd-client`
 */
export async function startNode(options: NodeOptions): Promise<HiddenNode> {
  const ticks = tickOptions(options);
  if (typeof options.name !== "string") return startDynamicNode(options, options.name, ticks);
  const name = parseNodeName(options.name);
  const node = new HiddenNode(options, name.full, ticks);
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

/** Connects first, and then is what it was told to be. */
async function startDynamicNode(options: NodeOptions, name: DynamicName, ticks: Ticks): Promise<HiddenNode> {
  const { from, host = parseNodeName(from).host } = name;
  const flags = (options.flags ?? HIDDEN_FULL) | FLAG.NAME_ME;
  const local = { name: host, creation: 0, flags, cookies: cookieSource(options.cookie) };
  const dialled = await dialNode(from, local, dialOptions(options), new AbortController().signal);
  const { localName, localCreation: creation } = dialled.outcome;
  const node = new HiddenNode({ ...options, creation, listen: false }, localName, ticks);
  node.adopt(dialled);
  return node;
}

/** How often ticks are sent. */
interface Ticks {
  readonly intervalMs: number;
  readonly intensity: number;
}

function tickOptions({ tickTimeSeconds = 60, tickIntensity = 4 }: NodeOptions): Ticks {
  if (!(tickTimeSeconds >= 1 && tickTimeSeconds <= 86_400))
    throw coreError("OPTION_INVALID", `tickTimeSeconds must be between 1 and 86400, not ${tickTimeSeconds}.`);
  if (!(Number.isInteger(tickIntensity) && tickIntensity >= 4 && tickIntensity <= 1000))
    throw coreError(
      "OPTION_INVALID",
      `tickIntensity must be a whole number from 4 to 1000, not ${tickIntensity}.`,
    );
  return { intervalMs: (tickTimeSeconds * 1000) / tickIntensity, intensity: tickIntensity };
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
  readonly #events = new EventEmitter<{ event: [NodeEvent]; close: [] }>();
  readonly #options: NodeOptions;
  /** Who waits until a connection takes more. */
  readonly #senders = new Map<Connection, (() => void)[]>();
  #creation: number;
  #listener: Listener | undefined;
  #registration: Registration | undefined;
  #ticker: Timer | undefined;
  #closed = false;

  /** Use {@link startNode}. */
  constructor(options: NodeOptions, name: string, ticks: Ticks) {
    this.#options = options;
    this.name = name;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#creation = options.creation ?? randomCreation();
    this.#events.setMaxListeners(0);
    const router = options.router;
    this.#peers = new Peers({
      ...dialOptions(options),
      name,
      creation: () => this.#creation,
      flags: options.flags ?? HIDDEN_FULL,
      cookies: cookieSource(options.cookie),
      allow: options.allow ?? (() => true),
      limits: { ...DEFAULT_CONNECTION_LIMITS, ...options.limits },
      maxPendingHandshakes: options.maxPendingHandshakes ?? 128,
      maxDialling: options.maxDialling ?? 1000,
      maxQueuedPerNode: options.maxQueuedPerNode ?? 10_000,
      logger: this.#logger,
      onUp: (connection) => this.#up(connection),
      onDown: (connection, reason) => this.#down(connection, reason),
      onSignal:
        router === undefined
          ? (connection, signal) => this.processes.signal(connection, signal)
          : (connection: Connection, signal: Signal) => {
              if (!router.route(connection, signal) && signal.missingBytes === 0)
                this.processes.signal(connection, signal);
            },
      onLong: (connection, signal) => router?.long?.(connection, signal),
      onWritable: (connection) => {
        router?.writable(connection);
        this.#wakeSenders(connection);
      },
    });
    const self = this;
    const context: ProcessContext = {
      self: atom(name),
      get creation() {
        return self.#creation;
      },
      clock: this.#clock,
      logger: this.#logger,
      connection: (node) => this.#peers.get(node),
      whenConnected: (node, run) => this.#peers.whenConnected(node, run),
    };
    this.processes = new ProcessTable(context, options.processes);
    const nextTick = (): void => {
      const due = this.#clock.now() + ticks.intervalMs;
      this.#ticker = this.#clock.after(ticks.intervalMs, () => {
        this.#checkLate(this.#clock.now() - due);
        this.#peers.tick(ticks.intensity);
        nextTick();
      });
    };
    nextTick();
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

  /**
   * Resolves when `node` takes more: at once unless more than `ConnectionLimits.highWaterBytes` wait to be sent to it.
   * A program that sends much waits for this now and then, and so goes no faster than the node reads. Also resolves
   * when there is no connection, or it is lost.
   */
  writable(node: string): Promise<void> {
    const connection = this.#peers.get(atom(node));
    if (connection?.blocked !== true) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.#senders.get(connection);
      if (waiting === undefined) this.#senders.set(connection, [resolve]);
      else waiting.push(resolve);
    });
  }

  /** The open connection to a node, for programs that route signals themselves. */
  connection(node: Atom): Connection | undefined {
    return this.#peers.get(node);
  }

  /**
   * Takes over a stream whose two ends agree already on who they are and what they can, as after a handshake. For
   * programs that reach another node in a way of their own.
   */
  adopt(ready: Dialled): void {
    this.#peers.adopt(ready);
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

  /**
   * The same as an async iterator, from this call on; it ends when the node is closed or `signal` is aborted. Events
   * wait in memory for whoever iterates, so do, or abort.
   */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<NodeEvent> {
    const { signal } = options;
    const source = on(this.#events, "event", { close: ["close"], ...(signal && { signal }) });
    return eachEvent(source as AsyncIterableIterator<[NodeEvent]>, signal);
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

  /** The polite end: {@link HiddenNode.leave}, {@link HiddenNode.flushed}, {@link HiddenNode.close}. */
  async drain(timeoutMs = 5000): Promise<void> {
    await this.leave();
    await this.flushed(timeoutMs);
    await this.close();
  }

  /** Closes every connection and the listener, and leaves epmd. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#ticker?.cancel();
    this.#listener?.close();
    this.processes.close();
    this.#peers.close();
    this.#events.emit("close");
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
    const { peer, hidden, peerCreation: creation } = connection;
    this.#options.router?.up(connection);
    if (nodeUp.hasSubscribers) nodeUp.publish({ node: this.name, peer: peer.text, hidden, creation });
    this.#events.emit("event", { type: "up", node: peer.text, hidden, creation });
  }

  #down(connection: Connection, reason: IsthmusError): void {
    const { peer, hidden } = connection;
    this.#options.router?.down(connection, reason);
    this.processes.connectionLost(peer);
    this.#wakeSenders(connection);
    if (nodeDown.hasSubscribers) nodeDown.publish({ node: this.name, peer: peer.text, hidden, reason });
    this.#events.emit("event", { type: "down", node: peer.text, hidden, reason });
  }

  #wakeSenders(connection: Connection): void {
    const waiting = this.#senders.get(connection);
    if (waiting === undefined) return;
    this.#senders.delete(connection);
    for (const wake of waiting) wake();
  }

  /** Peers give up a node that sends nothing for the tick time, and code that holds the event loop sends nothing. */
  #checkLate(lateMs: number): void {
    if (lateMs < LATE_MS) return;
    this.#logger.warn(
      { node: this.name, lateMs: Math.round(lateMs) },
      "the event loop was held up: ticks go out late, and peers may give up the connection; look for long synchronous work",
    );
    if (loopLate.hasSubscribers) loopLate.publish({ node: this.name, lateMs });
  }
}

async function* eachEvent(
  source: AsyncIterableIterator<[NodeEvent]>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<NodeEvent> {
  try {
    for await (const [event] of source) yield event;
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

function dialOptions(options: NodeOptions): DialOptions {
  return {
    resolver: options.resolver ?? epmdResolver({ port: epmdAddress(options).port }),
    tls: options.tls,
    setupTimeoutMs: options.setupTimeoutMs ?? DEFAULT_SETUP_TIMEOUT_MS,
    random: () => randomBytes(4).readUInt32BE(0),
    clock: options.clock ?? systemClock,
  };
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
