/** Codes of the errors that `@isthmus/strategies` makes itself. */
export const STRATEGIES_ERROR_CODES = [
  /** An option of a strategy is not what it must be. */
  "STRATEGY_OPTIONS_INVALID",
  /** A strategy threw; its error is the cause. */
  "STRATEGY_FAILED",
  /** The connect hook rejected with an error without a code, which is the cause. */
  "CONNECT_FAILED",
  /** The reason with which attempts under way are aborted by `stop`. */
  "TOPOLOGY_STOPPED",
] as const;

/** One of {@link STRATEGIES_ERROR_CODES}. */
export type StrategiesErrorCode = (typeof STRATEGIES_ERROR_CODES)[number];
