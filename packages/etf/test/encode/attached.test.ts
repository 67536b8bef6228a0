import { atom, BitString, encode, Fun, Pid, type Term, TermWriter, tuple } from "@isthmus/etf";
import { rewriteTerm } from "@isthmus/etf/raw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { terms } from "../support/arbitraries.ts";

/** From here on spans are attached in these tests. */
const ATTACH_BYTES = 100;

function parts(writer: TermWriter): Buffer[] {
  const taken: Buffer[] = [];
  writer.takeParts(taken);
  return taken;
}

const data = fc
  .record({ length: fc.constantFrom(0, 1, 60, 99, 100, 101, 500), seed: fc.integer({ min: 0, max: 255 }) })
  .map(({ length, seed }) => Buffer.from(Array.from({ length }, (_, i) => (seed + i) & 255)));

/** Terms with binaries on both sides of the limit, also in funs, whose size is written last. */
const withBinaries: fc.Arbitrary<Term> = fc.letrec<{ term: Term }>((tie) => ({
  term: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.integer(),
    data,
    data.filter((bytes) => bytes.length > 0).map((bytes) => new BitString(bytes, 3)),
    fc.array(tie("term"), { maxLength: 4 }),
    fc.array(tie("term"), { maxLength: 4 }).map((elements) => tuple(...elements)),
    fc.array(tie("term"), { maxLength: 3 }).map(
      (free) =>
        new Fun({
          arity: 1,
          uniq: Buffer.alloc(16, 3),
          index: 0,
          module: atom("m"),
          oldIndex: 0,
          oldUniq: 0,
          creator: new Pid(atom("n@h"), 1, 2, 3),
          free,
        }),
    ),
  ),
})).term;

describe("long spans", () => {
  it("are given out as they are, between views of the slab", () => {
    const writer = new TermWriter({ attachBytes: ATTACH_BYTES });
    const long = new Uint8Array(200).fill(7);
    const short = Buffer.alloc(99, 8);
    writer.term(tuple(1, long, short));
    expect(writer.attached).toBe(true);
    expect(writer.length).toBe(encode(tuple(1, long, short)).length - 1);
    const [head, view, tail, ...more] = parts(writer) as [Buffer, Buffer, Buffer, Buffer?];
    expect(more).toEqual([]);
    expect([view.buffer, view.byteOffset, view.length]).toEqual([long.buffer, long.byteOffset, 200]);
    expect(tail.buffer).toBe(head.buffer);
    expect([writer.length, writer.attached, parts(writer)]).toEqual([0, false, []]);
  });

  it("are copied unless it is asked for", () => {
    const writer = new TermWriter();
    writer.term(Buffer.alloc(1_000_000));
    expect(writer.attached).toBe(false);
    expect(parts(writer).length).toBe(1);
  });

  it("leave no slab behind that is as large as they are", () => {
    const writer = new TermWriter({ slabBytes: 1024, attachBytes: ATTACH_BYTES });
    for (let i = 0; i < 50; i++) writer.term(Buffer.alloc(10_000));
    expect(writer.bytes.length).toBe(1024);
    expect(writer.length).toBe(50 * 10_005);
  });

  it("of terms are the same bytes as copied ones", () => {
    fc.assert(
      fc.property(withBinaries, (term) => {
        const writer = new TermWriter({ attachBytes: ATTACH_BYTES, slabBytes: 64 });
        writer.u8(131);
        writer.term(term);
        expect(Buffer.concat(parts(writer))).toEqual(encode(term));
      }),
    );
  });

  it("of rewritten terms are the same bytes as copied ones", () => {
    const translator = {
      identity: (_: unknown, creation: number) => ({ node: atom("longer@name"), creation: creation + 1 }),
    };
    fc.assert(
      fc.property(fc.array(fc.oneof(withBinaries, terms()), { maxLength: 5 }), (list) => {
        const bytes = encode(list).subarray(1);
        const [plain, attaching] = [
          new TermWriter(),
          new TermWriter({ attachBytes: ATTACH_BYTES, slabBytes: 64 }),
        ];
        for (const writer of [plain, attaching]) {
          expect(rewriteTerm(bytes, 0, bytes.length, writer, translator)).toBe(bytes.length);
        }
        expect(attaching.length).toBe(plain.length);
        expect(Buffer.concat(parts(attaching))).toEqual(plain.take());
      }),
    );
  });
});

describe("whatever is written and changed", () => {
  const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("copy" as const), bytes: data }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("term" as const), term: withBinaries }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("u32" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("patch" as const), place }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("insert" as const),
        place,
        n: fc.integer({ min: 0, max: 40 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), place, other: place }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const), place }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("take" as const),
        how: fc.constantFrom("take" as const, "takeParts" as const, "copyOut" as const),
      }),
    },
  );

  /** Both outputs in the same way; what they gave out. */
  function run(
    writer: TermWriter,
    steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  ) {
    const out: Buffer[] = [];
    const lengths: number[] = [];
    // where something begins, and where a number stands
    let marks = [0];
    let numbers: number[] = [];
    const at = (share: number) => marks[Math.floor(share * marks.length)] as number;
    const forget = (from: number) => {
      marks = marks.filter((mark) => mark <= from);
      numbers = numbers.filter((mark) => mark + 4 <= from);
    };
    for (const one of steps) {
      switch (one.kind) {
        case "copy":
          writer.copy(one.bytes, 0, one.bytes.length);
          break;
        case "term":
          writer.term(one.term);
          break;
        case "u32":
          numbers.push(writer.mark());
          writer.u32(0);
          break;
        case "patch":
          if (numbers.length > 0) {
            writer.patchU32(numbers[Math.floor(one.place * numbers.length)] as number, 0xcafebabe);
          }
          break;
        case "insert": {
          const from = at(one.place);
          writer.insert(from, one.n);
          writer.bytes.fill(0xee, writer.indexOf(from), writer.indexOf(from) + one.n);
          forget(from);
          break;
        }
        case "remove": {
          const ends = [at(one.place), at(one.other)].sort((a, b) => a - b) as [number, number];
          writer.remove(ends[0], ends[1] - ends[0]);
          forget(ends[0]);
          break;
        }
        case "truncate": {
          const from = at(one.place);
          writer.truncate(from);
          forget(from);
          break;
        }
        case "take":
          if (one.how === "takeParts") writer.takeParts(out);
          else out.push(writer[one.how]());
          marks = [];
          numbers = [];
      }
      marks.push(writer.mark());
      lengths.push(writer.length);
    }
    writer.takeParts(out);
    return { bytes: Buffer.concat(out).toString("hex"), lengths };
  }

  it("the bytes are those of a writer that copies", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(32, 4096), (steps, slabBytes) => {
        const expected = run(new TermWriter({ slabBytes }), steps);
        expect(run(new TermWriter({ slabBytes, attachBytes: ATTACH_BYTES }), steps)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});
