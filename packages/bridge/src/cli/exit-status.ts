/** What the command ends with. */
export const EXIT = {
  OK: 0,
  /** It did not work; the message says what. */
  FAILED: 1,
  /** The command line is wrong. */
  USAGE: 2,
  /** The configuration is wrong; the message lists every problem with its line. */
  CONFIG: 3,
} as const;

/** The status for an error with this code. */
export function exitStatus(code: string | undefined): number {
  return code === "CONFIG_INVALID" || code === "CONFIG_UNREADABLE" ? EXIT.CONFIG : EXIT.FAILED;
}
