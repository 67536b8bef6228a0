import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/**
 * Codes of the errors of the trunk.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `TRUNK_OPTIONS_INVALID` | an option is not what it must be | correct it; the message names it |
 * | `TRUNK_VERSION` | the two sites have no protocol version in common | upgrade the older one |
 * | `TRUNK_AUTHENTICATION` | the secret or the certificate is not the right one | give both sites the same secret, or certificates with their names |
 * | `TRUNK_SITE` | another site answered, or an unknown one called | correct the names of the sites, or the address |
 * | `TRUNK_PROTOCOL` | the peer sent what no trunk of this version may send | see who answers at the address; report it |
 * | `TRUNK_UNREACHABLE` | the far site, the proxy or the NATS server cannot be reached, or does not answer | the trunk tries again by itself |
 * | `TRUNK_BROKEN` | the connection ended | the trunk connects again by itself |
 * | `TRUNK_SILENT` | the peer was silent for the whole keep-alive time | the trunk connects again by itself |
 * | `TRUNK_GAP` | messages were lost on the way (NATS does that) | the trunk sends them again by itself |
 * | `TRUNK_GRACE_OVER` | no connection came within the grace time | see why the sites cannot reach each other |
 * | `TRUNK_SESSION_UNKNOWN` | the far site does not have the session any more: it restarted, or another process answered | nothing |
 * | `TRUNK_REPLACED` | the far site began a new session | nothing; if it repeats, two bridges call themselves by one site name |
 * | `TRUNK_CONSUMER_FAILED` | whoever takes the payloads threw an error, which is the cause | see the cause |
 * | `TRUNK_CLOSED` | this side or the far one closed the trunk | nothing |
 * | `TRUNK_DOWN` | there is no session; the payload was not taken | wait for `up` |
 * | `TRUNK_BACKLOG` | too much waits for this channel; the payload was not taken | stop sending while the channel is blocked |
 * | `TRUNK_DENIED` | the NATS server forbids a subject of the trunk, or nothing comes through it; that of a channel: only this channel cannot be used | give both sites' users the permission; it is tried again by itself |
 * | `TRUNK_PAYLOAD_TOO_LARGE` | the far site does not take payloads of this length | raise `maxPayloadBytes` there |
 * | `TRUNK_CHANNELS` | too many channels; the payload was not taken | use fewer channels |
 * | `LEASE_OPTIONS_INVALID` | an option of a lease is not what it must be | correct it; the message names it |
 * | `LEASE_FAILED` | the service that keeps the lease cannot be asked | see the cause |
 * | `LEASE_LOST` | the lease could not be renewed in time, or the service took it away | nothing: acquire it again |
 * | `PEER_DEPENDENCY_MISSING` | an npm package that is needed is not installed | install it; the message says which |
 */
export const TRUNK_ERROR_CODES = [
  "TRUNK_OPTIONS_INVALID",
  "TRUNK_VERSION",
  "TRUNK_AUTHENTICATION",
  "TRUNK_SITE",
  "TRUNK_PROTOCOL",
  "TRUNK_UNREACHABLE",
  "TRUNK_BROKEN",
  "TRUNK_SILENT",
  "TRUNK_GAP",
  "TRUNK_GRACE_OVER",
  "TRUNK_SESSION_UNKNOWN",
  "TRUNK_REPLACED",
  "TRUNK_CONSUMER_FAILED",
  "TRUNK_CLOSED",
  "TRUNK_DOWN",
  "TRUNK_BACKLOG",
  "TRUNK_DENIED",
  "TRUNK_PAYLOAD_TOO_LARGE",
  "TRUNK_CHANNELS",
  "LEASE_OPTIONS_INVALID",
  "LEASE_FAILED",
  "LEASE_LOST",
  "PEER_DEPENDENCY_MISSING",
] as const;

/** One of {@link TRUNK_ERROR_CODES}. */
export type TrunkErrorCode = (typeof TRUNK_ERROR_CODES)[number];

/** Makes an error with one of the trunk's codes. */
export function trunkError(
  code: TrunkErrorCode,
  message: string,
  options?: IsthmusErrorOptions,
): IsthmusError {
  return new IsthmusError(code, message, options);
}
