import { type BackoffOptions, backoffDelay, type Clock, IsthmusError, isIsthmusError, type Logger, silentLogger, systemClock, type Timer } from "@isthmus/wire";
import type { ClusterHooks, Discovery, Strategy } from "./contract.ts";

/** Something that happened in a topology. */
export type TopologyEvent =
  | { readonly type: "nodes"; readonly topology: string; readonly nodes: readonly string[] }
  | { readonly type: "connected"; readonly topology: string; readonly node: string }
  | { readonly type: "connect_failed"; readonly topology: string; readonly node: string; readonly attempt: number; readonly error: IsthmusError }
  | { readonly type: "disconnected"; readonly topology: string; readonly node: string }
  | { readonly type: "discovery_failed"; readonly topology: string; readonly error: IsthmusError };

/** Options of {@link startTopology}. */
export interface TopologyOptions {
  /** For logs and events. */
  readonly name: string;
  readonly strategy: Strategy;
  readonly hooks: ClusterHooks;
  /** What becomes of a connected node that discovery no longer names. @default "never" */
  readonly removal?: "never" | "immediately";
  /** Between attempts for one node. @default 500 ms doubling to 15 s, half of it random */
  readonly backoff?: BackoffOptions;
  /** How often connections are compared with what discovery named, besides on every change. Milliseconds. @default 5000 */
  readonly intervalMs?: number;
  readonly onEvent?: (event: TopologyEvent) => void;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

/** How it stands with one node. */
export interface TopologyNode {
  readonly node: string;
  readonly state: "connected" | "connecting" | "waiting";
  /** Failed attempts since it was connected last. */
  readonly attempts: number;
  /** Code of the last failure. */
  readonly error: string | undefined;
}

/** A set of nodes that is kept connected. */
export interface Topology {
  status(): { readonly topology: string; readonly nodes: readonly TopologyNode[] };
  /** Asks the strategy anew and tries every node now, whatever its backoff. */
  refresh(): void;
  /** Ends discovery and attempts; connections stay. May be called again. */
  stop(): Promise<void>;
}

const DEFAULT_BACKOFF: BackoffOptions = { firstMs: 500, maxMs: 15_000 };
const DEFAULT_INTERVAL_MS = 5000;

interface Target {
  attempts: number;
  connecting: boolean;
  up: boolean;
  error: IsthmusError | undefined;
  timer: Timer | undefined;
}

/**
 * Keeps connected what a strategy discovers. It goes by level, not by events: whatever should be connected and is not
 * is dialed, all nodes at once, each with a backoff of its own. A discovery that fails changes nothing.
 */
export function startTopology(options: TopologyOptions): Topology {
  const topology = new RunningTopology(options);
  topology.start();
  return topology;
}

class RunningTopology implements Topology {
  readonly #options: TopologyOptions;
  readonly #backoff: BackoffOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #abort = new AbortController();
  readonly #targets = new Map<string, Target>();
  #round: Timer | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: TopologyOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  start(): void {
    const { strategy, hooks } = this.#options;
    this.#unsubscribe = hooks.onNodeDown?.((node) => this.#lost(node));
    const context = {
      self: hooks.self,
      report: (discovery: Discovery) => this.#discovered(discovery),
      logger: this.#logger,
      clock: this.#clock,
      signal: this.#abort.signal,
    };
    // a strategy that throws at once is told like one that fails later
    Promise.resolve()
      .then(() => strategy.start(context))
      .catch((error) => this.#discovered({ ok: false, error: coded(error, "STRATEGY_FAILED", "The discovery strategy failed to start.") }));
    this.#schedule();
  }

  status(): ReturnType<Topology["status"]> {
    const nodes = Array.from(
      this.#targets,
      ([node, { up, connecting, attempts, error }]): TopologyNode => ({
        node,
        state: up ? "connected" : connecting ? "connecting" : "waiting",
        attempts,
        error: error?.code,
      }),
    );
    return { topology: this.#options.name, nodes };
  }

  refresh(): void {
    if (this.#abort.signal.aborted) return;
    this.#options.strategy.refresh?.();
    for (const target of this.#targets.values()) this.#cancel(target);
    this.#reconcile();
  }

  async stop(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(new IsthmusError("TOPOLOGY_STOPPED", `The topology ${this.#options.name} was stopped.`));
    this.#round?.cancel();
    this.#unsubscribe?.();
    for (const target of this.#targets.values()) this.#cancel(target);
    await this.#options.strategy.stop?.();
  }

  #discovered(discovery: Discovery): void {
    if (this.#abort.signal.aborted) return;
    const { name: topology, hooks, removal = "never" } = this.#options;
    if (!discovery.ok) {
      this.#logger.warn({ topology, code: discovery.error.code }, `discovery failed, the last answer stands: ${discovery.error.message}`);
      this.#emit({ type: "discovery_failed", topology, error: discovery.error });
      return;
    }
    const nodes = new Set(discovery.nodes);
    nodes.delete(hooks.self);
    if (nodes.size === this.#targets.size && [...nodes].every((node) => this.#targets.has(node))) return;
    for (const [node, target] of this.#targets) {
      if (nodes.has(node)) continue;
      this.#cancel(target);
      this.#targets.delete(node);
      if (removal === "immediately" && target.up) {
        hooks.disconnect(node).then(
          () => this.#emit({ type: "disconnected", topology, node }),
          (error: unknown) => this.#logger.warn({ topology, node, error: String(error) }, "node could not be disconnected"),
        );
      }
    }
    for (const node of nodes) {
      if (!this.#targets.has(node)) {
        this.#targets.set(node, { attempts: 0, connecting: false, up: false, error: undefined, timer: undefined });
      }
    }
    this.#emit({ type: "nodes", topology, nodes: [...nodes] });
    this.#reconcile();
  }

  #schedule(): void {
    this.#round = this.#clock.after(this.#options.intervalMs ?? DEFAULT_INTERVAL_MS, () => {
      this.#reconcile();
      this.#schedule();
    });
  }

  /** Compares what is with what should be. */
  #reconcile(): void {
    if (this.#abort.signal.aborted) return;
    const connected = new Set(this.#options.hooks.listNodes());
    for (const [node, target] of this.#targets) {
      if (connected.has(node)) {
        if (!target.up) this.#connected(node, target);
      } else {
        target.up = false;
        if (!target.connecting && target.timer === undefined) void this.#connect(node, target);
      }
    }
  }

  async #connect(node: string, target: Target): Promise<void> {
    const { name: topology, hooks } = this.#options;
    target.connecting = true;
    try {
      await hooks.connect(node, this.#abort.signal);
      target.connecting = false;
      if (this.#abort.signal.aborted || this.#targets.get(node) !== target) return;
      this.#connected(node, target);
    } catch (cause) {
      target.connecting = false;
      if (this.#abort.signal.aborted || this.#targets.get(node) !== target) return;
      const error = coded(cause, "CONNECT_FAILED", `There is no connection to ${node}.`);
      const delay = backoffDelay(target.attempts++, this.#backoff, this.#random());
      // one line when it begins or when the reason changes; the rest is for those who look closely
      const log = target.error?.code === error.code ? this.#logger.debug : this.#logger.warn;
      log.call(this.#logger, { topology, node, code: error.code, attempt: target.attempts, retryMs: delay }, `cannot connect: ${error.message}`);
      target.error = error;
      target.timer = this.#clock.after(delay, () => {
        target.timer = undefined;
        this.#reconcile();
      });
      this.#emit({ type: "connect_failed", topology, node, attempt: target.attempts, error });
    }
  }

  #connected(node: string, target: Target): void {
    this.#cancel(target);
    if (target.up) return;
    target.up = true;
    target.attempts = 0;
    target.error = undefined;
    this.#emit({ type: "connected", topology: this.#options.name, node });
  }

  /** The first attempt after a loss comes at once. */
  #lost(node: string): void {
    const target = this.#targets.get(node);
    if (target === undefined || this.#abort.signal.aborted) return;
    if (target.up) {
      target.up = false;
      this.#emit({ type: "disconnected", topology: this.#options.name, node });
    }
    this.#reconcile();
  }

  #cancel(target: Target): void {
    target.timer?.cancel();
    target.timer = undefined;
  }

  #emit(event: TopologyEvent): void {
    this.#options.onEvent?.(event);
  }
}

function coded(error: unknown, code: string, message: string): IsthmusError {
  return isIsthmusError(error) ? error : new IsthmusError(code, message, { cause: error });
}
