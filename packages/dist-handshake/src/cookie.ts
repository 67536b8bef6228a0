import type { Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { handshakeError } from "./errors.ts";

/** An atom, which a cookie is for a BEAM, holds at most this many characters. */
const MAX_CHARACTERS = 255;
/** Room for the longest cookie and the line ends and blanks after it. */
const MAX_FILE_BYTES = 1024;

/** Options of {@link Cookie.fromFile}. */
export interface CookieFileOptions {
  /** Refuse a file that group or others can access, as OTP does. Default true; has no effect on Windows. */
  readonly checkPermissions?: boolean;
}

/**
 * The secret that two nodes share. However it is printed (string, JSON, `util.inspect`) it shows `[cookie]`, and it
 * has no property that holds the text.
 */
export class Cookie {
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /**
   * A cookie from its text: 1 to 255 characters, all within Latin-1, since the digest is made over those bytes.
   * @throws IsthmusError `COOKIE_INVALID`
   */
  static of(text: string): Cookie {
    const problem =
      text.length === 0
        ? "it is empty"
        : text.length > MAX_CHARACTERS
          ? `it is longer than ${MAX_CHARACTERS} characters`
          : /[\u0100-\uffff]/.test(text)
            ? "it has a character outside Latin-1"
            : undefined;
    if (problem !== undefined) {
      throw handshakeError("COOKIE_INVALID", `The cookie cannot be used: ${problem}.`);
    }
    return new Cookie(Buffer.from(text, "latin1"));
  }

  /**
   * Reads a cookie file by the rules of OTP's `auth` module: a regular file that only its owner can access, one line
   * of printable ASCII, any number of line ends and blanks after the first line end. Blanks before it belong to the
   * cookie.
   * @throws IsthmusError `COOKIE_FILE_UNREADABLE`, `COOKIE_FILE_PERMISSIONS`, `COOKIE_INVALID`
   */
  static fromFile(path: string, options: CookieFileOptions = {}): Cookie {
    const text = readCookieFile(path, options.checkPermissions ?? true);
    const match = /^([ -~]+)[\r\n ]*$/.exec(text);
    if (match === null) {
      throw handshakeError(
        "COOKIE_INVALID",
        `The cookie file ${path} must hold one line of printable ASCII characters and nothing else.`,
        { context: { path } },
      );
    }
    return Cookie.of(match[1]!);
  }

  /** Feeds the bytes to a hash: the only way in which the secret leaves this object. */
  addTo(hash: Hash): void {
    hash.update(this.#bytes);
  }

  /** Says that it is a cookie, not which. */
  toString(): string {
    return "[cookie]";
  }

  /** Says that it is a cookie, not which. */
  toJSON(): string {
    return "[cookie]";
  }

  [inspect.custom](): string {
    return "[cookie]";
  }
}

/**
 * Where OTP looks for the cookie, in this order: `.erlang.cookie` in the home folder, then in `erlang` below the
 * user's configuration folder (from OTP 25 on; `filename:basedir(user_config, "erlang")`).
 */
export function cookieFiles(home: string = homedir(), env: NodeJS.ProcessEnv = process.env): string[] {
  const config = env["XDG_CONFIG_HOME"];
  return [
    join(home, ".erlang.cookie"),
    join(config === undefined || config === "" ? join(home, ".config") : config, "erlang", ".erlang.cookie"),
  ];
}

function readCookieFile(path: string, checkPermissions: boolean): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw unreadable(path, "it cannot be opened", cause);
  }
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw unreadable(path, "it is not a regular file");
    if (checkPermissions && process.platform !== "win32" && (found.mode & 0o077) !== 0) {
      throw handshakeError(
        "COOKIE_FILE_PERMISSIONS",
        `The cookie file ${path} must be accessible by its owner only. Run: chmod 400 ${path}`,
        { context: { path, mode: `0${(found.mode & 0o777).toString(8)}` } },
      );
    }
    if (found.size > MAX_FILE_BYTES) throw unreadable(path, `it is larger than ${MAX_FILE_BYTES} bytes`);
    const bytes = Buffer.alloc(MAX_FILE_BYTES);
    try {
      return bytes.toString("latin1", 0, readSync(file, bytes));
    } catch (cause) {
      throw unreadable(path, "it cannot be read", cause);
    }
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, why: string, cause?: unknown): Error {
  return handshakeError(
    "COOKIE_FILE_UNREADABLE",
    `The cookie file ${path} is of no use: ${why}. Create it, or give the cookie another way.`,
    { cause, context: { path } },
  );
}
