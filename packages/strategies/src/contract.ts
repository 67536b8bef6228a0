import type { Clock, IsthmusError, Logger } from "@isthmus/wire";

/** What a strategy found: the whole set of nodes that there should be, or why it does not know. */
export type Discovery =
  | { readonly ok: true; readonly nodes: readonly string[] }
  | { readonly ok: false; readonly error: IsthmusError };

/** What a strategy is given. */
export interface StrategyContext {
  /** Our own node name; a strategy may report it, it is never dialed. */
  readonly self: string;
  /** Tells what is known now. May be called at any time, any number of times, until `stop` has resolved. */
  report(discovery: Discovery): void;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Aborted when the strategy must end. */
  readonly signal: AbortSignal;
}

/**
 * A source of node names. This file is all that a strategy of one's own needs.
 * `start` is called once; after it `refresh` and `stop` may be called any number of times.
 */
export interface Strategy {
  start(context: StrategyContext): void | Promise<void>;
  /** Asks anew, now. */
  refresh?(): void;
  stop?(): void | Promise<void>;
}

/** What a topology needs of whatever connects nodes: libcluster's connect, disconnect and list_nodes. */
export interface ClusterHooks {
  readonly self: string;
  /** Rejects when no connection could be made. Connecting to a connected node resolves at once. */
  connect(node: string, signal: AbortSignal): Promise<void>;
  disconnect(node: string): Promise<void>;
  listNodes(): readonly string[];
  /** Calls `listener` when a connection is lost, so that it is not found out by the next round only. @returns a function that stops it */
  onNodeDown?(listener: (node: string) => void): () => void;
}
