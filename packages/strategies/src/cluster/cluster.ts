import { inspectTerm } from "@isthmus/etf";
import type { ClusterHooks } from "../contract.ts";
import { strategiesError } from "../errors.ts";
import {
  type ClusterEvent,
  type ClusterListener,
  EventHub,
  type EventStreamOptions,
  type OverflowEvent,
} from "../events.ts";
import { type Connecting, type ConnectingOptions, type TopologyStatus, withDefaults } from "../topology.ts";
import { Connections } from "./connections.ts";
import { type MfaHooksOptions, mfaHooks } from "./mfa-hooks.ts";
import { RunningTopology } from "./running-topology.ts";
import {
  type BeamFunctions,
  readTopology,
  type TopologyDesign,
  type TopologySpecification,
} from "./specification.ts";

/** Options of {@link startCluster}. */
export interface ClusterOptions extends ConnectingOptions {
  /** Who connects the nodes of the topologies that do not say otherwise. */
  readonly hooks: ClusterHooks;
  /** By name: libcluster's `topologies`. */
  readonly topologies?: Readonly<Record<string, TopologySpecification>>;
  /** The BEAM whose functions topologies with `connect`, `disconnect` or `list_nodes` mean. */
  readonly beam?: Pick<MfaHooksOptions, "node" | "rpc">;
  /** What `compat` is for topologies that do not say, and whether attempts have fixed delays. @default false */
  readonly compat?: boolean;
}

/** The state of a cluster. */
export interface ClusterStatus {
  /** Our own node name. */
  readonly self: string;
  readonly draining: boolean;
  /** Every node that is connected, wanted or not. */
  readonly connected: readonly string[];
  readonly topologies: readonly TopologyStatus[];
}

/**
 * Several topologies that share connections. Made by {@link startCluster}.
 *
 * A node that two topologies name is dialled once, and disconnected only when the last of them has let go of it and has
 * a removal that disconnects.
 */
export interface Cluster extends AsyncDisposable {
  /** @throws IsthmusError `TOPOLOGY_EXISTS`, `CLUSTER_STOPPED`, `STRATEGY_OPTIONS_INVALID`, `STRATEGY_UNKNOWN` */
  add(name: string, specification: TopologySpecification): Promise<void>;
  /**
   * Gives a topology another specification. Its nodes stand until the new strategy has answered. When the new
   * specification is wrong nothing changes.
   * @throws IsthmusError `TOPOLOGY_UNKNOWN`, `CLUSTER_STOPPED`, `STRATEGY_OPTIONS_INVALID`, `STRATEGY_UNKNOWN`
   */
  replace(name: string, specification: TopologySpecification): Promise<void>;
  /**
   * Ends a topology and lets go of its nodes by its rule for removal; resolves when its strategy has stopped.
   * @throws IsthmusError `TOPOLOGY_UNKNOWN`
   */
  remove(name: string): Promise<void>;
  /** How it stands now. */
  status(): ClusterStatus;
  /** Asks the strategies anew, and tries every node that is not connected now, whatever its backoff. */
  refresh(): void;
  /**
   * Before we leave: dials nobody any more, so that peers which drop us are not dialled back, and disconnects nobody.
   * Discovery goes on, without announcing us. There is no way back.
   */
  drain(): void;
  /** Calls `listener` for every event from now on. Right after {@link startCluster} none has been missed. @returns a function that ends this */
  on(listener: ClusterListener): () => void;
  /** Every event from now on, until `signal` is aborted, the loop is left, or the cluster is stopped. */
  events(options?: EventStreamOptions): AsyncIterableIterator<ClusterEvent | OverflowEvent>;
  /** Ends all topologies and events; connections stay. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts topologies that share connections and a stream of events, and can be added, replaced and removed while they
 * run. When one specification is wrong none is started.
 *
 * @example
 * ```ts
 * const cluster = await startCluster({
 *   hooks,
 *   topologies: {
 *     shop: { strategy: "Cluster.Strategy.Epmd", config: { hosts: ["shop1@10.0.0.5"] } },
 *     pods: { strategy: kubernetes, config: { selector: "app=shop", nodeBasename: "shop" }, removal: { graceMs: 30_000 } },
 *   },
 * });
 * ```
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`, `STRATEGY_UNKNOWN`
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const defaults = defaultsOf(options);
  const designs = await Promise.all(
    Object.entries(options.topologies ?? {}).map(
      async ([name, specification]) => [name, await readTopology(name, specification, defaults)] as const,
    ),
  );
  const cluster = new RunningCluster(options);
  for (const [name, design] of designs) cluster.start(name, design);
  return cluster;
}

function defaultsOf({ compat = false, beam }: ClusterOptions): { compat: boolean; beam: boolean } {
  return { compat, beam: beam !== undefined };
}

class RunningCluster implements Cluster {
  readonly #options: ClusterOptions;
  readonly #connecting: Connecting;
  readonly #hub: EventHub<ClusterEvent>;
  /** One for each set of hooks; that of the cluster's own is always there. */
  readonly #connections = new Map<ClusterHooks, Connections>();
  readonly #own: Connections;
  readonly #beamHooks = new Map<string, ClusterHooks>();
  readonly #topologies = new Map<string, { readonly topology: RunningTopology; readonly of: Connections }>();
  /** Names of topologies that are being made. */
  readonly #coming = new Set<string>();
  /** Removed topologies of which nodes are still in their time of grace. */
  readonly #parting = new Set<RunningTopology>();
  #draining = false;
  #stopped: Promise<void> | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#connecting = withDefaults(options);
    this.#hub = new EventHub(this.#connecting.logger);
    this.#own = this.#connectionsOf(options.hooks);
  }

  async add(name: string, specification: TopologySpecification): Promise<void> {
    this.#mustRun();
    if (this.#topologies.has(name) || this.#coming.has(name)) {
      const message = `There is a topology ${name} already. Replace it, or remove it first.`;
      throw strategiesError("TOPOLOGY_EXISTS", message, { context: { topology: name } });
    }
    this.#coming.add(name);
    try {
      const design = await this.#read(name, specification);
      this.start(name, design);
    } finally {
      this.#coming.delete(name);
    }
    this.#hub.emit({ type: "topology_added", topology: name });
  }

  async replace(name: string, specification: TopologySpecification): Promise<void> {
    this.#mustRun();
    this.#find(name);
    const design = await this.#read(name, specification);
    const { topology, of } = this.#find(name);
    this.#hub.emit({ type: "topology_replaced", topology: name });
    if (this.#connectionsOf(this.#hooksOf(design)) === of) {
      await topology.replace(design.plan);
    } else {
      this.start(name, design);
      await this.#part(topology);
    }
    this.#prune();
  }

  async remove(name: string): Promise<void> {
    const { topology } = this.#find(name);
    this.#topologies.delete(name);
    const parted = this.#part(topology);
    this.#hub.emit({ type: "topology_removed", topology: name });
    await parted;
    this.#prune();
  }

  status(): ClusterStatus {
    return {
      self: this.#options.hooks.self,
      draining: this.#draining,
      connected: [...this.#own.up],
      topologies: Array.from(this.#topologies.values(), ({ topology }) => topology.status()),
    };
  }

  refresh(): void {
    if (this.#stopped !== undefined) return;
    for (const connections of this.#connections.values()) connections.hurry();
    for (const { topology } of this.#topologies.values()) topology.refresh();
  }

  drain(): void {
    if (this.#draining || this.#stopped !== undefined) return;
    this.#draining = true;
    for (const connections of this.#connections.values()) connections.drain();
    for (const { topology } of this.#topologies.values()) topology.drain();
    this.#hub.emit({ type: "draining" });
  }

  on(listener: ClusterListener): () => void {
    return this.#hub.on(listener);
  }

  events(options: EventStreamOptions = {}): AsyncIterableIterator<ClusterEvent | OverflowEvent> {
    const first = options.snapshot === true ? [...this.#own.up] : [];
    return this.#hub.stream(
      options,
      first.map((node) => ({ type: "nodeup", node })),
    );
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Starts the topology `name`. */
  start(name: string, design: TopologyDesign): void {
    this.#mustRun();
    const of = this.#connectionsOf(this.#hooksOf(design));
    const topology = new RunningTopology({
      ...this.#connecting,
      ...design.plan,
      name,
      connections: of,
      emit: (event) => this.#hub.emit(event),
    });
    if (this.#draining) topology.drain();
    this.#topologies.set(name, { topology, of });
  }

  async #stop(): Promise<void> {
    this.#hub.close();
    for (const connections of this.#connections.values()) connections.stop();
    const topologies = [...this.#topologies.values()].map(({ topology }) => topology);
    await Promise.all([...topologies, ...this.#parting].map((topology) => topology.stop()));
  }

  async #read(name: string, specification: TopologySpecification): Promise<TopologyDesign> {
    const design = await readTopology(name, specification, defaultsOf(this.#options));
    this.#mustRun();
    return design;
  }

  #hooksOf({ hooks, functions }: TopologyDesign): ClusterHooks {
    const { beam } = this.#options;
    if (beam === undefined || Object.keys(functions).length === 0) return hooks ?? this.#options.hooks;
    // topologies with the same functions share their connections
    const key = keyOf(functions);
    const known = this.#beamHooks.get(key);
    if (known !== undefined) return known;
    const made = mfaHooks({ ...beam, ...functions, logger: this.#connecting.logger });
    this.#beamHooks.set(key, made);
    return made;
  }

  #connectionsOf(hooks: ClusterHooks): Connections {
    const known = this.#connections.get(hooks);
    if (known !== undefined) return known;
    const own = hooks === this.#options.hooks;
    const made = new Connections({
      ...this.#connecting,
      hooks,
      // of a node that several are connected to one tells
      onNode: own ? (event) => this.#hub.emit(event) : () => undefined,
    });
    if (this.#draining) made.drain();
    this.#connections.set(hooks, made);
    return made;
  }

  async #part(topology: RunningTopology): Promise<void> {
    this.#parting.add(topology);
    await topology.remove();
  }

  /** Forgets what removed topologies do not need any more. */
  #prune(): void {
    for (const topology of this.#parting)
      if (topology.status().leaving.length === 0) this.#parting.delete(topology);
    const used = new Set([this.#own, ...Array.from(this.#topologies.values(), ({ of }) => of)]);
    for (const [hooks, connections] of this.#connections) {
      if (used.has(connections) || connections.claims > 0) continue;
      connections.stop();
      this.#connections.delete(hooks);
    }
  }

  #find(name: string): { readonly topology: RunningTopology; readonly of: Connections } {
    const found = this.#topologies.get(name);
    if (found !== undefined) return found;
    const names = [...this.#topologies.keys()];
    const there =
      names.length === 0
        ? "There is none."
        : `There ${names.length === 1 ? "is" : "are"} ${names.join(", ")}.`;
    throw strategiesError("TOPOLOGY_UNKNOWN", `There is no topology ${name}. ${there}`, {
      context: { topology: name },
    });
  }

  #mustRun(): void {
    if (this.#stopped === undefined) return;
    throw strategiesError("CLUSTER_STOPPED", "The cluster was stopped. Start a new one.");
  }
}

function keyOf({ connect, disconnect, listNodes }: BeamFunctions): string {
  const texts = [connect, disconnect, listNodes].map((mfa) =>
    mfa === undefined ? null : [mfa[0], mfa[1], inspectTerm(mfa[2] ?? [])],
  );
  return JSON.stringify(texts);
}
