import { isUtf8 } from "node:buffer";
import { epmdError } from "./errors.ts";

/** Longest name in characters, and in bytes of UTF-8 (`MAXSYMLEN` of epmd). */
export const MAX_NAME_CHARACTERS = 255;
export const MAX_NAME_BYTES = 1020;

/** Whether epmd registers this name. Unlike our client it takes an empty one, if `extra` is not empty. */
export function isRegistrableName(name: Buffer): boolean {
  return name.length <= MAX_NAME_BYTES && isUtf8(name) && countCharacters(name) <= MAX_NAME_CHARACTERS;
}

/** Characters in valid UTF-8: every byte that does not continue one. */
export function countCharacters(utf8: Buffer): number {
  let count = 0;
  for (const byte of utf8) if ((byte & 0xc0) !== 0x80) count++;
  return count;
}

/**
 * The bytes of a name for a request.
 * @throws IsthmusError `EPMD_NAME_INVALID`
 */
export function encodeName(name: string): Buffer {
  const bytes = Buffer.from(name, "utf8");
  const problem =
    name.length === 0
      ? "it is empty"
      : name.includes("\0")
        ? "it has a NUL"
        : name.includes("@")
          ? "it has a host; give the part before '@'"
          : bytes.toString("utf8") !== name
            ? "it is not well-formed Unicode"
            : isRegistrableName(bytes)
              ? undefined
              : `it is longer than ${MAX_NAME_CHARACTERS} characters`;
  if (problem !== undefined) {
    const shown = JSON.stringify(name.slice(0, 300));
    throw epmdError("EPMD_NAME_INVALID", `${shown} cannot be a name in epmd: ${problem}.`, {
      context: { name: name.slice(0, 300) },
    });
  }
  return bytes;
}
