import { completeLimits, DEFAULT_TERM_LIMITS, type TermLimits } from "../limits.ts";
import { TermScanner } from "./scan.ts";

/** Scanners that are not in use. More than one is there when a translator has itself rewritten a term. */
const idle: TermScanner[] = [];
/** The same limits come with every call, or none do. */
let idleLimits: Partial<TermLimits> = DEFAULT_TERM_LIMITS;

/** A scanner with these limits, for one walk. */
export function takeScanner(limits: Partial<TermLimits> = DEFAULT_TERM_LIMITS): TermScanner {
  if (limits !== idleLimits) {
    idle.length = 0;
    idleLimits = limits;
  }
  return idle.pop() ?? new TermScanner(completeLimits(limits), limits);
}

/** To be called after the walk, however it ended. */
export function giveBack(scanner: TermScanner): void {
  scanner.release();
  if (scanner.key === idleLimits) idle.push(scanner);
}
