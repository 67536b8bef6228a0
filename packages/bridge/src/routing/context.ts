import type { Connection } from "@isthmus/core";
import type { RewrittenBody } from "@isthmus/core/channel";
import type { Gate, Policy } from "../policy/policy.ts";
import type { Translator } from "../translate/translator.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import type { Refusals } from "./refusals.ts";
import type { Relations } from "./relations.ts";

/** What the routers of one bridge share. */
export interface RouterContext {
  readonly refusals: Refusals;
  /** Replaced when the configuration is. */
  policy: Policy;
  /** The router of a cluster. */
  readonly router: (cluster: string) => ClusterRouter;
  readonly relations: Map<Connection, Relations>;
  readonly limits: RouterLimits;
  /** See {@link firstIndex}. */
  readonly firstIndex: number;
}

/** Bounds of what the bridge remembers. */
export interface RouterLimits {
  /** Node incarnations of other clusters that one cluster may be told of. @default 65536 */
  readonly maxIdentities: number;
  /** Links and monitors of one connection. @default 1000000 */
  readonly maxRelations: number;
  /** Bytes that may wait for one cluster's nodes to be connected. @default 64 MiB */
  readonly maxWaitingBytes: number;
}

/** The bounds when none are given. */
export const DEFAULT_ROUTER_LIMITS: RouterLimits = {
  maxIdentities: 65_536,
  maxRelations: 1_000_000,
  maxWaitingBytes: 64 * 1024 * 1024,
};

/** The way from one cluster into another. Reused for every signal. */
export interface Lane {
  readonly to: ClusterRouter;
  readonly translator: Translator;
  readonly body: RewrittenBody;
  readonly token: RewrittenBody;
  /** The rules on this way. */
  gate: Gate;
}
