import fc from "fast-check";
import { expect, it } from "vitest";
import { bytesField, decodeSingle } from "../../src/trunk/codec.ts";
import { MAX_DATA_HEAD_BYTES, writeData } from "../../src/trunk/data-frame.ts";
import { KIND } from "../../src/trunk/frames.ts";

const numbers = fc.oneof(
  fc.constantFrom(0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
  fc.nat(),
);
const lengths = fc.constantFrom(0, 1, 0xff, 0x100, 0x7fff, 0x8000);

it("a DATA frame is what MessagePack makes of it, in the room that it may take", () => {
  fc.assert(
    fc.property(numbers, numbers, fc.nat(3), lengths, fc.nat(99), (seq, channel, flags, length, at) => {
      const bytes = Buffer.alloc(length, seq & 0xff);
      const out = Buffer.alloc(at + MAX_DATA_HEAD_BYTES + length);
      const frame = decodeSingle(out.subarray(at, writeData(out, at, seq, channel, flags, bytes)));
      expect(frame.slice(0, 4)).toEqual([KIND.DATA, seq, channel, flags]);
      expect(bytesField(frame, 4).equals(bytes)).toBe(true);
    }),
  );
});
