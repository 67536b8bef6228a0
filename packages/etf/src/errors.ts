import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/**
 * The codes this package throws. Match on these, never on messages. Errors about bytes carry `context.offset`, the
 * index in the input at which it went wrong.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `ETF_TRUNCATED` | the bytes end within a term | frame the input first; a decoder needs the whole term |
 * | `ETF_VERSION` | the first byte is not 131 | check that these are bytes of `term_to_binary` |
 * | `ETF_TRAILING_BYTES` | bytes follow the term | use `decodePrefix` if that is expected |
 * | `ETF_TAG_UNKNOWN` | a tag that does not exist or may not stand here | the peer is newer than this package, or the bytes are damaged |
 * | `ETF_MALFORMED` | a field has a value that the format does not allow | the bytes are damaged, or the peer is hostile |
 * | `ETF_ATOM_INVALID` | atom text is not UTF-8, is longer than 255 characters, or an atom cache reference leads nowhere | correct the text; from a peer: as above |
 * | `ETF_DUPLICATE_KEY` | a map has one key twice | a BEAM refuses such bytes too |
 * | `ETF_COMPRESSED_INVALID` | compressed data is damaged, or its size is not the announced one | as for `ETF_MALFORMED` |
 * | `ETF_DEPTH_LIMIT` | nested deeper than `maxDepth` | raise the limit if such terms are expected; when encoding: look for a cycle |
 * | `ETF_ELEMENTS_LIMIT` | more elements than `maxElements` | raise the limit if such terms are expected |
 * | `ETF_BIGNUM_LIMIT` | an integer longer than `maxBignumBytes` | raise the limit if such numbers are expected |
 * | `ETF_INFLATED_LIMIT` | compressed data announces more than `maxInflatedBytes` | raise the limit if such terms are expected |
 * | `ETF_UNEXPECTED_TERM` | another kind of term stands where a certain kind was asked for | handle it, or refuse the message |
 * | `ETF_NUMBER_UNSAFE` | a whole `number` beyond 2^53 is neither a certain integer nor surely meant as a float | pass a `bigint`, or `new Float(value)` |
 * | `ETF_UNREPRESENTABLE` | the value has no form in Erlang (`NaN`, `null`, plain objects), or a field of it is out of range | use the constructors, or `fromJs` |
 * | `ETF_SIZE_LIMIT` | a part is longer than its length field can say; or a stream had to hold back more than `maxHeldBytes` | split it; raise the limit if such terms are expected |
 * | `ETF_TEXT_INVALID` | text for `parseTerm` is not a literal of the chosen syntax | the message tells the line and column |
 * | `ETF_CONVERSION` | `toJs`, `fromJs` or the erlang_js adapter has no form for a value | choose another option, or use terms |
 */
export const ETF_ERROR_CODES = [
  "ETF_TRUNCATED",
  "ETF_VERSION",
  "ETF_TRAILING_BYTES",
  "ETF_TAG_UNKNOWN",
  "ETF_MALFORMED",
  "ETF_ATOM_INVALID",
  "ETF_DUPLICATE_KEY",
  "ETF_COMPRESSED_INVALID",
  "ETF_DEPTH_LIMIT",
  "ETF_ELEMENTS_LIMIT",
  "ETF_BIGNUM_LIMIT",
  "ETF_INFLATED_LIMIT",
  "ETF_UNEXPECTED_TERM",
  "ETF_NUMBER_UNSAFE",
  "ETF_UNREPRESENTABLE",
  "ETF_SIZE_LIMIT",
  "ETF_TEXT_INVALID",
  "ETF_CONVERSION",
] as const;

/** A code of {@link ETF_ERROR_CODES}. */
export type EtfErrorCode = (typeof ETF_ERROR_CODES)[number];

export function etfError(code: EtfErrorCode, message: string, options?: IsthmusErrorOptions): IsthmusError {
  return new IsthmusError(code, message, options);
}

/** An error about the byte at `offset`. */
export function errorAt(code: EtfErrorCode, message: string, offset: number, cause?: unknown): IsthmusError {
  return new IsthmusError(code, `${message} (at byte ${offset})`, { context: { offset }, cause });
}

export function truncatedAt(offset: number): IsthmusError {
  return errorAt("ETF_TRUNCATED", "The bytes end within a term; pass all of it.", offset);
}
