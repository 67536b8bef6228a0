import { type BackoffOptions, type Clock, type Logger, silentLogger, systemClock } from "@isthmus/wire";
import { Connections } from "./cluster/connections.ts";
import { DialLimit } from "./cluster/dial-limit.ts";
import type { Removal } from "./cluster/membership.ts";
import { backoffDelays, fixedDelays, type RetryDelays } from "./cluster/retry-delays.ts";
import { RunningTopology } from "./cluster/running-topology.ts";
import type { ShrinkGuardOptions } from "./cluster/shrink-guard.ts";
import type { ClusterHooks, Strategy } from "./contract.ts";
import {
  EventHub,
  type EventStreamOptions,
  type OverflowEvent,
  type TopologyEvent,
  type TopologyListener,
} from "./events.ts";

/** How nodes are connected. */
export interface ConnectingOptions {
  /** Delays between attempts for one node. @default 500 ms, doubling up to 15 s; the upper half of each is random */
  readonly backoff?: BackoffOptions;
  /** How often what is connected is compared with what should be, besides at every change. Milliseconds. @default 5000 */
  readonly intervalMs?: number;
  /** Attempts that run at once. @default 64 */
  readonly maxDials?: number;
  /** Milliseconds after which an attempt that has not settled is aborted, and has failed. @default 30000 */
  readonly connectTimeoutMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** A number in [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** What becomes of nodes that go missing. */
export interface RemovalOptions {
  /** What becomes of a connected node that discovery no longer names. @default "immediately" disconnected */
  readonly removal?: Removal;
  /** Which answers are not believed at once. @default only an empty one, which the third in a row or 30 s confirm */
  readonly guard?: ShrinkGuardOptions;
  /**
   * libcluster's original behaviour: every answer is believed at once, strategies answer with an empty list where the
   * original does so for a failure, removal is immediate, and there is a fixed delay of `intervalMs` between attempts.
   * `removal`, `guard` and `backoff` that are given all the same prevail. @default false
   */
  readonly compat?: boolean;
}

/** Options of {@link startTopology}. */
export interface TopologyOptions extends ConnectingOptions, RemovalOptions {
  /** For logs and events. */
  readonly name: string;
  readonly strategy: Strategy;
  readonly hooks: ClusterHooks;
}

/** How it stands with one node. */
export interface TopologyNode {
  readonly node: string;
  /**
   * `waiting` is the time between two attempts, and the wait until fewer attempts run; `idle` is not connected and not
   * dialled either, while draining.
   */
  readonly state: "connected" | "connecting" | "waiting" | "idle";
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
  /** Of these, nodes that the last answer of discovery lacks, kept until that is confirmed. */
  readonly kept: readonly string[];
  /** Nodes that are not wanted any more and will be disconnected when their time of grace is over. */
  readonly leaving: readonly string[];
  /** Milliseconds since discovery last gave an answer; undefined before the first. */
  readonly answeredMs: number | undefined;
  /** Code of the last discovery when it failed. */
  readonly discoveryError: string | undefined;
}

/** A set of nodes that is kept connected. Made by {@link startTopology}. */
export interface Topology extends AsyncDisposable {
  /** How it stands now. */
  status(): TopologyStatus;
  /** Asks the strategy anew, and tries every node that is not connected now, whatever its backoff. */
  refresh(): void;
  /**
   * Before we leave: dials nobody any more, so that peers which drop us are not dialled back, and disconnects nobody.
   * Discovery goes on, without announcing us. There is no way back.
   */
  drain(): void;
  /** Calls `listener` for every event from now on. Right after {@link startTopology} none has been missed. @returns a function that ends this */
  on(listener: TopologyListener): () => void;
  /** Every event from now on, until `signal` is aborted, the loop is left, or the topology is stopped. */
  events(
    options?: Omit<EventStreamOptions, "snapshot">,
  ): AsyncIterableIterator<TopologyEvent | OverflowEvent>;
  /** Ends discovery, attempts and events; connections stay. May be called again. */
  stop(): Promise<void>;
}

const DEFAULT_BACKOFF: BackoffOptions = { firstMs: 500, maxMs: 15_000 };
const DEFAULT_INTERVAL_MS = 5000;
const DEFAULT_MAX_DIALS = 64;
const DEFAULT_CONNECT_TIMEOUT_MS = 30_000;
/** Believes every answer at once. */
const NO_GUARD: ShrinkGuardOptions = { minimumNodes: 0 };

/**
 * Keeps connected what a strategy discovers. It goes by level, not by events: whatever should be connected and is not
 * is dialled, all nodes at once, each with a backoff of its own. A discovery that fails changes nothing.
 *
 * Whoever owns the connections logs that they come and go; the topology says it at level `debug`, and at higher
 * levels what only it knows: `warn` when a node cannot be connected (once, and again when the reason changes), `info`
 * when that goes on (at the 2nd, 4th, 8th... failure) and when it is over.
 */
export function startTopology(options: TopologyOptions): Topology {
  const connecting = { ...withDefaults(options), compat: options.compat ?? false };
  const hub = new EventHub<TopologyEvent>(connecting.logger);
  const connections = new Connections({
    ...connecting,
    hooks: options.hooks,
    onNode: () => undefined,
  });
  const topology = new RunningTopology({
    ...connecting,
    name: options.name,
    strategy: options.strategy,
    connections,
    rules: removalRules(options),
    emit: (event) => hub.emit(event),
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    hub.close();
    connections.stop();
    stopped ??= topology.stop();
    return stopped;
  };
  return {
    status: () => topology.status(),
    refresh: () => {
      if (stopped !== undefined) return;
      connections.hurry();
      topology.refresh();
    },
    drain: () => {
      connections.drain();
      topology.drain();
    },
    on: (listener) => hub.on(listener),
    events: (streaming = {}) => hub.stream(streaming),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** {@link ConnectingOptions}, complete. */
export interface Connecting {
  readonly delays: RetryDelays;
  readonly limit: DialLimit;
  readonly intervalMs: number;
  readonly connectTimeoutMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

/** What `options` say, and the defaults for what they do not. */
export function withDefaults(options: ConnectingOptions & Pick<RemovalOptions, "compat">): Connecting {
  const { intervalMs = DEFAULT_INTERVAL_MS, random = Math.random, backoff, compat = false } = options;
  return {
    delays:
      compat && backoff === undefined
        ? fixedDelays(intervalMs)
        : backoffDelays(backoff ?? DEFAULT_BACKOFF, random),
    limit: new DialLimit(options.maxDials ?? DEFAULT_MAX_DIALS),
    intervalMs,
    connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? systemClock,
    random,
  };
}

/** The same for {@link RemovalOptions}. */
export function removalRules(options: RemovalOptions): {
  readonly removal: Removal;
  readonly guard: ShrinkGuardOptions;
} {
  const { removal = "immediately", compat = false, guard = compat ? NO_GUARD : {} } = options;
  return { removal, guard };
}
