import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeSingle } from "../../src/trunk/codec.ts";
import { MAX_DATA_HEAD_BYTES, writeData } from "../../src/trunk/data-frame.ts";
import { KIND } from "../../src/trunk/frames.ts";

const numbers = fc.oneof(
  fc.constantFrom(
    0,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xffff,
    0x10000,
    0xffffffff,
    0x100000000,
    Number.MAX_SAFE_INTEGER,
  ),
  fc.nat(),
);
const lengths = fc.constantFrom(0, 1, 0xff, 0x100, 0x7fff, 0x8000);

it("a DATA frame is what MessagePack makes of it, in the room that it may take", () => {
  fc.assert(
    fc.property(numbers, numbers, fc.nat(3), lengths, fc.nat(99), (seq, channel, flags, length, at) => {
      const bytes = Buffer.alloc(length, seq & 0xff);
      const out = Buffer.alloc(at + MAX_DATA_HEAD_BYTES + length);
      const end = writeData(out, at, seq, channel, flags, bytes);
      expect(decodeSingle(out.subarray(at, end))).toEqual([KIND.DATA, seq, channel, flags, bytes]);
    }),
  );
});
