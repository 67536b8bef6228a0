/**
 * A hidden Erlang node in Node.js: connect, register names, send, call, serve, monitor, link.
 * @packageDocumentation
 */

export type { MulticallResult, RemoteCalls } from "./calls/erpc.ts";
export type { ExposedFunction } from "./calls/exposed.ts";
export { type CallOptions, DEFAULT_CALL_TIMEOUT_MS } from "./calls/gen-call.ts";
export { type EventHandler, EventManagers } from "./calls/gen-event.ts";
export type { CallFrom } from "./calls/gen-messages.ts";
export type { IoServerOptions, IoSink } from "./calls/io-server.ts";
export type { RemoteProcess, RemoteSpawnOptions } from "./calls/remote-spawn.ts";
export type { ServerContext, ServerHandlers, ServerOptions } from "./calls/server.ts";
export type { SystemCalls } from "./calls/sys.ts";
export { CORE_ERROR_CODES, type CoreErrorCode } from "./errors.ts";
export { type Connection, type ConnectionLimits, DEFAULT_CONNECTION_LIMITS } from "./net/connection.ts";
export type { Dialled } from "./node/dial.ts";
export { type ConnectedNode, type HiddenNode, type NodeEvent, startNode } from "./node/node.ts";
export type { DynamicName, NodeOptions, NodeTls, SignalRouter } from "./node/options.ts";
export {
  DEFAULT_MAX_QUEUED_EVENTS,
  type PgEvent,
  type PgMember,
  PgMonitor,
  type PgMonitorOptions,
  type PgNode,
  type PgOptions,
  PgScope,
  PHOENIX_PUBSUB_SCOPE,
  type PhoenixBroadcast,
  type PhoenixBroadcastOptions,
  PhoenixPubSub,
  type PhoenixPubSubOptions,
  startPg,
  startPhoenixPubSub,
} from "./pg/index.ts";
export type { Address, NamedProcess, ProcessAddress, ResolvedName } from "./process/address.ts";
export { type RaiseClass, raise } from "./process/exit-reason.ts";
export type { ReceiveOptions } from "./process/mailbox.ts";
export type {
  AliasMode,
  AliasOptions,
  Down,
  MailboxOverflow,
  MonitorOptions,
  Process,
  SpawnOptions,
} from "./process/process.ts";
export { DEFAULT_PROCESS_LIMITS, type ProcessLimits } from "./process/runtime.ts";
export type { ProcessTable, ProcessTableOptions, TableCallOptions } from "./process/table.ts";
