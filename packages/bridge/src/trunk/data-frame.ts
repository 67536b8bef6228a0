import { KIND } from "./frames.ts";

// Nearly every frame is DATA, so it has an encoding of its own, which writes the payload to where it is sent from.

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
