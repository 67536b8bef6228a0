import { inspect } from "node:util";
import {
  atom,
  BitString,
  ExportFun,
  Float,
  Fun,
  ImproperList,
  inspectTerm,
  LocalTerm,
  NativeRecord,
  Pid,
  Port,
  Reference,
  type Term,
  TermMap,
  tuple,
} from "@isthmus/etf";
import { describe, expect, it } from "vitest";

const node = atom("a@h");
const pid = new Pid(node, 12, 0, 7);
const fun = new Fun({
  arity: 1,
  uniq: Buffer.alloc(16),
  index: 3,
  module: atom("m"),
  oldIndex: 3,
  oldUniq: 99,
  creator: pid,
  free: [1],
});

describe("inspectTerm", () => {
  it.each<[Term, string, string]>([
    [1, "1", "1"],
    [2n ** 70n, "1180591620717411303424", "1180591620717411303424"],
    [new Float(1), "1.0", "1.0"],
    [new Float(1e300), "1.0e300", "1.0e300"],
    [1e-7, "1.0e-7", "1.0e-7"],
    [true, "true", "true"],
    [atom("ok"), "ok", ":ok"],
    [atom("receive"), "'receive'", ":receive"],
    [atom("nil"), "nil", "nil"],
    [atom("Elixir.Foo.Bar"), "'Elixir.Foo.Bar'", "Foo.Bar"],
    [atom("hello world"), "'hello world'", ':"hello world"'],
    [atom("日本"), "'日本'", ':"日本"'],
    [atom("a\u0001'\"\n"), "'a\\x{1}\\'\"\\n'", ':"a\\u{1}\'\\"\\n"'],
    [Buffer.from("text"), '<<"text">>', '"text"'],
    ["é #{x}", '<<"é #{x}"/utf8>>', '"é \\#{x}"'],
    [Buffer.from([0, 255]), "<<0,255>>", "<<0, 255>>"],
    [Buffer.alloc(0), "<<>>", '""'],
    [new BitString(Buffer.from([1, 0xa0]), 3), "<<1,5:3>>", "<<1, 5::3>>"],
    [[], "[]", "[]"],
    [[1, [2]], "[1, [2]]", "[1, [2]]"],
    [[104, 105], '"hi"', '~c"hi"'],
    [new ImproperList([1, 2], 3), "[1, 2 | 3]", "[1, 2 | 3]"],
    [tuple(atom("a"), tuple()), "{a, {}}", "{:a, {}}"],
    [new TermMap([[1, atom("x")]]), "#{1 => x}", "%{1 => :x}"],
    [
      new TermMap([
        [atom("a"), 1],
        [atom("b c"), []],
      ]),
      "#{a => 1, 'b c' => []}",
      '%{a: 1, "b c": []}',
    ],
    [new Map<Term, Term>([["k", 1]]), '#{<<"k">> => 1}', '%{"k" => 1}'],
    [new ExportFun(atom("lists"), atom("map"), 2), "fun lists:map/2", "&:lists.map/2"],
    [pid, "#Pid<a@h.12.0:7>", "#PID<a@h.12.0:7>"],
    [new Port(node, 5n, 7), "#Port<a@h.5:7>", "#Port<a@h.5:7>"],
    [new Reference(node, 7, [1, 2, 3]), "#Ref<a@h.3.2.1:7>", "#Reference<a@h.3.2.1:7>"],
    [fun, "#Fun<m.3.99/1>", "#Fun<:m.3.99/1>"],
    [
      new NativeRecord(atom("m"), atom("r"), [atom("x"), atom("y")], [1, [2]], { exported: true }),
      "#m:r{x = 1, y = [2]}",
      "#:m::r{:x = 1, :y = [2]}",
    ],
    [new LocalTerm(Buffer.alloc(9)), "#Local<9 bytes>", "#Local<9 bytes>"],
  ])("%#", (term, erlang, elixir) => {
    expect(inspectTerm(term)).toBe(erlang);
    expect(inspectTerm(term, { syntax: "elixir" })).toBe(elixir);
  });

  it("cuts at maxLength, and does no more work than that", () => {
    const long = Array.from({ length: 1_000_000 }, (_, index) => index + 1000);
    expect(inspectTerm(long, { maxLength: 10 })).toBe("[1000, 100...");
    expect(inspectTerm(Buffer.alloc(1_000_000), { maxLength: 10 })).toBe("<<0,0,0,0,...");
    expect(inspectTerm([1], { maxLength: 3 })).toBe("[1]");
  });

  it("is what util.inspect shows of the classes", () => {
    expect(inspect(tuple(atom("ok"), pid))).toBe("{ok, #Pid<a@h.12.0:7>}");
    expect(inspect([atom("a"), new TermMap([[1, 2]])])).toBe("[ a, #{1 => 2} ]");
    expect(inspect(tuple(Array.from({ length: 100_000 }, () => 1000))).length).toBeLessThan(11_000);
  });
});
