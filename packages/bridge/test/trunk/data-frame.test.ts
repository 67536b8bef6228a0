import fc from "fast-check";
import { expect, it } from "vitest";
import { bytesField, decodeSingle } from "../../src/trunk/codec.ts";
import { MAX_DATA_HEAD_BYTES, readData, writeData } from "../../src/trunk/data-frame.ts";
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

/** What `readData` makes of a message. */
function read(message: Buffer, at = 0): readonly [...DataFrame, number] | undefined {
  const frame = { seq: 0, channel: 0, flags: 0, start: 0, end: 0 };
  if (!readData(message, at, frame)) return undefined;
  const { seq, channel, flags, start, end } = frame;
  return [KIND.DATA, seq, channel, flags, message.subarray(start, end), end];
}
type DataFrame = [kind: number, seq: number, channel: number, flags: number, bytes: Buffer];

it("is read as it was written, wherever it stands; numbers beyond 32 bits are left to MessagePack", () => {
  fc.assert(
    fc.property(
      numbers,
      fc.nat(300),
      fc.nat(3),
      fc.oneof(lengths, fc.nat(40)),
      fc.nat(99),
      fc.nat(50),
      (seq, channel, flags, length, at, after) => {
        const bytes = Buffer.alloc(length, seq & 0xff);
        const out = Buffer.alloc(at + MAX_DATA_HEAD_BYTES + length);
        const end = writeData(out, at, seq, channel, flags, bytes);
        const message = Buffer.concat([out.subarray(0, end), Buffer.alloc(after, 1)]);
        const expected = seq < 2 ** 32 ? [KIND.DATA, seq, channel, flags, bytes, end] : undefined;
        expect(read(message, at)).toEqual(expected);
        // a frame that is cut short is none
        expect(read(message.subarray(0, end - 1), at)).toBeUndefined();
      },
    ),
  );
});

it("never reads from strange bytes what MessagePack does not", () => {
  const head = fc.constantFrom(
    ...[0x95, KIND.DATA, 0, 1, 0xc4, 0xc5, 0xc6, 0xcc, 0xcd, 0xce, 0xcf, 0xd9, 0xff, 5],
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(head, fc.nat(255)), { maxLength: 80 }), (rest) => {
      const message = Buffer.from([0x95, KIND.DATA, ...rest]);
      const found = read(message);
      if (found === undefined) return;
      const end = found[5];
      const frame = decodeSingle(message.subarray(0, end));
      expect([...frame.slice(0, 4), bytesField(frame, 4)]).toEqual(found.slice(0, 5));
    }),
    { numRuns: 5000 },
  );
});
