import { randomBytes } from "node:crypto";
import type { HiddenNode, NodeEvent } from "@isthmus/core";
import type { TopologyStatus } from "@isthmus/strategies";
import {
  type Clock,
  IsthmusError,
  isIsthmusError,
  isNodeName,
  type Logger,
  silentLogger,
  systemClock,
} from "@isthmus/wire";
import { clusterLogger } from "./cluster-logger.ts";
import { dialledNodes } from "./discovery/dialled-nodes.ts";
import { bridgeError } from "./errors.ts";
import type { GroupStatus } from "./groups/group-entry.ts";
import { checkGroups, GroupFederation } from "./groups/group-federation.ts";
import { type Member, type Membership, startMembership } from "./membership.ts";
import type { MirrorStatus } from "./mirror/mirror-entry.ts";
import { checkMirrors, Mirrors } from "./mirror/mirrors.ts";
import {
  type BridgeOptions,
  type ClusterOptions,
  isFar,
  type ReloadOptions,
  type RouteOptions,
} from "./options.ts";
import { Policy, type PolicyMode, type RuleCount } from "./policy/policy.ts";
import type { PolicyRule } from "./policy/rule.ts";
import { ClusterRouter, DEFAULT_ROUTER_LIMITS, type RouterContext } from "./routing/cluster-router.ts";
import { type Export, exportOf } from "./routing/exports.ts";
import { Refusals } from "./routing/refusals.ts";
import { type FarCluster, startFarCluster } from "./sites/far-cluster.ts";
import { type ClusterPair, checkPaired, clusterPairs } from "./sites/pair.ts";
import { type Sites, startSites } from "./sites/sites.ts";
import { firstIndex } from "./translate/identity-index.ts";
import { takeIndexes } from "./translate/index-file.ts";
import type { TrunkStatus } from "./trunk/link.ts";

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
  /** Of these, long messages that went on while they came. */
  readonly streamed: number;
  readonly undeliverable: number;
  /** What keeps it connected. */
  readonly topologies: readonly TopologyStatus[];
}

/** The state of a bridge. */
export interface BridgeStatus {
  readonly clusters: readonly ClusterStatus[];
  /** The trunks to other sites. */
  readonly sites: readonly TrunkStatus[];
  readonly routes: readonly RouteOptions[];
  /** Process groups that clusters see of others, by the entries of the configuration. */
  readonly groups: readonly GroupStatus[];
  readonly mirrors: readonly MirrorStatus[];
  readonly policyMode: PolicyMode;
  /** How often each rule has decided since the policy was loaded. */
  readonly rules: readonly RuleCount[];
  readonly refused: number;
  /** What was carried only because of the policy mode `log`. */
  readonly wouldBeRefused: number;
  /** Links and monitors that go across at present, and calls of functions that have not begun. */
  readonly relations: number;
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
    await bridge[START]();
  } catch (error) {
    await bridge.close();
    throw error;
  }
  return bridge;
}

const START = Symbol("start");

/** A running bridge. Made by {@link startBridge}. */
export class Bridge implements AsyncDisposable {
  readonly #options: BridgeOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #context: RouterContext;
  readonly #routers = new Map<string, ClusterRouter>();
  readonly #members = new Map<string, Member>();
  readonly #pairs: readonly ClusterPair[];
  #sites: Sites | undefined;
  readonly #groups: GroupFederation;
  readonly #mirrors: Mirrors;
  #rules: ReloadOptions;
  #closing = false;

  /** Use {@link startBridge}. */
  constructor(options: BridgeOptions, logger: Logger, clock: Clock) {
    this.#options = options;
    this.#rules = options;
    this.#logger = logger;
    this.#clock = clock;
    this.#pairs = clusterPairs(options);
    const limits = { ...DEFAULT_ROUTER_LIMITS, ...options.limits };
    this.#context = {
      refusals: new Refusals(logger, clock),
      policy: this.#policy(options),
      router: (id) => this.router(id),
      relations: new Map(),
      ...{ limits, clock },
      firstIndex: indexesOf(options, limits.maxIdentities),
    };
    this.#mirrors = new Mirrors({ clusters: options.clusters, context: this.#context, logger, clock });
    this.#groups = new GroupFederation({
      context: this.#context,
      isFar: (id) => isFar(options.clusters[id]!),
      ...{ logger, clock },
    });
    for (const [id, cluster] of Object.entries(options.clusters)) {
      const far = this.#pair(id);
      const { node, narrow } = isFar(cluster) ? { node: far!.node, narrow: false } : cluster;
      const router = new ClusterRouter(id, node, this.#context);
      if (narrow === true) router.index.becomeNarrow();
      this.#routers.set(id, router);
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
    for (const { links, watched, spawns, long } of this.#context.relations.values())
      relations += links.size / 2 + watched.size + spawns.size + (long === undefined ? 0 : 1);
    return {
      clusters: Array.from(this.#members, ([id, member]) => this.#clusterStatus(id, member)),
      sites: this.#sites?.status() ?? [],
      routes: this.#rules.routes,
      groups: this.#groups.status(),
      mirrors: this.#mirrors.status(),
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
   * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`; `NAME_TAKEN` when a process of this program has the name of a scope of
   * groups; then everything is as before
   */
  async reload(options: ReloadOptions): Promise<void> {
    const rules = { ...options, hosts: { ...this.#rules.hosts, ...options.hosts } };
    const policy = this.#policy(rules);
    const names = this.#names(rules.routes);
    const hosts = Array.from(this.#members, ([id, member]) => [member, this.#hosts(id, rules)] as const);
    // the last that can fail
    if (!this.#closing) this.#groups.prepare(rules.groups ?? []);
    this.#context.policy = policy;
    this.#rules = rules;
    for (const [id, router] of this.#routers) router.configure(names.get(id) ?? []);
    if (this.#closing) return;
    this.#groups.configure(rules.groups ?? []);
    this.#mirrors.configure(rules.mirrors ?? []);
    await Promise.all(hosts.map(([member, nodes]) => member.follow(nodes)));
  }

  /**
   * Takes leave: no new connections, no new dials, and the name is gone from epmd; then waits until no call or other
   * monitor or link goes across, at most `ms` milliseconds. Follow it with {@link Bridge.close}.
   */
  async drain(ms: number): Promise<void> {
    this.#closing = true;
    this.#groups.close();
    const members = [...this.#members.values()];
    await Promise.all([this.#mirrors.leave(), ...members.map((member) => member.leave())]);
    const deadline = this.#clock.now() + ms;
    while (this.#clock.now() < deadline && this.status().relations > 0) {
      await new Promise<void>((resolve) => this.#clock.after(50, resolve));
    }
    const left = (): number => Math.max(0, deadline - this.#clock.now());
    await Promise.all([...members.map(({ node }) => node.flushed(left())), this.#mirrors.flushed(left())]);
    await this.#sites?.drain(left());
  }

  /** Ends everything at once: connections, listeners, registrations, embedded epmds. May be called again. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#groups.close();
    const mirrors = this.#mirrors.close();
    const members = Array.from(this.#members.values(), (member) => member.close());
    await Promise.all([mirrors, ...members, this.#sites?.close()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Every identity first, so that the first signal finds the way open; then connections. */
  async [START](): Promise<void> {
    const { clusters, trunk } = this.#options;
    const farClusters: FarCluster[] = [];
    for (const [id, cluster] of Object.entries(clusters)) {
      const router = this.router(id);
      const member = await this.#startMember(id, cluster);
      if ("pair" in member) farClusters.push(member);
      this.#members.set(id, member);
      const { node } = member;
      router.attach(node, "pair" in member ? undefined : member.carriers);
      node.onNodeEvent((event) => this.#logNode(id, event));
      this.#logger.info(
        { cluster: id, node: node.name, port: node.port, epmd: node.registered },
        "cluster identity is up",
      );
    }
    this.#groups.configure(this.#rules.groups ?? []);
    this.#mirrors.configure(this.#rules.mirrors ?? []);
    for (const [id, member] of this.#members) await member.connect(this.#hosts(id, this.#rules));
    if (trunk === undefined) return;
    this.#sites = await startSites({
      ...{ trunk, clusters: farClusters },
      logger: this.#logger,
      clock: this.#clock,
    });
  }

  async #startMember(id: string, cluster: ClusterOptions): Promise<FarCluster | Membership> {
    const { limits } = this.#context;
    const logger = clusterLogger(this.#logger, id);
    const common = { router: this.router(id), limits, logger, clock: this.#clock };
    try {
      return isFar(cluster)
        ? await startFarCluster({ ...common, pair: this.#pair(id)! })
        : await startMembership({ ...common, cluster });
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      const { code, message, cause, context } = error;
      throw new IsthmusError(code, `The bridge cannot start its node in cluster ${id}: ${message}`, {
        context: { ...context, cluster: id },
        ...(cause === undefined ? {} : { cause }),
      });
    }
  }

  #clusterStatus(id: string, member: Member): ClusterStatus {
    const { node } = member;
    const { index, counters } = this.router(id);
    return {
      id,
      node: node.name,
      port: node.port,
      registered: node.registered,
      connected: node.nodes().map(({ node: name, hidden }) => ({ node: name, hidden })),
      identities: index.size,
      carried: counters.carried,
      streamed: counters.streamed,
      undeliverable: counters.undeliverable,
      topologies: member.topologies(),
    };
  }

  /** What the bridge's node in a cluster is to be connected to by these rules. */
  #hosts(id: string, rules: ReloadOptions): string[] {
    const cluster = this.#options.clusters[id]!;
    if (isFar(cluster)) return [];
    const hosts = dialledNodes(id, rules.hosts?.[id] ?? cluster.hosts ?? [], rules);
    const wrong = hosts.find((node) => !isNodeName(node));
    if (wrong === undefined) return hosts;
    throw invalid(`${JSON.stringify(wrong)} of ${id} is not a node name. Write it as name@host.`);
  }

  #policy({ routes, mirrors = [], groups = [], policy = [], policyMode = "enforce" }: ReloadOptions): Policy {
    checkMirrors(mirrors, this.#options.clusters);
    for (const { from, to } of groups) {
      for (const id of [from, to]) this.#known(id);
      checkPaired(this.#pairs, "A group", from, to);
    }
    checkGroups(groups);
    for (const { from = [], to = [] } of policy) for (const id of [...from, ...to]) this.#known(id);
    try {
      return new Policy({
        rules: policy.map((rule) => this.#atFarNode(rule)),
        routes,
        groups,
        mirrors,
        mode: policyMode,
        clock: this.#clock,
      });
    } catch (error) {
      if (error instanceof TypeError) throw invalid(`A rule of the policy is wrong: ${error.message}`);
      throw error;
    }
  }

  /** The only node of a far cluster, its bridge, runs what may be run there, by rules of its own. */
  #atFarNode(rule: PolicyRule): PolicyRule {
    const [to, ...more] = rule.to ?? [];
    if (rule.rpc === undefined || rule.nodes !== undefined || to === undefined || more.length > 0)
      return rule;
    const far = this.#pair(to);
    return far === undefined ? rule : { ...rule, nodes: [far.peer] };
  }

  /** For a cluster of another site. */
  #pair(id: string): ClusterPair | undefined {
    return this.#pairs.find((pair) => pair.id === id);
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
  #names(routes: readonly RouteOptions[]): Map<string, Export[]> {
    const names = new Map<string, Export[]>();
    for (const route of routes) {
      const from = this.router(route.from);
      const to = this.router(route.to);
      if (from === to) throw invalid(`The route of ${route.name} leads from ${route.from} to itself.`);
      checkPaired(this.#pairs, `The route of ${route.name}`, route.from, route.to);
      const far = this.#pair(route.to);
      if (far !== undefined && route.nodes !== undefined)
        throw invalid(
          `The route of ${route.name} names nodes, but those of another site are for its bridge to choose.`,
        );
      const nodes = far === undefined ? (route.nodes ?? []) : [far.peer];
      if (nodes.length === 0) throw invalid(`The route of ${route.name} names no target node.`);
      const { name: there, as = there } = route;
      if (as.split("*").length !== there.split("*").length)
        throw invalid(`The route of ${there} as ${as} has not as many * in the one as in the other.`);
      const name = exportOf(route, to, nodes);
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
