import { type Atom, TermWriter } from "@isthmus/etf";
import { type IdentityTranslator, rewriteTerm, TermStream, type TermStreamOptions } from "@isthmus/etf/raw";
import { isIsthmusError } from "@isthmus/wire";

/** What a copy has come to: the bytes in hexadecimal digits, or the code of the refusal. */
export interface Copied {
  readonly bytes?: string;
  readonly code?: string;
}

/** Bytes that are longer than this in an output of the tests are attached. */
const ATTACH_BYTES = 100;
const SLAB_BYTES = 512;

/** What `rewriteTerm` makes of the whole. */
export function copyWhole(
  bytes: Buffer,
  translator: IdentityTranslator,
  { target, limits, atomRefs }: TermStreamOptions = {},
): Copied {
  const out = new TermWriter({ attachBytes: ATTACH_BYTES, slabBytes: SLAB_BYTES });
  return outcome(() => {
    rewriteTerm(bytes, 0, bytes.length, out, translator, atomRefs as Atom[] | undefined, limits, target);
    return out.take();
  });
}

/**
 * What a stream makes of `bytes`, cut at each of `cuts`, which ascend. Each piece is overwritten once it has been taken
 * and its output given out, so nothing can refer to it later; what is left without an end has the code ETF_TRUNCATED.
 */
export function copyPieces(
  bytes: Buffer,
  cuts: Iterable<number>,
  translator: IdentityTranslator,
  options: TermStreamOptions = {},
): Copied {
  const out = new TermWriter({ attachBytes: ATTACH_BYTES, slabBytes: SLAB_BYTES });
  const stream = new TermStream(translator, options);
  const parts: Buffer[] = [];
  let complete = false;
  const push = (from: number, to: number) => {
    // with something around it that is not its own
    const piece = Buffer.alloc(to - from + 20, 0x61);
    bytes.copy(piece, 10, from, to);
    complete = stream.push(piece, 10, 10 + to - from, out);
    const given: Buffer[] = [];
    out.takeParts(given);
    for (const part of given) parts.push(Buffer.from(part));
    piece.fill(0xff);
  };
  return outcome(() => {
    let from = 0;
    for (const cut of cuts) {
      push(from, cut);
      from = cut;
    }
    push(from, bytes.length);
    if (!complete) return undefined;
    if (stream.heldBytes !== 0) throw new Error(`${stream.heldBytes} bytes are still held`);
    return Buffer.concat(parts);
  });
}

function outcome(run: () => Buffer | undefined): Copied {
  // most inputs of a fuzzer are refused, and nobody reads where
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    const bytes = run();
    return bytes === undefined ? { code: "ETF_TRUNCATED" } : { bytes: bytes.toString("hex") };
  } catch (error) {
    if (!isIsthmusError(error)) throw error;
    return { code: error.code };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
