import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { Atom, atom, decode, encode, type Term, TermMap } from "@isthmus/etf";
import { isNodeName } from "@isthmus/wire";

/** What a datagram was. */
export type GossipPacket =
  | { readonly kind: "heartbeat"; readonly node: string }
  /** Our own heartbeat: multicast comes back to its sender. */
  | { readonly kind: "own" }
  /** Not a heartbeat of this kind: another program's, or plain while we have a secret, or encrypted while we have none. */
  | { readonly kind: "foreign" }
  /** Begins as a heartbeat, but what follows is none. */
  | { readonly kind: "malformed" }
  /** Encrypted with another secret, damaged, or no heartbeat at all. */
  | { readonly kind: "undecryptable" };

/** Every {@link GossipPacket} that is of no use. */
export type Unusable = Exclude<GossipPacket["kind"], "heartbeat" | "own">;

const PRELUDE = Buffer.from("heartbeat::");
const CIPHER = "aes-256-cbc";
const IV_BYTES = 16;
/** A heartbeat is a map of one entry; there is room for entries of later versions. */
const LIMITS = { maxDepth: 8, maxElements: 64, maxBignumBytes: 64, maxInflatedBytes: 4096 } as const;

/** The key that libcluster derives from a `secret`: SHA-256 of its bytes, nothing else. */
export function gossipKey(secret: string): Buffer {
  return createHash("sha256").update(secret, "utf8").digest();
}

/**
 * The heartbeat of `node`: `heartbeat::` and the external term format of `#{node => Node}`, as an OTP 26 or later
 * writes it; older ones read it too.
 */
export function encodeHeartbeat(node: string): Buffer {
  return Buffer.concat([PRELUDE, encode(new TermMap([[atom("node"), atom(node)]]))]);
}

/** Encrypts a heartbeat: the initialization vector, then AES-256-CBC with PKCS#7 padding. */
export function encryptHeartbeat(heartbeat: Buffer, key: Buffer, iv: Buffer = randomBytes(IV_BYTES)): Buffer {
  const cipher = createCipheriv(CIPHER, key, iv);
  return Buffer.concat([iv, cipher.update(heartbeat), cipher.final()]);
}

/**
 * Says what a datagram is. Never throws, whatever the bytes are.
 * @param self our own node name
 * @param key with one, only encrypted heartbeats count
 */
export function decodeGossipPacket(packet: Buffer, self: string, key?: Buffer): GossipPacket {
  const isPlain = startsAsHeartbeat(packet);
  if (key === undefined) return isPlain ? heartbeat(packet, self) : { kind: "foreign" };
  // the first bytes of an encrypted one are random: they are no prelude, except once in 2^88
  if (isPlain) return { kind: "foreign" };
  const plain = decrypt(packet, key);
  return plain !== undefined && startsAsHeartbeat(plain) ? heartbeat(plain, self) : { kind: "undecryptable" };
}

function startsAsHeartbeat(bytes: Buffer): boolean {
  return bytes.subarray(0, PRELUDE.length).equals(PRELUDE);
}

function decrypt(packet: Buffer, key: Buffer): Buffer | undefined {
  if (packet.length <= IV_BYTES || packet.length % IV_BYTES !== 0) return undefined;
  const decipher = createDecipheriv(CIPHER, key, packet.subarray(0, IV_BYTES));
  try {
    return Buffer.concat([decipher.update(packet.subarray(IV_BYTES)), decipher.final()]);
  } catch {
    // the padding is wrong: another key, or no ciphertext
    return undefined;
  }
}

function heartbeat(bytes: Buffer, self: string): GossipPacket {
  const node = nodeOf(bytes.subarray(PRELUDE.length));
  if (node === undefined) return { kind: "malformed" };
  return node === self ? { kind: "own" } : { kind: "heartbeat", node };
}

function nodeOf(term: Buffer): string | undefined {
  let map: Term;
  try {
    map = decode(term, LIMITS);
  } catch {
    return undefined;
  }
  const node = map instanceof TermMap ? map.get(atom("node")) : undefined;
  return node instanceof Atom && isNodeName(node.text) ? node.text : undefined;
}
