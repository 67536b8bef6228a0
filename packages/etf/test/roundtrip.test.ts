import {
  decode,
  encode,
  equals,
  Float,
  inspectTerm,
  type Term,
  TermMap,
  TermReader,
  TermWriter,
  tuple,
} from "@isthmus/etf";
import { skipTerm } from "@isthmus/etf/raw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertAgreement } from "./support/agreement.ts";
import { corners, terms } from "./support/arbitraries.ts";

describe("any term", () => {
  it("decodes to itself, and encodes to the same bytes again", () => {
    fc.assert(
      fc.property(terms(), (term) => {
        const bytes = encode(term);
        const again = decode(bytes);
        expect(equals(term, again), inspectTerm(term)).toBe(true);
        expect(encode(again)).toEqual(bytes);
        expect(skipTerm(bytes, 1, bytes.length)).toBe(bytes.length);
        assertAgreement(bytes.subarray(1));
      }),
      { numRuns: 2000 },
    );
  });

  it.each(corners.map((term) => [inspectTerm(term, { maxLength: 40 }), term]))("%s too", (_, term) => {
    const bytes = encode(term);
    expect(equals(decode(bytes), term)).toBe(true);
    assertAgreement(bytes.subarray(1));
  });

  it("survives the forms of older releases", () => {
    fc.assert(
      fc.property(terms(), fc.constantFrom(23, 25, 27), (term, otpRelease) => {
        expect(equals(decode(encode(term, { otpRelease })), term)).toBe(true);
        expect(equals(decode(encode(term, { compressed: true })), term)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("comes out of a sequence of terms in one output, whatever the size of the slabs", () => {
    fc.assert(
      fc.property(
        fc.array(terms(), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 64 }),
        (list, slabBytes) => {
          const writer = new TermWriter({ slabBytes });
          const taken: Buffer[] = [];
          list.forEach((term, index) => {
            writer.term(term);
            if (index % 3 === 2) taken.push(writer.take());
          });
          taken.push(writer.take());
          const bytes = Buffer.concat(taken);
          const reader = new TermReader();
          reader.reset(bytes, 0, bytes.length);
          for (const term of list) expect(equals(reader.term(), term)).toBe(true);
          expect(reader.offset).toBe(bytes.length);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("nesting", () => {
  const wrap = (depth: number, wrapper: (term: Term) => Term): Term => {
    let term: Term = 1.5;
    for (let i = 0; i < depth; i++) term = wrapper(term);
    return term;
  };

  it.each<[string, number, (term: Term) => Term]>([
    ["lists", 1_000_000, (term) => [term]],
    ["tuples", 200_000, (term) => tuple(1, term)],
    ["maps", 100_000, (term) => new TermMap([[1, term]])],
    ["keys of maps", 100_000, (term) => new TermMap([[term, 1]])],
  ])(
    "%s, %i deep, are encoded, decoded, skipped, compared and printed",
    { timeout: 120_000 },
    (_, depth, wrapper) => {
      const bytes = encode(wrap(depth, wrapper));
      const limits = { maxDepth: depth };
      const term = decode(bytes, limits);
      expect(skipTerm(bytes, 1, bytes.length, limits)).toBe(bytes.length);
      expect(equals(term, decode(bytes, limits))).toBe(true);
      expect(inspectTerm(term).length).toBeGreaterThan(2 * depth);
      for (const less of [{ maxDepth: depth - 1 }, undefined]) {
        expect(() => decode(bytes, less)).toThrow(expect.objectContaining({ code: "ETF_DEPTH_LIMIT" }));
        expect(() => skipTerm(bytes, 1, bytes.length, less)).toThrow(
          expect.objectContaining({ code: "ETF_DEPTH_LIMIT" }),
        );
      }
    },
  );

  it("a list in the tail of a list is no depth at all", () => {
    const piece = Buffer.from([108, 0, 0, 0, 1, 97, 1]);
    const bytes = Buffer.concat([
      Buffer.from([131]),
      ...Array.from({ length: 100_000 }, () => piece),
      Buffer.from([106]),
    ]);
    expect(decode(bytes, { maxDepth: 1 })).toHaveLength(100_000);
    expect(skipTerm(bytes, 1, bytes.length, { maxDepth: 1 })).toBe(bytes.length);
  });

  it("is refused by the encoder when a term contains itself", () => {
    const cycle: Term[] = [];
    cycle.push(cycle);
    expect(() => encode(cycle)).toThrow(expect.objectContaining({ code: "ETF_DEPTH_LIMIT" }));
    // and the encoder goes on as if nothing had been
    expect(decode(encode([new Float(1)]))).toEqual([new Float(1)]);
  });
});
