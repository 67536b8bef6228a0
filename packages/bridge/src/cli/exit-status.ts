/**
 * What the command `isthmus` ends with, in the manner of `sysexits`.
 *
 * | status | meaning |
 * |---|---|
 * | 0 | it did what it was asked; `run` was told to end, and ended in order |
 * | 1 | it did not work; the last message says why. Also a `run` that was told a second time to end |
 * | 2 | the command line is wrong |
 * | 3 | the configuration is wrong, or not there; the message lists every problem with its line |
 */
export const EXIT = { OK: 0, FAILED: 1, USAGE: 2, CONFIG: 3 } as const;

/** The status for an error with this code. */
export function exitStatus(code: string): number {
  return code === "CONFIG_INVALID" || code === "CONFIG_UNREADABLE" ? EXIT.CONFIG : EXIT.FAILED;
}
