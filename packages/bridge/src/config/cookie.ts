import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Cookie, cookieFiles } from "@isthmus/dist-handshake";
import { isIsthmusError } from "@isthmus/wire";
import type { InferOutput } from "valibot";
import type { cookieSchema } from "./cookie-schema.ts";

/** Reads a cookie file, as `Cookie.fromFile` does. */
export type ReadCookieFile = (path: string, options: { readonly checkPermissions: boolean }) => Cookie;

/** What {@link readCookie} needs to know about the outside. */
export interface CookieSource {
  /** The configuration file: relative paths start from its folder. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readCookieFile: ReadCookieFile;
}

/**
 * The cookie that a configuration names.
 * @throws IsthmusError `COOKIE_INVALID`, `COOKIE_FILE_UNREADABLE`, `COOKIE_FILE_PERMISSIONS`
 */
export function readCookie(given: InferOutput<typeof cookieSchema>, source: CookieSource): Cookie {
  const { env, readCookieFile } = source;
  const home = env["HOME"] ?? homedir();
  if (typeof given === "string") return Cookie.of(given);
  if ("file" in given) {
    return readCookieFile(resolvePath(given.file, source), {
      checkPermissions: given.check_permissions ?? true,
    });
  }
  const [first, ...others] = cookieFiles(home, env);
  try {
    return readCookieFile(first!, { checkPermissions: true });
  } catch (error) {
    // As OTP does, the next place is looked at only when there is no such file, not when it is of no use.
    if (!isMissing(error)) throw error;
    for (const path of others) {
      try {
        return readCookieFile(path, { checkPermissions: true });
      } catch (reason) {
        if (!isMissing(reason)) throw reason;
      }
    }
    throw error;
  }
}

/** The path that a configuration means: a relative one starts from its folder, `~/` from the home folder. */
export function resolvePath(path: string, { file, env }: Pick<CookieSource, "file" | "env">): string {
  const full = path.startsWith("~/") ? join(env["HOME"] ?? homedir(), path.slice(2)) : path;
  return resolve(dirname(file), full);
}

function isMissing(error: unknown): boolean {
  if (!isIsthmusError(error) || error.code !== "COOKIE_FILE_UNREADABLE") return false;
  const { cause } = error;
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}
