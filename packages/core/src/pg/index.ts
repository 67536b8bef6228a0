export type { PgEvent } from "./groups.ts";
export type { PgOptions } from "./options.ts";
export { DEFAULT_MAX_QUEUED_EVENTS, PgMonitor, type PgMonitorOptions } from "./pg-monitor.ts";
export { type PgMember, PgScope, startPg } from "./pg-scope.ts";
export {
  PHOENIX_PUBSUB_SCOPE,
  type PhoenixBroadcast,
  type PhoenixBroadcastOptions,
  PhoenixPubSub,
  type PhoenixPubSubOptions,
  startPhoenixPubSub,
} from "./phoenix-pubsub.ts";
export type { PgNode } from "./scope-peers.ts";
