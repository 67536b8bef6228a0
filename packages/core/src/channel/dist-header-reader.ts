import type { Atom } from "@isthmus/etf";
import { atomFromUtf8 } from "@isthmus/etf/raw";
import { coreError } from "../errors.ts";

/** Slots of the atom cache of one direction (erts `external.h`: ERTS_ATOM_CACHE_SIZE). */
const SLOTS = 2048;
const NO_ATOMS: readonly Atom[] = [];

/**
 * Reads distribution headers and keeps the atom cache that they fill: one object per connection, for what comes in
 * (PROTOCOL 4.3).
 */
export class DistHeaderReader {
  readonly #slots: (Atom | undefined)[] = new Array(SLOTS).fill(undefined);
  #refs: readonly Atom[] = NO_ATOMS;

  /** The atoms that references in the present message stand for. Made anew by each header with atoms. */
  get atomRefs(): readonly Atom[] {
    return this.#refs;
  }

  /**
   * Reads the header whose atom count stands at `at`.
   * @returns where the control term begins
   * @throws IsthmusError `FRAME_MALFORMED`
   */
  read(bytes: Buffer, at: number, end: number): number {
    if (at >= end) throw malformed("is cut off");
    const count = bytes[at]!;
    if (count === 0) {
      this.#refs = NO_ATOMS;
      return at + 1;
    }
    const flags = at + 1;
    let offset = flags + (count >> 1) + 1;
    if (offset > end) throw malformed("is cut off");
    const long = (nibble(bytes, flags, count) & 1) !== 0;
    const refs: Atom[] = [];
    for (let i = 0; i < count; i++) {
      if (offset >= end) throw malformed("is cut off");
      const entry = nibble(bytes, flags, i);
      const slot = ((entry & 7) << 8) | bytes[offset++]!;
      if ((entry & 8) !== 0) {
        const lengthBytes = long ? 2 : 1;
        if (offset + lengthBytes > end) throw malformed("is cut off");
        const length = long ? bytes.readUInt16BE(offset) : bytes[offset]!;
        offset += lengthBytes;
        if (offset + length > end) throw malformed("is cut off");
        const entered = atomFromUtf8(bytes, offset, offset + length);
        if (entered === undefined) throw malformed("has an atom that is none");
        this.#slots[slot] = entered;
        offset += length;
      }
      const atom = this.#slots[slot];
      if (atom === undefined) throw malformed("names a slot of the atom cache that was never filled");
      refs.push(atom);
    }
    this.#refs = refs;
    return offset;
  }
}

/** Four bits of flags; the entry with an even number has the low ones. */
function nibble(bytes: Buffer, flags: number, index: number): number {
  const byte = bytes[flags + (index >> 1)]!;
  return (index & 1) === 0 ? byte & 15 : byte >> 4;
}

function malformed(what: string): Error {
  return coreError("FRAME_MALFORMED", `A distribution header ${what}.`);
}
