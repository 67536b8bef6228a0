import type { Term } from "../term.ts";
import { compareTermsExact } from "./order.ts";
/** `=:=` of Erlang. */
export function equals(a: Term, b: Term): boolean {
  return compareTermsExact(a, b) === 0;
}
