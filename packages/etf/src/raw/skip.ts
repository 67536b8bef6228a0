import type { TermLimits } from "../limits.ts";
import type { Atom } from "../terms/atom.ts";
import { giveBack, takeScanner } from "./scanner-pool.ts";

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
  const scanner = takeScanner(limits);
  try {
    return scanner.walk(bytes, offset, end, atomRefs, undefined, undefined);
  } finally {
    giveBack(scanner);
  }
}
