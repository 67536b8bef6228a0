/**
 * Erlang's external term format: a lossless codec.
 *
 * @example
 * ```ts
 * import { atom, decode, encode, tuple } from "@isthmus/etf";
 *
 * const bytes = encode(tuple(atom("ok"), [1, 2n ** 70n, "text"]));
 * const term = decode(bytes);
 * ```
 * @packageDocumentation
 */
export { equals } from "./compare/equals.ts";
export { compareTerms, compareTermsExact } from "./compare/order.ts";
export { type FromJsOptions, fromJs } from "./convert/from-js.ts";
export { type ToJsOptions, toJs } from "./convert/to-js.ts";
export { type DecodeOptions, decode, decodePrefix } from "./decode/decode.ts";
export type { TermReaderOptions } from "./decode/term-decoder.ts";
export { TermReader } from "./decode/term-reader.ts";
export { type EncodeOptions, encode } from "./encode/encode.ts";
export { type AtomReferences, TermWriter, type TermWriterOptions } from "./encode/term-writer.ts";
export { ETF_ERROR_CODES, type EtfErrorCode } from "./errors.ts";
export { DEFAULT_TERM_LIMITS, type TermLimits } from "./limits.ts";
export type { Term } from "./term.ts";
export { Atom, atom, internedAtomCount } from "./terms/atom.ts";
export { BitString } from "./terms/bit-string.ts";
export { ExportFun } from "./terms/export-fun.ts";
export { Float } from "./terms/float.ts";
export { Fun, type FunFields } from "./terms/fun.ts";
export { ImproperList } from "./terms/improper-list.ts";
export { kindOf, type TermKind } from "./terms/kind.ts";
export { LocalTerm } from "./terms/local-term.ts";
export { NativeRecord } from "./terms/native-record.ts";
export { Pid } from "./terms/pid.ts";
export { Port } from "./terms/port.ts";
export { Reference } from "./terms/reference.ts";
export { TermMap } from "./terms/term-map.ts";
export { Tuple, tuple } from "./terms/tuple.ts";
export { type InspectOptions, inspectTerm } from "./text/inspect.ts";
export { type ParseOptions, parseTerm } from "./text/parse.ts";
