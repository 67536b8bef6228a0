import { etfError } from "./errors.ts";
import { DEFAULT_TERM_LIMITS, type TermLimits } from "./limits.ts";
import { TAG, VERSION } from "./tags.ts";
import { inflate, TermReader } from "./term-reader.ts";
import { TermWriter } from "./term-writer.ts";
import type { Term } from "./terms.ts";

/** The bytes of a term, with the leading version byte, as `term_to_binary/1` makes them. @throws IsthmusError `ETF_UNREPRESENTABLE` */
export function encode(term: Term): Buffer {
  const writer = new TermWriter({ slabBytes: 256 });
  writer.u8(VERSION);
  writer.term(term);
  return writer.take();
}

/** The term that `bytes` are; nothing may follow it. @throws IsthmusError any of the ETF codes */
export function decode(bytes: Uint8Array, limits: Partial<TermLimits> = {}): Term {
  const { term, used } = decodePrefix(bytes, limits);
  if (used !== bytes.length) {
    throw etfError("ETF_TRAILING_BYTES", `${bytes.length - used} bytes follow the term.`, { offset: used });
  }
  return term;
}

/** The term that `bytes` begin with, and how many of them it takes. @throws IsthmusError any of the ETF codes */
export function decodePrefix(bytes: Uint8Array, limits: Partial<TermLimits> = {}): { term: Term; used: number } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer[0] !== VERSION) throw etfError("ETF_MALFORMED", "A term begins with the byte 131.", { offset: 0 });
  const reader = new TermReader(limits);
  if (buffer[1] === TAG.COMPRESSED) {
    if (buffer.length < 6) throw etfError("ETF_TRUNCATED", "The bytes end within the term.", { offset: 2 });
    const plain = inflate(buffer.subarray(6), buffer.readUInt32BE(2), { ...DEFAULT_TERM_LIMITS, ...limits });
    reader.reset(plain, 0, plain.length);
    return { term: reader.term(), used: buffer.length };
  }
  reader.reset(buffer, 1, buffer.length);
  return { term: reader.term(), used: reader.offset };
}
