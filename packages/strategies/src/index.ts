/**
 * Discovery: where the nodes of a cluster are, and keeping them connected.
 * @packageDocumentation
 */
export type { ClusterHooks, Discovery, Strategy, StrategyContext } from "./contract.ts";
export { type EpmdStrategyOptions, epmd } from "./epmd.ts";
export { STRATEGIES_ERROR_CODES, type StrategiesErrorCode } from "./errors.ts";
export { startTopology, type Topology, type TopologyEvent, type TopologyNode, type TopologyOptions } from "./topology.ts";
