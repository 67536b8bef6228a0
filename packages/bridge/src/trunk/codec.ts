import type { IsthmusError } from "@isthmus/wire";
import { Decoder, Encoder } from "@msgpack/msgpack";
import { trunkError } from "./errors.ts";
import {
  CHUNK_BYTES,
  type Hello,
  KIND,
  MAX_NAME_BYTES,
  NONCE_BYTES,
  SESSION_BYTES,
  type TrunkVersion,
} from "./frames.ts";

/** Most elements of an array and keys of a map; frames have up to six fields, a hello ten keys. */
const MAX_ELEMENTS = 32;
/** Most versions that a hello may offer. */
const MAX_VERSIONS = 16;

const encoder = new Encoder({ initialBufferSize: CHUNK_BYTES + 64 });
const decoder = new Decoder({
  maxArrayLength: MAX_ELEMENTS,
  maxMapLength: MAX_ELEMENTS,
  maxStrLength: 1024,
  maxBinLength: CHUNK_BYTES,
  maxExtLength: 0,
  // the cache would keep whatever keys a stranger sends
  keyDecoder: null,
});

/** A decoded frame: its kind, then fields that nobody has checked yet. */
export type Frame = readonly [kind: number, ...fields: unknown[]];

/** Encodes a frame. The bytes hold until the next call only. */
export function encodeFrame(...frame: Frame): Uint8Array {
  return encoder.encodeSharedRef(frame);
}

/** Encodes a frame into bytes of its own. */
export function encodeMessage(...frame: Frame): Buffer {
  return Buffer.from(encodeFrame(...frame));
}

/**
 * The frames of a message, one after the other. Binary fields are views into the message.
 * @throws IsthmusError `TRUNK_PROTOCOL`
 */
export function* decodeMessage(message: Buffer): Generator<Frame, void, undefined> {
  const frames = decoder.decodeMulti(message);
  for (;;) {
    const frame = nextFrame(frames);
    if (frame === undefined) return;
    yield frame;
  }
}

function nextFrame(frames: Generator<unknown, void, unknown>): Frame | undefined {
  let next: IteratorResult<unknown, void>;
  try {
    next = frames.next();
  } catch (cause) {
    throw malformed("a message is not MessagePack within the limits", cause);
  }
  if (next.done === true) return undefined;
  const frame = next.value;
  if (!Array.isArray(frame) || !isCount(frame[0])) throw malformed("a frame is not an array with its kind");
  return frame as unknown as Frame;
}

/**
 * The one frame of a message of the handshake.
 * @throws IsthmusError `TRUNK_PROTOCOL`
 */
export function decodeSingle(message: Buffer): Frame {
  const frames = decodeMessage(message);
  const { value } = frames.next();
  if (value === undefined || frames.next().done !== true) {
    throw malformed("a message of the handshake does not hold one frame");
  }
  return value;
}

/** A whole number from 0 to 2^53 - 1. @throws IsthmusError `TRUNK_PROTOCOL` */
export function countField(frame: Frame, index: number): number {
  const value = frame[index];
  if (!isCount(value)) throw badField(frame, index);
  return value;
}

/** @throws IsthmusError `TRUNK_PROTOCOL` */
export function bytesField(frame: Frame, index: number, length?: number): Buffer {
  const value = frame[index];
  if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) {
    throw badField(frame, index);
  }
  return Buffer.from(value.buffer, value.byteOffset, value.length);
}

/** @throws IsthmusError `TRUNK_PROTOCOL` */
export function textField(frame: Frame, index: number): string {
  const value = frame[index];
  if (typeof value !== "string") throw badField(frame, index);
  return value;
}

/** @throws IsthmusError `TRUNK_PROTOCOL` */
export function booleanField(frame: Frame, index: number): boolean {
  const value = frame[index];
  if (typeof value !== "boolean") throw badField(frame, index);
  return value;
}

/** The bytes of a hello, which both proofs cover. */
export function encodeHello(hello: Hello): Buffer {
  return encodeMessage(KIND.HELLO, {
    versions: hello.versions,
    site: hello.site,
    nonce: hello.nonce,
    secret: hello.secret,
    deflate: hello.deflate,
    window: hello.window,
    payload: hello.payload,
    channels: hello.channels,
    grace: hello.grace,
    ...(hello.resume === undefined ? {} : { session: hello.resume.session, received: hello.resume.received }),
  });
}

/** @throws IsthmusError `TRUNK_PROTOCOL`, `TRUNK_VERSION` when the peer says that it has no version in common with us */
export function decodeHello(frame: Frame): Hello {
  if (frame[0] !== KIND.HELLO) throw malformed("the first frame is not a hello");
  const map = frame[1];
  if (typeof map !== "object" || map === null || Array.isArray(map) || map instanceof Uint8Array) {
    throw badField(frame, 1);
  }
  const { versions, site, nonce, secret, deflate, window, payload, channels, grace, session, received } =
    map as Readonly<Record<string, unknown>>;
  if (
    !isVersions(versions) ||
    !isName(site) ||
    !isBytes(nonce, NONCE_BYTES) ||
    typeof secret !== "boolean" ||
    typeof deflate !== "boolean" ||
    !isCount(window) ||
    !isCount(payload) ||
    !isCount(channels) ||
    !isCount(grace)
  ) {
    throw malformed("a hello lacks something, or has something that is not what it must be");
  }
  const hello = {
    versions,
    site,
    nonce: Buffer.from(nonce),
    ...{ secret, deflate, window, payload, channels, grace },
  };
  if (session === undefined) return { ...hello, resume: undefined };
  if (!isBytes(session, SESSION_BYTES) || !isCount(received)) throw malformed("a hello resumes no session");
  return { ...hello, resume: { session: Buffer.from(session), received } };
}

/** A name of a site or a channel: not empty, at most {@link MAX_NAME_BYTES}, nothing that disturbs a line of text. */
export function isName(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value !== "" &&
    Buffer.byteLength(value) <= MAX_NAME_BYTES &&
    !/[\p{Cc}\p{Cs}]/u.test(value)
  );
}

/** The error for bytes that no trunk may send. */
export function malformed(what: string, cause?: unknown): IsthmusError {
  return trunkError(
    "TRUNK_PROTOCOL",
    `The peer does not speak the trunk's protocol: ${what}.`,
    cause === undefined ? {} : { cause },
  );
}

function badField(frame: Frame, index: number): Error {
  return malformed(`field ${index} of a frame of kind ${frame[0]} is not what it must be`);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length;
}

function isVersions(value: unknown): value is readonly TrunkVersion[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_VERSIONS &&
    value.every((one) => Array.isArray(one) && one.length >= 2 && isCount(one[0]) && isCount(one[1]))
  );
}
