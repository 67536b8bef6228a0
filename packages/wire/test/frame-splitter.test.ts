import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameSplitter, OVERSIZED_HEAD_BYTES, type PieceTaker } from "../src/index.ts";

function frame(lengthBytes: 2 | 4, payload: Buffer): Buffer {
  const head = Buffer.alloc(lengthBytes);
  head.writeUIntBE(payload.length, 0, lengthBytes);
  return Buffer.concat([head, payload]);
}

function collect(lengthBytes: 2 | 4, maxFrameBytes = 1000) {
  const frames: string[] = [];
  const splitter = new FrameSplitter({
    lengthBytes,
    maxFrameBytes,
    onFrame: (bytes, start, end) => frames.push(bytes.toString("hex", start, end)),
  });
  return { frames, splitter };
}

describe.each([2, 4] as const)("FrameSplitter with a length of %i bytes", (lengthBytes) => {
  const payloads = ["", "01", "0203", "", "aa".repeat(300)].map((hex) => Buffer.from(hex, "hex"));
  const stream = Buffer.concat(payloads.map((payload) => frame(lengthBytes, payload)));
  const expected = payloads.map((payload) => payload.toString("hex"));

  it("cuts a whole chunk", () => {
    const { frames, splitter } = collect(lengthBytes);
    splitter.push(stream);
    expect(frames).toEqual(expected);
    expect(splitter.buffered).toBe(0);
  });

  it("says nothing until the last byte of a frame is there", () => {
    const { frames, splitter } = collect(lengthBytes);
    const one = frame(lengthBytes, Buffer.from("abcd", "hex"));
    for (let i = 0; i < one.length; i++) {
      expect(frames).toEqual([]);
      splitter.push(one.subarray(i, i + 1));
    }
    expect(frames).toEqual(["abcd"]);
  });

  it("gives the same frames for every way of cutting the stream", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1 }), (sizes) => {
        const { frames, splitter } = collect(lengthBytes);
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length]!;
          splitter.push(Buffer.from(stream.subarray(at, at + size)));
          at += size;
        }
        expect(frames).toEqual(expected);
      }),
    );
  });

  it("keeps trailing bytes for the next chunk", () => {
    const { frames, splitter } = collect(lengthBytes);
    splitter.push(Buffer.concat([frame(lengthBytes, Buffer.from("ff", "hex")), stream.subarray(0, 1)]));
    expect(frames).toEqual(["ff"]);
    expect(splitter.buffered).toBe(1);
    splitter.push(stream.subarray(1));
    expect(frames).toEqual(["ff", ...expected]);
  });

  it("refuses a frame beyond the limit by its length alone", () => {
    const { splitter } = collect(lengthBytes, 10);
    expect(() => splitter.push(frame(lengthBytes, Buffer.alloc(11)).subarray(0, lengthBytes))).toThrow(
      expect.objectContaining({ code: "FRAME_TOO_LARGE", context: { length: 11, limit: 10 } }),
    );
  });
});

it("changes from two to four bytes of length between two frames", () => {
  const { frames, splitter } = collect(2);
  const seen: string[] = [];
  const changing = new FrameSplitter({
    lengthBytes: 2,
    maxFrameBytes: 100,
    onFrame(bytes, start, end) {
      seen.push(bytes.toString("hex", start, end));
      changing.lengthBytes = 4;
    },
  });
  changing.push(Buffer.concat([frame(2, Buffer.from("01", "hex")), frame(4, Buffer.from("02", "hex"))]));
  expect(seen).toEqual(["01", "02"]);
  expect(frames).toEqual([]);
  splitter.stop();
  splitter.push(frame(2, Buffer.from("03", "hex")));
  expect(frames).toEqual([]);
});

it("passes a frame within one chunk as a view, and copies one that straddles", () => {
  const chunks: Buffer[] = [];
  const splitter = new FrameSplitter({
    lengthBytes: 2,
    maxFrameBytes: 100,
    onFrame: (bytes) => chunks.push(bytes),
  });
  const whole = frame(2, Buffer.from("0102", "hex"));
  splitter.push(whole);
  expect(chunks[0]).toBe(whole);
  splitter.push(whole.subarray(0, 3));
  splitter.push(whole.subarray(3));
  expect(chunks[1]?.buffer).not.toBe(whole.buffer);
  expect(chunks[1]).toEqual(Buffer.from("0102", "hex"));
});

describe("frames in pieces", () => {
  /** Takes the frames of which at least two bytes are there and the first is even; what came, by frame. */
  function collectPieces(onPiece: (splitter: FrameSplitter) => void = () => undefined) {
    const frames: string[] = [];
    const taken: string[] = [];
    let coming = "";
    let expected = 0;
    const pieces: PieceTaker = {
      begin(bytes, start, end, length) {
        if (end - start < 2 || ((bytes[start] as number) & 1) === 1) return false;
        expect(end - start).toBeLessThan(length);
        coming = bytes.toString("hex", start, end);
        expected = length - (end - start);
        onPiece(splitter);
        return true;
      },
      next(bytes, start, end, left) {
        coming += bytes.toString("hex", start, end);
        expected -= end - start;
        expect(left).toBe(expected);
        if (left === 0) {
          taken.push(coming);
          frames.push(coming);
        }
        onPiece(splitter);
      },
    };
    const splitter = new FrameSplitter({
      lengthBytes: 2,
      maxFrameBytes: 1000,
      onFrame: (bytes, start, end) => frames.push(bytes.toString("hex", start, end)),
      pieces,
    });
    return { frames, taken, splitter };
  }

  it("are the same bytes in the same order, whoever takes them", () => {
    const payload = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(
        fc.array(payload, { maxLength: 20 }),
        fc
          .array(fc.integer({ min: 0, max: 60 }), { minLength: 1 })
          .filter((sizes) => sizes.some((n) => n > 0)),
        (payloads, sizes) => {
          const { frames, splitter } = collectPieces();
          const stream = Buffer.concat(payloads.map((one) => frame(2, one)));
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = sizes[i % sizes.length]!;
            splitter.push(Buffer.from(stream.subarray(at, at + size)));
            at += size;
          }
          expect(frames).toEqual(payloads.map((one) => one.toString("hex")));
          expect(splitter.buffered).toBe(0);
        },
      ),
    );
  });

  it("are views of what was received", () => {
    const seen: Buffer[] = [];
    const splitter = new FrameSplitter({
      lengthBytes: 2,
      maxFrameBytes: 100,
      onFrame: () => expect.fail("taken in pieces"),
      pieces: { begin: (bytes) => seen.push(bytes) > 0, next: (bytes) => seen.push(bytes) },
    });
    const chunks = [Buffer.from("000401", "hex"), Buffer.from("02", "hex"), Buffer.from("0304", "hex")];
    for (const chunk of chunks) splitter.push(chunk);
    expect(seen.length).toBe(3);
    seen.forEach((bytes, i) => {
      expect(bytes).toBe(chunks[i]);
    });
  });

  it("are gathered when they are not taken, and not offered when they are whole", () => {
    const { frames, taken, splitter } = collectPieces();
    const odd = frame(2, Buffer.from("010203", "hex"));
    const even = frame(2, Buffer.from("020304", "hex"));
    splitter.push(Buffer.concat([even, odd.subarray(0, 4)]));
    splitter.push(Buffer.concat([odd.subarray(4), even.subarray(0, 4)]));
    splitter.push(even.subarray(4));
    expect(frames).toEqual(["020304", "010203", "020304"]);
    expect(taken).toEqual(["020304"]);
  });

  it.each([1, 2])("end when it is stopped at piece %i", (last) => {
    let pieces = 0;
    const { frames, splitter } = collectPieces((one) => {
      if (++pieces === last) one.stop();
    });
    const bytes = frame(2, Buffer.from("020304", "hex"));
    for (const chunk of [bytes.subarray(0, 4), bytes.subarray(4), bytes]) splitter.push(chunk);
    expect(pieces).toBe(last);
    expect(frames).toEqual(last === 1 ? [] : ["020304"]);
  });
});

describe("FrameSplitter with frames that are too long", () => {
  const limit = OVERSIZED_HEAD_BYTES * 2;
  const long = Buffer.alloc(limit + 1000, 7);
  const barely = Buffer.alloc(limit, 8);
  const short = Buffer.from("0a0b", "hex");
  const stream = Buffer.concat([short, long, short, barely, long, short].map((each) => frame(4, each)));

  it.each([1000, 4096, 65_533, OVERSIZED_HEAD_BYTES + 8, 1_000_000])(
    "hands over their beginning and skips the rest, in chunks of %i bytes",
    (size) => {
      const seen: string[] = [];
      const splitter = new FrameSplitter({
        lengthBytes: 4,
        maxFrameBytes: limit,
        onFrame: (bytes, start, end) => seen.push(`frame ${bytes[start]} ${end - start}`),
        onOversized: (head, length) => seen.push(`head ${head[0]} ${head.length} of ${length}`),
      });
      for (let at = 0; at < stream.length; at += size)
        splitter.push(Buffer.from(stream.subarray(at, at + size)));
      const head = `head 7 ${OVERSIZED_HEAD_BYTES} of ${long.length}`;
      expect(seen).toEqual(["frame 10 2", head, "frame 10 2", `frame 8 ${limit}`, head, "frame 10 2"]);
      expect(splitter.buffered).toBe(0);
    },
  );

  it("hands over all of one that is shorter than what is kept", () => {
    const seen: number[][] = [];
    const splitter = new FrameSplitter({
      lengthBytes: 4,
      maxFrameBytes: 3,
      onFrame: (_bytes, start, end) => seen.push([end - start]),
      onOversized: (head, length) => seen.push([...head, length]),
    });
    splitter.push(Buffer.concat([frame(4, Buffer.from([1, 2, 3, 4])), frame(4, short)]));
    expect(seen).toEqual([[1, 2, 3, 4, 4], [2]]);
  });

  it("stops when it is told to while it does", () => {
    const splitter: FrameSplitter = new FrameSplitter({
      lengthBytes: 4,
      maxFrameBytes: 3,
      onFrame: () => expect.unreachable(),
      onOversized: () => splitter.stop(),
    });
    splitter.push(Buffer.concat([frame(4, Buffer.from([1, 2, 3, 4])), frame(4, short)]));
    splitter.push(frame(4, short));
  });
});

describe("frames that are long, and not too long", () => {
  const short = Buffer.from([10, 11]);
  const BYTES = 100_000;
  const long = Buffer.alloc(BYTES, 7);

  /** What a splitter says of `stream` when it comes in chunks of `size` bytes. */
  function split(stream: Buffer, size: number, takes: boolean, hold = false): string[] {
    const seen: string[] = [];
    let taken = 0;
    const splitter: FrameSplitter = new FrameSplitter({
      lengthBytes: 4,
      maxFrameBytes: 1_000_000,
      onFrame: (bytes, start, end) => seen.push(`frame ${bytes[start]} ${end - start}`),
      long: {
        bytes: OVERSIZED_HEAD_BYTES,
        begin: (head, length) => {
          seen.push(`head ${head.length} of ${length}`);
          taken = head.length;
          if (!takes) return undefined;
          return (bytes, start, end, left) => {
            taken += end - start;
            if (taken + left !== length || !bytes.subarray(start, end).every((byte) => byte === 7))
              seen.push("something else");
            if (left > 0) return;
            seen.push(`all ${taken}`);
            if (hold) splitter.suspend();
          };
        },
      },
    });
    for (let at = 0; at < stream.length; at += size) {
      let rest: Buffer | undefined = Buffer.from(stream.subarray(at, at + size));
      while (rest !== undefined) {
        rest = splitter.push(rest);
        if (rest !== undefined) seen.push("held");
      }
    }
    expect(splitter.buffered).toBe(0);
    return seen;
  }

  const stream = Buffer.concat([frame(4, short), frame(4, long), frame(4, short), frame(4, long)]);
  const head = `head ${OVERSIZED_HEAD_BYTES} of ${BYTES}`;

  it.each([1, 999, 65_536])("are given to whoever takes the rest, from chunks of %i bytes", (size) => {
    const all = [`frame 10 ${short.length}`, head, `all ${BYTES}`];
    expect(split(stream, size, true)).toEqual([...all, ...all]);
  });

  it.each([1, 999, 65_536])("are gathered when nobody does, from chunks of %i bytes", (size) => {
    const all = [`frame 10 ${short.length}`, head, `frame 7 ${BYTES}`];
    expect(split(stream, size, false)).toEqual([...all, ...all]);
  });

  it("are frames as any other when all of one is there", () => {
    expect(split(stream, stream.length, true)).toEqual([
      `frame 10 ${short.length}`,
      `frame 7 ${BYTES}`,
      `frame 10 ${short.length}`,
      `frame 7 ${BYTES}`,
    ]);
  });

  it("hold up what comes behind when they are told to", () => {
    const seen = split(stream, 70_000, true, true);
    const at = seen.indexOf("held");
    expect(seen[at - 1]).toBe(`all ${BYTES}`);
    expect(seen[at + 1]).toBe(`frame 10 ${short.length}`);
    expect(seen.filter((one) => one === "held")).toHaveLength(2);
  });
});
