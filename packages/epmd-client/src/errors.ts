import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/**
 * The codes this package throws, rejects with, or logs. Match on these, never on messages.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `EPMD_UNREACHABLE` | no connection to epmd: nobody listens there, or the host is unknown | start `epmd -daemon` or {@link startEpmdServer}; check host and port |
 * | `EPMD_TIMEOUT` | epmd did not answer in time | look at the load of the host; raise `timeoutMs` |
 * | `EPMD_ABORTED` | the caller's signal ended the request | nothing |
 * | `EPMD_NO_REPLY` | the connection ended without an answer | a command for local peers, or one that needs `-relaxed_command_check`; or the port is not epmd's |
 * | `EPMD_REPLY_MALFORMED` | the answer is not what the protocol allows | check that the port is epmd's |
 * | `EPMD_REPLY_TOO_LARGE` | the answer is longer than `maxReplyBytes` | raise it, if so many nodes are expected |
 * | `EPMD_NAME_INVALID` | the name cannot be registered: empty, too long, or with a NUL | correct it; give the part before `@` |
 * | `EPMD_NAME_TAKEN` | epmd refused the registration: a live node has that name | choose another name, or end the other node |
 * | `EPMD_REGISTRATION_LOST` | the connection that holds the registration has ended | nothing while `keep` is on; else register again |
 * | `EPMD_OPTIONS_INVALID` | a port, version or other option cannot be used | correct the call |
 * | `EPMD_ENVIRONMENT_INVALID` | `ERL_EPMD_PORT` or `ERL_EPMD_ADDRESS` cannot be used | correct or remove the variable |
 * | `NODE_NOT_REGISTERED` | the node's host has no node of that name, or the static table has not | start the node; check the name |
 * | `EPMD_PORT_IN_USE` | the port of the embedded server is taken | use the one that is there (`ensureEpmdServer`), or another port |
 * | `EPMD_LISTEN_FAILED` | the embedded server cannot listen for another reason | see `cause`; check the address |
 * | `EPMD_REQUEST_MALFORMED` | server: a request that the protocol does not allow; the connection was closed | look at who connects |
 * | `EPMD_REQUEST_TOO_LARGE` | server: a request longer than 3057 bytes; closed | look at who connects |
 * | `EPMD_REQUEST_FORBIDDEN` | server: a command only for local peers, or only for relaxed mode; closed | none, if it is unwanted |
 * | `EPMD_REQUEST_TIMEOUT` | server: no complete request within `packetTimeoutMs`; closed | none |
 * | `EPMD_TOO_MANY_CONNECTIONS` | server: more than `maxConnections` without a registration; the oldest was closed | raise the limit, or look at who connects |
 * | `EPMD_TOO_MANY_NAMES` | server: more than `maxNames` registrations; refused | raise the limit |
 */
export const EPMD_ERROR_CODES = [
  "EPMD_UNREACHABLE",
  "EPMD_TIMEOUT",
  "EPMD_ABORTED",
  "EPMD_NO_REPLY",
  "EPMD_REPLY_MALFORMED",
  "EPMD_REPLY_TOO_LARGE",
  "EPMD_NAME_INVALID",
  "EPMD_NAME_TAKEN",
  "EPMD_REGISTRATION_LOST",
  "EPMD_OPTIONS_INVALID",
  "EPMD_ENVIRONMENT_INVALID",
  "NODE_NOT_REGISTERED",
  "EPMD_PORT_IN_USE",
  "EPMD_LISTEN_FAILED",
  "EPMD_REQUEST_MALFORMED",
  "EPMD_REQUEST_TOO_LARGE",
  "EPMD_REQUEST_FORBIDDEN",
  "EPMD_REQUEST_TIMEOUT",
  "EPMD_TOO_MANY_CONNECTIONS",
  "EPMD_TOO_MANY_NAMES",
] as const;

/** One of {@link EPMD_ERROR_CODES}. */
export type EpmdErrorCode = (typeof EPMD_ERROR_CODES)[number];

/** An {@link IsthmusError} whose code the compiler has checked. */
export function epmdError(
  code: EpmdErrorCode,
  message: string,
  options: IsthmusErrorOptions = {},
): IsthmusError {
  return new IsthmusError(code, message, options);
}
