import { open } from "node:fs/promises";
import { strategiesError } from "./errors.ts";

/** A longer file is an error. */
export const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads a file of UTF-8; undefined when there is none.
 * @throws IsthmusError `DISCOVERY_FAILED` when it cannot be read, is longer than a mebibyte or no UTF-8
 */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, "r");
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = (await file.read(buffer, length, buffer.length - length)).bytesRead;
    }
    if (length === buffer.length) throw new RangeError(`it is longer than ${MAX_FILE_BYTES} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    const why = code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "it is not UTF-8" : message;
    throw strategiesError("DISCOVERY_FAILED", `${path} cannot be read: ${why}.`, {
      cause,
      context: { path },
    });
  }
}
