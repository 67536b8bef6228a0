import { completeLimits, DEFAULT_TERM_LIMITS, type TermLimits } from "../limits.ts";
import type { Atom } from "../terms/atom.ts";
import { TermScanner } from "./scan.ts";

let shared: TermScanner | undefined;

/**
 * Where the term that starts at `offset` ends. Checks everything that the decoder checks and makes nothing.
 * @param atomRefs the atoms that ATOM_CACHE_REF means, in distribution messages
 * @throws IsthmusError the codes of `TermReader.term`
 */
export function skipTerm(
  bytes: Buffer,
  offset: number,
  end: number,
  limits?: Partial<TermLimits>,
  atomRefs?: readonly Atom[],
): number {
  return scannerFor(limits).walk(bytes, offset, end, atomRefs, undefined, undefined);
}

/** The shared scanner, or one with limits of its own. A walk calls nothing that could start another one. */
function scannerFor(limits: Partial<TermLimits> | undefined): TermScanner {
  if (limits !== undefined) return new TermScanner(completeLimits(limits));
  shared ??= new TermScanner(DEFAULT_TERM_LIMITS);
  return shared;
}
