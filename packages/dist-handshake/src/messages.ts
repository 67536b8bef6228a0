import { DIGEST_BYTES } from "./digest.ts";
import { handshakeError } from "./errors.ts";

/*
 * The messages of the handshake, without their length prefix (protocol 2.1). Roles share these: what one encodes, the
 * other decodes. The tags `N`, `n` and `s` mean different things in the two directions, hence two decoders.
 */

const TAG = { NAME: 0x4e, OLD_NAME: 0x6e, STATUS: 0x73, COMPLEMENT: 0x63, REPLY: 0x72, ACK: 0x61 } as const;
/** The version in `n` messages; nothing else was ever sent. */
const OLD_VERSION = 5;
const NAMED = Buffer.from("named:");
/** An atom holds 255 characters, which are single bytes in Latin-1. */
const MAX_NAME_BYTES = 255;

/** The first message of an initiator. */
export interface NameMessage {
  readonly kind: "name";
  /** True for the `n` form, which has the low 32 flags only and no creation. */
  readonly old: boolean;
  readonly flags: bigint;
  readonly creation: number;
  readonly name: string;
}

/** Answer of the acceptor, or of the initiator after `alive`. */
export interface StatusMessage {
  readonly kind: "status";
  readonly status: "ok" | "ok_simultaneous" | "nok" | "not_allowed" | "alive" | "true" | "false";
}

/** Answer of the acceptor to a node that asked for a name. */
export interface NamedMessage {
  readonly kind: "named";
  readonly name: string;
  readonly creation: number;
}

/** The acceptor's name and challenge. */
export interface ChallengeMessage {
  readonly kind: "challenge";
  readonly old: boolean;
  readonly flags: bigint;
  readonly challenge: number;
  readonly creation: number;
  readonly name: string;
}

/** What an `n` name message had no room for. */
export interface ComplementMessage {
  readonly kind: "complement";
  /** Shifted to their place: the low 32 bits are 0. */
  readonly flags: bigint;
  readonly creation: number;
}

/** The initiator's proof and its own challenge. */
export interface ReplyMessage {
  readonly kind: "reply";
  readonly challenge: number;
  readonly digest: Buffer;
}

/** The acceptor's proof. */
export interface AckMessage {
  readonly kind: "ack";
  readonly digest: Buffer;
}

export type AcceptorMessage = StatusMessage | NamedMessage | ChallengeMessage | AckMessage;
export type InitiatorMessage = NameMessage | StatusMessage | ComplementMessage | ReplyMessage;

export function encodeName(flags: bigint, creation: number, name: string): Buffer {
  const frame = Buffer.allocUnsafe(15 + name.length);
  frame[0] = TAG.NAME;
  frame.writeBigUInt64BE(flags, 1);
  frame.writeUInt32BE(creation, 9);
  frame.writeUInt16BE(name.length, 13);
  frame.write(name, 15, "latin1");
  return frame;
}

export function encodeOldName(flags: bigint, name: string): Buffer {
  const frame = Buffer.allocUnsafe(7 + name.length);
  frame[0] = TAG.OLD_NAME;
  frame.writeUInt16BE(OLD_VERSION, 1);
  frame.writeUInt32BE(Number(BigInt.asUintN(32, flags)), 3);
  frame.write(name, 7, "latin1");
  return frame;
}

export function encodeStatus(status: StatusMessage["status"]): Buffer {
  return Buffer.from(`s${status}`, "latin1");
}

/** The name is UTF-8 here, unlike in every other message. */
export function encodeNamed(name: string, creation: number): Buffer {
  const text = Buffer.from(name);
  const frame = Buffer.allocUnsafe(13 + text.length);
  frame[0] = TAG.STATUS;
  NAMED.copy(frame, 1);
  frame.writeUInt16BE(text.length, 7);
  text.copy(frame, 9);
  frame.writeUInt32BE(creation, 9 + text.length);
  return frame;
}

export function encodeChallenge(flags: bigint, challenge: number, creation: number, name: string): Buffer {
  const frame = Buffer.allocUnsafe(19 + name.length);
  frame[0] = TAG.NAME;
  frame.writeBigUInt64BE(flags, 1);
  frame.writeUInt32BE(challenge, 9);
  frame.writeUInt32BE(creation, 13);
  frame.writeUInt16BE(name.length, 17);
  frame.write(name, 19, "latin1");
  return frame;
}

export function encodeOldChallenge(flags: bigint, challenge: number, name: string): Buffer {
  const frame = Buffer.allocUnsafe(11 + name.length);
  frame[0] = TAG.OLD_NAME;
  frame.writeUInt16BE(OLD_VERSION, 1);
  frame.writeUInt32BE(Number(BigInt.asUintN(32, flags)), 3);
  frame.writeUInt32BE(challenge, 7);
  frame.write(name, 11, "latin1");
  return frame;
}

export function encodeComplement(flags: bigint, creation: number): Buffer {
  const frame = Buffer.allocUnsafe(9);
  frame[0] = TAG.COMPLEMENT;
  frame.writeUInt32BE(Number(BigInt.asUintN(64, flags) >> 32n), 1);
  frame.writeUInt32BE(creation, 5);
  return frame;
}

export function encodeReply(challenge: number, digest: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(5 + DIGEST_BYTES);
  frame[0] = TAG.REPLY;
  frame.writeUInt32BE(challenge, 1);
  digest.copy(frame, 5);
  return frame;
}

export function encodeAck(digest: Buffer): Buffer {
  return Buffer.concat([Buffer.from([TAG.ACK]), digest]);
}

/**
 * A message of the initiator, as the acceptor reads it.
 * @throws IsthmusError `HANDSHAKE_MALFORMED`
 */
export function decodeFromInitiator(frame: Buffer): InitiatorMessage {
  switch (frame[0]) {
    case TAG.NAME:
      needs(frame, 15, "name");
      return {
        kind: "name",
        old: false,
        flags: frame.readBigUInt64BE(1),
        creation: frame.readUInt32BE(9),
        name: sizedName(frame, 13),
      };
    case TAG.OLD_NAME:
      needs(frame, 8, "name");
      return {
        kind: "name",
        old: true,
        flags: BigInt(frame.readUInt32BE(3)),
        creation: 0,
        name: restName(frame, 7),
      };
    case TAG.STATUS:
      return decodeStatus(frame, ["true", "false"]);
    case TAG.COMPLEMENT:
      exactly(frame, 9, "complement");
      return {
        kind: "complement",
        flags: BigInt(frame.readUInt32BE(1)) << 32n,
        creation: frame.readUInt32BE(5),
      };
    case TAG.REPLY:
      exactly(frame, 5 + DIGEST_BYTES, "challenge reply");
      return { kind: "reply", challenge: frame.readUInt32BE(1), digest: frame.subarray(5) };
    default:
      throw unknownTag(frame);
  }
}

/**
 * A message of the acceptor, as the initiator reads it.
 * @throws IsthmusError `HANDSHAKE_MALFORMED`
 */
export function decodeFromAcceptor(frame: Buffer): AcceptorMessage {
  switch (frame[0]) {
    case TAG.NAME:
      needs(frame, 19, "challenge");
      return {
        kind: "challenge",
        old: false,
        flags: frame.readBigUInt64BE(1),
        challenge: frame.readUInt32BE(9),
        creation: frame.readUInt32BE(13),
        name: sizedName(frame, 17),
      };
    case TAG.OLD_NAME:
      needs(frame, 12, "challenge");
      return {
        kind: "challenge",
        old: true,
        flags: BigInt(frame.readUInt32BE(3)),
        challenge: frame.readUInt32BE(7),
        creation: 0,
        name: restName(frame, 11),
      };
    case TAG.STATUS:
      return frame.subarray(1, 1 + NAMED.length).equals(NAMED)
        ? decodeNamed(frame)
        : decodeStatus(frame, ["ok", "ok_simultaneous", "nok", "not_allowed", "alive"]);
    case TAG.ACK:
      exactly(frame, 1 + DIGEST_BYTES, "challenge ack");
      return { kind: "ack", digest: frame.subarray(1) };
    default:
      throw unknownTag(frame);
  }
}

function decodeStatus(frame: Buffer, known: readonly StatusMessage["status"][]): StatusMessage {
  const text = frame.toString("latin1", 1, 64);
  const status = known.find((candidate) => candidate === text);
  if (status === undefined) throw malformed(`an unknown status ${JSON.stringify(text)}`);
  return { kind: "status", status };
}

function decodeNamed(frame: Buffer): NamedMessage {
  needs(frame, 9, "named status");
  const length = frame.readUInt16BE(7);
  needs(frame, 13 + length, "named status");
  try {
    const name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      frame.subarray(9, 9 + length),
    );
    return { kind: "named", name, creation: frame.readUInt32BE(9 + length) };
  } catch {
    throw malformed("a node name that is not UTF-8");
  }
}

/** A Latin-1 name after its 16-bit length; what follows it is ignored, as OTP does. */
function sizedName(frame: Buffer, at: number): string {
  const length = frame.readUInt16BE(at);
  const end = at + 2 + length;
  if (end > frame.length) throw malformed("a node name that is cut off");
  if (length > MAX_NAME_BYTES) throw malformed(`a node name of ${length} bytes`);
  return frame.toString("latin1", at + 2, end);
}

function restName(frame: Buffer, at: number): string {
  if (frame.length - at > MAX_NAME_BYTES) throw malformed(`a node name of ${frame.length - at} bytes`);
  return frame.toString("latin1", at);
}

function needs(frame: Buffer, length: number, what: string): void {
  if (frame.length < length) throw malformed(`a ${what} message of only ${frame.length} bytes`);
}

function exactly(frame: Buffer, length: number, what: string): void {
  if (frame.length !== length) throw malformed(`a ${what} message of ${frame.length} bytes, not ${length}`);
}

function unknownTag(frame: Buffer): Error {
  return malformed(frame.length === 0 ? "an empty message" : `a message with tag ${frame[0]}`);
}

/** A `HANDSHAKE_MALFORMED` error; `what` completes "The peer sent ...". */
export function malformed(what: string): Error {
  return handshakeError(
    "HANDSHAKE_MALFORMED",
    `The peer sent ${what}, which the distribution handshake does not allow here. Check that the port belongs to an Erlang node.`,
  );
}
