import { IsthmusError } from "@isthmus/wire";

/** Codes of the errors that `@isthmus/etf` throws. `context.offset` says where in the bytes, when decoding. */
export const ETF_ERROR_CODES = [
  /** The bytes end within the term. */
  "ETF_TRUNCATED",
  /** A tag that no release of OTP sends, or one that is not allowed here. */
  "ETF_TAG_UNKNOWN",
  /** A part of the term is not what it must be. */
  "ETF_MALFORMED",
  /** Bytes follow the term. */
  "ETF_TRAILING_BYTES",
  /** A named limit was met; `context.limit` says which. */
  "ETF_LIMIT",
  /** The value has no representation as an Erlang term. */
  "ETF_UNREPRESENTABLE",
] as const;

/** One of {@link ETF_ERROR_CODES}. */
export type EtfErrorCode = (typeof ETF_ERROR_CODES)[number];

export function etfError(code: EtfErrorCode, message: string, context: Record<string, unknown> = {}): IsthmusError {
  return new IsthmusError(code, message, { context });
}
