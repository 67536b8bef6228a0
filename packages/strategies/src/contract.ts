import type { Clock, IsthmusError, Logger } from "@isthmus/wire";

/** What a strategy found: the whole set of nodes that there should be, or why it does not know. */
export type Discovery =
  | { readonly ok: true; readonly nodes: readonly string[] }
  | { readonly ok: false; readonly error: IsthmusError };

/** What a strategy is given. */
export interface StrategyContext {
  /** Our own node name, `name@host`. A strategy may report it; it is never dialled. */
  readonly self: string;
  /**
   * Tells what is known now. May be called at any time, any number of times; after `signal` is aborted it has no
   * effect. A failure never shortens the list: the last good answer stands.
   */
  report(discovery: Discovery): void;
  readonly logger: Logger;
  /** The clock for every delay, so that a strategy can be tested without waiting. */
  readonly clock: Clock;
  /** Aborted when the strategy must end. */
  readonly signal: AbortSignal;
  /**
   * Whether libcluster's original behaviour is wanted where it differs and the difference lies in the strategy, such
   * as an empty list in place of a failure. What lies in the topology the topology does itself.
   */
  readonly compat: boolean;
  /** Whether nobody is to be told of us, as in a dry run: a strategy that would announce us does not. @default false */
  readonly passive?: boolean;
}

/**
 * A source of node names. This file is all that a strategy of one's own needs. `start` is called once; after it
 * `refresh` and `stop` may be called any number of times.
 */
export interface Strategy {
  /** Begins to discover. What it throws, or rejects with, counts as a failed discovery. */
  start(context: StrategyContext): void | Promise<void>;
  /** Asks anew, now. */
  refresh?(): void;
  /** This node is about to leave: a strategy that announces it does so no more, and says goodbye if it can. */
  drain?(): void;
  /** Ends everything that was started. */
  stop(): Promise<void>;
}

/**
 * What a topology needs of whatever connects nodes. These are libcluster's `connect`, `disconnect` and `list_nodes`,
 * and the name that is never dialled.
 */
export interface ClusterHooks {
  /** Our own node name. */
  readonly self: string;
  /**
   * Rejects when no connection could be made. For a connected node it resolves at once. `signal` is aborted when
   * nobody wants the connection any more.
   */
  connect(node: string, signal: AbortSignal): Promise<void>;
  /** Rejects when the node is still connected afterwards; that is tried again. */
  disconnect(node: string): Promise<void>;
  /** Every connected node, hidden ones too. Called in each round; must not throw. */
  listNodes(): readonly string[];
  /**
   * Calls `listener` when a connection was made, whichever side dialled; without it the next round finds out.
   * @returns a function that ends this
   */
  onNodeUp?(listener: (node: string) => void): () => void;
  /**
   * Calls `listener` when a connection was lost, also when a new one takes its place; without it the next round finds
   * out.
   * @returns a function that ends this
   */
  onNodeDown?(listener: (node: string, reason?: IsthmusError) => void): () => void;
}
