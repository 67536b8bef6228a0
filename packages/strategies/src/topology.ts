import {
  type BackoffOptions,
  type Clock,
  type IsthmusError,
  type Logger,
  silentLogger,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import type { ClusterHooks, Discovery, Strategy } from "./contract.ts";
import { Dialler, type DiallerEvents, type FailedAttempt } from "./dialler.ts";
import { coded, strategiesError } from "./errors.ts";
import type { TopologyEvent, TopologyListener } from "./events.ts";
import { reconcile } from "./reconcile.ts";

/** Options of {@link startTopology}. */
export interface TopologyOptions {
  /** For logs and events. */
  readonly name: string;
  readonly strategy: Strategy;
  readonly hooks: ClusterHooks;
  /** What becomes of a connected node that discovery no longer names. @default "never" disconnected */
  readonly removal?: "never" | "immediately";
  /** Delays between attempts for one node. @default 500 ms, doubling up to 15 s; the upper half of each is random */
  readonly backoff?: BackoffOptions;
  /** How often what is connected is compared with what should be, besides at every change. Milliseconds. @default 5000 */
  readonly intervalMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** A number in [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** How it stands with one node. */
export interface TopologyNode {
  readonly node: string;
  /** `waiting` is the time between two attempts. */
  readonly state: "connected" | "connecting" | "waiting";
  /** Failed attempts since it was connected last. */
  readonly attempts: number;
  /** Code of the last failure; undefined when connected. */
  readonly error: string | undefined;
  /** Milliseconds until the next attempt, while `waiting`. */
  readonly retryMs: number | undefined;
}

/** The state of a topology. */
export interface TopologyStatus {
  readonly topology: string;
  /** Every node that there should be. */
  readonly nodes: readonly TopologyNode[];
  /** Code of the last discovery when it failed. */
  readonly discoveryError: string | undefined;
}

/** A set of nodes that is kept connected. Made by {@link startTopology}. */
export interface Topology extends AsyncDisposable {
  status(): TopologyStatus;
  /** Asks the strategy anew, and tries every node that is not connected now, whatever its backoff. */
  refresh(): void;
  /** Calls `listener` for every event from now on. Right after {@link startTopology} none has been missed. @returns a function that ends this */
  on(listener: TopologyListener): () => void;
  /** Ends discovery, attempts and events; connections stay. May be called again. */
  stop(): Promise<void>;
}

const DEFAULT_BACKOFF: BackoffOptions = { firstMs: 500, maxMs: 15_000 };
const DEFAULT_INTERVAL_MS = 5000;

/**
 * Keeps connected what a strategy discovers. It goes by level, not by events: whatever should be connected and is not
 * is dialled, all nodes at once, each with a backoff of its own. A discovery that fails changes nothing.
 *
 * Whoever owns the connections logs that they come and go; the topology says it at level `debug`, and at higher
 * levels what only it knows: `warn` when a node cannot be connected (once, and again when the reason changes), `info`
 * when that goes on (at the 2nd, 4th, 8th... failure) and when it is over.
 */
export function startTopology(options: TopologyOptions): Topology {
  return new RunningTopology(options);
}

class RunningTopology implements Topology {
  readonly #options: TopologyOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  readonly #diallers = new Map<string, Dialler>();
  readonly #listeners = new Set<TopologyListener>();
  readonly #events: DiallerEvents;
  readonly #unsubscribe: (() => void) | undefined;
  #round: Timer;
  #discoveryError: IsthmusError | undefined;
  /** Whether the strategy's `start` was called: before that it is left alone. */
  #begun = false;
  #stopped: Promise<void> | undefined;

  constructor(options: TopologyOptions) {
    const { hooks } = options;
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.#events = {
      connected: (node, failures) => this.#connected(node, failures),
      failed: (failure) => this.#failed(failure),
      lost: (node, retryMs) => this.#lost(node, retryMs),
    };
    this.#unsubscribe = hooks.onNodeDown?.((node) => {
      this.#diallers.get(node)?.observe(hooks.listNodes().includes(node));
    });
    this.#round = this.#nextRound();
    // In a microtask, so that listeners can be added first, and so that a throw and a rejection are one thing.
    queueMicrotask(() => this.#startStrategy());
  }

  status(): TopologyStatus {
    const nodes = Array.from(
      this.#diallers,
      ([node, dialler]): TopologyNode => ({
        node,
        state: dialler.state,
        attempts: dialler.failures,
        error: dialler.error?.code,
        retryMs: dialler.retryMs,
      }),
    );
    return { topology: this.#options.name, nodes, discoveryError: this.#discoveryError?.code };
  }

  on(listener: TopologyListener): () => void {
    // A function of its own, so that the same listener may be added twice.
    const own: TopologyListener = (event) => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  refresh(): void {
    if (this.#abort.signal.aborted) return;
    for (const dialler of this.#diallers.values()) dialler.hurry();
    this.#observe();
    if (!this.#begun) return;
    try {
      this.#options.strategy.refresh?.();
    } catch (error) {
      this.#strategyFailed(error);
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    const { name: topology, strategy } = this.#options;
    this.#abort.abort(
      strategiesError("CONNECT_ABORTED", `The topology ${topology} was stopped.`, { context: { topology } }),
    );
    this.#round.cancel();
    this.#unsubscribe?.();
    this.#listeners.clear();
    for (const dialler of this.#diallers.values()) dialler.end();
    if (!this.#begun) return;
    try {
      await strategy.stop();
    } catch (error) {
      this.#logger.warn({ topology, err: error }, "the discovery strategy did not stop as it should");
    }
  }

  #startStrategy(): void {
    const { strategy, hooks } = this.#options;
    const { signal } = this.#abort;
    if (signal.aborted) return;
    this.#begun = true;
    // Not waited for: a strategy may take any time until its first answer, and `stop` must not wait for that.
    const started = (async () =>
      strategy.start({
        self: hooks.self,
        report: (discovery) => this.#discovered(discovery),
        logger: this.#logger,
        clock: this.#clock,
        signal,
      }))();
    started.catch((error: unknown) => this.#strategyFailed(error));
  }

  #strategyFailed(error: unknown): void {
    this.#discovered({
      ok: false,
      error: coded(error, "STRATEGY_FAILED", `The discovery strategy of ${this.#options.name} failed.`),
    });
  }

  #discovered(discovery: Discovery): void {
    if (this.#abort.signal.aborted) return;
    const { name: topology } = this.#options;
    const before = this.#discoveryError;
    if (discovery.ok) {
      this.#discoveryError = undefined;
      if (before !== undefined) this.#logger.info({ topology }, "discovery works again");
      this.#want(new Set(discovery.nodes));
      return;
    }
    const { error } = discovery;
    this.#discoveryError = error;
    const log = before?.code === error.code ? "debug" : "warn";
    this.#logger[log](
      { topology, code: error.code },
      `discovery failed, the last answer stands: ${error.message}`,
    );
    this.#emit({ type: "discovery_failed", topology, error });
  }

  #want(wanted: Set<string>): void {
    const { name: topology, hooks, removal = "never" } = this.#options;
    wanted.delete(hooks.self);
    const previous = [...this.#diallers.keys()];
    const added = [...wanted].filter((node) => !this.#diallers.has(node));
    const removed = previous.filter((node) => !wanted.has(node));
    if (added.length === 0 && removed.length === 0) return;
    for (const node of removed) {
      this.#diallers.get(node)?.end();
      this.#diallers.delete(node);
    }
    for (const node of added) this.#diallers.set(node, this.#dialler(node));
    this.#emit({ type: "nodes", topology, nodes: [...wanted], added, removed });
    if (removal === "immediately") {
      const { obsolete } = reconcile({ self: hooks.self, wanted, connected: hooks.listNodes(), previous });
      for (const node of obsolete) this.#disconnect(node);
    }
    this.#observe();
  }

  #dialler(node: string): Dialler {
    const { hooks, backoff = DEFAULT_BACKOFF, removal, random = Math.random } = this.#options;
    const connect = async (name: string, signal: AbortSignal): Promise<void> => {
      await hooks.connect(name, signal);
      // A hook that does not heed its signal may connect what was removed meanwhile.
      const unwanted = signal.aborted && !this.#abort.signal.aborted && !this.#diallers.has(name);
      if (unwanted && removal === "immediately") this.#disconnect(name);
    };
    return new Dialler({ node, connect, backoff, clock: this.#clock, random, events: this.#events });
  }

  #disconnect(node: string): void {
    const { name: topology, hooks } = this.#options;
    hooks.disconnect(node).then(
      () => this.#emit({ type: "disconnected", topology, node }),
      (error: unknown) =>
        this.#logger.warn({ topology, node, err: error }, "the node could not be disconnected"),
    );
  }

  #nextRound(): Timer {
    return this.#clock.after(this.#options.intervalMs ?? DEFAULT_INTERVAL_MS, () => {
      this.#round = this.#nextRound();
      this.#observe();
    });
  }

  /** Compares what is with what should be; each node that differs looks after itself. */
  #observe(): void {
    const { hooks } = this.#options;
    const wanted = [...this.#diallers.keys()];
    const missing = new Set(reconcile({ self: hooks.self, wanted, connected: hooks.listNodes() }).connect);
    for (const node of wanted) this.#diallers.get(node)?.observe(!missing.has(node));
  }

  #connected(node: string, failures: number): void {
    const { name: topology } = this.#options;
    if (failures > 0)
      this.#logger.info({ topology, node, attempts: failures }, "connected after failed attempts");
    else this.#logger.debug({ topology, node }, "connected");
    this.#emit({ type: "connected", topology, node });
  }

  #failed({ node, attempt, retryMs, error, changed }: FailedAttempt): void {
    const { name: topology } = this.#options;
    const fields = { topology, node, code: error.code, attempts: attempt, retryMs };
    if (changed) this.#logger.warn(fields, `cannot connect: ${error.message}`);
    else if (isPowerOfTwo(attempt)) this.#logger.info(fields, `still cannot connect: ${error.message}`);
    else this.#logger.debug(fields, "still cannot connect");
    this.#emit({ type: "connect_failed", topology, node, attempt, retryMs, error });
  }

  #lost(node: string, retryMs: number): void {
    const { name: topology } = this.#options;
    this.#logger.debug({ topology, node, retryMs }, "connection lost");
    this.#emit({ type: "disconnected", topology, node });
  }

  #emit(event: TopologyEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#logger.error({ topology: event.topology, err: error }, "a listener of topology events threw");
      }
    }
  }
}

function isPowerOfTwo(n: number): boolean {
  return (n & (n - 1)) === 0;
}
