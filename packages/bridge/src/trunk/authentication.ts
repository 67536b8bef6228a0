import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Resumption } from "./frames.ts";

// What a proof is for stands in it, so that neither side's proof can be sent back as the other's.
const DIALING = "isthmus trunk 1 dialing\0";
const ACCEPTING = "isthmus trunk 1 accepting\0";

/** Both hellos as they were on the wire: nonces, names, versions, capabilities. A proof covers all of it. */
export interface Transcript {
  readonly dialing: Buffer;
  readonly accepting: Buffer;
}

/** What the accepting side promises along with its proof. */
export interface Promised extends Resumption {
  readonly resumed: boolean;
}

/** Proves that the dialing side knows the secret: HMAC-SHA256, 32 bytes. The secret itself is never sent. */
export function dialingProof(secret: Buffer, transcript: Transcript): Buffer {
  return hmac(secret, DIALING, transcript).digest();
}

/** Proves that the accepting side knows the secret, and that the session is what it says. */
export function acceptingProof(secret: Buffer, transcript: Transcript, promised: Promised): Buffer {
  const received = Buffer.alloc(8);
  received.writeBigUInt64BE(BigInt(promised.received));
  return hmac(secret, ACCEPTING, transcript)
    .update(promised.session)
    .update(Buffer.of(promised.resumed ? 1 : 0))
    .update(received)
    .digest();
}

/** Compares in constant time. */
export function sameProof(expected: Buffer, given: Buffer): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}

function hmac(secret: Buffer, role: string, transcript: Transcript): ReturnType<typeof createHmac> {
  // hashes have one length, so the parts cannot run into each other
  return createHmac("sha256", secret)
    .update(role)
    .update(createHash("sha256").update(transcript.dialing).digest())
    .update(createHash("sha256").update(transcript.accepting).digest());
}
