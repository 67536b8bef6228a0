/**
 * The Isthmus bridge as a library: links BEAM clusters that never mesh. The command `isthmus` is made of this.
 * @packageDocumentation
 */
export { Bridge, type BridgeStatus, type ClusterStatus, startBridge } from "./bridge.ts";
export { type BridgeConfig, loadConfig, parseConfig } from "./config/config.ts";
export { CONFIG_ERROR_CODES, type ConfigErrorCode } from "./config/errors.ts";
export type { ConfigProblem } from "./config/problem.ts";
export {
  type ClusterEvents,
  type ClusterEventsOptions,
  serveClusterEvents,
} from "./discovery/cluster-events.ts";
export { nodeHooks } from "./discovery/node-hooks.ts";
export { BRIDGE_ERROR_CODES, type BridgeErrorCode } from "./errors.ts";
export { type FormConfig, loadFormConfig } from "./form/config.ts";
export { FORM_ERROR_CODES, type FormErrorCode } from "./form/errors.ts";
export { Formation, type FormationOptions, type FormationStatus, startFormation } from "./form/formation.ts";
export type { GroupStatus } from "./groups/group-entry.ts";
export { type PhoenixPubSubGroups, phoenixPubSub } from "./groups/phoenix-pubsub.ts";
export type { MirrorStatus } from "./mirror/mirror-entry.ts";
export type {
  BridgeOptions,
  ClusterOptions,
  DiscoveryOptions,
  FarClusterOptions,
  GroupOptions,
  MirrorOptions,
  OwnClusterOptions,
  ReloadOptions,
  RouteOptions,
} from "./options.ts";
export type { PolicyMode, RuleCount } from "./policy/policy.ts";
export type { PolicyRule } from "./policy/rule.ts";
export {
  type ClusterRouter,
  DEFAULT_ROUTER_LIMITS,
  type Interceptor,
  type RouterLimits,
} from "./routing/cluster-router.ts";
export type { Balance } from "./routing/node-choice.ts";
export type { SiteOptions, TrunkOptions } from "./sites/options.ts";
export {
  type Active,
  type Standby,
  type StandbyOptions,
  type StandbyState,
  type StandbyStatus,
  startStandby,
} from "./standby.ts";
export type { TrunkState, TrunkStatus } from "./trunk/link.ts";
