import type { NodeOptions, NodeTls } from "@isthmus/core";
import type { NodeResolver } from "@isthmus/epmd-client";
import type { TopologySpecification } from "@isthmus/strategies";
import type { Clock, Logger } from "@isthmus/wire";
import type { PolicyMode } from "./policy/policy.ts";
import type { PolicyRule } from "./policy/rule.ts";
import type { RouterLimits } from "./routing/context.ts";
import type { Balance } from "./routing/node-choice.ts";
import type { TrunkOptions } from "./sites/options.ts";

/** The bridge's place in one cluster. */
export interface OwnClusterOptions {
  /** The bridge's node name there. */
  readonly node: string;
  readonly cookie: NodeOptions["cookie"];
  readonly listen?: { readonly host?: string; readonly port?: number };
  /** The port mapper to register with; `false` for none. */
  readonly epmd?: { readonly host?: string; readonly port?: number } | false;
  /** Start a port mapper in this process: if nobody listens (`auto`), or else fail (`always`). @default "never" */
  readonly embeddedEpmd?: "auto" | "always" | "never";
  readonly resolver?: NodeResolver;
  /** Distribution over TLS, as `-proto_dist inet_tls` does it. @default plain TCP */
  readonly tls?: NodeTls;
  /** Nodes to be connected to at all times. @default none */
  readonly hosts?: readonly string[];
  /** Nodes to be connected to as long as one of these finds them, by a name for the log. @default none */
  readonly discovery?: Readonly<Record<string, DiscoveryOptions>>;
  /** @default 60 */
  readonly tickTimeSeconds?: number;
  /**
   * Pids and references that OTP 23 cannot read are shown through a table, although no node of OTP 23 is connected to
   * the bridge itself. @default as soon as such a node has connected
   */
  readonly narrow?: boolean;
}

/** A topology; see `@isthmus/strategies`. */
export type DiscoveryOptions = Omit<TopologySpecification, "hooks" | "connect" | "disconnect" | "listNodes">;

/** A cluster of another site, reached over the trunk between that site's bridge and ours. */
export interface FarClusterOptions {
  /** Name of the site; see {@link BridgeOptions.trunk}. */
  readonly site: string;
  /** The one cluster of ours that it is joined with. @default the only one there is */
  readonly joins?: string;
  /** What that site's bridge calls the cluster. @default the same */
  readonly as?: string;
}

/** A cluster that the bridge is in, or one that another bridge is in. */
export type ClusterOptions = OwnClusterOptions | FarClusterOptions;

/** Whether a cluster is one of another site. */
export function isFar(cluster: ClusterOptions): cluster is FarClusterOptions {
  return "site" in cluster;
}

/** Processes of one cluster made available in another by their registered names. */
export interface RouteOptions {
  /** The cluster that may use it. */
  readonly from: string;
  /** The cluster that has it. */
  readonly to: string;
  /** Its registered name there; with `*` for any characters, which stands for all names that fit. */
  readonly name: string;
  /** The name under which `from` uses it; with as many `*` as `name`. @default the same */
  readonly as?: string;
  /**
   * The node, or the nodes, that have it: names, or patterns with `*` of which all connected nodes count that fit. Not
   * given for a far cluster, where the other bridge chooses.
   */
  readonly nodes?: readonly string[];
  /** How to choose among several nodes. @default "first_up" */
  readonly balance?: Balance;
}

/** Mirrors of one entry at a time when {@link MirrorOptions.max} does not say how many. */
export const DEFAULT_MAX_MIRRORS = 64;

/** Nodes of one cluster that appear in another under names and ports of their own. */
export interface MirrorOptions {
  /** The cluster in which they appear. */
  readonly from: string;
  /** The cluster that has the nodes. */
  readonly to: string;
  /** Patterns of the names of the nodes. @default all that are connected and not hidden */
  readonly nodes?: readonly string[];
  /**
   * Name of a mirror: `{name}` and `{host}` stand for the two parts of the node's name.
   * @default `{name}@` and the host of the bridge's own name in `from`
   */
  readonly as?: string;
  /** Ports that the mirrors listen on, one each. @default any free port */
  readonly ports?: { readonly from: number; readonly to: number };
  /** Most mirrors at a time. @default 64 */
  readonly max?: number;
}

/** Process groups of one cluster that have their members in another, too. */
export interface GroupOptions {
  /** The cluster that sees the members. */
  readonly from: string;
  /** The cluster that has the members. */
  readonly to: string;
  /** Name of the `pg` scope in both. @default "pg" */
  readonly scope?: string;
  /** Patterns of the names of groups, as Erlang writes them: `orders`, `{room,*}`, `'Elixir.Shop.PubSub.Adapter'`. */
  readonly groups: readonly string[];
  /**
   * `members`: each member appears by itself. `fan_out`: one process stands for all of them, and hands every message
   * that it gets to each, so that a message crosses once however many members there are.
   * @default "members"
   */
  readonly form?: "members" | "fan_out";
  /**
   * Messages to the bridge's node in `from` that are addressed to a group's name, as to a registered one, go to all of
   * its members, as with `fan_out`: `Phoenix.PubSub.direct_broadcast` does that. For names that are atoms, and that
   * nothing else there has.
   * @default false
   */
  readonly named?: boolean;
  /** Most members of all groups together; further ones are left out, and logged once. @default 100000 */
  readonly maxMembers?: number;
  /** Most members of one group; further ones are left out, and logged once. @default 10000 */
  readonly maxMembersPerGroup?: number;
}

/** Options of {@link startBridge}. */
export interface BridgeOptions {
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  /** Names that cross. Each route also allows what is needed to use its name; see {@link PolicyRule}. */
  readonly routes: readonly RouteOptions[];
  /** @default none */
  readonly mirrors?: readonly MirrorOptions[];
  /** @default none */
  readonly groups?: readonly GroupOptions[];
  /** Our site, and the ways to others. Needed for clusters of other sites. @default none */
  readonly trunk?: TrunkOptions;
  /** Rules, which come before what the routes allow. The first that matches decides. @default none */
  readonly policy?: readonly PolicyRule[];
  /** `log`: what the rules refuse is carried, and logged. @default "enforce" */
  readonly policyMode?: PolicyMode;
  readonly limits?: Partial<RouterLimits>;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /**
   * A file that keeps which indexes of stand-ins earlier runs have taken, so that this one uses others. One bridge to a
   * file. @default none: the indexes begin anywhere among 2^32, by chance
   */
  readonly stateFile?: string;
}

/** What {@link Bridge.reload} replaces. */
export interface ReloadOptions
  extends Pick<BridgeOptions, "routes" | "mirrors" | "groups" | "policy" | "policyMode"> {
  /** Nodes to be connected to at all times, by cluster. @default as before */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
}
