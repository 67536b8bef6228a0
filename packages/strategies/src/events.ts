import type { IsthmusError, Logger } from "@isthmus/wire";
import { EventStream } from "./cluster/event-stream.ts";

/** Something that happened in a topology. */
export type TopologyEvent =
  /** Discovery gave another set of nodes. Our own is not among them. */
  | {
      readonly type: "nodes";
      readonly topology: string;
      readonly nodes: readonly string[];
      readonly added: readonly string[];
      readonly removed: readonly string[];
    }
  /**
   * Discovery names suspiciously few nodes. Those that are missing, `nodes`, are kept until that is confirmed, which so
   * far `answers` answers in a row have done.
   */
  | {
      readonly type: "shrink_held";
      readonly topology: string;
      readonly nodes: readonly string[];
      readonly answers: number;
    }
  /** A wanted node is connected, whichever side dialled. */
  | { readonly type: "connected"; readonly topology: string; readonly node: string }
  /** An attempt failed with `error.code`; `attempt` counts from 1 since the node was connected last. */
  | {
      readonly type: "connect_failed";
      readonly topology: string;
      readonly node: string;
      readonly attempt: number;
      readonly retryMs: number;
      readonly error: IsthmusError;
    }
  /** A wanted node is not connected any more, or one that is not wanted any more was disconnected. */
  | {
      readonly type: "disconnected";
      readonly topology: string;
      readonly node: string;
      /** Why the connection was lost, if that is known. */
      readonly reason: IsthmusError | undefined;
    }
  /** Discovery does not know; the last good answer stands. */
  | { readonly type: "discovery_failed"; readonly topology: string; readonly error: IsthmusError };

/** A node came or went, wanted or not, hidden or not: what `net_kernel:monitor_nodes` tells a BEAM process. */
export type NodeEvent =
  | { readonly type: "nodeup"; readonly node: string }
  | {
      readonly type: "nodedown";
      readonly node: string;
      /** Why, if that is known. */
      readonly reason: IsthmusError | undefined;
    };

/** Something that happened in a cluster: to its topologies, its nodes, or the cluster itself. */
export type ClusterEvent =
  | TopologyEvent
  | NodeEvent
  | { readonly type: "topology_added" | "topology_replaced" | "topology_removed"; readonly topology: string }
  /** Nobody is dialled any more. */
  | { readonly type: "draining" };

/** Stands in a stream for events that were lost because its reader was too slow. */
export interface OverflowEvent {
  readonly type: "overflow";
  readonly dropped: number;
}

/** Receives events; what it throws is logged and goes no further. */
export type TopologyListener = (event: TopologyEvent) => void;

/** As {@link TopologyListener}, for the events of a cluster. */
export type ClusterListener = (event: ClusterEvent) => void;

/** Options of a stream of events. */
export interface EventStreamOptions {
  /** Ends the stream. */
  readonly signal?: AbortSignal;
  /**
   * Events that wait for a slow reader. When there are more the oldest are dropped, and an event `overflow` in their
   * place says how many. @default 1000
   */
  readonly limit?: number;
  /** Begin with a `nodeup` for every node that is connected already. @default false */
  readonly snapshot?: boolean;
}

/** Gives events to listeners and streams. */
export class EventHub<E extends { readonly type: string }> {
  readonly #listeners = new Set<(event: E) => void>();
  readonly #streams = new Set<EventStream<E | OverflowEvent>>();
  readonly #logger: Logger;
  #closed = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Calls `listener` for every event from now on. @returns a function that ends this */
  on(listener: (event: E) => void): () => void {
    // A function of its own, so that the same listener may be added twice.
    const own = (event: E): void => listener(event);
    if (!this.#closed) this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Every event from now on, after those of `first`. */
  stream(options: EventStreamOptions, first: readonly E[] = []): AsyncIterableIterator<E | OverflowEvent> {
    const { signal, limit = 1000 } = options;
    const stream = new EventStream<E | OverflowEvent>({
      limit,
      overflow: (dropped) => ({ type: "overflow", dropped }),
      onEnd: () => {
        signal?.removeEventListener("abort", stream.end);
        this.#streams.delete(stream);
      },
    });
    for (const event of first) stream.put(event);
    if (this.#closed || signal?.aborted) stream.end();
    else {
      signal?.addEventListener("abort", stream.end, { once: true });
      this.#streams.add(stream);
    }
    return stream;
  }

  emit(event: E): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#logger.error({ event: event.type, err: error }, "a listener of cluster events threw");
      }
    }
    for (const stream of this.#streams) stream.put(event);
  }

  /** No more events; streams end when they have been read. */
  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    for (const stream of [...this.#streams]) stream.end();
  }
}
