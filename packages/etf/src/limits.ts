import { etfError } from "./errors.ts";

/** What a decoder takes from a peer at most. Each has its own error code. */
export interface TermLimits {
  /** Containers around the innermost term (`ETF_DEPTH_LIMIT`). */
  readonly maxDepth: number;
  /** Elements of all containers of one term together, map keys and bytes of a charlist included (`ETF_ELEMENTS_LIMIT`). */
  readonly maxElements: number;
  /** Bytes of one integer's magnitude (`ETF_BIGNUM_LIMIT`). */
  readonly maxBignumBytes: number;
  /** Bytes that compressed data may announce (`ETF_INFLATED_LIMIT`). */
  readonly maxInflatedBytes: number;
}

/**
 * The defaults.
 *
 * - `maxDepth` 10 000: nothing in this package recurses, but the code that walks a decoded term mostly does, and a
 *   JavaScript stack holds about ten thousand plain calls. Terms that people send are nested some dozens deep.
 * - `maxElements` 2^24: an element takes at least one byte on the wire and eight in memory, so 16 MiB of bytes can ask
 *   for 128 MiB of slots, and not for more. 2^24 - 1 is also the BEAM's largest tuple.
 * - `maxBignumBytes` 256 Ki: numbers of 600 000 decimal digits; printing longer ones takes seconds.
 * - `maxInflatedBytes` 64 Mi: zlib packs up to a thousand times, so compressed terms need a bound of their own.
 */
export const DEFAULT_TERM_LIMITS: TermLimits = Object.freeze({
  maxDepth: 10_000,
  maxElements: 2 ** 24,
  maxBignumBytes: 256 * 1024,
  maxInflatedBytes: 64 * 1024 * 1024,
});

/** The defaults with `limits` laid over them; each must be a whole number from 0. */
export function completeLimits(limits: Partial<TermLimits> | undefined): TermLimits {
  if (limits === undefined || limits === DEFAULT_TERM_LIMITS) return DEFAULT_TERM_LIMITS;
  return {
    maxDepth: whole(limits.maxDepth, "maxDepth"),
    maxElements: whole(limits.maxElements, "maxElements"),
    maxBignumBytes: whole(limits.maxBignumBytes, "maxBignumBytes"),
    maxInflatedBytes: whole(limits.maxInflatedBytes, "maxInflatedBytes"),
  };
}

function whole(value: number | undefined, name: keyof TermLimits): number {
  if (value === undefined) return DEFAULT_TERM_LIMITS[name];
  if (!Number.isSafeInteger(value) || value < 0) {
    throw etfError("ETF_UNREPRESENTABLE", `The limit ${name} must be a whole number from 0, not ${value}.`);
  }
  return value;
}
