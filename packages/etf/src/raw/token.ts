import { readU16, readU32 } from "../decode/fields.ts";
import { FLOAT_TEXT_BYTES } from "../decode/number-text.ts";
import { MAX_REFERENCE_WORDS } from "../terms/reference.ts";

/** What {@link tokenEnd} says of bytes that cannot be a token; so far below zero that lengths may be added to it. */
const NO_TOKEN = -0x2000_0000;

/**
 * Where the token at `at` ends, which must lie before `end`: a term without parts, or the head of one with parts. Only
 * what has to be known for that is checked.
 * @returns beyond `end` when the token is not whole in `bytes[at, end)`: it takes as many bytes at least. Below zero when
 * there is no such token; {@link TermScanner} says why
 */
export function tokenEnd(bytes: Buffer, at: number, end: number): number {
  switch (bytes[at]) {
    case 106: // NIL_EXT
      return at + 1;
    case 97: // SMALL_INTEGER_EXT
    case 104: // SMALL_TUPLE_EXT
      return at + 2;
    case 98: // INTEGER_EXT
    case 105: // LARGE_TUPLE_EXT
    case 108: // LIST_EXT
    case 116: // MAP_EXT
      return at + 5;
    case 70: // NEW_FLOAT_EXT
      return at + 9;
    case 99: // FLOAT_EXT
      return at + 1 + FLOAT_TEXT_BYTES;
    case 82: // ATOM_CACHE_REF
    case 100: // ATOM_EXT
    case 115: // SMALL_ATOM_EXT
    case 118: // ATOM_UTF8_EXT
    case 119: // SMALL_ATOM_UTF8_EXT
      return atomEnd(bytes, at, end);
    case 107: // STRING_EXT
      return at + 3 > end ? at + 3 : at + 3 + readU16(bytes, at + 1);
    case 109: // BINARY_EXT
      return at + 5 > end ? at + 5 : at + 5 + readU32(bytes, at + 1);
    case 77: // BIT_BINARY_EXT
      return at + 6 > end ? at + 6 : at + 6 + readU32(bytes, at + 1);
    case 110: // SMALL_BIG_EXT
      return at + 3 > end ? at + 3 : at + 3 + (bytes[at + 1] as number);
    case 111: // LARGE_BIG_EXT
      return at + 6 > end ? at + 6 : at + 6 + readU32(bytes, at + 1);
    case 88: // NEW_PID_EXT
    case 120: // V4_PORT_EXT
      return atomEnd(bytes, at + 1, end) + 12;
    case 103: // PID_EXT
      return atomEnd(bytes, at + 1, end) + 9;
    case 89: // NEW_PORT_EXT
      return atomEnd(bytes, at + 1, end) + 8;
    case 102: // PORT_EXT
    case 101: // REFERENCE_EXT
      return atomEnd(bytes, at + 1, end) + 5;
    case 90: // NEWER_REFERENCE_EXT
    case 114: {
      // NEW_REFERENCE_EXT
      if (at + 3 > end) return at + 3;
      const words = readU16(bytes, at + 1);
      if (words < 1 || words > MAX_REFERENCE_WORDS) return NO_TOKEN;
      return atomEnd(bytes, at + 3, end) + (bytes[at] === 90 ? 4 : 1) + words * 4;
    }
    case 113: // EXPORT_EXT
      return smallIntegerEnd(bytes, atomEnd(bytes, atomEnd(bytes, at + 1, end), end), end);
    case 112: {
      // NEW_FUN_EXT: up to and with its creator
      let to = at + 30;
      if (to > end) return to;
      to = smallIntegerEnd(bytes, smallIntegerEnd(bytes, atomEnd(bytes, to, end), end), end);
      if (to < 0) return to;
      if (to >= end) return to + 1;
      return bytes[to] === 88 || bytes[to] === 103 ? tokenEnd(bytes, to, end) : NO_TOKEN;
    }
    case 67: // RECORD_EXT: its module, its name and those of its fields count as parts
      return at + 6 <= end && (bytes[at + 5] as number) > 1 ? NO_TOKEN : at + 6;
    default:
      return NO_TOKEN;
  }
}

/** How many terms follow the token at `at`, which is whole, before the term is complete: 0 for one without parts. */
export function partCount(bytes: Buffer, at: number): number {
  switch (bytes[at]) {
    case 104:
      return bytes[at + 1] as number;
    case 105:
      return readU32(bytes, at + 1);
    case 108: // and the tail
      return readU32(bytes, at + 1) + 1;
    case 116:
      return readU32(bytes, at + 1) * 2;
    case 112:
      return readU32(bytes, at + 26);
    case 67:
      return readU32(bytes, at + 1) * 2 + 2;
    default:
      return 0;
  }
}

/** Where the term at `at` ends, which is known to be whole. */
export function wholeTermEnd(bytes: Buffer, at: number): number {
  for (let left = 1; left > 0; left--) {
    left += partCount(bytes, at);
    at = tokenEnd(bytes, at, bytes.length);
  }
  return at;
}

/** The same as {@link tokenEnd} for what must be an atom; `at` may lie beyond `end` or below zero, and so will the end. */
function atomEnd(bytes: Buffer, at: number, end: number): number {
  if (at < 0) return at;
  if (at >= end) return at + 2;
  switch (bytes[at]) {
    case 119:
    case 115:
      return at + 2 > end ? at + 2 : at + 2 + (bytes[at + 1] as number);
    case 82:
      return at + 2;
    case 100:
    case 118:
      return at + 3 > end ? at + 3 : at + 3 + readU16(bytes, at + 1);
    default:
      return NO_TOKEN;
  }
}

/** The same for what must be SMALL_INTEGER_EXT or INTEGER_EXT. */
function smallIntegerEnd(bytes: Buffer, at: number, end: number): number {
  if (at < 0) return at;
  if (at >= end) return at + 2;
  if (bytes[at] === 97) return at + 2;
  return bytes[at] === 98 ? at + 5 : NO_TOKEN;
}
