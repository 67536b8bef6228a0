import { isIsthmusError } from "@isthmus/wire";

/** The code of the error that `run` throws; undefined when it throws nothing. Other errors pass through. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!isIsthmusError(error)) throw error;
    return error.code;
  }
}

/** Bytes from hexadecimal digits, blanks ignored. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}
