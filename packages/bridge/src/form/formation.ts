import { type HiddenNode, startNode } from "@isthmus/core";
import {
  type Cluster,
  type ClusterEvent,
  type ClusterHooks,
  epmd,
  startCluster,
  startTopology,
  type Topology,
  type TopologyStatus,
} from "@isthmus/strategies";
import { type Clock, type IsthmusError, type Logger, systemClock } from "@isthmus/wire";
import { nodeHooks } from "../discovery/node-hooks.ts";
import type { BeamFacts } from "./beam-calls.ts";
import type { FormConfig } from "./config.ts";
import { LocalNode } from "./local-node.ts";
import { Removals } from "./removal.ts";

/** Options of {@link startFormation}. */
export interface FormationOptions {
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** How it stands. */
export interface FormationStatus {
  /** The local BEAM node. */
  readonly node: string;
  readonly up: boolean;
  /** Its OTP release, while it is up. */
  readonly release: number | undefined;
  /** Nodes that it is connected to, hidden ones too. */
  readonly connected: readonly string[];
  /** Empty while it is down. */
  readonly topologies: readonly TopologyStatus[];
}

/** The attempts to reach the local node: it is near, and nothing happens without it. */
const LOCAL_BACKOFF = { firstMs: 250, maxMs: 5000 };
/** Longer than a BEAM's `net_setuptime` can be. */
const CONNECT_TIMEOUT_MS = 150_000;

/**
 * Connects to the local BEAM node and keeps it connected to what the topologies discover.
 * @throws IsthmusError `NODE_NAME_INVALID`, `OPTION_INVALID`
 */
export async function startFormation(config: FormConfig, options: FormationOptions): Promise<Formation> {
  const { logger, clock = systemClock } = options;
  const hidden = await startLink(config, { logger, clock });
  return new Formation(config, hidden, logger, clock);
}

/** Our own node: it is hidden, and nobody can connect to it. */
export function startLink(
  { node }: Pick<FormConfig, "node">,
  { logger, clock }: Required<FormationOptions>,
): Promise<HiddenNode> {
  return startNode({
    name: node.as,
    cookie: node.cookie,
    listen: false,
    epmd: false,
    resolver: node.resolver,
    logger,
    clock,
    ...(node.tickTimeSeconds === undefined ? {} : { tickTimeSeconds: node.tickTimeSeconds }),
  });
}

/** A running formation. Made by {@link startFormation}. */
export class Formation implements AsyncDisposable {
  readonly #config: FormConfig;
  readonly #hidden: HiddenNode;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #local: LocalNode;
  readonly #link: Topology;
  readonly #hooks: ClusterHooks;
  /** Aborted when the local node goes down, and at the end. */
  #session = new AbortController();
  #cluster: Cluster | undefined;
  /** Clusters start and stop one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #draining = false;
  #stopped: Promise<void> | undefined;

  /** Use {@link startFormation}. */
  constructor(config: FormConfig, hidden: HiddenNode, logger: Logger, clock: Clock) {
    const { name } = config.node;
    this.#config = config;
    this.#hidden = hidden;
    this.#logger = logger;
    this.#clock = clock;
    this.#local = new LocalNode(
      { hidden, name, logger, clock },
      { up: (facts) => this.#up(facts), down: (reason) => this.#down(reason) },
    );
    this.#hooks = this.#clusterHooks();
    this.#link = startTopology({
      name: "local node",
      strategy: epmd({ hosts: [name] }),
      hooks: nodeHooks(hidden),
      backoff: LOCAL_BACKOFF,
      removal: "never",
      logger,
      clock,
    });
  }

  /** How it stands now. */
  status(): FormationStatus {
    const { facts, connected } = this.#local;
    return {
      node: this.#config.node.name,
      up: facts !== undefined,
      release: facts?.release,
      connected: [...connected],
      topologies: this.#cluster?.status().topologies ?? [],
    };
  }

  /** Whether the local node is up, all that is to be discovered is known, and all of it is connected. */
  get complete(): boolean {
    const { up, topologies } = this.status();
    return (
      up &&
      topologies.length === Object.keys(this.#config.topologies).length &&
      topologies.every(
        ({ nodes, answeredMs, discoveryError }) =>
          answeredMs !== undefined &&
          discoveryError === undefined &&
          nodes.every(({ state }) => state === "connected"),
      )
    );
  }

  /** Resolves when it is complete, or after `ms` milliseconds. @returns whether it is */
  async completed(ms: number): Promise<boolean> {
    const deadline = this.#clock.now() + ms;
    while (!this.complete && this.#clock.now() < deadline) await this.#pause(50);
    return this.complete;
  }

  /**
   * Has the local node connect to nobody any more, and waits at most `ms` milliseconds for attempts under way. Its
   * connections stay. Follow it with {@link Formation.stop}.
   */
  async drain(ms: number): Promise<void> {
    this.#draining = true;
    this.#cluster?.drain();
    const deadline = this.#clock.now() + ms;
    const busy = (): boolean =>
      this.status().topologies.some(({ nodes }) => nodes.some(({ state }) => state === "connecting"));
    while (busy() && this.#clock.now() < deadline) await this.#pause(50);
  }

  /** Ends everything; the connections of the local node stay. May be called again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    this.#draining = true;
    await this.#link.stop();
    this.#local.stop();
    this.#endSession();
    await this.#turn;
    await this.#hidden.close();
  }

  #up(facts: BeamFacts): void {
    const { name } = this.#config.node;
    const { release } = facts;
    this.#logger.info(
      { node: name, release, connected: this.#local.connected.size },
      "the local node is up: forming its cluster",
    );
    this.#session = new AbortController();
    const { signal } = this.#session;
    this.#inTurn(async () => {
      if (signal.aborted || this.#draining) return;
      await this.#startCluster();
    });
  }

  #down(reason: IsthmusError): void {
    const { name } = this.#config.node;
    this.#logger.warn(
      { node: name, code: reason.code, reason: reason.message },
      "the connection to the local node is lost: waiting for it",
    );
    this.#endSession();
  }

  #endSession(): void {
    // first, so that it does not take what is aborted for a failure
    const stopped = this.#stopCluster();
    this.#session.abort();
    this.#inTurn(async () => {
      await stopped;
      // one that was still starting
      await this.#stopCluster();
    });
  }

  async #stopCluster(): Promise<void> {
    const cluster = this.#cluster;
    this.#cluster = undefined;
    await cluster?.stop();
  }

  #inTurn(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((err: unknown) => {
      this.#logger.error({ err }, "the cluster could not be formed");
    });
  }

  async #startCluster(): Promise<void> {
    const { topologies, node } = this.#config;
    const { erpc } = this.#hidden.processes;
    this.#cluster = await startCluster({
      hooks: this.#hooks,
      topologies: Object.fromEntries(
        Object.entries(topologies).map(([name, { strategyName: _, ...topology }]) => [name, topology]),
      ),
      beam: {
        node: node.name,
        rpc: (module, fun, args, { signal }) =>
          erpc.rpc(node.name, module, fun, args, {
            timeoutMs: CONNECT_TIMEOUT_MS,
            ...(signal === undefined ? {} : { signal }),
          }),
      },
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      logger: this.#logger,
      clock: this.#clock,
    });
    this.#cluster.on((event) => this.#log(event));
  }

  #clusterHooks(): ClusterHooks {
    const local = this.#local;
    return {
      self: this.#config.node.name,
      connect: (node, signal) => local.connect(node, signal),
      disconnect: (node) => this.#removals().remove(node),
      listNodes: () => [...local.connected],
      onNodeUp: (listener) => local.onChange((node, up) => up && listener(node)),
      onNodeDown: (listener) => local.onChange((node, up) => !up && listener(node)),
    };
  }

  #removals(): Removals {
    return new Removals({
      local: this.#local,
      isWanted: (node) =>
        this.status().topologies.some(({ nodes }) => nodes.some((wanted) => wanted.node === node)),
      signal: this.#session.signal,
      logger: this.#logger,
      clock: this.#clock,
    });
  }

  #log(event: ClusterEvent): void {
    if (event.type === "connected") {
      this.#logger.info({ topology: event.topology, node: event.node }, "node connected");
    } else if (event.type === "disconnected") {
      this.#logger.warn({ topology: event.topology, node: event.node }, "node disconnected");
    } else if (event.type === "nodes") {
      const { topology, nodes, added, removed } = event;
      this.#logger.info({ topology, nodes: nodes.length, added, removed }, "discovery names other nodes");
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}
