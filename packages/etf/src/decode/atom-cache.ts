import { type Atom, atomText, internWeakly } from "../terms/atom.ts";
import { invalidAtom } from "./problems.ts";

/** Slots, a power of two, and bytes of each: a length and up to 63 bytes of text. 128 KiB in all. */
const SLOTS = 2048;
const WIDTH = 64;

/**
 * The atoms most recently read, found by the bytes of their text: no string is made on a hit. Each has two places, and the
 * one that came last the first of them, so it never grows; a peer that thrashes it only loses speed.
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
  const first = (hash ^ (hash >>> 11)) & (SLOTS - 1);
  if (isAt(first, bytes, start, length)) return atoms[first] as Atom;
  const second = first ^ 1;
  if (isAt(second, bytes, start, length)) return atoms[second] as Atom;
  const made = newAtom(bytes, start, length, latin1);
  const base = first * WIDTH;
  atoms[second] = atoms[first];
  texts.copyWithin(second * WIDTH, base, base + WIDTH);
  atoms[first] = made;
  texts[base] = length;
  bytes.copy(texts, base + 1, start, end);
  return made;
}

/** Whether the text at a place is `bytes[start, start + length)`. */
function isAt(slot: number, bytes: Buffer, start: number, length: number): boolean {
  if (atoms[slot] === undefined) return false;
  const base = slot * WIDTH;
  if (texts[base] !== length) return false;
  for (let i = 0; i < length; i++) if (texts[base + 1 + i] !== bytes[start + i]) return false;
  return true;
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
