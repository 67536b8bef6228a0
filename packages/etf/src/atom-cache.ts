import { type Atom, atom } from "./terms.ts";
import { etfError } from "./errors.ts";

/** Slots; a power of two. Two atoms in one slot only cost time. */
const SLOTS = 2048;
const bytesOf: (Buffer | undefined)[] = new Array(SLOTS).fill(undefined);
const atomOf: (Atom | undefined)[] = new Array(SLOTS).fill(undefined);
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The atom whose text is the UTF-8 bytes `[start, end)`. An atom that was seen lately is found by its bytes, without
 * making a string. The cache is bounded and does no harm when a peer fills it.
 */
export function atomFromUtf8(bytes: Buffer, start: number, end: number): Atom {
  let hash = end - start;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
  const slot = (hash ^ (hash >>> 11)) & (SLOTS - 1);
  const known = bytesOf[slot];
  if (known !== undefined && known.length === end - start) {
    let i = 0;
    while (i < known.length && known[i] === bytes[start + i]) i++;
    if (i === known.length) return atomOf[slot]!;
  }
  let text: string;
  try {
    text = utf8.decode(bytes.subarray(start, end));
  } catch {
    throw etfError("ETF_MALFORMED", "An atom's text is not valid UTF-8.", { offset: start });
  }
  const made = checkedAtom(text, start);
  bytesOf[slot] = Buffer.from(bytes.subarray(start, end));
  atomOf[slot] = made;
  return made;
}

/** The atom whose text is the Latin-1 bytes `[start, end)`: the old tags. */
export function atomFromLatin1(bytes: Buffer, start: number, end: number): Atom {
  return checkedAtom(bytes.toString("latin1", start, end), start);
}

function checkedAtom(text: string, offset: number): Atom {
  try {
    return atom(text);
  } catch {
    throw etfError("ETF_MALFORMED", "An atom has more than 255 characters.", { offset });
  }
}
