import { FLAG } from "@isthmus/dist-handshake";
import { atom, Pid, type Term, TermReader, TermWriter } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { TermBody } from "../../src/channel/body.ts";
import { Fragments } from "../../src/channel/fragments.ts";
import { FrameReader } from "../../src/channel/frame-reader.ts";
import type { Signal } from "../../src/channel/signal.ts";
import { SignalWriter } from "../../src/channel/signal-writer.ts";

const failure = (code: string) => expect.objectContaining({ code });
const kib = (n: number, fill = 1) => Buffer.alloc(n * 1024, fill);

describe("a message in fragments", () => {
  it("is whole with its last, in memory of its own", () => {
    const fragments = new Fragments();
    const refs = [atom("a")];
    const parts = [kib(64, 1), kib(64, 2), kib(1, 3), Buffer.alloc(0), Buffer.from([4])];
    expect(fragments.first(7n, 5n, parts[0]!, refs)).toBeUndefined();
    for (let i = 1; i < 4; i++) expect(fragments.next(7n, BigInt(5 - i), parts[i]!)).toBeUndefined();
    const whole = fragments.next(7n, 1n, parts[4]!);
    expect(whole?.bytes.equals(Buffer.concat(parts))).toBe(true);
    expect(whole?.atomRefs).toBe(refs);
    for (const { buffer } of parts) expect(whole?.bytes.buffer).not.toBe(buffer);
    // the number is free again
    expect(fragments.first(7n, 2n, parts[0]!, refs)).toBeUndefined();
  });

  it("may come in pieces of any size, among those of others", () => {
    const fragments = new Fragments();
    const expected: Buffer[] = [];
    const sizes = [1, 40_000, 3, 2, 5000, 4096, 4095, 1];
    fragments.first(1n, 10n, kib(64), []);
    fragments.first(2n, 2n, kib(64), []);
    expected.push(kib(64));
    for (let number = 9n; number >= 1n; number--) {
      const total = sizes.reduce((sum, size) => sum + size, 0);
      fragments.begin(1n, number, total);
      let left = total;
      for (const [i, size] of sizes.entries()) {
        left -= size;
        const bytes = Buffer.allocUnsafeSlow(size).fill(i + Number(number) * 16);
        expected.push(bytes);
        const whole = fragments.piece(bytes, left);
        if (number > 1n || left > 0) expect(whole).toBeUndefined();
        else expect(whole?.bytes.equals(Buffer.concat(expected))).toBe(true);
      }
    }
    expect(fragments.next(2n, 1n, kib(1))?.bytes.length).toBe(65 * 1024);
  });

  it("does not keep what it was cut from alive when that is much more", () => {
    const fragments = new Fragments();
    const chunk = kib(64);
    fragments.first(1n, 2n, chunk.subarray(0, 10_000), []);
    chunk.fill(0);
    expect(fragments.next(1n, 1n, Buffer.alloc(0))?.bytes.every((byte) => byte === 1)).toBe(true);
  });

  it("may announce any number and gets memory for what has come", () => {
    const fragments = new Fragments({ maxFragmentBytes: 128 * 1024 });
    const before = process.memoryUsage().arrayBuffers;
    fragments.first(1n, 2n ** 64n - 1n, kib(1), []);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
    expect(() => fragments.first(2n, 2n, kib(127), [])).not.toThrow();
    expect(() => fragments.begin(1n, 2n ** 64n - 2n, 1)).toThrow(failure("FRAGMENT_LIMIT"));
  });

  it("frees what it was counted for", () => {
    const fragments = new Fragments({ maxFragmentBytes: 200 * 1024, maxOpenSequences: 1 });
    for (let i = 0; i < 10; i++) {
      fragments.first(1n, 2n, kib(64), []);
      expect(() => fragments.first(2n, 2n, kib(1), [])).toThrow(failure("FRAGMENT_LIMIT"));
      expect(fragments.first(2n, 1n, kib(1), [])).toBeDefined();
      expect(fragments.next(1n, 1n, kib(64))).toBeDefined();
    }
  });

  it("counts each fragment, however short", () => {
    const fragments = new Fragments({ maxFragmentBytes: 256 * 4 });
    fragments.first(1n, 100n, Buffer.alloc(1), []);
    for (const number of [99n, 98n, 97n]) fragments.next(1n, number, Buffer.alloc(1));
    expect(() => fragments.next(1n, 96n, Buffer.alloc(1))).toThrow(failure("FRAGMENT_LIMIT"));
  });

  it.each<[string, (fragments: Fragments) => unknown]>([
    ["out of order", (fragments) => fragments.next(1n, 1n, kib(1))],
    ["of a sequence that is not open", (fragments) => fragments.begin(5n, 2n, 10)],
    ["of one that is open", (fragments) => fragments.beginFirst(1n, 3n, 10, [])],
    ["the only one, of a sequence that is open", (fragments) => fragments.first(1n, 1n, kib(1), [])],
    ["without a number", (fragments) => fragments.beginFirst(0n, 3n, 10, [])],
    ["of none", (fragments) => fragments.first(9n, 0n, kib(1), [])],
  ])("%s is refused", (_, act) => {
    const fragments = new Fragments();
    fragments.first(1n, 3n, kib(1), []);
    expect(() => act(fragments)).toThrow(failure("FRAME_MALFORMED"));
  });
});

describe("a first fragment that is cut", () => {
  const flags = FLAG.DIST_HDR_ATOM_CACHE | FLAG.FRAGMENTS | FLAG.SEND_SENDER;
  const atoms = Array.from({ length: 100 }, (_, i) => atom(`${i}${"ü".repeat(250)}`));
  const message: Term[] = [...atoms, Buffer.alloc(90_000, 9)];

  it("is read the same wherever that is, within its header too", () => {
    const out = new TermWriter();
    const writer = new SignalWriter(out, flags, () => undefined);
    writer.send(new Pid(atom("a@h"), 1, 0, 1), new Pid(atom("b@h"), 9, 0, 1), new TermBody().of(message));
    writer.frames.flush();
    const bytes = Buffer.concat(writer.frames.ready);
    const first = 4 + bytes.readUInt32BE(0);
    const terms = new TermReader();
    let inPieces = 0;
    for (let cut = 5; cut < first; cut += 997) {
      const reader = new FrameReader(atom("a@h"), flags);
      let signal: Signal | undefined;
      if (reader.begin(bytes, 4, cut, first - 4)) {
        inPieces++;
        expect(reader.readNext(bytes, cut, first, 0)).toBeUndefined();
      } else {
        expect(reader.read(bytes, 4, first)).toBeUndefined();
      }
      for (let at = first; at < bytes.length; ) {
        const end = at + 4 + bytes.readUInt32BE(at);
        signal = reader.read(bytes, at + 4, end);
        at = end;
      }
      terms.reset(signal!.bytes, signal!.bodyStart, signal!.bodyEnd, signal!.atomRefs);
      const got = terms.term() as Term[];
      expect(got.slice(0, -1)).toEqual(atoms);
      expect((got.at(-1) as Buffer).equals(message.at(-1) as Buffer)).toBe(true);
    }
    expect(inPieces).toBeGreaterThan(0);
  });
});
