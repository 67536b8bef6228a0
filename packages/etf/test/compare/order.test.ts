import {
  atom,
  BitString,
  compareTerms,
  compareTermsExact,
  ExportFun,
  equals,
  Float,
  Fun,
  ImproperList,
  kindOf,
  NativeRecord,
  Pid,
  Port,
  Reference,
  type Term,
  TermMap,
  tuple,
} from "@isthmus/etf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { terms } from "../support/arbitraries.ts";
import { codeOf } from "../support/code.ts";

const a = atom("a@h");
const b = atom("b@h");
const fun = new Fun({
  arity: 1,
  uniq: Buffer.alloc(16),
  index: 0,
  module: a,
  oldIndex: 0,
  oldUniq: 0,
  creator: new Pid(a, 1, 0, 1),
  free: [],
});
const record = (fields: string[], values: Term[]) =>
  new NativeRecord(atom("m"), atom("r"), fields.map(atom), values, { exported: true });

/** Each is smaller than the next; asked of OTP 23, 25, 27 and 29. */
const ascending: readonly Term[] = [
  -(1n << 70n),
  -1.5,
  0,
  1,
  9007199254740992,
  9007199254740993n,
  1n << 2000n,
  atom(""),
  atom("a"),
  atom("ab"),
  atom("z"),
  atom("é"),
  atom("\ufffd"),
  atom("😀"),
  new Reference(a, 5, [9, 9]),
  new Reference(a, 5, [1, 1, 1]),
  new Reference(a, 5, [3, 2, 1]),
  new Reference(a, 5, [1, 2, 3]),
  new Reference(a, 6, [1, 0, 0]),
  new Reference(b, 5, [1]),
  fun,
  new ExportFun(a, b, 1),
  new ExportFun(a, b, 2),
  new ExportFun(b, a, 0),
  new Port(a, 2n, 5),
  new Port(a, 1n, 6),
  new Port(b, 1n, 5),
  new Pid(a, 1, 0, 5),
  new Pid(b, 1, 0, 5),
  new Pid(a, 2, 0, 5),
  new Pid(a, 1, 1, 5),
  new Pid(a, 1, 1, 9),
  tuple(),
  tuple(atom("b")),
  tuple(1, 1),
  record(["x"], [5]),
  record(["y"], [1]),
  record(["x", "y"], [1, 2]),
  new TermMap(),
  new TermMap([[1, atom("b")]]),
  new TermMap([[-5.5, atom("a")]]),
  new TermMap([[atom("z"), 1]]),
  new TermMap([
    [atom("a"), 1],
    [atom("c"), 9],
  ]),
  new TermMap([
    [atom("c"), 1],
    [atom("a"), 9],
  ]),
  [],
  new ImproperList([atom("a")], atom("b")),
  [atom("a")],
  new ImproperList([atom("a"), atom("b")], atom("c")),
  [atom("a"), atom("b")],
  Buffer.alloc(0),
  new BitString(Buffer.from([0x40]), 2),
  new BitString(Buffer.from([0x80]), 1),
  Buffer.from([255]),
  new BitString(Buffer.from([255, 0]), 1),
  Buffer.from([255, 0]),
];

describe("order", () => {
  it("is Erlang's", () => {
    ascending.forEach((x, i) => {
      ascending.forEach((y, k) => {
        expect(Math.sign(compareTerms(x, y)), `${i} and ${k}`).toBe(Math.sign(i - k));
        expect(Math.sign(compareTermsExact(x, y)) === 0, `${i} and ${k}`).toBe(i === k);
      });
    });
  });

  it("sees integers and floats of one value as equal, but for keys", () => {
    expect(compareTerms(1, new Float(1))).toBe(0);
    expect(compareTerms([1, tuple(2)], [new Float(1), tuple(new Float(2))])).toBe(0);
    expect(compareTermsExact(1, new Float(1))).toBeLessThan(0);
    expect(compareTermsExact(5, -5.5)).toBeLessThan(0);
    expect(compareTerms(new TermMap([[1, 2]]), new TermMap([[1, new Float(2)]]))).toBe(0);
    expect(compareTerms(new TermMap([[1, 2]]), new TermMap([[new Float(1), 2]]))).toBeLessThan(0);
    expect(compareTerms(new Float(-0), 0)).toBe(0);
    expect(compareTerms(new Float(-0), new Float(0))).toBe(0);
  });

  it("is a total order", () => {
    fc.assert(
      fc.property(terms(), terms(), terms(), (x, y, z) => {
        expect(Math.sign(compareTermsExact(x, y)) + Math.sign(compareTermsExact(y, x))).toBe(0);
        if (compareTermsExact(x, y) <= 0 && compareTermsExact(y, z) <= 0) {
          expect(compareTermsExact(x, z)).toBeLessThanOrEqual(0);
        }
        expect(compareTermsExact(x, x)).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("equality", () => {
  it.each<[string, Term, Term, boolean]>([
    ["1 and 1.0", 1, new Float(1), false],
    ["0.0 and -0.0", new Float(0), new Float(-0), false],
    ["5 and 5n", 5, 5n, true],
    ["a fraction in both forms", 1.5, new Float(1.5), true],
    ["a string and its bytes", "é", Buffer.from("é"), true],
    ["true and the atom", true, atom("true"), true],
    [
      "maps in another order",
      new TermMap([
        [1, 1],
        [2, 2],
      ]),
      new Map([
        [2, 2],
        [1, 1],
      ]),
      true,
    ],
    ["maps with another value", new TermMap([[1, 1]]), new TermMap([[1, 2]]), false],
    ["references padded with 0", new Reference(a, 1, [1]), new Reference(a, 1, [1, 0, 0]), true],
    ["pids of two incarnations", new Pid(a, 1, 0, 1), new Pid(a, 1, 0, 2), false],
    ["funs of two processes", fun, new Fun({ ...fun, creator: new Pid(b, 2, 0, 1) }), true],
    ["a list and a tuple", [1], tuple(1), false],
  ])("of %s", (_, x, y, same) => {
    expect(equals(x, y)).toBe(same);
    expect(equals([tuple(x)], [tuple(y)])).toBe(same);
  });

  it("and order refuse what is no term, whatever it pretends to be", () => {
    const pretender = { kind: "pid", node: a, id: 1, serial: 0, creation: 1 } as unknown as Term;
    for (const value of [undefined, null, {}, Number.NaN, pretender] as unknown as Term[]) {
      expect(kindOf(value)).toBeUndefined();
      expect(codeOf(() => equals(1, value))).toBe("ETF_UNREPRESENTABLE");
      expect(codeOf(() => compareTerms([value], [1]))).toBe("ETF_UNREPRESENTABLE");
    }
  });
});
