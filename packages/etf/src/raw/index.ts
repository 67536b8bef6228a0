/**
 * Work on terms as bytes: find their end, or copy them with identifiers translated, without decoding. And atoms that
 * are held weakly, for programs that read protocols themselves.
 * @packageDocumentation
 */

export { atomFromUtf8, internWeakly } from "../terms/atom.ts";
export type { IdentifierTranslator, Identity, IdentityTranslator } from "./identity.ts";
export { rewriteTerm } from "./rewrite.ts";
export { skipTerm } from "./skip.ts";
export { isDecodable, isNarrow, type TermTarget } from "./target.ts";
export { TermStream, type TermStreamOptions } from "./term-stream.ts";
