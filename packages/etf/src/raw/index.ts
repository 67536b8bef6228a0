/**
 * Work on terms as bytes: find their end, or copy them with identifiers translated, without decoding.
 * @packageDocumentation
 */

export type { Identity, IdentityTranslator } from "./identity.ts";
export { rewriteTerm } from "./rewrite.ts";
export { skipTerm } from "./skip.ts";
