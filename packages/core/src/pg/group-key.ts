import { compareTermsExact, decode, encode, ImproperList, type Term, Tuple } from "@isthmus/etf";
import { coreError } from "../errors.ts";

/** Containers around the innermost term of a group's name. */
const MAX_NESTING = 500;

/**
 * The name of a group, which is any term, as the key of a `Map`: the same for equal terms, and longer by as much as the
 * term is larger. Maps count as equal whatever order their entries are in; closures when their bytes are.
 * @throws IsthmusError `OPTION_INVALID` when it is nested deeper than 500, a code of `@isthmus/etf`
 */
export function groupKey(group: Term): string {
  return encode(ordered(group, 0)).toString("latin1");
}

/** The term of which that is the key, in memory of its own. */
export function groupOf(key: string): Term {
  return decode(Buffer.from(key, "latin1"));
}

/** The term with the entries of all maps in Erlang's order. */
function ordered(term: Term, depth: number): Term {
  if (typeof term !== "object") return term;
  if (depth > MAX_NESTING) {
    throw coreError("OPTION_INVALID", `The name of a group is nested deeper than ${MAX_NESTING}.`);
  }
  const next = (element: Term): Term => ordered(element, depth + 1);
  if (Array.isArray(term)) return term.map(next);
  if (term instanceof Tuple) return new Tuple(term.elements.map(next));
  if (term instanceof ImproperList) return new ImproperList(term.elements.map(next), next(term.tail));
  // TermMap as well: it looks like a Map, and is found by what it can do
  if ("entries" in term && "has" in term) {
    const entries = Array.from(term, ([key, value]): [Term, Term] => [next(key), next(value)]);
    return new Map(entries.sort(([a], [b]) => compareTermsExact(a, b)));
  }
  return term;
}
