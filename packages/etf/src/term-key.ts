import { TermWriter } from "./term-writer.ts";
import { Atom, type Term } from "./terms.ts";

const writer = new TermWriter({ slabBytes: 1024 });

/** A value that is the same (as a key of a `Map`) for terms that are `=:=`, and differs for others. */
export function termKey(term: Term): unknown {
  if (typeof term === "number" || typeof term === "boolean" || term instanceof Atom) return term;
  if (typeof term === "bigint") {
    const small = Number(term);
    return Number.isSafeInteger(small) ? small : term;
  }
  const mark = writer.mark();
  try {
    writer.term(term);
    return writer.bytes.toString("latin1", writer.position - (writer.mark() - mark), writer.position);
  } finally {
    writer.truncate(mark);
  }
}
