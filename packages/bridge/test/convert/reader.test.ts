import { describe, expect, it } from "vitest";
import { ValueReader } from "../../src/convert/reader.ts";
import { ElixirSource } from "../../src/convert/source.ts";
import type { Value } from "../../src/convert/value.ts";

const text = (value: string): Value => ({ is: "text", text: value });
const atom = (value: string, module = false): Value => ({ is: "atom", text: value, module });
const env = (name: string, fallback?: Value): Value => ({ is: "env", name, fallback });

function read(source: string, names: Readonly<Record<string, Value>> = {}): Value {
  return new ValueReader(new ElixirSource(source), (name) => names[name]).value();
}

describe("values of Elixir", () => {
  it.each<[string, Value]>([
    ["45_892", { is: "number", number: 45892 }],
    ["-1.5", { is: "number", number: -1.5 }],
    ["true", { is: "boolean", value: true }],
    ["nil", { is: "nil" }],
    [":endpoints", atom("endpoints")],
    [':"a@10.0.0.1"', atom("a@10.0.0.1")],
    ["Cluster.Strategy.Epmd", atom("Cluster.Strategy.Epmd", true)],
    ["Elixir.Cluster.Strategy.Epmd", atom("Cluster.Strategy.Epmd", true)],
    ['"app=\\"x\\" \\u00e9\\x41"', text('app="x" \u00e9A')],
    ["'charlist'", text("charlist")],
    ["~w(a b)a", { is: "list", items: [atom("a"), atom("b")] }],
    ["~w[a@h b@h]", { is: "list", items: [text("a@h"), text("b@h")] }],
    ["[:a, # why\n :b,\n]", { is: "list", items: [atom("a"), atom("b")] }],
    ["{0, 0}", { is: "tuple", items: [0, 0].map((number) => ({ is: "number", number })) }],
    ['System.get_env("X")', env("X")],
    ['System.get_env("X", "y")', env("X", text("y"))],
    ['System.fetch_env!("X") |> String.to_integer()', env("X")],
    ['String.to_integer(System.get_env("X") || "1")', env("X", text("1"))],
    ['System.get_env("X") || 5', env("X", { is: "number", number: 5 })],
    ['{:system, "X"}', env("X")],
    ['{:system, "X", :y}', env("X", atom("y"))],
    ['{:system, :integer, "X", 1}', env("X", { is: "number", number: 1 })],
    ["{:system, :integer, UNQUOTED, 1}", env("UNQUOTED", { is: "number", number: 1 })],
    ['"a#{System.get_env("X")}b"', { is: "parts", parts: ["a", env("X"), "b"] as never }],
    ['"a" <> System.get_env("X")', { is: "parts", parts: ["a", env("X")] as never }],
    ['"#{System.get_env("X")}"', env("X")],
    ['"one " <> "two"', text("one two")],
  ])("%s", (source, value) => expect(read(source)).toEqual(value));

  it("keyword lists in every spelling, with the places of the keys", () => {
    const pairs = [
      { key: "a", value: { is: "number", number: 1 }, place: { line: 1, column: 2 } },
      { key: "b c", value: atom("x"), place: { line: 2, column: 1 } },
    ];
    expect(read('[a: 1,\n"b c": :x]')).toEqual({ is: "pairs", pairs });
    expect(read('[{:a, 1},\n{:"b c", :x}]')).toEqual({ is: "pairs", pairs });
    expect(read('%{a: 1, "b" => 2, :c => 3}')).toMatchObject({
      is: "pairs",
      pairs: [{ key: "a" }, { key: "b" }, { key: "c" }],
    });
  });

  it("takes names that have a value, and calls others code", () => {
    expect(read("[x: port]", { port: text("1") })).toMatchObject({ pairs: [{ value: text("1") }] });
    expect(read("port")).toEqual({ is: "code", source: "port" });
  });

  it.each([
    ["&MyApp.resolve/1", "&MyApp.resolve/1"],
    ["fn name -> lookup(name, [1, 2]) end, next: 1", "fn name -> lookup(name, [1, 2]) end"],
    ["if x, do: 1, else: 2", "if x"],
    ["if(x, do: 1, else: 2), 3", "if(x, do: 1, else: 2)"],
    ["case a do\n  :end -> 1\n  _ -> [2, 3]\nend, 4", "case a do\n  :end -> 1\n  _ -> [2, 3]\nend"],
    ['Application.get_env(:my_app, :x), y: "z"', "Application.get_env(:my_app, :x)"],
    ['"a#{node()}b"', '"a#{node()}b"'],
    ["5 * 1000", "5 * 1000"],
    [":timer.seconds(5)", ":timer.seconds(5)"],
    ["%MyStruct{a: 1}", "%MyStruct{a: 1}"],
    ["~s(a, b), 1", "~s(a, b)"],
    ["[:a, b: 1]", "[:a, b: 1]"],
    ["?,", "?,"],
    ["x.y", "x.y"],
    ["1 2", "1 2"],
    ['"""\ntext\n"""', '"""\ntext\n"""'],
  ])("leaves %s as code", (source, code) => {
    const value = read(source);
    expect(value).toEqual({ is: "code", source: code });
  });

  it.each([
    ['"open', "line 1, column 1: this text is not closed"],
    ["[1,\n  [2, 3", "line 2, column 3: this [ is not closed"],
    ["[a: ]", "line 1, column 5: a value is missing"],
    ["[f(1, 2]", "')' is missing"],
    ['["a#{b"]', "not closed"],
    ["[".repeat(200), "nested deeper"],
  ])("says where %s is wrong", (source, message) => {
    expect(() => read(source)).toThrow(
      expect.objectContaining({ code: "ELIXIR_INVALID", message: expect.stringContaining(message) }),
    );
  });
});
