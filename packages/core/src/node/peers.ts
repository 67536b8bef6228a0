import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  type AcceptDecision,
  acceptTls,
  type Cookie,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  type HandshakeOutcome,
  runAcceptor,
  simultaneousDecision,
} from "@isthmus/dist-handshake";
import { type Atom, atom } from "@isthmus/etf";
import { internWeakly } from "@isthmus/etf/raw";
import { IsthmusError, isIsthmusError, type Logger, type PieceTaker, type Timer } from "@isthmus/wire";
import type { Signal } from "../channel/signal.ts";
import { coreError } from "../errors.ts";
import { Connection, type ConnectionLimits, type ConnectionSink } from "../net/connection.ts";
import { acceptFailed, connectFailed } from "./diagnostics.ts";
import { type Dialled, type DialOptions, dialNode } from "./dial.ts";

/** What the connection table needs. */
export interface PeersOptions extends DialOptions {
  readonly name: string;
  readonly creation: () => number;
  readonly flags: bigint;
  readonly cookies: (peer: string) => readonly Cookie[];
  readonly allow: (peer: string) => boolean;
  readonly limits: ConnectionLimits;
  readonly maxPendingHandshakes: number;
  readonly maxDialling: number;
  readonly maxQueuedPerNode: number;
  readonly logger: Logger;
  readonly onUp: (connection: Connection) => void;
  readonly onDown: (connection: Connection, reason: IsthmusError) => void;
  readonly onSignal: (connection: Connection, signal: Signal) => void;
  readonly onLong: Required<ConnectionSink>["long"];
  readonly onWritable: (connection: Connection) => void;
}

type Waiter = (connection: Connection | undefined, error: IsthmusError | undefined) => void;

/**
 * What we know of one node. No entry: not connected and nothing under way.
 * `dialing`: our attempt runs. `awaiting`: the peer's own attempt won; its connection must come before the timer.
 */
type PeerState = Dialing | Awaiting | { readonly t: "up"; readonly connection: Connection };
type Dialing = { readonly t: "dialing"; readonly waiting: Waiter[]; readonly abort: AbortController };
type Awaiting = { readonly t: "awaiting"; readonly waiting: Waiter[]; readonly timer: Timer };

/** All connections of one node: dialing, accepting, simultaneous attempts, replacement, loss. */
export class Peers implements ConnectionSink {
  readonly #options: PeersOptions;
  readonly #states = new Map<Atom, PeerState>();
  readonly #handshaking = new Set<Socket>();
  /** Attempts of ours that are under way. */
  #dialling = 0;
  #closed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** The open connection to `node`. */
  get(node: Atom): Connection | undefined {
    const state = this.#states.get(node);
    return state?.t === "up" ? state.connection : undefined;
  }

  /** Whether an attempt to connect to `node` is under way. */
  isConnecting(node: Atom): boolean {
    const state = this.#states.get(node);
    return state !== undefined && state.t !== "up";
  }

  /** All open connections. */
  *connections(): Generator<Connection> {
    for (const state of this.#states.values()) if (state.t === "up") yield state.connection;
  }

  /**
   * The connection to `node`, made if there is none; callers for the same node share one attempt.
   * @throws IsthmusError `NODE_NAME_INVALID`, `NODE_IS_SELF`, `NODE_CLOSED`, `NO_CONNECTION`, and the codes of epmd and handshake
   */
  connect(node: string, signal?: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => reject(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.whenConnected(atom(node), (connection, error) => {
        signal?.removeEventListener("abort", onAbort);
        if (connection !== undefined) resolve(connection);
        else reject(error);
      });
    });
  }

  /** Calls `run` with the connection once there is one, or with the reason why there is none. Never throws. */
  whenConnected(node: Atom, run: Waiter): void {
    const state = this.#states.get(node);
    if (state?.t === "up") {
      run(state.connection, undefined);
    } else if (this.#closed) {
      run(undefined, coreError("NODE_CLOSED", `${this.#options.name} is closed and connects to nobody.`));
    } else if (node.text === this.#options.name) {
      run(undefined, coreError("NODE_IS_SELF", `${node.text} is this node itself.`));
    } else if (state !== undefined) {
      if (state.waiting.length < this.#options.maxQueuedPerNode) state.waiting.push(run);
      else run(undefined, noConnection(node.text, "too much waits for it already"));
    } else if (this.#dialling >= this.#options.maxDialling) {
      run(undefined, noConnection(node.text, `${this.#dialling} other connections are being made already`));
    } else {
      const dialing: Dialing = { t: "dialing", waiting: [run], abort: new AbortController() };
      this.#states.set(node, dialing);
      void this.#dial(node, dialing);
    }
  }

  /** Takes an incoming socket through the handshake. */
  async accept(socket: Socket): Promise<void> {
    const options = this.#options;
    if (this.#closed || this.#handshaking.size >= options.maxPendingHandshakes) {
      if (!this.#closed)
        options.logger.warn(
          { limit: options.maxPendingHandshakes },
          "too many handshakes at once: connection refused",
        );
      socket.destroy();
      return;
    }
    this.#handshaking.add(socket);
    let claimed: Atom | undefined;
    try {
      const stream =
        options.tls === undefined
          ? socket
          : await acceptTls(socket, options.tls.accept, {
              timeoutMs: options.setupTimeoutMs,
              clock: options.clock,
            });
      const { outcome, rest } = await runAcceptor(stream, {
        local: this.#local(),
        random: options.random,
        decide: (peer) => {
          const decision = this.#decide(peer.name);
          if (decision !== "not_allowed" && decision !== "nok") claimed = internWeakly(peer.name);
          return decision;
        },
        lengthBytes: options.tls === undefined ? 2 : 4,
        timeoutMs: options.setupTimeoutMs,
        clock: options.clock,
      });
      this.#up(stream, outcome, rest);
    } catch (error) {
      socket.destroy();
      const reason = normalize(error, claimed?.text ?? "a peer");
      options.logger.warn(
        { peer: claimed?.text, address: socket.remoteAddress, code: reason.code },
        `incoming connection refused: ${reason.message}`,
      );
      if (acceptFailed.hasSubscribers) {
        const peer = claimed?.text;
        acceptFailed.publish({ node: options.name, peer, address: socket.remoteAddress, error: reason });
      }
      if (claimed !== undefined) {
        const state = this.#states.get(claimed);
        if (state?.t === "awaiting") this.#failed(claimed, state, reason);
      }
    } finally {
      this.#handshaking.delete(socket);
    }
  }

  /** Takes over a stream after its handshake, which we began. */
  adopt({ stream, outcome, rest }: Dialled): void {
    this.#up(stream, outcome, rest);
  }

  /** Closes the connection to `node`. @returns whether there was one */
  disconnect(node: string, reason: IsthmusError): boolean {
    const connection = this.get(atom(node));
    connection?.close(reason);
    return connection !== undefined;
  }

  /** @param intensity see {@link Connection.tick} */
  tick(intensity: number): void {
    for (const connection of this.connections()) connection.tick(intensity);
  }

  close(): void {
    this.#closed = true;
    const reason = coreError("NODE_CLOSED", `${this.#options.name} was closed.`);
    for (const socket of this.#handshaking) socket.destroy();
    for (const [node, state] of this.#states) {
      if (state.t === "up") state.connection.close(reason);
      else {
        if (state.t === "dialing") state.abort.abort(reason);
        this.#failed(node, state, reason);
      }
    }
  }

  signal(connection: Connection, signal: Signal): void {
    this.#options.onSignal(connection, signal);
  }

  long(connection: Connection, signal: Signal): PieceTaker["next"] | undefined {
    return this.#options.onLong(connection, signal);
  }

  writable(connection: Connection): void {
    this.#options.onWritable(connection);
  }

  closed(connection: Connection, reason: IsthmusError): void {
    const state = this.#states.get(connection.peer);
    if (state?.t === "up" && state.connection === connection) this.#states.delete(connection.peer);
    this.#options.onDown(connection, reason);
  }

  /** The rules of `net_kernel`'s accept_pending (PROTOCOL 2.2). */
  #decide(peer: string): AcceptDecision {
    const options = this.#options;
    if (peer === options.name || !options.allow(peer)) return "not_allowed";
    // it has not shown the cookie yet: names that anybody makes up must not stay in the atom table
    const node = internWeakly(peer);
    const state = this.#states.get(node);
    if (state?.t === "up") return "alive";
    if (state?.t !== "dialing") return "ok";
    const decision = simultaneousDecision(options.name, peer);
    if (decision === "nok") return decision;
    // our own attempt gives way; whoever waits for it gets the connection that is coming in
    this.#await(node, state.waiting);
    state.abort.abort(new Error("the peer's own attempt won"));
    return decision;
  }

  async #dial(node: Atom, state: Dialing): Promise<void> {
    const options = this.#options;
    this.#dialling++;
    try {
      const { stream, outcome, rest } = await dialNode(node.text, this.#local(), options, state.abort.signal);
      if (this.#states.get(node) === state) this.#up(stream, outcome, rest);
      else stream.destroy();
    } catch (error) {
      if (this.#states.get(node) !== state) return;
      const reason = normalize(error, node.text);
      if (connectFailed.hasSubscribers) {
        connectFailed.publish({ node: options.name, peer: node.text, error: reason });
      }
      if (reason.code === "HANDSHAKE_NOK") this.#await(node, state.waiting);
      else this.#failed(node, state, reason);
    } finally {
      this.#dialling--;
    }
  }

  /** The peer's own attempt wins: its connection must come in soon. */
  #await(node: Atom, waiting: Waiter[]): void {
    const timer = this.#options.clock.after(this.#options.setupTimeoutMs, () =>
      this.#failed(
        node,
        state,
        noConnection(node.text, "its own connection attempt, which had precedence, did not come through"),
      ),
    );
    const state: Awaiting = { t: "awaiting", waiting, timer };
    this.#states.set(node, state);
  }

  #failed(node: Atom, state: Dialing | Awaiting, reason: IsthmusError): void {
    if (this.#states.get(node) !== state) return;
    this.#states.delete(node);
    if (state.t === "awaiting") state.timer.cancel();
    for (const run of state.waiting) run(undefined, reason);
  }

  #up(stream: Duplex, outcome: HandshakeOutcome, rest: Buffer): void {
    if (this.#closed || stream.destroyed) {
      stream.destroy();
      return;
    }
    const node = atom(outcome.peer);
    const replaced = this.#states.get(node);
    if (replaced?.t === "up") {
      replaced.connection.close(
        coreError("CONNECTION_REPLACED", `${node.text} connected anew; the older connection was closed.`, {
          context: { node: node.text },
        }),
      );
    }
    // looked up again: whoever was told of the loss may have begun to dial already
    const before = this.#states.get(node);
    if (before?.t === "dialing") before.abort.abort(new Error("the peer connected first"));
    else if (before?.t === "awaiting") before.timer.cancel();
    const connection = new Connection(stream, outcome, this, this.#options.limits);
    this.#states.set(node, { t: "up", connection });
    this.#options.onUp(connection);
    if (before !== undefined && before.t !== "up")
      for (const run of before.waiting) run(connection, undefined);
    connection.start(rest);
  }

  #local() {
    const { name, flags, cookies } = this.#options;
    return { name, creation: this.#options.creation(), flags, cookies };
  }
}

export const DEFAULT_SETUP_TIMEOUT_MS = DEFAULT_HANDSHAKE_TIMEOUT_MS;

function noConnection(node: string, why: string): IsthmusError {
  return coreError("NO_CONNECTION", `There is no connection to ${node}: ${why}.`, { context: { node } });
}

function normalize(error: unknown, node: string): IsthmusError {
  if (isIsthmusError(error)) return error;
  return new IsthmusError("NO_CONNECTION", `No connection to ${node} could be made.`, {
    cause: error,
    context: { node },
  });
}
