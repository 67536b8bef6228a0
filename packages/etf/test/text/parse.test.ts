import {
  atom,
  BitString,
  ExportFun,
  equals,
  Float,
  ImproperList,
  inspectTerm,
  parseTerm,
  type Term,
  TermMap,
  tuple,
} from "@isthmus/etf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { corners, terms } from "../support/arbitraries.ts";
import { codeOf } from "../support/code.ts";

const text = (value: string) => Buffer.from(value, "utf8");
const chars = (value: string) => Array.from(value, (character) => character.codePointAt(0) as number);

describe("Erlang literals", () => {
  it.each<[string, Term]>([
    ["1", 1],
    ["-1_000", -1000],
    ["16#ff", 255],
    ["-2#1010", -10],
    ["36#Zz", 1295],
    ["18446744073709551616", 2n ** 64n],
    ["1.5", 1.5],
    ["1.0", new Float(1)],
    ["-0.0", new Float(-0)],
    ["2.5e-3", 0.0025],
    ["1.0e300", new Float(1e300)],
    ["$a", 97],
    ["$\\n", 10],
    ["$\\x{1F600}", 0x1f600],
    ["ok", atom("ok")],
    ["some_Atom@1", atom("some_Atom@1")],
    ["'hello world'", atom("hello world")],
    ["'it\\'s'", atom("it's")],
    ["''", atom("")],
    ["'Elixir.Foo'", atom("Elixir.Foo")],
    ["true", true],
    ["'false'", false],
    ['"abc"', chars("abc")],
    ['"a\\tb\\x41\\101"', chars("a\tbAA")],
    ['"one" "two"', chars("onetwo")],
    ['""', []],
    ["<<>>", Buffer.alloc(0)],
    ['<<"text">>', text("text")],
    ['<<"é">>', Buffer.from([0xe9])],
    ['<<"é"/utf8>>', text("é")],
    ["<<1, 2, 255>>", Buffer.from([1, 2, 255])],
    ["<<-1>>", Buffer.from([255])],
    ["<<258:16>>", Buffer.from([1, 2])],
    ["<<5:3>>", new BitString(Buffer.from([0xa0]), 3)],
    ['<<"ab", 1:1>>', new BitString(Buffer.from([97, 98, 128]), 1)],
    ["[]", []],
    ["[1, a | []]", [1, atom("a")]],
    ["[1 | [2 | 3]]", new ImproperList([1, 2], 3)],
    ["[alias | ref]", new ImproperList([atom("alias")], atom("ref"))],
    ["{}", tuple()],
    ["{ok, {1, []}}", tuple(atom("ok"), tuple(1, []))],
    ["#{}", new TermMap()],
    [
      "#{a => 1, {b} => #{}}",
      new TermMap([
        [atom("a"), 1],
        [tuple(atom("b")), new TermMap()],
      ]),
    ],
    ["fun lists:map/2", new ExportFun(atom("lists"), atom("map"), 2)],
    ["fun 'Elixir.A':'b c'/0", new ExportFun(atom("Elixir.A"), atom("b c"), 0)],
    ["fun_of", atom("fun_of")],
    ["  % a comment\n [1, % two\n 2] . ", [1, 2]],
  ])("%s", (source, term) => {
    expect(parseTerm(source)).toEqual(term);
    expect(equals(parseTerm(source), term)).toBe(true);
  });
});

describe("Elixir literals", () => {
  it.each<[string, Term]>([
    ["1_000", 1000],
    ["0xff", 255],
    ["-0b11", -3],
    ["0o17", 15],
    ["1.0e10", new Float(1e10)],
    ["?a", 97],
    [":ok", atom("ok")],
    [":valid?", atom("valid?")],
    [':"hello world"', atom("hello world")],
    [":+", atom("+")],
    ["nil", atom("nil")],
    ["true", true],
    [":false", false],
    ["Foo.Bar", atom("Elixir.Foo.Bar")],
    ["Elixir.Foo", atom("Elixir.Foo")],
    ['"text é \\u00e9 \\u{1F600}"', text("text é é 😀")],
    ['""', Buffer.alloc(0)],
    ['~c"abc"', chars("abc")],
    ["'abc'", chars("abc")],
    ["<<1, 2>>", Buffer.from([1, 2])],
    ['<<"é", 0>>', Buffer.from([0xc3, 0xa9, 0])],
    ["<<5::3>>", new BitString(Buffer.from([0xa0]), 3)],
    ["[a: 1, b: [c: nil]]", [tuple(atom("a"), 1), tuple(atom("b"), [tuple(atom("c"), atom("nil"))])]],
    ['[1, "quoted key": 2]', [1, tuple(atom("quoted key"), 2)]],
    ["[1 | 2]", new ImproperList([1], 2)],
    ["{:ok, {}}", tuple(atom("ok"), tuple())],
    ["%{}", new TermMap()],
    [
      '%{"k" => 1, a: 2}',
      new TermMap([
        [text("k"), 1],
        [atom("a"), 2],
      ]),
    ],
    ["%{1 => %{x: Foo}}", new TermMap([[1, new TermMap([[atom("x"), atom("Elixir.Foo")]])]])],
    ["&Enum.map/2", new ExportFun(atom("Elixir.Enum"), atom("map"), 2)],
    ["&:lists.map/2", new ExportFun(atom("lists"), atom("map"), 2)],
    ["# a comment\n[1]", [1]],
  ])("%s", (source, term) => {
    expect(parseTerm(source, { syntax: "elixir" })).toEqual(term);
  });
});

describe("what is no literal", () => {
  it.each([
    ["", "erlang"],
    ["Variable", "erlang"],
    ["1 2", "erlang"],
    ["[1, 2", "erlang"],
    ["[1,]", "erlang"],
    ["{1", "erlang"],
    ["#{a = 1}", "erlang"],
    ['"open', "erlang"],
    ["'open", "erlang"],
    ["<<1", "erlang"],
    ["<<300:0>>", "erlang"],
    ["<<1.5>>", "erlang"],
    ['<<"日">>', "erlang"],
    ["2#3", "erlang"],
    ["99#1", "erlang"],
    ["1.0e999", "erlang"],
    ["fun lists:map/256", "erlang"],
    ["<0.1.2>", "erlang"],
    ["self()", "erlang"],
    ['"\\x{d800}"', "erlang"],
    ["[".repeat(1000), "erlang"],
    ["ok", "elixir"],
    ["nilly", "elixir"],
    ["%{a 1}", "elixir"],
    ["&map/2", "elixir"],
    ["#PID<0.1.2>", "elixir"],
  ] as const)("%s is refused (%s)", (source, syntax) => {
    expect(codeOf(() => parseTerm(source, { syntax }))).toBe("ETF_TEXT_INVALID");
  });

  it("is refused with line and column", () => {
    expect(() => parseTerm("[1,\n  2,\n  ?]")).toThrow(
      expect.objectContaining({ context: { line: 3, column: 3 } }),
    );
  });

  it("is refused for its keys and atoms too", () => {
    expect(codeOf(() => parseTerm("#{1 => a, 1 => b}"))).toBe("ETF_DUPLICATE_KEY");
    expect(codeOf(() => parseTerm(`'${"a".repeat(256)}'`))).toBe("ETF_ATOM_INVALID");
  });
});

describe("printed and read back", () => {
  it.each(["erlang", "elixir"] as const)("every term is the same in %s", (syntax) => {
    fc.assert(
      fc.property(terms({ identifiers: false }), (term) => {
        const source = inspectTerm(term, { syntax });
        expect(equals(parseTerm(source, { syntax }), term), source).toBe(true);
      }),
      { numRuns: 1000 },
    );
    for (const term of corners) {
      expect(equals(parseTerm(inspectTerm(term, { syntax }), { syntax }), term)).toBe(true);
    }
  });
});
