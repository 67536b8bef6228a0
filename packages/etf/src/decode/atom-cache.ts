import { type Atom, atomText, internWeakly } from "../terms/atom.ts";
import { invalidAtom } from "./problems.ts";

/** Slots, a power of two, and bytes of each: a length and up to 63 bytes of text. 128 KiB in all. */
const SLOTS = 2048;
const WIDTH = 64;

/**
 * The atoms most recently read, found by the bytes of their text: no string is made on a hit. One slot per hash, the
 * newer entry wins, so it never grows; a peer that thrashes it only loses speed.
 */
const texts = Buffer.alloc(SLOTS * WIDTH);
const atoms: (Atom | undefined)[] = new Array(SLOTS).fill(undefined);

/**
 * The atom whose text is `bytes[start, start + length)`, in Latin-1 or UTF-8. The range must lie within the input.
 * @throws IsthmusError `ETF_ATOM_INVALID`
 */
export function atomFromBytes(bytes: Buffer, start: number, length: number, latin1: boolean): Atom {
  if (length >= WIDTH) return newAtom(bytes, start, length, latin1);
  const end = start + length;
  // the cache holds UTF-8; ASCII is the same in both
  if (latin1 && !isAscii(bytes, start, end)) return newAtom(bytes, start, length, latin1);
  // the ends of longer texts tell them apart well enough; all of it is compared below
  const head = length > 8 ? start + 4 : end;
  let hash = length;
  for (let i = start; i < head; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  if (length > 8) {
    for (let i = end - 4; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  }
  const slot = (hash ^ (hash >>> 11)) & (SLOTS - 1);
  const base = slot * WIDTH;
  const known = atoms[slot];
  if (known !== undefined && texts[base] === length) {
    let i = 0;
    while (i < length && texts[base + 1 + i] === bytes[start + i]) i++;
    if (i === length) return known;
  }
  const made = newAtom(bytes, start, length, latin1);
  atoms[slot] = made;
  texts[base] = length;
  bytes.copy(texts, base + 1, start, end);
  return made;
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) > 127) return false;
  }
  return true;
}

function newAtom(bytes: Buffer, start: number, length: number, latin1: boolean): Atom {
  const text = atomText(bytes, start, start + length, latin1);
  if (text === undefined) throw invalidAtom(start);
  return internWeakly(text);
}
