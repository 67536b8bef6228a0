import * as v from "valibot";
import { flag, isRecord, map, secretFile } from "./schema-parts.ts";

const cookieText = v.pipe(
  v.string("must be the cookie as text (in quotes when it is a number), { file: PATH }, or { home: true }."),
  v.nonEmpty("is empty."),
  v.maxLength(255, "is longer than 255 characters."),
  v.check(
    (value) => !hasControlCharacter(value),
    "has a line end or another control character; give one line of text.",
  ),
);
const cookieHome = { home: v.pipe(flag, v.literal(true, "must be true: the cookie in the home folder.")) };
const cookieFileSchema = map(secretFile);
const cookieHomeSchema = map(cookieHome);

/** By value, from a file, or OTP's own `.erlang.cookie`. */
export const cookieSchema = v.lazy((input) =>
  !isRecord(input) ? cookieText : "home" in input ? cookieHomeSchema : cookieFileSchema,
);

/** The keys that a cookie may have. */
export const COOKIE_KEYS: readonly string[] = [...Object.keys(secretFile), ...Object.keys(cookieHome)];

function hasControlCharacter(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 32 || code === 127) return true;
  }
  return false;
}
