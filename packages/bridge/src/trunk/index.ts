/**
 * The trunk: joins two bridges, each in its own site, over WebSocket or NATS. `isthmus run` uses it for clusters of other
 * sites; here it is for programs of your own.
 * @packageDocumentation
 */
export { type AcceptOptions, type AcceptorOptions, TrunkAcceptor } from "./acceptor.ts";
export type { SessionCounters } from "./counters.ts";
export type { CredentialOptions } from "./credentials.ts";
export { type DialOptions, dialTrunk, type OpenWire } from "./dial.ts";
export { TRUNK_ERROR_CODES, type TrunkErrorCode } from "./errors.ts";
export { TRUNK_VERSIONS, type TrunkVersion } from "./frames.ts";
export type { Lease, LeaseOptions } from "./lease.ts";
export { type ConsulLeaseOptions, consulLease } from "./lease-consul.ts";
export { type KubernetesLeaseOptions, kubernetesLease } from "./lease-kubernetes.ts";
export { type PostgresLeaseOptions, postgresLease } from "./lease-postgres.ts";
export { DEFAULT_TRUNK_LIMITS, type TrunkLimits } from "./limits.ts";
export type { TrunkLink, TrunkSink, TrunkState, TrunkStatus } from "./link.ts";
export type { NatsOptions } from "./nats-client.ts";
export { type NatsDialerOptions, natsDialer } from "./nats-dialer.ts";
export { type NatsListener, type NatsListenerOptions, startNatsListener } from "./nats-listener.ts";
export type { Wire, WireEvents } from "./wire.ts";
export { type WebSocketOptions, type WebSocketTls, webSocket } from "./ws-client.ts";
export {
  startWebSocketListener,
  type WebSocketListener,
  type WebSocketListenerOptions,
  type WebSocketListenerTls,
} from "./ws-server.ts";
