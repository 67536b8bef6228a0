/**
 * Discovery: which nodes a cluster has, and keeping them connected. Each strategy is an entry of its own, such as
 * `@isthmus/strategies/kubernetes`.
 *
 * @example
 * ```ts
 * const topology = startTopology({ name: "shop", strategy: epmd({ hosts: ["shop1@10.0.0.5"] }), hooks });
 * topology.on((event) => console.log(event.type));
 * await topology.stop();
 * ```
 * @packageDocumentation
 */
export { type Cluster, type ClusterOptions, type ClusterStatus, startCluster } from "./cluster/cluster.ts";
export { EventSubscribers, type EventSubscribersOptions } from "./cluster/event-subscribers.ts";
export type { Removal } from "./cluster/membership.ts";
export { type Mfa, type MfaHooksOptions, mfaHooks } from "./cluster/mfa-hooks.ts";
export type { ShrinkGuardOptions } from "./cluster/shrink-guard.ts";
export type { TopologySpecification } from "./cluster/specification.ts";
export type { ClusterHooks, Discovery, Strategy, StrategyContext } from "./contract.ts";
export { defineStrategy, type StrategyDefinition, type StrategyFactory } from "./define.ts";
export { type Environment, environmentTopology, expandEnvironment } from "./environment.ts";
export { type EpmdStrategyOptions, epmd } from "./epmd/index.ts";
export { STRATEGIES_ERROR_CODES, type StrategiesErrorCode } from "./errors.ts";
export type {
  ClusterEvent,
  ClusterListener,
  EventStreamOptions,
  NodeEvent,
  OverflowEvent,
  TopologyEvent,
  TopologyListener,
} from "./events.ts";
export { nodeName, nodeNames } from "./node-names.ts";
export { type OptionKind, type OptionSpecs, type OptionsInput, type OptionsOf, option } from "./options.ts";
export { type PollAnswer, type Polling, type PollOptions, pollingStrategy, startPolling } from "./poll.ts";
export { type ReconcileInput, type Reconciliation, reconcile } from "./reconcile.ts";
export { loadStrategy, STRATEGY_NAMES } from "./registry.ts";
export {
  TELEMETRY_CHANNELS,
  type TelemetryDiscovered,
  type TelemetryDiscoveryFailed,
  type TelemetryDone,
  type TelemetryFailed,
  type TelemetryNode,
} from "./telemetry.ts";
export {
  type ConnectingOptions,
  type RemovalOptions,
  startTopology,
  type Topology,
  type TopologyNode,
  type TopologyOptions,
  type TopologyStatus,
} from "./topology.ts";
