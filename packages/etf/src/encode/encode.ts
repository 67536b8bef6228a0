import { constants, deflateSync } from "node:zlib";
import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { LocalTerm } from "../terms/local-term.ts";
import { TermWriter, type TermWriterOptions } from "./term-writer.ts";

/** Options of {@link encode}. */
export interface EncodeOptions {
  /** Packs the term with zlib when that makes it shorter: true for level 6, or a level from 1 to 9. Default false. */
  readonly compressed?: boolean | number;
  /**
   * Writes what `term_to_binary/1` of that release writes: up to 25 atoms in Latin-1 where possible and small ports in
   * the short form. Every release reads both. Default: the newest forms, which are also those of the distribution.
   */
  readonly otpRelease?: number;
  /** Containers around the innermost term (`ETF_DEPTH_LIMIT`). Default 1 000 000. */
  readonly maxDepth?: number;
}

const VERSION = 131;
const COMPRESSED = 80;
const LOCAL_EXT = 121;
/** The scratch memory that `encode` writes into. Results that outgrow it keep what they were written into. */
const SCRATCH_BYTES = 64 * 1024;
const LAST_OLD_RELEASE = 25;

let shared: TermWriter | undefined;

/**
 * Encodes a term as `term_to_binary` does: 131 and the term.
 * @throws IsthmusError the codes of {@link TermWriter.term}
 */
export function encode(term: Term, options?: EncodeOptions): Buffer {
  if (term instanceof LocalTerm) return Buffer.concat([Buffer.from([VERSION, LOCAL_EXT]), term.bytes]);
  if (options?.otpRelease !== undefined || options?.maxDepth !== undefined) {
    return finish(new TermWriter(writerOptions(options)), term, options);
  }
  // taken while in use: a getter of the term could call encode again
  const writer = shared ?? new TermWriter({ slabBytes: SCRATCH_BYTES });
  shared = undefined;
  const bytes = finish(writer, term, options);
  if (writer.bytes.length === SCRATCH_BYTES) shared = writer;
  return bytes;
}

function finish(writer: TermWriter, term: Term, options: EncodeOptions | undefined): Buffer {
  writer.u8(VERSION);
  writer.term(term);
  const plain = writer.length > SCRATCH_BYTES >>> 1 ? writer.take() : writer.copyOut();
  const compressed = options?.compressed ?? false;
  if (compressed === false) return plain;
  return compress(plain, compressed === true ? constants.Z_DEFAULT_COMPRESSION : compressed);
}

function writerOptions(options: EncodeOptions): TermWriterOptions {
  const old = options.otpRelease !== undefined && options.otpRelease <= LAST_OLD_RELEASE;
  return {
    slabBytes: 1024,
    latin1Atoms: old,
    shortPorts: old,
    ...(options.maxDepth === undefined ? {} : { maxDepth: options.maxDepth }),
  };
}

function compress(plain: Buffer, level: number): Buffer {
  if (level !== -1 && !(Number.isInteger(level) && level >= 1 && level <= 9)) {
    throw etfError(
      "ETF_UNREPRESENTABLE",
      `The compression level is a whole number from 1 to 9, not ${level}.`,
    );
  }
  const packed = deflateSync(plain.subarray(1), { level });
  // as the BEAM: only when the whole gets shorter
  if (packed.length + 6 >= plain.length) return plain;
  const head = Buffer.from([VERSION, COMPRESSED, 0, 0, 0, 0]);
  head.writeUInt32BE(plain.length - 1, 2);
  return Buffer.concat([head, packed]);
}
