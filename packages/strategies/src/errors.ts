import { IsthmusError, type IsthmusErrorOptions, isIsthmusError } from "@isthmus/wire";

/**
 * Codes of the errors that `@isthmus/strategies` makes itself.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `STRATEGY_OPTIONS_INVALID` | an option of a strategy or a topology is not what it must be | correct it; the message names it |
 * | `STRATEGY_UNKNOWN` | there is no strategy of that name | correct it; the message lists them |
 * | `PEER_DEPENDENCY_MISSING` | a strategy needs an npm package that is not installed | install it; the message says which |
 * | `DISCOVERY_FAILED` | a source could not be asked, or its answer makes no sense | see the message; the next round tries again |
 * | `HTTP_FAILED` | an HTTP service could not be reached, or its answer is too late or too long | check the URL and the network |
 * | `HTTP_STATUS` | an HTTP service answered with another status than 2xx, which is `context.status` | 401 and 403: check token and rights |
 * | `HTTP_BODY_INVALID` | the answer of an HTTP service is not what it must be | check the URL |
 * | `STRATEGY_FAILED` | a strategy threw an error without a code, which is the cause | see the cause |
 * | `CONNECT_FAILED` | the connect hook failed without a code of its own; why is the cause, or in the message | see there |
 * | `CONNECT_TIMEOUT` | the connect hook did not settle in time; the attempt was aborted | see what it waits for, or allow more with `connectTimeoutMs` |
 * | `CONNECT_IGNORED` | the connect function of a BEAM said `ignored`: that BEAM is not distributed | start it with a node name |
 * | `CONNECT_ABORTED` | reason of an aborted attempt: stopped, draining, or discovery no longer names the node | nothing |
 * | `DISCONNECT_FAILED` | the disconnect hook failed without a code of its own; why is the cause, or in the message | nothing: the next round tries again |
 * | `TOPOLOGY_EXISTS` | a topology of that name is there already | replace or remove it |
 * | `TOPOLOGY_UNKNOWN` | there is no topology of that name | correct it; the message lists them |
 * | `CLUSTER_STOPPED` | the cluster was stopped and takes no topologies any more | start a new one |
 * | `ENVIRONMENT_INVALID` | an environment variable is missing, or is not what it must be | set it; the message names it, never its value |
 */
export const STRATEGIES_ERROR_CODES = [
  "STRATEGY_OPTIONS_INVALID",
  "STRATEGY_UNKNOWN",
  "PEER_DEPENDENCY_MISSING",
  "DISCOVERY_FAILED",
  "HTTP_FAILED",
  "HTTP_STATUS",
  "HTTP_BODY_INVALID",
  "STRATEGY_FAILED",
  "CONNECT_FAILED",
  "CONNECT_TIMEOUT",
  "CONNECT_IGNORED",
  "CONNECT_ABORTED",
  "DISCONNECT_FAILED",
  "TOPOLOGY_EXISTS",
  "TOPOLOGY_UNKNOWN",
  "CLUSTER_STOPPED",
  "ENVIRONMENT_INVALID",
] as const;

/** One of {@link STRATEGIES_ERROR_CODES}. */
export type StrategiesErrorCode = (typeof STRATEGIES_ERROR_CODES)[number];

/** Makes an error with one of this package's codes. */
export function strategiesError(
  code: StrategiesErrorCode,
  message: string,
  options: IsthmusErrorOptions = {},
): IsthmusError {
  return new IsthmusError(code, message, options);
}

/** `error` itself when it has a code already, else one with `code` of which it is the cause. */
export function coded(error: unknown, code: StrategiesErrorCode, message: string): IsthmusError {
  return isIsthmusError(error) ? error : strategiesError(code, message, { cause: error });
}
