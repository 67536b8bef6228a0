import { createHash, type Hash, timingSafeEqual } from "node:crypto";
import type { Cookie } from "./cookie.ts";
import { handshakeError } from "./errors.ts";

/** Length of an MD5 digest in bytes. */
export const DIGEST_BYTES = 16;

/**
 * MD5 over the cookie's bytes and the challenge as unsigned decimal text (protocol 2.3; `dist_util:gen_digest`).
 * @param challenge 0 to 2^32 - 1
 * @throws IsthmusError `HANDSHAKE_MD5_UNAVAILABLE`
 */
export function digest(challenge: number, cookie: Cookie): Buffer {
  let hash: Hash;
  try {
    hash = createHash("md5");
  } catch (cause) {
    throw handshakeError(
      "HANDSHAKE_MD5_UNAVAILABLE",
      "The distribution handshake is made with MD5, which this Node.js is not allowed to use (FIPS mode?). Allow MD5 for this process.",
      { cause },
    );
  }
  cookie.addTo(hash);
  return hash.update(String(challenge >>> 0)).digest();
}

/** The first cookie that fits `received`, compared in constant time; undefined when none does. */
export function matchingCookie(
  challenge: number,
  cookies: readonly Cookie[],
  received: Buffer,
): Cookie | undefined {
  let found: Cookie | undefined;
  for (const cookie of cookies) {
    if (timingSafeEqual(digest(challenge, cookie), received)) found ??= cookie;
  }
  return found;
}
