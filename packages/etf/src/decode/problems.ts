import { errorAt } from "../errors.ts";
import type { TermLimits } from "../limits.ts";

// What decoder and scanner say about bytes they refuse. Offsets are indexes in the input.

export function malformed(message: string, at: number): Error {
  return errorAt("ETF_MALFORMED", message, at);
}

export function invalidAtom(at: number): Error {
  return errorAt("ETF_ATOM_INVALID", "An atom is not valid UTF-8 or is longer than 255 characters.", at);
}

export function unknownAtomRef(at: number): Error {
  return errorAt("ETF_ATOM_INVALID", "A reference to the atom cache leads nowhere.", at);
}

export function unknownTag(tag: number, at: number): Error {
  return errorAt("ETF_TAG_UNKNOWN", `There is no term with the tag ${tag} here.`, at);
}

export function unexpected(wanted: string, tag: number, at: number): Error {
  return errorAt("ETF_UNEXPECTED_TERM", `Something with the tag ${tag} stands where ${wanted} must be.`, at);
}

export function duplicateKey(at: number): Error {
  return errorAt("ETF_DUPLICATE_KEY", "A map has one key twice.", at);
}

export function tooDeep(limits: TermLimits, at: number): Error {
  return errorAt(
    "ETF_DEPTH_LIMIT",
    `A term is nested deeper than ${limits.maxDepth}. Raise maxDepth if such terms are expected.`,
    at,
  );
}

export function tooMany(limits: TermLimits, at: number): Error {
  return errorAt(
    "ETF_ELEMENTS_LIMIT",
    `A term has more than ${limits.maxElements} elements. Raise maxElements if such terms are expected.`,
    at,
  );
}

export function bignumTooLong(length: number, limits: TermLimits, at: number): Error {
  return errorAt(
    "ETF_BIGNUM_LIMIT",
    `An integer has ${length} bytes; at most ${limits.maxBignumBytes} are taken. Raise maxBignumBytes if such numbers are expected.`,
    at,
  );
}

export function manyTermsCompressed(at: number): Error {
  return errorAt("ETF_COMPRESSED_INVALID", "Compressed data holds more than one term.", at);
}
