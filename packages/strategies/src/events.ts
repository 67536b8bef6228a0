import type { IsthmusError } from "@isthmus/wire";

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
  | { readonly type: "disconnected"; readonly topology: string; readonly node: string }
  /** Discovery does not know; the last good answer stands. */
  | { readonly type: "discovery_failed"; readonly topology: string; readonly error: IsthmusError };

/** Receives events; what it throws is logged and goes no further. */
export type TopologyListener = (event: TopologyEvent) => void;
