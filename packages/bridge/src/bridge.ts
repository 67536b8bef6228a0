import { randomBytes } from "node:crypto";
import { type HiddenNode, type NodeEvent, type NodeOptions, startNode } from "@isthmus/core";
import { HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { type EpmdServer, ensureEpmdServer, type NodeResolver, startEpmdServer } from "@isthmus/epmd-client";
import { atom } from "@isthmus/etf";
import { epmd, startTopology, type Topology } from "@isthmus/strategies";
import { type Clock, type Logger, silentLogger, systemClock } from "@isthmus/wire";
import { bridgeError } from "./errors.ts";
import { Policy, type PolicyMode, type RuleCount } from "./policy/policy.ts";
import type { PolicyRule } from "./policy/rule.ts";
import {
  ClusterRouter,
  DEFAULT_ROUTER_LIMITS,
  type RouterContext,
  type RouterLimits,
} from "./routing/cluster-router.ts";
import { type Balance, ExportedName } from "./routing/exported-name.ts";
import { Refusals } from "./routing/refusals.ts";
import { firstIndex } from "./translate/identity-index.ts";
import { takeIndexes } from "./translate/index-file.ts";

/** The bridge's place in one cluster. */
export interface ClusterOptions {
  /** The bridge's node name there. */
  readonly node: string;
  readonly cookie: NodeOptions["cookie"];
  readonly listen?: { readonly host?: string; readonly port?: number };
  /** The port mapper to register with; `false` for none. */
  readonly epmd?: { readonly host?: string; readonly port?: number } | false;
  /** Start a port mapper in this process: if nobody listens (`auto`), or else fail (`always`). @default "never" */
  readonly embeddedEpmd?: "auto" | "always" | "never";
  readonly resolver?: NodeResolver;
  /** Nodes to be connected to at all times. */
  readonly hosts: readonly string[];
  /** @default 60 */
  readonly tickTimeSeconds?: number;
}

/** A process of one cluster made available in another. */
export interface RouteOptions {
  /** The cluster that may use it. */
  readonly from: string;
  /** The cluster that has it. */
  readonly to: string;
  /** Its registered name there. */
  readonly name: string;
  /** The name under which `from` uses it. @default the same */
  readonly as?: string;
  /** The node, or the nodes, that have it. */
  readonly nodes: readonly string[];
  /** How to choose among several nodes. @default "first_up" */
  readonly balance?: Balance;
}

/** Options of {@link startBridge}. */
export interface BridgeOptions {
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  /** Names that cross. Each route also allows what is needed to use its name; see {@link PolicyRule}. */
  readonly routes: readonly RouteOptions[];
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
export interface ReloadOptions extends Pick<BridgeOptions, "routes" | "policy" | "policyMode"> {
  /** Nodes to be connected to at all times, by cluster. @default as before */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
}

/** The state of one cluster, as `isthmus` shows it. */
export interface ClusterStatus {
  readonly id: string;
  readonly node: string;
  readonly port: number | undefined;
  readonly registered: boolean;
  readonly connected: readonly { readonly node: string; readonly hidden: boolean }[];
  /** Node incarnations of other clusters that this cluster was told of. */
  readonly identities: number;
  readonly carried: number;
  readonly undeliverable: number;
}

/** The state of a bridge. */
export interface BridgeStatus {
  readonly clusters: readonly ClusterStatus[];
  readonly routes: readonly RouteOptions[];
  readonly policyMode: PolicyMode;
  /** How often each rule has decided since the policy was loaded. */
  readonly rules: readonly RuleCount[];
  readonly refused: number;
  /** What was carried only because of the policy mode `log`. */
  readonly wouldBeRefused: number;
  /** Links and monitors that go across at present, and calls of functions that have not begun. */
  readonly relations: number;
}

interface Member {
  readonly router: ClusterRouter;
  readonly node: HiddenNode;
  /** Where it stays connected to. */
  hosts: readonly string[];
  topology: Topology;
}

/**
 * Starts a bridge: a hidden node in each cluster, which carries what the routes allow between them.
 * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`, `STATE_FILE_FAILED`, and the codes of {@link startNode}; nothing is left running then
 */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const logger = options.logger ?? silentLogger;
  const clock = options.clock ?? systemClock;
  const bridge = new Bridge(options, logger, clock);
  try {
    for (const [id, cluster] of Object.entries(options.clusters)) await bridge[ADD](id, cluster);
    bridge[CONNECT]();
  } catch (error) {
    await bridge.close();
    throw error;
  }
  return bridge;
}

const ADD = Symbol("add");
const CONNECT = Symbol("connect");

/** A running bridge. Made by {@link startBridge}. */
export class Bridge implements AsyncDisposable {
  readonly #options: BridgeOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #context: RouterContext;
  readonly #routers = new Map<string, ClusterRouter>();
  readonly #members = new Map<string, Member>();
  readonly #nodes: HiddenNode[] = [];
  readonly #epmds: EpmdServer[] = [];
  #rules: ReloadOptions;
  #closing = false;

  /** Use {@link startBridge}. */
  constructor(options: BridgeOptions, logger: Logger, clock: Clock) {
    this.#options = options;
    this.#rules = options;
    this.#logger = logger;
    this.#clock = clock;
    const limits = { ...DEFAULT_ROUTER_LIMITS, ...options.limits };
    this.#context = {
      refusals: new Refusals(logger, clock),
      policy: this.#policy(options),
      router: (id) => this.router(id),
      relations: new Map(),
      limits,
      firstIndex: indexesOf(options, limits.maxIdentities),
    };
    for (const [id, { node }] of Object.entries(options.clusters)) {
      this.#routers.set(id, new ClusterRouter(id, node, this.#context));
    }
    this.#configure(options.routes);
  }

  /** The router of a cluster, for programs that carry messages by rules of their own. */
  router(cluster: string): ClusterRouter {
    const router = this.#routers.get(cluster);
    if (router === undefined) throw invalid(`There is no cluster ${JSON.stringify(cluster)}.`);
    return router;
  }

  /** The bridge's node in a cluster. */
  node(cluster: string): HiddenNode {
    return this.router(cluster).node;
  }

  /** How it stands now. */
  status(): BridgeStatus {
    let relations = 0;
    for (const { links, watched, spawns } of this.#context.relations.values())
      relations += links.size / 2 + watched.size + spawns.size;
    return {
      clusters: Array.from(this.#members, ([id, { router, node }]) => ({
        id,
        node: node.name,
        port: node.port,
        registered: node.registered,
        connected: node.nodes().map(({ node: name, hidden }) => ({ node: name, hidden })),
        identities: router.index.size,
        carried: router.counters.carried,
        undeliverable: router.counters.undeliverable,
      })),
      routes: this.#rules.routes,
      policyMode: this.#context.policy.mode,
      rules: this.#context.policy.counts(),
      refused: this.#context.refusals.total,
      wouldBeRefused: this.#context.refusals.noted,
      relations,
    };
  }

  /**
   * Takes other routes and rules, all at once between two signals. Connections, links and monitors stay, pids keep their
   * meaning; what counts from now on is what the new rules say, rates and counts begin anew.
   * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`; then everything is as before
   */
  async reload(options: ReloadOptions): Promise<void> {
    const policy = this.#policy(options);
    const names = this.#names(options.routes);
    this.#context.policy = policy;
    this.#rules = options;
    for (const [id, router] of this.#routers) router.configure(names.get(id) ?? []);
    const stopped: Promise<void>[] = [];
    for (const [id, member] of this.#members) {
      const hosts = this.#hosts(id);
      if (this.#closing || hosts.join() === member.hosts.join()) continue;
      stopped.push(member.topology.stop());
      member.hosts = hosts;
      member.topology = this.#connect(id, member.node, hosts);
    }
    await Promise.all(stopped);
  }

  /**
   * Takes leave: no new connections, no new dials, and the name is gone from epmd; then waits until no call or other
   * monitor or link goes across, at most `ms` milliseconds. Follow it with {@link Bridge.close}.
   */
  async drain(ms: number): Promise<void> {
    this.#closing = true;
    await Promise.all(Array.from(this.#members.values(), ({ topology }) => topology.stop()));
    await Promise.all(this.#nodes.map((node) => node.leave()));
    const deadline = this.#clock.now() + ms;
    while (this.#clock.now() < deadline && this.status().relations > 0) {
      await new Promise<void>((resolve) => this.#clock.after(50, resolve));
    }
    await Promise.all(this.#nodes.map((node) => node.flushed(Math.max(0, deadline - this.#clock.now()))));
  }

  /** Ends everything at once: connections, listeners, registrations, embedded epmds. May be called again. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(Array.from(this.#members.values(), ({ topology }) => topology.stop()));
    await Promise.all(this.#nodes.map((node) => node.close()));
    await Promise.all(this.#epmds.splice(0).map((server) => server.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async [ADD](id: string, cluster: ClusterOptions): Promise<void> {
    await this.#startEpmd(id, cluster);
    const router = this.router(id);
    const node = await startNode({
      name: cluster.node,
      cookie: cluster.cookie,
      listen: cluster.listen ?? {},
      // atoms stand where they are used, so a body can be copied from one connection to another
      flags: HIDDEN_PASS_THROUGH,
      router,
      logger: this.#logger,
      clock: this.#clock,
      ...(cluster.epmd === undefined ? {} : { epmd: cluster.epmd }),
      ...(cluster.resolver === undefined ? {} : { resolver: cluster.resolver }),
      ...(cluster.tickTimeSeconds === undefined ? {} : { tickTimeSeconds: cluster.tickTimeSeconds }),
    });
    this.#nodes.push(node);
    router.attach(node);
    node.onNodeEvent((event) => this.#logNode(id, event));
    this.#logger.info(
      { cluster: id, node: node.name, port: node.port, epmd: node.registered },
      "cluster identity is up",
    );
  }

  /** Once every identity is there, so that the first signal finds the way open. */
  [CONNECT](): void {
    for (const [id, router] of this.#routers) {
      const { node } = router;
      const hosts = this.#hosts(id);
      this.#members.set(id, { router, node, hosts, topology: this.#connect(id, node, hosts) });
    }
  }

  #connect(id: string, node: HiddenNode, hosts: readonly string[]): Topology {
    return startTopology({
      name: id,
      strategy: epmd({ hosts }),
      hooks: {
        self: node.name,
        connect: (name, signal) => node.connect(name, { signal }),
        disconnect: async (name) => {
          node.disconnect(name);
        },
        listNodes: () => node.nodes().map((connected) => connected.node),
        onNodeUp: (listener) =>
          node.onNodeEvent((event) => {
            if (event.type === "up") listener(event.node);
          }),
        onNodeDown: (listener) =>
          node.onNodeEvent((event) => {
            if (event.type === "down") listener(event.node, event.reason);
          }),
      },
      logger: this.#logger,
      clock: this.#clock,
    });
  }

  /** Those that discovery names and those that routes and rules lead to: to choose the first that is up, one must know which are. */
  #hosts(id: string): string[] {
    const { routes, policy = [], hosts } = this.#rules;
    const listed = hosts?.[id] ?? this.#options.clusters[id]!.hosts;
    const targets = routes.filter(({ to }) => to === id).flatMap(({ nodes }) => nodes);
    const running = policy.filter(({ to }) => to?.includes(id)).flatMap(({ nodes }) => nodes ?? []);
    return [...new Set([...listed, ...targets, ...running])];
  }

  async #startEpmd(id: string, cluster: ClusterOptions): Promise<void> {
    const mode = cluster.embeddedEpmd ?? "never";
    if (mode === "never" || cluster.epmd === false) return;
    const port = cluster.epmd?.port;
    const options = { ...(port === undefined ? {} : { port }), logger: this.#logger };
    const server = mode === "always" ? await startEpmdServer(options) : await ensureEpmdServer(options);
    if (server === undefined) return;
    this.#epmds.push(server);
    this.#logger.info({ cluster: id, port: server.port }, "embedded epmd started");
  }

  #policy({ routes, policy = [], policyMode = "enforce" }: ReloadOptions): Policy {
    for (const { from = [], to = [] } of policy) for (const id of [...from, ...to]) this.#known(id);
    try {
      return new Policy({ rules: policy, routes, mode: policyMode, clock: this.#clock });
    } catch (error) {
      if (error instanceof TypeError) throw invalid(`A rule of the policy is wrong: ${error.message}`);
      throw error;
    }
  }

  #known(id: string): void {
    if (!Object.hasOwn(this.#options.clusters, id))
      throw invalid(`There is no cluster ${JSON.stringify(id)}.`);
  }

  #configure(routes: readonly RouteOptions[]): void {
    const names = this.#names(routes);
    for (const [id, router] of this.#routers) router.configure(names.get(id) ?? []);
  }

  /** What each cluster may use. */
  #names(routes: readonly RouteOptions[]): Map<string, ExportedName<ClusterRouter>[]> {
    const names = new Map<string, ExportedName<ClusterRouter>[]>();
    for (const route of routes) {
      const from = this.router(route.from);
      const to = this.router(route.to);
      if (from === to) throw invalid(`The route of ${route.name} leads from ${route.from} to itself.`);
      if (route.nodes.length === 0) throw invalid(`The route of ${route.name} names no target node.`);
      const name = new ExportedName(
        atom(route.as ?? route.name),
        to,
        atom(route.name),
        route.nodes.map((node) => atom(node)),
        route.balance ?? "first_up",
      );
      const known = names.get(route.from);
      if (known === undefined) names.set(route.from, [name]);
      else known.push(name);
    }
    return names;
  }

  #logNode(cluster: string, event: NodeEvent): void {
    if (event.type === "up") {
      this.#logger.info({ cluster, node: event.node, hidden: event.hidden }, "node connected");
    } else {
      this.#logger.warn(
        { cluster, node: event.node, code: event.reason.code, reason: event.reason.message },
        "node disconnected",
      );
    }
  }
}

/** Where the indexes of stand-ins begin. Each cluster may take as many, and the bridge's own creation is left out. */
function indexesOf({ stateFile }: BridgeOptions, limit: number): number {
  const random = randomBytes(4).readUInt32BE() / 2 ** 32;
  return stateFile === undefined ? firstIndex(random) : takeIndexes(stateFile, limit + 2, random);
}

function invalid(message: string): Error {
  return bridgeError("BRIDGE_OPTIONS_INVALID", message);
}
