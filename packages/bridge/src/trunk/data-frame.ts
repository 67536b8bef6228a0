import { CHUNK_BYTES, KIND } from "./frames.ts";

// Nearly every frame is DATA, so it has an encoding of its own, which writes the payload to where it is sent from, and a
// decoding of its own, which makes nothing but the payload.

/** MessagePack: an array of five. */
const ARRAY_5 = 0x95;
const BIN_8 = 0xc4;
const BIN_16 = 0xc5;
const BIN_32 = 0xc6;
const UINT_8 = 0xcc;
const UINT_16 = 0xcd;
const UINT_32 = 0xce;
const UINT_64 = 0xcf;

/** Most bytes of a DATA frame that are not payload: array, kind, three numbers, length. */
export const MAX_DATA_HEAD_BYTES: number = 1 + 1 + 9 + 9 + 9 + 5;

/** Writes a DATA frame to `out`, which has room for it. @returns where it ends */
export function writeData(
  out: Buffer,
  at: number,
  seq: number,
  channel: number,
  flags: number,
  bytes: Uint8Array,
): number {
  out[at] = ARRAY_5;
  out[at + 1] = KIND.DATA;
  let end = writeCount(out, at + 2, seq);
  end = writeCount(out, end, channel);
  end = writeCount(out, end, flags);
  const { length } = bytes;
  if (length < 0x100) {
    out[end] = BIN_8;
    out[end + 1] = length;
    end += 2;
  } else if (length < 0x10000) {
    out[end] = BIN_16;
    end = out.writeUInt16BE(length, end + 1);
  } else {
    out[end] = BIN_32;
    end = out.writeUInt32BE(length, end + 1);
  }
  out.set(bytes, end);
  return end + length;
}

/** A DATA frame in a message, where its reader left it. */
export interface DataFrame {
  seq: number;
  channel: number;
  flags: number;
  /** Where the payload begins and ends. */
  start: number;
  end: number;
}

/**
 * Reads the DATA frame that begins at `at`, in the form in which {@link writeData} writes it.
 * @returns false for anything else, which may be a frame all the same
 */
export function readData(message: Buffer, at: number, frame: DataFrame): boolean {
  if (message[at] !== ARRAY_5 || message[at + 1] !== KIND.DATA) return false;
  // the longest head, so that nothing below reads beyond the message
  if (at + MAX_DATA_HEAD_BYTES > message.length) return readShort(message, at, frame);
  let next = readCount(message, at + 2);
  frame.seq = count;
  next = readCount(message, next);
  frame.channel = count;
  next = readCount(message, next);
  frame.flags = count;
  if (next < 0) return false;
  const kind = message[next];
  if (kind === BIN_8) frame.start = next + 2;
  else if (kind === BIN_16) frame.start = next + 3;
  else return false;
  frame.end = frame.start + (kind === BIN_8 ? message[next + 1]! : message.readUInt16BE(next + 1));
  return frame.end - frame.start <= CHUNK_BYTES && frame.end <= message.length;
}

const padded = Buffer.alloc(MAX_DATA_HEAD_BYTES + 0xff);

/** The last frame of a message may be shorter than the longest head. */
function readShort(message: Buffer, at: number, frame: DataFrame): boolean {
  const length = message.copy(padded.fill(0), 0, at);
  if (!readData(padded, 0, frame) || frame.end > length) return false;
  frame.start += at;
  frame.end += at;
  return true;
}

/** What {@link readCount} has read. */
let count = 0;

/** @returns where it ends; something negative when it is no number of at most 32 bits */
function readCount(message: Buffer, at: number): number {
  if (at < 0) return at;
  const first = message[at]!;
  if (first < 0x80) {
    count = first;
    return at + 1;
  }
  if (first === UINT_8) {
    count = message[at + 1]!;
    return at + 2;
  }
  if (first === UINT_16) {
    count = message.readUInt16BE(at + 1);
    return at + 3;
  }
  if (first === UINT_32) {
    count = message.readUInt32BE(at + 1);
    return at + 5;
  }
  return -1;
}

function writeCount(out: Buffer, at: number, count: number): number {
  if (count < 0x80) {
    out[at] = count;
    return at + 1;
  }
  if (count < 0x100) {
    out[at] = UINT_8;
    out[at + 1] = count;
    return at + 2;
  }
  if (count < 0x10000) {
    out[at] = UINT_16;
    return out.writeUInt16BE(count, at + 1);
  }
  if (count < 0x100000000) {
    out[at] = UINT_32;
    return out.writeUInt32BE(count, at + 1);
  }
  out[at] = UINT_64;
  return out.writeBigUInt64BE(BigInt(count), at + 1);
}
