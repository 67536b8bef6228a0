import { ImproperList, Reference, type Term } from "@isthmus/etf";
import { ALIAS } from "./atoms.ts";
import type { References } from "./identity.ts";

/** The alias in `[alias | Alias]` or `[[alias | Alias] | _]`, the reply tags of OTP 24 and later (PROTOCOL 8.1). */
export function tagAlias(tag: Term): Reference | undefined {
  if (!(tag instanceof ImproperList)) return undefined;
  const head = tag.elements[0];
  if (head === ALIAS && tag.elements.length === 1)
    return tag.tail instanceof Reference ? tag.tail : undefined;
  return head instanceof ImproperList ? tagAlias(head) : undefined;
}

/** The number of our reference in a reply's tag, which is that or `[alias | Ref]`; 0 when there is none. */
export function replyTagNumber(tag: Term, references: References): number {
  const ref = tag instanceof Reference ? tag : tagAlias(tag);
  return ref === undefined ? 0 : references.number(ref);
}
