import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { IsthmusError, isIsthmusError } from "@isthmus/wire";
import type { ConfigErrorCode } from "./errors.ts";

/**
 * Reads a file that a configuration names, such as a certificate.
 * @throws IsthmusError `CONFIG_UNREADABLE`
 */
export type ReadNamedFile = (path: string, options: { readonly checkPermissions: boolean }) => Buffer;

/** Longer files are none of those that a configuration names. */
const MAX_BYTES = 1024 * 1024;

/** {@link ReadNamedFile} from the file system; with `checkPermissions` only its owner may access it. */
export const readNamedFile: ReadNamedFile = (path, { checkPermissions }) => {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const found = fstatSync(file);
    const { mode, size } = found;
    if (!found.isFile()) throw unreadable(path, `The file ${path} is not a regular file.`);
    if (checkPermissions && process.platform !== "win32" && (mode & 0o077) !== 0)
      throw unreadable(path, `The file ${path} must be accessible by its owner only. Run: chmod 400 ${path}`);
    if (size > MAX_BYTES) throw unreadable(path, `The file ${path} is larger than ${MAX_BYTES} bytes.`);
    return readFileSync(file);
  } catch (cause) {
    if (isIsthmusError(cause)) throw cause;
    throw unreadable(path, `The file ${path} cannot be read: ${reasonOf(cause)}.`, cause);
  } finally {
    if (file !== undefined) closeSync(file);
  }
};

/**
 * The text of the configuration file that a command was given.
 * @throws IsthmusError `CONFIG_UNREADABLE`
 */
export function readConfigFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw unreadable(file, `The configuration ${file} cannot be read: ${reasonOf(cause)}.`, cause);
  }
}

/** Why a file could not be read, in words. */
function reasonOf(cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  return (code === undefined ? undefined : REASONS[code]) ?? String(code ?? cause);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "this user may not read it",
};

function unreadable(file: string, message: string, cause?: unknown): IsthmusError {
  const code: ConfigErrorCode = "CONFIG_UNREADABLE";
  return new IsthmusError(code, message, { context: { file }, ...(cause === undefined ? {} : { cause }) });
}
