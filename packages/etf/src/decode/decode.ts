import { errorAt } from "../errors.ts";
import type { Term } from "../term.ts";
import type { Atom } from "../terms/atom.ts";
import { LocalTerm } from "../terms/local-term.ts";
import { TermDecoder, type TermReaderOptions } from "./term-decoder.ts";

/** Options of {@link decode}. */
export interface DecodeOptions extends TermReaderOptions {
  /** Takes LOCAL_EXT (`term_to_binary(T, [local])`) as an opaque {@link LocalTerm}; refused by default, as a BEAM does. */
  readonly local?: boolean;
  /** The atoms that ATOM_CACHE_REF means. */
  readonly atomRefs?: readonly Atom[];
}

const VERSION = 131;
const LOCAL_EXT = 121;

let shared = new TermDecoder();

/**
 * Decodes one term as `term_to_binary` makes it: 131 and the term, compressed or not.
 * @throws IsthmusError `ETF_VERSION`, `ETF_TRAILING_BYTES`, and the codes of {@link TermReader.term}
 */
export function decode(bytes: Uint8Array, options?: DecodeOptions): Term {
  const { term, used } = decodePrefix(bytes, options);
  if (used < bytes.length) {
    throw errorAt(
      "ETF_TRAILING_BYTES",
      `${bytes.length - used} bytes follow the term. Use decodePrefix if that is expected.`,
      used,
    );
  }
  return term;
}

/**
 * Decodes the term at the start of `bytes`, which begins with 131, and tells how many bytes it took
 * (`binary_to_term(Bytes, [used])`).
 * @throws IsthmusError as {@link decode}
 */
export function decodePrefix(bytes: Uint8Array, options?: DecodeOptions): { term: Term; used: number } {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.length === 0) throw errorAt("ETF_TRUNCATED", "There are no bytes.", 0);
  if (buffer[0] !== VERSION) {
    throw errorAt(
      "ETF_VERSION",
      `The first byte is ${buffer[0]}, not ${VERSION}: this is no external term.`,
      0,
    );
  }
  if (options?.local === true && buffer[1] === LOCAL_EXT) {
    return { term: new LocalTerm(buffer.subarray(2)), used: buffer.length };
  }
  const decoder = options === undefined ? shared : new TermDecoder(options);
  decoder.reset(buffer, 1, buffer.length, options?.atomRefs);
  try {
    return { term: decoder.term(), used: decoder.offset };
  } catch (error) {
    // what was half decoded is let go with the decoder
    if (decoder === shared) shared = new TermDecoder();
    throw error;
  } finally {
    decoder.reset(NONE, 0, 0);
  }
}

const NONE = Buffer.alloc(0);
