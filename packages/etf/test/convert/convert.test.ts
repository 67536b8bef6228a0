import {
  atom,
  decode,
  encode,
  equals,
  Float,
  fromJs,
  ImproperList,
  Pid,
  type Term,
  TermMap,
  Tuple,
  toJs,
  tuple,
} from "@isthmus/etf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOf } from "../support/code.ts";

const text = (value: string) => Buffer.from(value, "utf8");
const pid = new Pid(atom("a@h"), 1, 2, 3);

describe("toJs", () => {
  it.each<[string, Term, unknown]>([
    ["nil", atom("nil"), null],
    ["null", atom("null"), null],
    ["undefined", atom("undefined"), undefined],
    ["atoms", [atom("ok"), true, atom("false")], ["ok", true, false]],
    ["text", text("é"), "é"],
    ["other bytes", Buffer.from([255]), Buffer.from([255])],
    ["whole floats", new Float(2), 2],
    ["large integers", 2n ** 60n, 2n ** 60n],
    ["tuples", tuple(1, tuple()), [1, []]],
    ["charlists", [104, 105], [104, 105]],
    [
      "maps with atoms and texts as keys",
      new TermMap([
        [atom("a"), 1],
        ["b", tuple()],
      ]),
      { a: 1, b: [] },
    ],
    [
      "maps with other keys",
      new TermMap([
        [1, "x"],
        [tuple(2), "y"],
      ]),
      new Map<unknown, unknown>([
        [1, "x"],
        [[2], "y"],
      ]),
    ],
    [
      "maps whose keys would meet",
      new TermMap([
        [atom("a"), 1],
        ["a", 2],
      ]),
      new Map([["a", 2]]),
    ],
    ["pids", [pid], [pid]],
  ])("%s", (_, term, expected) => {
    expect(toJs(term)).toEqual(expected);
    expect(toJs(decode(encode(term)))).toEqual(expected);
  });

  it("obeys its options", () => {
    expect(toJs([text("a")], { binaries: "buffer" })).toEqual([text("a")]);
    expect(toJs([atom("a"), atom("nil")], { atoms: "atom" })).toEqual([atom("a"), null]);
    expect(toJs(tuple(atom("a")), { tuples: "tuple" })).toEqual(new Tuple(["a"]));
    expect(toJs(new TermMap([["a", 1]]), { maps: "map" })).toEqual(new Map([["a", 1]]));
    expect(toJs([104, 105], { charlists: true })).toBe("hi");
    expect(toJs([2n ** 60n], { bigints: "number" })).toEqual([2 ** 60]);
    expect(toJs([2n ** 60n], { bigints: "string" })).toEqual(["1152921504606846976"]);
    const deep = decode(encode(tuple(tuple(tuple()))));
    expect(toJs(deep, { maxDepth: 3 })).toEqual([[[]]]);
    expect(codeOf(() => toJs(deep, { maxDepth: 2 }))).toBe("ETF_DEPTH_LIMIT");
    expect(codeOf(() => toJs({} as Term))).toBe("ETF_CONVERSION");
  });

  it("makes a property of __proto__ and changes nothing else", () => {
    const made = toJs(new TermMap([["__proto__", new TermMap([["polluted", true]])]])) as Record<
      string,
      unknown
    >;
    expect(Object.keys(made)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
    expect((made as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("fromJs", () => {
  it.each<[string, unknown, Term]>([
    ["null", null, atom("nil")],
    ["undefined", [undefined], [atom("undefined")]],
    ["plain values", [1, 1.5, true, 2n ** 60n, "é"], [1, 1.5, true, 2n ** 60n, "é"]],
    ["objects", { a: { b: [] } }, new TermMap([["a", new TermMap([["b", []]])]])],
    [
      "Maps",
      new Map<unknown, unknown>([[{ a: 1 }, null]]),
      new TermMap([[new TermMap([["a", 1]]), atom("nil")]]),
    ],
    [
      "terms with plain values inside",
      tuple(atom("ok"), { a: 1 } as never),
      tuple(atom("ok"), new TermMap([["a", 1]])),
    ],
    ["improper lists", new ImproperList([1], 2), new ImproperList([1], 2)],
    ["pids", { p: pid }, new TermMap([["p", pid]])],
  ])("%s", (_, value, expected) => {
    expect(equals(fromJs(value), expected)).toBe(true);
  });

  it("obeys its options", () => {
    expect(
      equals(fromJs({ a: "é" }, { keys: "atom", strings: "charlist" }), new TermMap([[atom("a"), [233]]])),
    ).toBe(true);
    expect(fromJs([null, undefined], { null: atom("null"), undefined: false })).toEqual([
      atom("null"),
      false,
    ]);
    expect(codeOf(() => fromJs([[[]]], { maxDepth: 2 }))).toBe("ETF_DEPTH_LIMIT");
  });

  it("refuses what has no term", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    for (const value of [() => 1, Symbol("x"), new Date(0), new Set(), Number.NaN, new WeakMap()]) {
      expect(codeOf(() => fromJs([value]))).toBe("ETF_CONVERSION");
    }
    expect(codeOf(() => fromJs(cycle))).toBe("ETF_DEPTH_LIMIT");
    expect(
      codeOf(() =>
        fromJs(
          new Map<unknown, unknown>([
            [[1], 1],
            [[1], 2],
          ]),
        ),
      ),
    ).toBe("ETF_DUPLICATE_KEY");
  });

  it("and toJs bring JSON values back", () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: "small" }), (value) => {
        // whole floats beyond 2^53 need a decision of the caller
        fc.pre(
          JSON.stringify(value, (_, part) =>
            typeof part === "number" && Number.isInteger(part) && !Number.isSafeInteger(part)
              ? "unsafe"
              : part,
          ).indexOf("unsafe") < 0,
        );
        const expected = JSON.parse(JSON.stringify(value));
        expect(toJs(decode(encode(fromJs(expected))))).toEqual(expected);
      }),
    );
  });
});
