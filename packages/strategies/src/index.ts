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
export { type EpmdStrategyOptions, epmd } from "./epmd.ts";
export { STRATEGIES_ERROR_CODES, type StrategiesErrorCode } from "./errors.ts";
export type { TopologyEvent, TopologyListener } from "./events.ts";
export { type ReconcileInput, type Reconciliation, reconcile } from "./reconcile.ts";
export {
  startTopology,
  type Topology,
  type TopologyNode,
  type TopologyOptions,
  type TopologyStatus,
} from "./topology.ts";
