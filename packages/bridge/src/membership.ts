import { type ConnectionLimits, type HiddenNode, type NodeOptions, startNode } from "@isthmus/core";
import { FLAG, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { type EpmdServer, ensureEpmdServer, startEpmdServer } from "@isthmus/epmd-client";
import { type Cluster, epmd, startCluster, type TopologyStatus } from "@isthmus/strategies";
import { type Clock, type Logger, OVERSIZED_HEAD_BYTES } from "@isthmus/wire";
import { nodeHooks } from "./discovery/node-hooks.ts";
import { Carriers } from "./long/carriers.ts";
import type { OwnClusterOptions } from "./options.ts";
import type { ClusterRouter } from "./routing/cluster-router.ts";
import type { MessageLimits } from "./routing/context.ts";

/** Atoms stand where they are used, so a body can be copied from one connection to another. */
export const BRIDGE_FLAGS: bigint = HIDDEN_PASS_THROUGH | FLAG.NATIVE_RECORDS | FLAG.BRIDGE;

/** The topology of the nodes that are listed, or that routes and rules lead to. */
const LISTED = "hosts";

/** The least there is. */
const GATHER_MS = 1;

/** Limits of the connections of a bridge: what is too long is answered, and does not end the connection. */
export function messageLimits({
  maxMessageBytes,
  longMessageBytes,
}: MessageLimits): Partial<ConnectionLimits> {
  // a message that is taken must find room on the way out, whatever waits there
  const maxBacklogBytes = 2 * maxMessageBytes;
  return {
    maxFrameBytes: maxMessageBytes,
    longFrameBytes: Math.max(longMessageBytes, OVERSIZED_HEAD_BYTES),
    oversized: "skip",
    maxBacklogBytes,
    gatherMs: GATHER_MS,
  };
}

/** What all nodes of ours in a cluster have in common. */
export function nodeOptions(
  cluster: OwnClusterOptions,
  limits: MessageLimits,
): Omit<NodeOptions, "name" | "router" | "creation"> {
  return {
    cookie: cluster.cookie,
    listen: cluster.listen ?? {},
    flags: BRIDGE_FLAGS,
    limits: messageLimits(limits),
    ...(cluster.epmd === undefined ? {} : { epmd: cluster.epmd }),
    ...(cluster.resolver === undefined ? {} : { resolver: cluster.resolver }),
    ...(cluster.tls === undefined ? {} : { tls: cluster.tls }),
    ...(cluster.tickTimeSeconds === undefined ? {} : { tickTimeSeconds: cluster.tickTimeSeconds }),
  };
}

/** What {@link startMembership} needs. */
export interface MembershipOptions {
  readonly cluster: OwnClusterOptions;
  readonly router: ClusterRouter;
  readonly limits: MessageLimits;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Starts the bridge's node in a cluster; it connects to nobody before {@link Membership.connect}.
 * @throws IsthmusError the codes of `startNode` and of `startEpmdServer`; nothing is left running then
 */
export async function startMembership(options: MembershipOptions): Promise<Membership> {
  const { cluster, router, limits, logger, clock } = options;
  const server = await startEpmd(cluster, logger);
  try {
    const own = { ...nodeOptions(cluster, limits), name: cluster.node, logger, clock };
    const node = await startNode({ ...own, router });
    const carriers = new Carriers({ node: own, logger, clock });
    return new Membership(options, node, carriers, server);
  } catch (error) {
    await server?.close();
    throw error;
  }
}

/** The bridge in one cluster, of whatever kind. */
export interface Member {
  readonly node: HiddenNode;
  /** How discovery stands. */
  topologies(): readonly TopologyStatus[];
  /** Begins to connect. */
  connect(hosts: readonly string[]): Promise<void>;
  /** Other nodes to be connected to. */
  follow(hosts: readonly string[]): Promise<void>;
  /** Connects to nobody any more; connections stay. */
  leave(): Promise<void>;
  /** Ends everything: as much as possible before it returns. May be called again. */
  close(): Promise<void>;
}

/** The bridge's place in a cluster: its node there, and what keeps it connected. Made by {@link startMembership}. */
export class Membership implements Member {
  readonly node: HiddenNode;
  /** Connections for long messages. */
  readonly carriers: Carriers;
  readonly #options: MembershipOptions;
  readonly #epmd: EpmdServer | undefined;
  #cluster: Cluster | undefined;
  #hosts: readonly string[] = [];

  /** Use {@link startMembership}. */
  constructor(
    options: MembershipOptions,
    node: HiddenNode,
    carriers: Carriers,
    epmdServer: EpmdServer | undefined,
  ) {
    this.#options = options;
    this.node = node;
    this.carriers = carriers;
    this.#epmd = epmdServer;
  }

  /** How discovery stands. */
  topologies(): readonly TopologyStatus[] {
    return this.#cluster?.status().topologies ?? [];
  }

  /**
   * Begins to connect to `hosts` and to what discovery finds.
   * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`, `STRATEGY_UNKNOWN`
   */
  async connect(hosts: readonly string[]): Promise<void> {
    this.#hosts = hosts;
    this.#cluster = await startCluster({
      topologies: { [LISTED]: { strategy: epmd({ hosts }) }, ...this.#options.cluster.discovery },
      hooks: nodeHooks(this.node),
      logger: this.#options.logger,
      clock: this.#options.clock,
    });
  }

  /** Other nodes to be connected to, besides what discovery finds. */
  async follow(hosts: readonly string[]): Promise<void> {
    if (hosts.join() === this.#hosts.join()) return;
    this.#hosts = hosts;
    await this.#cluster?.replace(LISTED, { strategy: epmd({ hosts }) });
  }

  /** Connects to nobody any more, listens no more, leaves epmd; connections stay. */
  async leave(): Promise<void> {
    this.#cluster?.drain();
    await this.node.leave();
  }

  /** Ends everything. May be called again. */
  async close(): Promise<void> {
    await Promise.all([this.#cluster?.stop(), this.carriers.close(), this.node.close()]);
    await this.#epmd?.close();
  }
}

async function startEpmd(cluster: OwnClusterOptions, logger: Logger): Promise<EpmdServer | undefined> {
  const mode = cluster.embeddedEpmd ?? "never";
  if (mode === "never" || cluster.epmd === false) return undefined;
  const port = cluster.epmd?.port;
  const options = { ...(port === undefined ? {} : { port }), logger };
  return mode === "always" ? startEpmdServer(options) : ensureEpmdServer(options);
}
