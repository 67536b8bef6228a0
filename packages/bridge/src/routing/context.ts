import type { Connection } from "@isthmus/core";
import type { RewrittenBody } from "@isthmus/core/channel";
import type { Clock } from "@isthmus/wire";
import type { Gate, Policy } from "../policy/policy.ts";
import { DEFAULT_MAX_NARROWED, type IdentityIndex } from "../translate/identity-index.ts";
import type { Place, Translator } from "../translate/translator.ts";
import type { Admission } from "./admission.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import type { Flow } from "./flow.ts";
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
  readonly clock: Clock;
  /** See {@link firstIndex}. */
  readonly firstIndex: number;
}

/** Bounds of what the bridge remembers. */
export interface RouterLimits {
  /** Node incarnations of other clusters that one cluster may be told of. @default 65536 */
  readonly maxIdentities: number;
  /**
   * Processes and aliases (and ports) of other clusters, of each kind, that one cluster with nodes of OTP 23 may be
   * shown at a time under numbers that such nodes can read. Each takes 300 to 400 bytes; that which was not used for the
   * longest time makes room. @default 1000000
   */
  readonly maxNarrowed: number;
  /**
   * Longest message, in bytes. A longer one is refused as `system_limit`, without being kept, and the connection stays;
   * nodes of OTP have no such limit. @default 512 MiB
   */
  readonly maxMessageBytes: number;
  /**
   * Messages with more bytes go on while they come, over connections of their own; see {@link Carriers}. At least 64 KiB;
   * `Infinity` to have all of them gathered. @default 8 MiB
   */
  readonly longMessageBytes: number;
  /** Links and monitors of one connection. @default 1000000 */
  readonly maxRelations: number;
  /** Bytes that may wait for one cluster's nodes to be connected. @default 64 MiB */
  readonly maxWaitingBytes: number;
}

/** The bounds when none are given. */
export const DEFAULT_ROUTER_LIMITS: RouterLimits = {
  maxIdentities: 65_536,
  maxNarrowed: DEFAULT_MAX_NARROWED,
  maxMessageBytes: 512 * 1024 * 1024,
  longMessageBytes: 8 * 1024 * 1024,
  maxRelations: 1_000_000,
  maxWaitingBytes: 64 * 1024 * 1024,
};

/** Those that are about the size of single messages. */
export type MessageLimits = Pick<RouterLimits, "maxMessageBytes" | "longMessageBytes">;

/** The way from one cluster into another. Reused for every signal. */
export interface Lane {
  readonly to: ClusterRouter;
  readonly translator: Translator;
  readonly body: RewrittenBody;
  readonly token: RewrittenBody;
  /** The rules on this way. */
  gate: Gate;
}

/** What the parts of one router share. */
export interface RouterParts {
  /** The cluster. */
  readonly id: string;
  readonly context: RouterContext;
  /** How the cluster sees the others. */
  readonly index: IdentityIndex<Place>;
  readonly flow: Flow;
  readonly admission: Admission;
}
