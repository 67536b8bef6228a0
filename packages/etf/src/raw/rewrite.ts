import type { TermWriter } from "../encode/term-writer.ts";
import type { TermLimits } from "../limits.ts";
import type { Atom } from "../terms/atom.ts";
import type { IdentityTranslator } from "./identity.ts";
import { giveBack, takeScanner } from "./scanner-pool.ts";
import type { TermTarget } from "./target.ts";

/**
 * Copies the term in `bytes[start, end)` to the writer, without decoding it, with node and creation of every pid, port
 * and reference replaced by what the translator says. Ids, serials and reference words stay, unless the translator
 * decides on each ({@link Identity.each}). It goes into funs too: their creator and what they have captured.
 *
 * What comes out needs no context: atom cache references are written out, old forms of identifiers become the new
 * ones, compressed terms plain ones.
 *
 * @param end of the input; the term may end earlier
 * @param translator is asked once for each run of identifiers of one incarnation
 * @param atomRefs the atoms that ATOM_CACHE_REF means, in distribution messages
 * @param target who will decode the copy; nothing is written that it could not. @default anybody
 * @returns where the term ended
 * @throws IsthmusError the codes of `TermReader.term`, and `ETF_UNREPRESENTABLE` for a term that is well formed but not
 * for `target`; with an offset. Roll the writer back with `truncate` then
 */
export function rewriteTerm(
  bytes: Buffer,
  start: number,
  end: number,
  writer: TermWriter,
  translator: IdentityTranslator,
  atomRefs?: readonly Atom[],
  limits?: Partial<TermLimits>,
  target?: TermTarget,
): number {
  const scanner = takeScanner(limits);
  try {
    return scanner.walk(bytes, start, end, atomRefs, writer, translator, target);
  } finally {
    giveBack(scanner);
  }
}
