/** @packageDocumentation */
export { decode, decodePrefix, encode } from "./codec.ts";
export { ETF_ERROR_CODES, type EtfErrorCode } from "./errors.ts";
export { DEFAULT_TERM_LIMITS, type TermLimits } from "./limits.ts";
export { TermMap } from "./term-map.ts";
export { TermReader } from "./term-reader.ts";
export { TermWriter } from "./term-writer.ts";
export { Atom, atom, BitString, ExportFun, Float, Fun, ImproperList, NativeRecord, Pid, Port, Reference, type Term, Tuple, tuple } from "./terms.ts";
