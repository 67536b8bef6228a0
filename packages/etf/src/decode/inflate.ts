import { inflateSync } from "node:zlib";
import { errorAt } from "../errors.ts";

/** What {@link inflateTerm} found. */
export interface Inflated {
  /** The plain term, without a version byte. */
  readonly bytes: Buffer;
  /** Where the compressed data ended. */
  readonly end: number;
}

/**
 * Inflates what follows tag 80: size:32 and zlib data. The size must be exact; what follows the data is left alone.
 * @param at of the size
 * @throws IsthmusError `ETF_TRUNCATED`, `ETF_INFLATED_LIMIT`, `ETF_COMPRESSED_INVALID`
 */
export function inflateTerm(bytes: Buffer, at: number, end: number, maxInflatedBytes: number): Inflated {
  if (end - at < 4)
    throw errorAt("ETF_TRUNCATED", "The bytes end within a compressed term; pass all of it.", at);
  const size = bytes.readUInt32BE(at);
  if (size > maxInflatedBytes) {
    throw errorAt(
      "ETF_INFLATED_LIMIT",
      `A compressed term announces ${size} bytes; at most ${maxInflatedBytes} are taken. Raise maxInflatedBytes if such terms are expected.`,
      at,
    );
  }
  let inflated: { buffer: Buffer; engine: { bytesWritten: number } };
  try {
    inflated = inflateSync(bytes.subarray(at + 4, end), {
      info: true,
      maxOutputLength: Math.max(size, 1),
      chunkSize: Math.min(Math.max(size, 64), 64 * 1024),
    }) as never;
  } catch (cause) {
    throw errorAt(
      "ETF_COMPRESSED_INVALID",
      "Compressed data is damaged, cut, or longer than announced.",
      at,
      cause,
    );
  }
  if (inflated.buffer.length !== size) {
    throw errorAt(
      "ETF_COMPRESSED_INVALID",
      `Compressed data announces ${size} bytes and holds ${inflated.buffer.length}.`,
      at,
    );
  }
  return { bytes: inflated.buffer, end: at + 4 + inflated.engine.bytesWritten };
}
