import { isIsthmusError } from "@isthmus/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseErlangLiteral } from "../src/erlang-literal.ts";

const atom = (name: string) => ({ kind: "atom", name });
const string = (text: string) => ({ kind: "string", text });

describe("an Erlang literal", () => {
  it.each([
    ["abc_D@9.", atom("abc_D@9")],
    ["'tlsv1.2'.", atom("tlsv1.2")],
    ["'it''s'.", undefined],
    ["'it\\'s'.", atom("it's")],
    ["-12_000.", { kind: "integer", value: -12000 }],
    ['"a\\n\\t\\"\\\\\\x41\\x{1F600}\\101\\s\\q".', string('a\n\t"\\A\u{1f600}A q')],
    ['"a" % comment "\n "b".', string("ab")],
    ['"é".', string("é")],
    ["<<>>.", { kind: "binary", text: "" }],
    ['<<"x"/utf8>>.', { kind: "binary", text: "x" }],
    ["{a,[b,{}],[]}.", { kind: "tuple", items: [atom("a"), list(atom("b"), tuple()), list()] }],
    ["#{a => 1, b => #{}}.", map([atom("a"), { kind: "integer", value: 1 }], [atom("b"), map()])],
    ["fun m:f/3.", { kind: "fun", text: "fun m:f/3" }],
    ["function.", atom("function")],
    ["% before\n a . % after", atom("a")],
    ["a", undefined],
    ["A.", undefined],
    ["{a b}.", undefined],
    ["{a,}.", undefined],
    ["#{a = 1}.", undefined],
    ["<<1,2>>.", undefined],
    ['"\\x{110000}".', undefined],
  ])("%j", (source, expected) => {
    if (expected === undefined) {
      expect(() => parseErlangLiteral(source)).toThrowError(
        expect.objectContaining({ code: "TLS_OPTFILE_INVALID" }),
      );
    } else {
      expect(parseErlangLiteral(source)).toEqual(expected);
    }
  });

  it("says in which line it went wrong", () => {
    expect(() => parseErlangLiteral("[a,\n b,\n C].")).toThrowError(/^Line 3 /);
  });

  it("ends for any text, with a value or a coded error", () => {
    const parts = [
      "[",
      "]",
      "{",
      "}",
      ",",
      ".",
      "'",
      '"',
      "\\",
      "%",
      "\n",
      "a",
      "#{",
      "=>",
      "<<",
      ">>",
      "fun ",
      "1",
      " ",
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...parts), fc.string()), { maxLength: 60 }), (text) => {
        try {
          parseErlangLiteral(text.join(""));
        } catch (error) {
          expect(isIsthmusError(error)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("is read in linear time", () => {
    for (const text of [
      " %".repeat(100_000),
      `"${"\\a".repeat(100_000)}`,
      `'${"x".repeat(200_000)}`,
      "1".repeat(200_000),
    ]) {
      expect(() => parseErlangLiteral(text)).toThrowError();
    }
  });
});

function list(...items: unknown[]) {
  return { kind: "list", items };
}

function tuple(...items: unknown[]) {
  return { kind: "tuple", items };
}

function map(...entries: unknown[]) {
  return { kind: "map", entries };
}
