/**
 * Discovery: which nodes a cluster has, and keeping them connected.
 *
 * @example
 * ```ts
 * const topology = startTopology({ name: "shop", strategy: epmd({ hosts: ["shop1@10.0.0.5"] }), hooks });
 * topology.on((event) => console.log(event.type));
 * await topology.stop();
 * ```
 * @packageDocumentation
 */
export type { ClusterHooks, Discovery, Strategy, StrategyContext } from "./contract.ts";
export { defineStrategy, type StrategyDefinition, type StrategyFactory } from "./define.ts";
export { type EpmdStrategyOptions, epmd } from "./epmd.ts";
export { STRATEGIES_ERROR_CODES, type StrategiesErrorCode } from "./errors.ts";
export type { TopologyEvent, TopologyListener } from "./events.ts";
export { nodeName, nodeNames } from "./node-names.ts";
export { type OptionKind, type OptionSpecs, type OptionsInput, type OptionsOf, option } from "./options.ts";
export { type PollAnswer, type Polling, type PollOptions, pollingStrategy, startPolling } from "./poll.ts";
export { type ReconcileInput, type Reconciliation, reconcile } from "./reconcile.ts";
export { loadStrategy, STRATEGY_NAMES } from "./registry.ts";
export {
  startTopology,
  type Topology,
  type TopologyNode,
  type TopologyOptions,
  type TopologyStatus,
} from "./topology.ts";
