import { createHash } from "node:crypto";
import { FLAG } from "@isthmus/dist-handshake";
import { atom, Pid, type Term, TermReader, TermWriter, type Tuple, tuple } from "@isthmus/etf";
import { FrameSplitter } from "@isthmus/wire";
import fc from "fast-check";
import { expect, it } from "vitest";
import { TermBody } from "../../src/channel/body.ts";
import { FrameReader } from "../../src/channel/frame-reader.ts";
import type { Signal } from "../../src/channel/signal.ts";
import { SignalWriter } from "../../src/channel/signal-writer.ts";

const FULL = FLAG.DIST_HDR_ATOM_CACHE | FLAG.FRAGMENTS | FLAG.SEND_SENDER;
const to = new Pid(atom("b@h"), 9, 0, 1);
const digest = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

/** The bytes of a connection on which messages with binaries of these sizes go out. */
function written(sizes: readonly number[], flags: bigint): Buffer {
  const out = new TermWriter();
  const writer = new SignalWriter(out, flags, () => undefined);
  for (const [n, size] of sizes.entries()) {
    const from = new Pid(atom("a@h"), 1 + (n % 3), 0, 1);
    writer.send(from, to, new TermBody().of(tuple(n, Buffer.alloc(size, n + 1))));
  }
  writer.frames.flush();
  out.takeParts(writer.frames.ready);
  return Buffer.concat(writer.frames.ready);
}

/** The messages in the bytes, which arrive in chunks that end where `cuts` say. */
function read(bytes: Buffer, cuts: readonly number[], flags: bigint): string[] {
  const reader = new FrameReader(atom("a@h"), flags);
  const terms = new TermReader();
  const got: string[] = [];
  const take = (signal: Signal | undefined): void => {
    if (signal === undefined) return;
    terms.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
    const [n, data] = (terms.term() as Tuple).elements as [Term, Uint8Array];
    got.push(`${n} ${data.length} ${digest(data)}`);
  };
  const splitter = new FrameSplitter({
    lengthBytes: 4,
    maxFrameBytes: 128 * 1024 * 1024,
    onFrame: (chunk, start, end) => {
      if (start < end) take(reader.read(chunk, start, end));
    },
    pieces: {
      begin: (chunk, start, end, length) => reader.begin(chunk, start, end, length),
      next: (chunk, start, end, left) => take(reader.readNext(chunk, start, end, left)),
    },
  });
  let at = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    // memory of its own, as each chunk of a socket has
    splitter.push(Buffer.from(bytes.subarray(at, Math.max(at, cut))));
    at = Math.max(at, cut);
  }
  splitter.push(Buffer.from(bytes.subarray(at)));
  return got;
}

it("messages come out the same however their bytes are cut", () => {
  const sizes = fc.array(fc.constantFrom(0, 10, 5000, 65_500, 65_536, 70_000, 131_072, 300_000), {
    maxLength: 8,
  });
  const run = fc.record({
    sizes,
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 }),
    flags: fc.constantFrom(FULL, FLAG.SEND_SENDER),
  });
  fc.assert(
    fc.property(run, ({ sizes: wanted, cuts, flags }) => {
      const bytes = written(wanted, flags);
      const whole = read(bytes, [], flags);
      const expected = wanted.map((size, n) => `${n} ${size} ${digest(Buffer.alloc(size, n + 1))}`);
      expect([...whole].sort()).toEqual([...expected].sort());
      expect(
        read(
          bytes,
          cuts.map((share) => Math.floor(share * bytes.length)),
          flags,
        ),
      ).toEqual(whole);
    }),
    { numRuns: 150 },
  );
});

it("also byte by byte", () => {
  const bytes = written([3, 70_000, 5], FULL);
  const every = Array.from({ length: 2000 }, (_, i) => bytes.length - 2000 + i);
  const early = Array.from({ length: 2000 }, (_, i) => i);
  expect(read(bytes, [...early, ...every], FULL)).toEqual(read(bytes, [], FULL));
});
