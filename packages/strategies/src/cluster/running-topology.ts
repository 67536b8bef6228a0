import type { Clock, IsthmusError, Logger } from "@isthmus/wire";
import type { Discovery, Strategy } from "../contract.ts";
import type { FailedAttempt } from "../dialler.ts";
import type { TopologyEvent } from "../events.ts";
import { publish } from "../telemetry.ts";
import type { TopologyNode, TopologyStatus } from "../topology.ts";
import type { Claimant, Connections } from "./connections.ts";
import { DiscoveryRun } from "./discovery-run.ts";
import { Membership, type MembershipRules } from "./membership.ts";

/** What a topology does that a {@link RunningTopology.replace} can change. */
export interface TopologyPlan {
  readonly strategy: Strategy;
  /** Makes the strategy anew after its start has failed. */
  readonly remake?: (() => Strategy | Promise<Strategy>) | undefined;
  readonly rules: MembershipRules;
  readonly compat: boolean;
}

/** Options of {@link RunningTopology}. */
export interface RunningTopologyOptions extends TopologyPlan {
  readonly name: string;
  readonly connections: Connections;
  readonly emit: (event: TopologyEvent) => void;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Discovery, what follows from its answers, and what is told about it. The connections are given. */
export class RunningTopology implements Claimant {
  readonly name: string;
  readonly #options: RunningTopologyOptions;
  readonly #membership: Membership;
  #discovery: DiscoveryRun;
  #discoveryError: IsthmusError | undefined;
  #answeredAt: number | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: RunningTopologyOptions) {
    const { name, connections, clock, emit } = options;
    this.name = name;
    this.#options = options;
    this.#membership = new Membership({
      connections,
      claimant: this,
      rules: options.rules,
      clock,
      events: {
        changed: (nodes, added, removed) => emit({ type: "nodes", topology: name, nodes, added, removed }),
        held: (nodes, answers) => this.#held(nodes, answers),
      },
    });
    this.#discovery = this.#discover(options);
  }

  status(): TopologyStatus {
    const { connections, clock } = this.#options;
    const nodes = Array.from(
      this.#membership.wanted,
      (node): TopologyNode => ({ node, ...(connections.stateOf(node) ?? UNKNOWN) }),
    );
    return {
      topology: this.name,
      nodes,
      kept: this.#membership.kept,
      leaving: this.#membership.leaving,
      answeredMs: this.#answeredAt === undefined ? undefined : clock.now() - this.#answeredAt,
      discoveryError: this.#discoveryError?.code,
    };
  }

  refresh(): void {
    this.#discovery.refresh();
  }

  drain(): void {
    this.#discovery.drain();
  }

  /** Another strategy and other rules; what is known stands until the new strategy answers. */
  async replace(plan: TopologyPlan): Promise<void> {
    if (this.#stopped !== undefined) return;
    const before = this.#discovery;
    this.#membership.rule(plan.rules);
    this.#discoveryError = undefined;
    this.#discovery = this.#discover(plan);
    if (this.#options.connections.draining) this.#discovery.drain();
    await before.stop();
  }

  /** Ends discovery; connections stay. */
  stop(): Promise<void> {
    this.#membership.stop();
    this.#stopped ??= this.#discovery.stop();
    return this.#stopped;
  }

  /** Ends discovery and lets go of every node, by the rule for removal. */
  async remove(): Promise<void> {
    if (this.#stopped !== undefined) return this.#stopped;
    const stopped = this.#discovery.stop();
    this.#stopped = stopped;
    this.#membership.clear();
    return stopped;
  }

  connected(node: string): void {
    this.#options.emit({ type: "connected", topology: this.name, node });
  }

  failed({ node, attempt, retryMs, error }: FailedAttempt): void {
    this.#options.emit({ type: "connect_failed", topology: this.name, node, attempt, retryMs, error });
  }

  disconnected(node: string, reason: IsthmusError | undefined): void {
    this.#options.emit({ type: "disconnected", topology: this.name, node, reason });
  }

  #discover({ strategy, remake, compat }: TopologyPlan): DiscoveryRun {
    const { name, connections, logger, clock, random } = this.#options;
    return new DiscoveryRun({
      name,
      self: connections.hooks.self,
      strategy,
      remake,
      compat,
      report: (discovery) => this.#discovered(discovery),
      logger,
      clock,
      random,
    });
  }

  #discovered(discovery: Discovery): void {
    const { name: topology } = this;
    const { logger, clock, emit } = this.#options;
    const before = this.#discoveryError;
    if (discovery.ok) {
      this.#discoveryError = undefined;
      this.#answeredAt = clock.now();
      if (before !== undefined) logger.info({ topology }, "discovery works again");
      publish("discoveryOk", () => ({ topology, nodes: discovery.nodes.length }));
      this.#membership.answered(discovery.nodes);
      return;
    }
    const { error } = discovery;
    this.#discoveryError = error;
    this.#membership.failed();
    const log = before?.code === error.code ? "debug" : "warn";
    logger[log]({ topology, code: error.code }, `discovery failed, the last answer stands: ${error.message}`);
    publish("discoveryError", () => ({ topology, error }));
    emit({ type: "discovery_failed", topology, error });
  }

  #held(nodes: readonly string[], answers: number): void {
    const { logger, emit } = this.#options;
    const fields = { topology: this.name, missing: nodes.length, answers };
    logger[answers === 1 ? "warn" : "debug"](
      fields,
      "discovery names suspiciously few nodes: those missing are kept for now",
    );
    emit({ type: "shrink_held", topology: this.name, nodes, answers });
  }
}

/** A node whose connections were ended already. */
const UNKNOWN = { state: "idle", attempts: 0, error: undefined, retryMs: undefined } as const;
