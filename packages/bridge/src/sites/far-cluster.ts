import { randomBytes } from "node:crypto";
import { type HiddenNode, startNode } from "@isthmus/core";
import type { TopologyStatus } from "@isthmus/strategies";
import { type Clock, IsthmusError, type Logger } from "@isthmus/wire";
import { BRIDGE_FLAGS, type Member, messageLimits } from "../membership.ts";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import type { MessageLimits } from "../routing/context.ts";
import { trunkError } from "../trunk/errors.ts";
import type { TrunkLink } from "../trunk/link.ts";
import { Joint } from "./joint.ts";
import type { ClusterPair } from "./pair.ts";

/**
 * The trunk itself finds out whether the far site is there, and a connection must outlive the time for which it is not;
 * so the node's own way to find out, ticks, has the longest time there is.
 */
const TICK_TIME_SECONDS = 86_400;

/** What {@link startFarCluster} needs. */
export interface FarClusterSurroundings {
  readonly pair: ClusterPair;
  readonly router: ClusterRouter;
  readonly limits: MessageLimits;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Starts our node of a cluster of two bridges. It reaches the other one over the trunk, and nobody else. */
export async function startFarCluster(options: FarClusterSurroundings): Promise<FarCluster> {
  const { pair, router, logger, clock } = options;
  const node = await startNode({
    name: pair.node,
    // nobody ever asks for it
    cookie: randomBytes(16).toString("hex"),
    listen: false,
    epmd: false,
    resolver: async ({ full }) => {
      throw new IsthmusError(
        "NO_CONNECTION",
        `There is no connection to ${full}: the trunk to site ${pair.site} is down, or its bridge does not have the pair ${pair.own} and ${pair.far}.`,
        { context: { node: full, site: pair.site } },
      );
    },
    flags: BRIDGE_FLAGS,
    limits: messageLimits(options.limits),
    tickTimeSeconds: TICK_TIME_SECONDS,
    router,
    logger,
    clock,
  });
  return new FarCluster(options, node);
}

/**
 * A cluster of another site: to us a cluster of two nodes, our own and the far bridge's, with the trunk as the wire
 * between them. Made by {@link startFarCluster}.
 */
export class FarCluster implements Member {
  readonly node: HiddenNode;
  readonly pair: ClusterPair;
  readonly #options: FarClusterSurroundings;
  #joint: Joint | undefined;

  /** Use {@link startFarCluster}. */
  constructor(options: FarClusterSurroundings, node: HiddenNode) {
    this.#options = options;
    this.pair = options.pair;
    this.node = node;
  }

  topologies(): readonly TopologyStatus[] {
    return [];
  }

  /** There is nobody to look for: the trunk connects. */
  async connect(): Promise<void> {}

  async follow(): Promise<void> {}

  async leave(): Promise<void> {
    await this.node.leave();
  }

  async close(): Promise<void> {
    await this.node.close();
  }

  /** A session of the trunk has begun. */
  up(link: TrunkLink): void {
    const { pair, clock } = this.#options;
    this.#joint = new Joint({
      ...{ link, pair, clock },
      ours: { creation: this.node.creation, flags: BRIDGE_FLAGS },
      joined: (ready) => this.node.adopt(ready),
      refused: (reason) => this.#refused(reason),
    });
    this.#joint.greet();
  }

  /** A part of a payload on the channel to us. */
  data(bytes: Buffer, more: boolean): void {
    this.#joint?.receive(bytes, more);
  }

  /** NATS forbids the channel from us, and with it the pair of clusters. */
  denied(reason: IsthmusError, cut: boolean): void {
    this.#refused(reason);
    if (cut) this.#joint?.outgoingCut(reason);
  }

  /** What came on the channel to us is not whole. */
  cut(): void {
    const { site, own, far } = this.pair;
    const reason = trunkError(
      "TRUNK_DENIED",
      `What ${far} of site ${site} sends to ${own} does not arrive: see the log of that site's bridge.`,
      { context: { site } },
    );
    this.#joint?.incomingCut(reason);
  }

  /** The channel from us takes more. */
  writable(): void {
    this.#joint?.writable();
  }

  /** The session is over. */
  lost(reason: IsthmusError): void {
    this.#joint?.end(reason);
    this.#joint = undefined;
  }

  #refused({ code, message }: IsthmusError): void {
    const { pair, logger } = this.#options;
    logger.error(
      { cluster: pair.id, site: pair.site, code, reason: message },
      "cluster of another site cannot be joined",
    );
  }
}
