import type { Clock, IsthmusError, Logger, Timer } from "@isthmus/wire";
import type { ClusterHooks } from "../contract.ts";
import { Dialler, type DiallerEvents, type FailedAttempt } from "../dialler.ts";
import { coded } from "../errors.ts";
import type { NodeEvent } from "../events.ts";
import { reconcile } from "../reconcile.ts";
import { connectReason, publish } from "../telemetry.ts";
import type { DialLimit } from "./dial-limit.ts";
import type { RetryDelays } from "./retry-delays.ts";

/** A topology, as its connections see it. */
export interface Claimant {
  /** For logs. */
  readonly name: string;
  connected(node: string): void;
  failed(failure: FailedAttempt): void;
  disconnected(node: string, reason: IsthmusError | undefined): void;
}

/** Options of {@link Connections}. */
export interface ConnectionsOptions {
  readonly hooks: ClusterHooks;
  readonly delays: RetryDelays;
  readonly limit: DialLimit;
  /** How often what is connected is compared with what should be, in milliseconds. */
  readonly intervalMs: number;
  readonly connectTimeoutMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Hears of every node that comes and goes, wanted or not. */
  readonly onNode: (event: NodeEvent) => void;
}

/** One node that somebody wants, or wanted until now. */
interface Entry {
  readonly dialler: Dialler;
  /** They want it to be connected. */
  readonly wanting: Set<Claimant>;
  /** They want it no more, but do not want it disconnected yet either. */
  readonly keeping: Set<Claimant>;
  /** Whoever was the last to let go of it, to have it disconnected. */
  unwantedBy: Claimant | undefined;
}

/** How it stands with one node. */
export interface NodeState {
  readonly state: Dialler["state"];
  readonly attempts: number;
  readonly error: string | undefined;
  readonly retryMs: number | undefined;
}

/**
 * The connections that topologies share: one dialler for each node that is wanted, however many want it, and what is
 * known of which nodes are there. A node is disconnected only when the last has let go of it.
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #entries = new Map<string, Entry>();
  /** Nodes known to be connected, wanted or not. */
  readonly #up: Set<string>;
  /** Nodes that should be disconnected and are not yet. */
  readonly #unwanted = new Map<string, { readonly by: Claimant; busy: boolean }>();
  readonly #diallerEvents: DiallerEvents;
  readonly #unsubscribe: ((() => void) | undefined)[];
  #round: Timer;
  #draining = false;
  #stopped = false;

  constructor(options: ConnectionsOptions) {
    const { hooks } = options;
    this.#options = options;
    this.#up = new Set(hooks.listNodes());
    this.#diallerEvents = {
      connected: (node, failures, durationMs) => this.#connected(node, failures, durationMs),
      failed: (failure) => this.#failed(failure),
      lost: (node, reason) => this.#lost(node, reason),
    };
    this.#unsubscribe = [
      hooks.onNodeUp?.((node) => this.#nodeUp(node)),
      hooks.onNodeDown?.((node, reason) => this.#nodeDown(node, reason)),
    ];
    this.#round = this.#nextRound();
  }

  get hooks(): ClusterHooks {
    return this.#options.hooks;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Nodes known to be connected, wanted or not. */
  get up(): ReadonlySet<string> {
    return this.#up;
  }

  /** How many nodes somebody claims, or should be disconnected still. */
  get claims(): number {
    return this.#entries.size + this.#unwanted.size;
  }

  /** How it stands with a node that somebody claims. */
  stateOf(node: string): NodeState | undefined {
    const dialler = this.#entries.get(node)?.dialler;
    if (dialler === undefined) return undefined;
    const { state, failures: attempts, error, retryMs } = dialler;
    return { state, attempts, error: error?.code, retryMs };
  }

  /** `claimant` wants `nodes` to be connected from now on. */
  claim(nodes: readonly string[], claimant: Claimant): void {
    for (const node of nodes) {
      let entry = this.#entries.get(node);
      if (entry === undefined) {
        entry = {
          dialler: this.#dialler(node),
          wanting: new Set(),
          keeping: new Set(),
          unwantedBy: undefined,
        };
        this.#entries.set(node, entry);
        if (this.#draining) entry.dialler.rest();
      }
      this.#unwanted.delete(node);
      // Whoever joins the others hears of a connection that is there, as they did.
      const known = entry.keeping.delete(claimant) || entry.wanting.has(claimant);
      const joins = !known && entry.dialler.state === "connected";
      entry.wanting.add(claimant);
      if (!this.#draining) entry.dialler.wake();
      if (joins) claimant.connected(node);
      else entry.dialler.observe(this.#up.has(node));
    }
  }

  /** `claimant` wants `node` no more, but to stay connected for the time being. */
  keep(node: string, claimant: Claimant): void {
    const entry = this.#entries.get(node);
    if (entry?.wanting.delete(claimant) !== true) return;
    entry.keeping.add(claimant);
    if (entry.wanting.size === 0) entry.dialler.rest();
  }

  /** `claimant` lets go of `node`. When it was the last, and asks for it, the node is disconnected. */
  release(node: string, claimant: Claimant, disconnect: boolean): void {
    const entry = this.#entries.get(node);
    if (entry === undefined) return;
    entry.wanting.delete(claimant);
    entry.keeping.delete(claimant);
    if (entry.wanting.size > 0) return;
    if (entry.keeping.size > 0) {
      entry.dialler.rest();
      return;
    }
    this.#entries.delete(node);
    entry.dialler.end();
    if (!disconnect || this.#draining) return;
    entry.unwantedBy = claimant;
    if (this.#up.has(node)) this.#disconnect(node, claimant);
  }

  /** Tries every node that is missing now, whatever its backoff. */
  hurry(): void {
    for (const { dialler } of this.#entries.values()) dialler.hurry();
    this.#compare();
  }

  /** Dials nobody any more and disconnects nobody; connections stay as they are. */
  drain(): void {
    this.#draining = true;
    this.#unwanted.clear();
    for (const { dialler } of this.#entries.values()) dialler.rest();
  }

  /** Ends attempts and rounds; connections stay. */
  stop(): void {
    this.#stopped = true;
    this.#round.cancel();
    for (const unsubscribe of this.#unsubscribe) unsubscribe?.();
    for (const { dialler } of this.#entries.values()) dialler.end();
    this.#entries.clear();
    this.#unwanted.clear();
  }

  #nextRound(): Timer {
    return this.#options.clock.after(this.#options.intervalMs, () => {
      this.#round = this.#nextRound();
      this.#compare();
      for (const [node, { by, busy }] of this.#unwanted) {
        if (!this.#up.has(node)) this.#unwanted.delete(node);
        else if (!busy) this.#disconnect(node, by);
      }
    });
  }

  /** Compares what is with what should be; each node that differs looks after itself. */
  #compare(): void {
    const { hooks } = this.#options;
    const connected = new Set(hooks.listNodes());
    for (const node of [...this.#up]) if (!connected.has(node)) this.#nodeDown(node);
    for (const node of connected) if (!this.#up.has(node)) this.#nodeUp(node);
    const { connect } = reconcile({ self: hooks.self, wanted: this.#entries.keys(), connected });
    for (const node of connect) this.#entries.get(node)?.dialler.observe(false);
  }

  #nodeUp(node: string): void {
    if (this.#stopped || this.#up.has(node)) return;
    this.#up.add(node);
    publish("nodeUp", () => ({ node }));
    this.#options.onNode({ type: "nodeup", node });
    this.#entries.get(node)?.dialler.observe(true);
  }

  #nodeDown(node: string, reason?: IsthmusError): void {
    if (this.#stopped || !this.#up.delete(node)) return;
    publish("nodeDown", () => ({ node }));
    this.#options.onNode({ type: "nodedown", node, reason });
    this.#entries.get(node)?.dialler.observe(false, reason);
  }

  #dialler(node: string): Dialler {
    const { hooks, delays, limit, clock, connectTimeoutMs: timeoutMs } = this.#options;
    const connect = async (name: string, signal: AbortSignal): Promise<void> => {
      const own = this.#entries.get(name);
      await hooks.connect(name, signal);
      if (this.#stopped) return;
      const present = this.#entries.get(name);
      if (present?.dialler.state === "connecting") this.#nodeUp(name);
      // A hook that does not heed its signal may connect what was let go of meanwhile.
      if (present === undefined && own?.unwantedBy !== undefined) this.#disconnect(name, own.unwantedBy);
    };
    return new Dialler({ node, connect, delays, limit, clock, timeoutMs, events: this.#diallerEvents });
  }

  #disconnect(node: string, by: Claimant): void {
    const { hooks, clock, logger } = this.#options;
    const since = clock.now();
    const mark = { by, busy: true };
    this.#unwanted.set(node, mark);
    const disconnect = async (): Promise<void> => hooks.disconnect(node);
    disconnect().then(
      () => {
        if (this.#unwanted.get(node) === mark) this.#unwanted.delete(node);
        publish("disconnectOk", () => ({ node, topologies: [by.name], durationMs: clock.now() - since }));
        if (hooks.onNodeDown === undefined) this.#nodeDown(node);
        by.disconnected(node, undefined);
      },
      (cause: unknown) => {
        mark.busy = false;
        const error = coded(cause, "DISCONNECT_FAILED", `The node ${node} could not be disconnected.`);
        publish("disconnectError", () => ({ node, topologies: [by.name], reason: error.message, error }));
        // once it is wanted again, or all has ended, that it was given up is what should be
        const level = this.#unwanted.get(node) === mark ? "warn" : "debug";
        logger[level]({ topology: by.name, node, code: error.code, err: cause }, error.message);
      },
    );
  }

  #connected(node: string, failures: number, durationMs: number | undefined): void {
    const { logger } = this.#options;
    const topologies = this.#names(node);
    if (failures > 0)
      logger.info({ topologies, node, attempts: failures }, "connected after failed attempts");
    else logger.debug({ topologies, node }, "connected");
    if (durationMs !== undefined) publish("connectOk", () => ({ node, topologies, durationMs }));
    this.#tell(node, (claimant) => claimant.connected(node));
  }

  #failed(failure: FailedAttempt): void {
    const { node, attempt, retryMs, error, changed } = failure;
    const { logger } = this.#options;
    const topologies = this.#names(node);
    const fields = { topologies, node, code: error.code, attempts: attempt, retryMs };
    if (changed) logger.warn(fields, `cannot connect: ${error.message}`);
    else if (isPowerOfTwo(attempt)) logger.info(fields, `still cannot connect: ${error.message}`);
    else logger.debug(fields, "still cannot connect");
    publish("connectError", () => ({ node, topologies, reason: connectReason(error), error }));
    this.#tell(node, (claimant) => claimant.failed(failure));
  }

  #lost(node: string, reason: IsthmusError | undefined): void {
    this.#options.logger.debug({ topologies: this.#names(node), node }, "connection lost");
    this.#tell(node, (claimant) => claimant.disconnected(node, reason));
  }

  #names(node: string): string[] {
    return Array.from(this.#entries.get(node)?.wanting ?? [], ({ name }) => name);
  }

  #tell(node: string, tell: (claimant: Claimant) => void): void {
    const entry = this.#entries.get(node);
    if (entry === undefined) return;
    for (const claimant of [...entry.wanting, ...entry.keeping]) tell(claimant);
  }
}

function isPowerOfTwo(n: number): boolean {
  return (n & (n - 1)) === 0;
}
