import { isName } from "./codec.ts";
import { trunkError } from "./errors.ts";
import type { Credentials } from "./handshake.ts";

/** Shortest secret, in bytes. */
const MIN_SECRET_BYTES = 16;

/** By what a far site is known. At least one of both. */
export interface CredentialOptions {
  /**
   * What both sites know and nobody else; 16 bytes or more, random. It is never sent: each side proves to the other
   * that it knows it.
   */
  readonly secret?: string | Buffer;
  /** The far site must have a TLS certificate with its site name. @default false */
  readonly certificate?: boolean;
}

/** @throws IsthmusError `TRUNK_OPTIONS_INVALID` */
export function credentials(options: CredentialOptions): Credentials {
  const { certificate = false } = options;
  if (options.secret === undefined) {
    if (certificate) return { secret: undefined, certificate };
    throw trunkError("TRUNK_OPTIONS_INVALID", "A trunk needs a secret, or certificates, or both.");
  }
  const secret = Buffer.from(options.secret);
  if (secret.length < MIN_SECRET_BYTES) {
    throw trunkError(
      "TRUNK_OPTIONS_INVALID",
      `The secret of a trunk must have ${MIN_SECRET_BYTES} bytes or more. Make one with: openssl rand -base64 32.`,
    );
  }
  return { secret, certificate };
}

/** @throws IsthmusError `TRUNK_OPTIONS_INVALID` when these cannot be the names of two sites */
export function checkSites(site: string, peer: string): void {
  if (isName(site) && isName(peer) && site !== peer) return;
  throw trunkError(
    "TRUNK_OPTIONS_INVALID",
    "A site needs a name of 1 to 255 bytes of plain text, and the far site another one.",
    { context: { site, peer } },
  );
}
