import { malformed } from "./problems.ts";

/** The old forms of identifiers hold a creation of two bits, and references a first word of 18 bits (erts `dec_term`). */
const OLD_CREATIONS = 4;
const OLD_REFERENCE_WORD = 1 << 18;

/** An unsigned 32-bit field, which must lie within the input. */
export function readU32(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** A signed 32-bit field, which must lie within the input. */
export function readI32(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** An unsigned 16-bit field, which must lie within the input. */
export function readU16(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** The creation of PID_EXT, PORT_EXT, REFERENCE_EXT and NEW_REFERENCE_EXT. */
export function readOldCreation(bytes: Buffer, at: number): number {
  const creation = bytes[at] as number;
  if (creation >= OLD_CREATIONS) throw malformed("A creation is too large for its form.", at);
  return creation;
}

/** The first word of REFERENCE_EXT and NEW_REFERENCE_EXT. */
export function checkOldWord(bytes: Buffer, at: number): void {
  if (readU32(bytes, at) >= OLD_REFERENCE_WORD) {
    throw malformed("A word of a reference is too large for its form.", at);
  }
}
