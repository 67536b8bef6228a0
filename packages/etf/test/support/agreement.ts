import {
  type Atom,
  atom,
  encode,
  equals,
  inspectTerm,
  type Term,
  TermReader,
  TermWriter,
} from "@isthmus/etf";
import { type Identity, type IdentityTranslator, rewriteTerm, skipTerm } from "@isthmus/etf/raw";
import { isIsthmusError } from "@isthmus/wire";

type Verdict = { readonly end: number } | { readonly code: string };

/** What atom cache references mean in all inputs of the tests. */
export const atomRefs: readonly Atom[] = [atom("cached"), atom("n@h"), atom("日本"), atom("true")];

const bridge = atom("bridge@127.0.0.1");
const identities = new Map<Atom, Map<number, Identity>>();

/** Each incarnation gets another one: the contract of a translator. */
const translator: IdentityTranslator = {
  identity(node, creation) {
    let known = identities.get(node);
    if (known === undefined) {
      known = new Map();
      identities.set(node, known);
    }
    let identity = known.get(creation);
    if (identity === undefined) {
      nextCreation = (nextCreation + 1) >>> 0;
      identity = { node: bridge, creation: nextCreation };
      known.set(creation, identity);
    }
    return identity;
  },
};
let nextCreation = 4;
const reader = new TermReader();
const again = new TermReader();
const writer = new TermWriter();

/** How many of the inputs of {@link assertAgreement} were valid. */
export const seen = { accepted: 0, refused: 0, otherCode: 0 };

/**
 * Shows the term in `bytes` to the decoder, to skipTerm and to rewriteTerm. They must all accept it, with the same end,
 * or all refuse it with a code; what the rewriter makes must be the same term, and so must be what the encoder makes.
 */
export function assertAgreement(bytes: Buffer): void {
  let term: Term = false;
  const decoded = verdict(() => {
    reader.reset(bytes, 0, bytes.length, atomRefs);
    term = reader.term();
    return reader.offset;
  });
  const skipped = verdict(() => skipTerm(bytes, 0, bytes.length, undefined, atomRefs));
  writer.truncate(0);
  const rewritten = verdict(() =>
    rewriteTerm(bytes, 0, bytes.length, writer, { identity: () => null }, atomRefs),
  );
  if (!same(decoded, skipped) || !same(decoded, rewritten)) {
    throw new Error(
      `no agreement on ${bytes.toString("hex")}: ${JSON.stringify({ decoded, skipped, rewritten })}`,
    );
  }
  if (!("end" in decoded)) {
    seen.refused++;
    if (JSON.stringify(decoded) !== JSON.stringify(skipped)) seen.otherCode++;
    return;
  }
  seen.accepted++;
  // a view: the writer does not write on until it has been read
  const copy = writer.bytes.subarray(writer.position - writer.length, writer.position);
  assertSame(bytes, term, copy, "rewriting");
  assertSame(bytes, term, encode(term).subarray(1), "encoding");
  writer.truncate(0);
  const end = rewriteTerm(bytes, 0, bytes.length, writer, translator, atomRefs);
  if (end !== decoded.end) throw new Error(`translation of ${bytes.toString("hex")} ends at ${end}`);
  const translated = writer.bytes.subarray(writer.position - writer.length, writer.position);
  again.reset(translated, 0, translated.length);
  again.term();
  if (again.offset !== translated.length)
    throw new Error(`translation of ${bytes.toString("hex")} has a rest`);
}

function assertSame(bytes: Buffer, term: Term, copy: Buffer, how: string): void {
  again.reset(copy, 0, copy.length);
  const other = again.term();
  if (again.offset !== copy.length || !equals(term, other)) {
    throw new Error(
      `${how} changed ${bytes.toString("hex")}: ${inspectTerm(term)} became ${inspectTerm(other)} (${copy.toString("hex")})`,
    );
  }
}

function same(a: Verdict, b: Verdict): boolean {
  return "end" in a ? "end" in b && a.end === b.end : "code" in b;
}

function verdict(run: () => number): Verdict {
  // most inputs of a fuzzer are refused, and nobody reads where
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return { end: run() };
  } catch (error) {
    if (!isIsthmusError(error) || !error.code.startsWith("ETF_")) throw error;
    return { code: error.code };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
