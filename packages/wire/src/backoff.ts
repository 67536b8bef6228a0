/** Bounds of {@link backoffDelay}, in milliseconds. */
export interface BackoffOptions {
  /** Longest delay before the first retry. */
  readonly firstMs: number;
  /** No delay is longer. */
  readonly maxMs: number;
}

/**
 * Delay before retry number `attempt` (from 0): doubles each time up to `maxMs`, of which the upper half is
 * random, so that many clients do not return at once.
 * @param random a number in [0, 1)
 */
export function backoffDelay(attempt: number, options: BackoffOptions, random: number): number {
  const ceiling = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
