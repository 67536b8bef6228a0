import { atom, encode, Fun, Pid, Port, Reference, type Term, TermMap, TermWriter, tuple } from "@isthmus/etf";
import {
  type IdentityTranslator,
  TermStream,
  type TermStreamOptions,
  type TermTarget,
} from "@isthmus/etf/raw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { generator, input } from "../fuzz.ts";
import { atomRefs } from "../support/agreement.ts";
import { terms } from "../support/arbitraries.ts";
import { codeOf, hex } from "../support/code.ts";
import { type Copied, copyPieces, copyWhole } from "../support/pieces.ts";
import { decodeVectors, encodeVectors } from "../support/vectors.ts";

const LONG = { timeout: 120_000 };
const n = atom("n@h");
const bridge = atom("bridge@127.0.0.1");
const keep: IdentityTranslator = { identity: () => null };
const toBridge: IdentityTranslator = {
  identity: (_, creation) => ({ node: bridge, creation: (creation + 1000) >>> 0 }),
};
const random = generator(20_261_121);

/** All recorded terms without their version byte. */
const vectors: readonly Buffer[] = [
  ...new Set([
    ...encodeVectors.flatMap(({ hex: digits }) => (digits === undefined ? [] : [digits])),
    ...decodeVectors.map(({ hex: digits }) => digits),
  ]),
]
  .map((digits) => Buffer.from(digits, "hex").subarray(1))
  // compressed terms are for binary_to_term, not for messages
  .filter((bytes) => bytes.length > 0 && bytes[0] !== 80);

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}

/** `count` places of `bytes`, in order. */
function places(bytes: Buffer, count: number): number[] {
  return range(0, count)
    .map(() => random(bytes.length + 1))
    .sort((a, b) => a - b);
}

function expectCopy(
  bytes: Buffer,
  cuts: readonly number[],
  whole: Copied,
  options: TermStreamOptions,
  translator: IdentityTranslator,
): void {
  const copy = copyPieces(bytes, cuts, translator, options);
  if (copy.bytes === whole.bytes && copy.code === whole.code) return;
  expect(copy, `${bytes.toString("hex", 0, 1000)} cut at ${cuts.slice(0, 100).join()}`).toEqual(whole);
}

/** With a cut at each place, or at some when there are many; byte by byte; and in pieces of all sizes. */
function expectSame(
  bytes: Buffer,
  options: TermStreamOptions = { atomRefs },
  translator: IdentityTranslator = toBridge,
  most = 200,
): Copied {
  const whole = copyWhole(bytes, translator, options);
  const single = bytes.length <= most ? range(0, bytes.length + 1) : places(bytes, most);
  for (const cut of single) expectCopy(bytes, [cut], whole, options, translator);
  if (bytes.length < 5000) expectCopy(bytes, range(1, bytes.length), whole, options, translator);
  for (const count of [2, 3, 10, 50]) expectCopy(bytes, places(bytes, count), whole, options, translator);
  return whole;
}

/** Pushes `bytes` in pieces of `size`. @returns the most that was held back */
function pushAll(
  bytes: Buffer,
  size: number,
  out: TermWriter,
  options?: TermStreamOptions,
  translator: IdentityTranslator = toBridge,
): number {
  const stream = new TermStream(translator, options);
  let most = 0;
  let complete = false;
  for (let at = 0; at < bytes.length; at += size) {
    expect(complete).toBe(false);
    complete = stream.push(bytes, at, Math.min(bytes.length, at + size), out);
    most = Math.max(most, stream.heldBytes);
  }
  expect(complete).toBe(true);
  expect(stream.heldBytes).toBe(0);
  return most;
}

const fun = (free: readonly Term[]) =>
  new Fun({
    arity: 1,
    uniq: Buffer.alloc(16, 7),
    index: 5,
    module: atom("some_module"),
    oldIndex: 5,
    oldUniq: 77_777,
    creator: new Pid(n, 1, 2, 3),
    free,
  });
const pid = new Pid(n, 1, 2, 3);

describe("the copy of pieces is that of the whole", LONG, () => {
  it("for all recorded terms", () => {
    expect(vectors.length).toBeGreaterThan(300);
    for (const bytes of vectors) expectSame(bytes, { atomRefs }, toBridge, 30);
  });

  it("for random terms", () => {
    fc.assert(
      fc.property(terms(), (term: Term) => {
        expect(expectSame(encode(term).subarray(1), {}, toBridge, 40).code).not.toBe("ETF_TRUNCATED");
      }),
      { numRuns: 150 },
    );
  });

  const nothing = "6c 00000000";
  const old = "67 7703 6e4068 00000001 00000002 03";
  it.each([
    ["empty lists before a term", `${nothing} ${nothing} 68 02 ${nothing} 61 01 ${nothing} ${nothing} 6a`],
    [
      "empty lists before a list, and as its tail",
      `${nothing} 6c 00000002 61 01 ${nothing} 6c 00000001 61 02 6a ${nothing} 6a`,
    ],
    [
      "empty lists before keys and values",
      `74 00000002 ${nothing} 61 01 ${nothing} 61 02 ${nothing} 61 03 ${nothing} 6d 00000003 616263`,
    ],
    [
      "a list in many parts",
      `6c 00000002 61 01 61 02 6c 00000001 ${old} ${nothing} 6c 00000003 61 04 6a 61 05 6c 00000001 61 06 68 01 61 07`,
    ],
    [
      "a list in parts, within and around others",
      `6c 00000001 6c 00000001 61 01 6c 00000001 61 02 6a 6c 00000001 6c 00000001 61 03 6c 00000001 6c 00000001 61 04 6a 6a 6a`,
    ],
    ["improper lists", `6c 00000002 61 01 6c 00000001 61 02 ${old} 68 02 61 01 6d 00000002 6162`],
    [
      "maps in lists in maps",
      `74 00000002 61 01 6c 00000002 74 00000001 61 01 ${old} 74 00000000 6a 61 02 74 00000001 74 00000001 61 01 61 02 61 03`,
    ],
    [
      "old forms",
      `68 04 66 7703 6e4068 00000001 02 72 0002 640003 6e4068 01 00000001 00000002 65 7303 6e4068 00000009 01 ${old}`,
    ],
    [
      "atoms of the cache",
      "68 03 52 00 58 52 01 00000001 00000002 00000007 74 00000002 52 00 61 01 52 02 61 02",
    ],
    [
      "a native record",
      "68 02 43 00000002 01 77 01 6d 77 01 72 77 01 78 77 01 79 61 01 68 01 61 02 6d 00000001 61",
    ],
    ["records without fields", "68 02 43 00000000 01 52 00 77 01 72 6a"],
    [
      "numbers",
      `68 07 63 ${Buffer.from("1.50000000000000000000e+00".padEnd(31, "\0")).toString("hex")} 46 3ff8000000000000 6e 03 00 010203 6f 00000003 01 010203 62 00000007 61 01 6b 0003 010203`,
    ],
    ["bit strings", "68 03 4d 00000003 07 616280 4d 00000001 08 61 4d 00000002 01 6180"],
    ["empty ones", "68 05 68 00 69 00000000 74 00000000 6d 00000000 6b 0000"],
    ["funs", `68 02 71 77 01 6d 77 01 66 61 01 ${encode(fun([pid, [pid], fun([])])).toString("hex", 1)}`],
  ])("for %s", (_, digits) => {
    expect(expectSame(hex(digits)).bytes).toBeDefined();
  });

  it.each<[string, Term]>([
    [
      "funs with pids within",
      tuple([fun([pid, fun([tuple(pid, new Reference(n, 7, [1, 2, 3]))])]), 1], fun([])),
    ],
    [
      "funs, maps and lists as keys",
      new TermMap([
        [fun([pid]), fun([pid])],
        [
          new TermMap([
            [pid, 1],
            [[pid], 2],
          ]),
          Buffer.alloc(300, 1),
        ],
        [[[tuple(pid)]], [[1000]]],
        [Buffer.alloc(200, 2), new Port(n, 2n ** 40n, 7)],
      ]),
    ],
    [
      "large binaries",
      [Buffer.alloc(3000, 1), new TermMap([[1, tuple(Buffer.alloc(2000, 2), pid)]]), Buffer.alloc(100, 3)],
    ],
    ["a list of many alike", Array.from({ length: 1000 }, (_, i) => tuple(i, pid))],
    [
      "a list of many that change",
      Array.from({ length: 400 }, (_, i) => (i % 100 === 99 ? Buffer.alloc(2000, 1) : i)),
    ],
    ["a map of many", new TermMap(Array.from({ length: 1000 }, (_, i) => [tuple(i, pid), i] as const))],
    [
      "a large tuple of maps",
      tuple(
        ...Array.from(
          { length: 300 },
          (_, i) =>
            new TermMap([
              [i, pid],
              [atom("k"), [1.5]],
            ]),
        ),
      ),
    ],
    [
      "a deep one",
      range(0, 2000).reduce<Term>(
        (term, i) => (i % 3 === 0 ? [term] : i % 3 === 1 ? tuple(pid, term) : new TermMap([[i, term]])),
        pid,
      ),
    ],
    [
      "deep keys",
      range(0, 60).reduce<Term>(
        (term, i) =>
          new TermMap([
            [term, i],
            [tuple(i, pid), term],
          ]).size === 2
            ? new TermMap([
                [term, i],
                [i, 1],
              ])
            : term,
        pid,
      ),
    ],
  ])("for %s", (_, term) => {
    expect(expectSame(encode(term).subarray(1)).bytes).toBeDefined();
  });

  it("for damaged terms, which both refuse", () => {
    let refused = 0;
    for (let i = 0; i < 5000; i++) {
      const bytes = input(random);
      if (bytes[0] === 80) continue;
      const whole = copyWhole(bytes, toBridge, { atomRefs });
      const cuts = i % 4 === 0 ? range(1, bytes.length) : places(bytes, 1 + random(4));
      const copy = copyPieces(bytes, cuts, toBridge, { atomRefs });
      const what = `${bytes.toString("hex")} cut at ${cuts.join()}`;
      expect(copy.bytes === undefined, what).toBe(whole.bytes === undefined);
      if (whole.bytes === undefined) refused++;
      // a stream cannot know that bytes do not come, nor judge a part before it is complete
      if (whole.code !== "ETF_TRUNCATED" && copy.code !== "ETF_TRUNCATED")
        expectCopy(bytes, cuts, whole, { atomRefs }, toBridge);
    }
    expect(refused).toBeGreaterThan(500);
  });
});

describe("what the whole is refused for", LONG, () => {
  const shared = { node: bridge, creation: 9, shared: true };
  const merging: IdentityTranslator = { identity: () => shared };
  const [one, two] = [7, 8].map((creation) => new Pid(n, 1, 0, creation)) as [Pid, Pid];
  const filler = Buffer.alloc(40, 1);
  const map = (...keys: Term[]) => new TermMap(keys.map((key) => [key, filler]));

  it("are keys that become the same", () => {
    const target: TermTarget = { node: atom("b1@h"), wide: true, records: true };
    for (const term of [
      map(one, two),
      map(two, 3, one),
      map([1, one], [1, two]),
      [filler, map(1, tuple(filler, one), 2, tuple(filler, two))],
      tuple(one, [map(1), new TermMap([[1, map(2, one, two)]])]),
      tuple(
        filler,
        map(
          new TermMap([
            [one, 1],
            [5, two],
          ]),
          new TermMap([
            [two, 1],
            [5, one],
          ]),
        ),
      ),
      // within one key, and in the only one
      map(3, map(one, two)),
      map(map(one, two)),
    ]) {
      const bytes = encode(term).subarray(1);
      expect(expectSame(bytes, {}, merging).code).toBe("ETF_DUPLICATE_KEY");
      expect(expectSame(bytes, { target }, merging).code).toBe("ETF_UNREPRESENTABLE");
    }
    for (const fine of [
      [one, two],
      map(one, [two]),
      [map(one), map(two)],
      new TermMap([
        [1, [one, two]],
        [2, two],
      ]),
    ])
      expect(expectSame(encode(fine).subarray(1), { target }, merging).bytes).toBeDefined();
  });

  it.each([
    ["one key twice", `74 00000003 77 01 61 6d 00000003 616263 61 01 61 02 77 01 61 61 02`],
    ["one key twice, with a list of nothing before it", `74 00000002 6c 00000000 61 01 61 00 61 01 61 00`],
    ["one key twice, in two forms", `68 01 74 00000002 77 01 61 61 01 64 0001 61 61 02`],
    ["one list twice, in two forms", `74 00000002 6b 0001 05 61 01 6c 00000001 61 05 6a 61 02`],
    [
      "one map twice",
      "6c 00000001 74 00000002 74 00000002 61 01 61 02 61 03 61 04 61 00 74 00000002 61 03 61 04 61 01 61 02 61 00 6a",
    ],
  ])("is %s", (_, digits) => {
    expect(expectSame(hex(digits)).code).toBe("ETF_DUPLICATE_KEY");
  });

  it("is what its target cannot decode", () => {
    const narrow: TermTarget = { node: bridge, wide: false, records: false };
    const wide = [1, tuple(new Pid(n, 100_001, 1, 3)), filler];
    expect(expectSame(encode(wide).subarray(1), { target: narrow }).code).toBe("ETF_UNREPRESENTABLE");
    expect(expectSame(hex("68 02 43 00000000 01 77 01 6d 77 01 72 6a"), { target: narrow }).code).toBe(
      "ETF_UNREPRESENTABLE",
    );
    expect(expectSame(hex("68 02 4d 00000000 00 6a"), { target: narrow }).code).toBe("ETF_UNREPRESENTABLE");
  });

  it("are its limits, for all pieces together", () => {
    const many = encode([tuple(1, 2), new TermMap([[1, [1000, 2000]]]), "text", [1, 2, 3]]).subarray(1);
    for (let maxElements = 0; maxElements < 14; maxElements++) expectSame(many, { limits: { maxElements } });
    const deep = encode([
      tuple(
        1,
        new TermMap([
          [1, [[1000, fun([[[1000]]])]]],
          [[[[2000]]], 1],
        ]),
      ),
    ]).subarray(1);
    for (let maxDepth = 0; maxDepth < 10; maxDepth++) expectSame(deep, { limits: { maxDepth } });
    const large = encode(tuple(1n << 800n, 1n << 80_000n)).subarray(1);
    expect(expectSame(large, { limits: { maxBignumBytes: 5000 } }).code).toBe("ETF_BIGNUM_LIMIT");
    expect(expectSame(large, { limits: { maxBignumBytes: 5000 }, maxHeldBytes: 6000 }).code).toBe(
      "ETF_BIGNUM_LIMIT",
    );
    expect(expectSame(large, { limits: { maxBignumBytes: 20_000 } }).bytes).toBeDefined();
  });

  it("are records too deep, and not those without fields", () => {
    const record = (values: string) =>
      `43 0000000${values === "" ? 0 : 1} 01 77 01 6d 77 01 72 ${values === "" ? "" : `77 01 78 ${values}`}`;
    for (const digits of [
      record(""),
      record("6a"),
      record(record("")),
      record(record(record("6a"))),
      record("68 01 6a"),
    ])
      for (let maxDepth = 0; maxDepth < 5; maxDepth++)
        expectSame(hex(`68 01 6c 00000001 ${digits} 6a`), { limits: { maxDepth } });
  });

  it("is a term that is no term", () => {
    for (const digits of [
      "ff",
      "68 02 61 01 ff",
      "68 02 61 01 79",
      "6c 00000002 61 01 61 02 00",
      "58 61 01",
      "5a 0006 77 03",
      "43 00000001 02",
    ])
      expectSame(hex(digits));
  });

  it("is not compression, which is not for messages", () => {
    const packed = encode(new Array(500).fill(pid), { compressed: true }).subarray(1);
    expect(packed[0]).toBe(80);
    expect(copyPieces(packed, [1], keep).code).toBe("ETF_TAG_UNKNOWN");
    expect(copyPieces(packed, [], keep).code).toBe("ETF_TAG_UNKNOWN");
  });

  it("is said by the translator's own error", () => {
    const failing: IdentityTranslator = {
      identity: () => {
        throw new RangeError("no more identities");
      },
    };
    expect(() => copyPieces(encode([1000, pid]).subarray(1), [9], failing)).toThrow(RangeError);
  });
});

describe("what is held back", LONG, () => {
  it("is nothing of a binary of 64 MiB, whose pieces go out as they are", () => {
    const piece = Buffer.alloc(65_536, 7);
    const head = encode(tuple(pid, atom("data"), Buffer.alloc(0))).subarray(1);
    head.writeUInt32BE(1024 * piece.length, head.length - 4);
    const stream = new TermStream(keep);
    const out = new TermWriter({ attachBytes: 32_768 });
    stream.push(head, 0, head.length - 2, out);
    expect(stream.heldBytes).toBe(3);
    stream.push(head, head.length - 2, head.length, out);
    const parts: Buffer[] = [];
    out.takeParts(parts);
    expect(Buffer.concat(parts)).toEqual(head);
    for (let i = 0; i < 1024; i++) {
      parts.length = 0;
      expect(stream.push(piece, 0, piece.length, out)).toBe(i === 1023);
      expect(stream.heldBytes).toBe(0);
      out.takeParts(parts);
      expect(parts).toHaveLength(1);
      expect(parts[0]?.buffer).toBe(piece.buffer);
      expect(parts[0]).toHaveLength(piece.length);
    }
  });

  it("is no more than one short term of lists, tuples and values", () => {
    const list = Array.from({ length: 20_000 }, (_, i) =>
      tuple(i, pid, new TermMap([[atom("value"), [1000 + i]]])),
    );
    const bytes = encode([list, new TermMap([[1, list]])]).subarray(1);
    const out = new TermWriter();
    // a pid, or a key with its place
    expect(pushAll(bytes, 4096, out)).toBeLessThan(60);
    expect(out.take().toString("hex")).toBe(copyWhole(bytes, toBridge).bytes);
  });

  it("are funs, keys and strings up to a limit", () => {
    const limit = { maxHeldBytes: 1000 };
    const data = Buffer.alloc(2000, 1);
    for (const term of [
      fun([data]),
      new TermMap([[data, 1]]),
      [new TermMap([[[data], 1]])],
      Array.from(data),
      tuple(1, fun([[fun([data])]])),
    ]) {
      const bytes = encode(term).subarray(1);
      expect(copyPieces(bytes, range(1, bytes.length), toBridge, limit).code).toBe("ETF_SIZE_LIMIT");
      expect(copyPieces(bytes, range(1, bytes.length), toBridge, { maxHeldBytes: 3000 }).bytes).toBe(
        copyWhole(bytes, toBridge).bytes,
      );
      // what is complete in its piece is not held back
      expect(copyPieces(bytes, [], toBridge, limit).bytes).toBe(copyWhole(bytes, toBridge).bytes);
    }
    // a key that announces more than may be held is refused at once
    const stream = new TermStream(keep);
    const head = hex("74 00000002 6d 7fffffff 00");
    expect(codeOf(() => stream.push(head, 0, head.length, new TermWriter()))).toBeUndefined();
    expect(codeOf(() => stream.push(head, 0, 1, new TermWriter()))).toBe("ETF_SIZE_LIMIT");
  });

  it("are the keys of open maps, all together", () => {
    const keys = (count: number) => new TermMap(range(0, count).map((i) => [1000 + i, 1]));
    const bytes = encode(keys(100)).subarray(1);
    const cuts = range(1, bytes.length);
    expect(copyPieces(bytes, cuts, keep, { maxHeldBytes: 1000 }).code).toBe("ETF_SIZE_LIMIT");
    expect(copyPieces(bytes, cuts, keep, { maxHeldBytes: 2000 }).bytes).toBe(bytes.toString("hex"));
    const nested = encode(new TermMap([...keys(60), [1, new TermMap([...keys(60), [1, 2]])]])).subarray(1);
    expect(copyPieces(nested, range(1, nested.length), keep, { maxHeldBytes: 1000 }).code).toBe(
      "ETF_SIZE_LIMIT",
    );
    // one after another, they are let go of
    const list = encode(range(0, 50).map(() => keys(50))).subarray(1);
    expect(copyPieces(list, range(1, list.length), keep, { maxHeldBytes: 1000 }).bytes).toBe(
      list.toString("hex"),
    );
  });

  it("is nothing after the end, whatever follows", () => {
    const stream = new TermStream(keep);
    const out = new TermWriter();
    const bytes = hex("68 02 61 01 61 02 ff ff");
    expect(stream.push(bytes, 0, 3, out)).toBe(false);
    expect(stream.push(bytes, 3, 3, out)).toBe(false);
    expect(stream.push(bytes, 3, bytes.length, out)).toBe(true);
    expect(stream.push(bytes, 0, bytes.length, out)).toBe(true);
    expect(out.take()).toEqual(bytes.subarray(0, 6));
  });
});

describe("inspect", LONG, () => {
  it("is shown each fun whole, and every byte but those of binaries that pass through, once", () => {
    const one = encode(fun([pid, [1000, pid]])).subarray(1);
    const bytes = encode([
      1,
      fun([pid, [1000, pid]]),
      new TermMap([[fun([pid, [1000, pid]]), tuple(fun([pid, [1000, pid]]))]]),
      1n << 900n,
    ]).subarray(1);
    for (const cuts of [
      [],
      range(1, bytes.length),
      ...range(0, 200).map(() => places(bytes, 1 + random(20))),
    ]) {
      let shown = 0;
      let funs = 0;
      const inspect = (run: Buffer, start: number, end: number) => {
        shown += end - start;
        const part = run.subarray(start, end);
        for (let at = part.indexOf(one); at >= 0; at = part.indexOf(one, at + 1)) funs++;
      };
      expect(copyPieces(bytes, cuts, keep, { inspect }).bytes).toBe(bytes.toString("hex"));
      expect(shown).toBe(bytes.length);
      expect(funs).toBe(3);
    }
  });

  it("ends the copy by throwing", () => {
    const inspect = (run: Buffer, start: number, end: number) => {
      if (run.subarray(start, end).includes(112)) throw new RangeError("a fun");
    };
    const bytes = encode([1000, fun([pid])]).subarray(1);
    for (const cut of range(0, bytes.length))
      expect(() => copyPieces(bytes, [cut], keep, { inspect })).toThrow("a fun");
    expect(copyPieces(encode([1000, pid]).subarray(1), [5], keep, { inspect }).bytes).toBeDefined();
  });
});

describe("costs no more than in proportion to its bytes", LONG, () => {
  const sizes = [64, 5000, 100_000_000];
  const out = new TermWriter();
  /** Pushes all and expects the same as of the whole; what takes a square of time would take hours. */
  const check = (
    bytes: Buffer,
    size: number,
    limits: TermStreamOptions["limits"] = {},
    translator = toBridge,
  ) => {
    out.truncate(0);
    let shown = 0;
    pushAll(bytes, size, out, { limits, inspect: (_, start, end) => (shown += end - start) }, translator);
    expect(shown).toBeLessThanOrEqual(bytes.length);
    const copy = Buffer.from(out.bytes.subarray(out.position - out.length, out.position));
    const whole = new TermWriter();
    pushAll(bytes, bytes.length, whole, { limits }, translator);
    expect(copy.equals(whole.take())).toBe(true);
  };
  const times = (count: number, part: string, after = "") =>
    Buffer.concat([Buffer.concat(new Array<Buffer>(count).fill(hex(part))), hex(after)]);

  it.each(sizes)("lists in lists in lists, in pieces of %i bytes", (size) => {
    const count = size < 1000 ? 30_000 : 200_000;
    check(Buffer.concat([times(count, "6c 00000001", "6a"), times(count, "6a")]), size, {
      maxDepth: 1_000_000,
    });
    check(times(count, "68 02 61 01", "6a"), size, { maxDepth: 1_000_000 });
    check(times(count, "74 00000001 61 01", "6a"), size, { maxDepth: 1_000_000 });
  });

  it("lists beyond any depth are refused in the first piece that is too deep", () => {
    const bytes = times(100_000, "6c 00000001");
    const stream = new TermStream(keep);
    stream.push(bytes, 0, 50_000, out);
    expect(codeOf(() => stream.push(bytes, 50_000, 100_000, out))).toBe("ETF_DEPTH_LIMIT");
  });

  it.each(sizes)("lists in parts, and of nothing, in pieces of %i bytes", (size) => {
    const count = size < 1000 ? 30_000 : 200_000;
    check(times(count, "6c 00000001 61 01", "6a"), size);
    check(times(count, "6c 00000000", "6a"), size);
    check(Buffer.concat([hex("68 01"), times(count, "6c 00000000 6c 00000001 61 01", "6a")]), size);
  });

  it.each(sizes)("a fun and a key of many MiB, in pieces of %i bytes", (size) => {
    const many = Array.from({ length: size < 1000 ? 60_000 : 600_000 }, (_, i) => 1000 + i);
    check(encode(tuple(fun([many, pid]))).subarray(1), size);
    check(
      encode(
        new TermMap([
          [many, 1],
          [pid, 2],
        ]),
      ).subarray(1),
      size,
    );
    check(encode(fun([Buffer.alloc(5_000_000)])).subarray(1), size);
    check(encode(range(0, 3000).reduce<Term>((term) => fun([term]), pid)).subarray(1), size);
  });

  it.each([64, 5000])("terms that are never as long as the last ones, in pieces of %i bytes", (size) => {
    check(
      encode(Array.from({ length: 20_000 }, (_, i) => (i % 40 < 20 ? i : "x".repeat(i % 200)))).subarray(1),
      size,
    );
  });

  it("a map of many keys", () => {
    check(
      encode(new TermMap(Array.from({ length: 50_000 }, (_, i) => [tuple(i, pid), i] as const))).subarray(1),
      5000,
    );
  });
});
