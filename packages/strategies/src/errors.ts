import { IsthmusError, type IsthmusErrorOptions, isIsthmusError } from "@isthmus/wire";

/**
 * Codes of the errors that `@isthmus/strategies` makes itself.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `STRATEGY_OPTIONS_INVALID` | an option of a strategy is not what it must be | correct it; the message names it |
 * | `STRATEGY_FAILED` | a strategy threw an error without a code, which is the cause | see the cause |
 * | `CONNECT_FAILED` | the connect hook rejected with an error without a code, which is the cause | see the cause |
 * | `CONNECT_ABORTED` | reason of an aborted attempt: the topology was stopped, or discovery no longer names the node | nothing |
 */
export const STRATEGIES_ERROR_CODES = [
  "STRATEGY_OPTIONS_INVALID",
  "STRATEGY_FAILED",
  "CONNECT_FAILED",
  "CONNECT_ABORTED",
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
