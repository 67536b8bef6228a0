import { type BackoffOptions, backoffDelay } from "@isthmus/wire";

/** When a node that is not connected is dialled again; all in milliseconds. */
export interface RetryDelays {
  /** @param failures failed attempts since it was connected last, from 1 */
  afterFailure(failures: number): number;
  /** @param quickLosses losses in a row of connections that did not last, from 0 */
  afterLoss(quickLosses: number): number;
  /** A connection that lived this long has lasted. */
  readonly lastingMs: number;
}

/** Delays that double and are random by half; none after the loss of a connection that lasted. */
export function backoffDelays(options: BackoffOptions, random: () => number): RetryDelays {
  return {
    afterFailure: (failures) => backoffDelay(failures - 1, options, random()),
    afterLoss: (quickLosses) => (quickLosses <= 1 ? 0 : backoffDelay(quickLosses - 2, options, random())),
    lastingMs: options.maxMs,
  };
}

/** Always the same delay, as libcluster, which tries again at its next poll. */
export function fixedDelays(ms: number): RetryDelays {
  return { afterFailure: () => ms, afterLoss: () => ms, lastingMs: 0 };
}
