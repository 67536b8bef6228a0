import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { erlangAtom } from "../../src/cli/atoms.ts";

const NAMES = [
  "orders",
  "Orders",
  "a-b",
  "bridge@10.0.0.5",
  "bridge@host",
  "Elixir.Shop.Orders",
  "end",
  "maybe",
  "it's",
  'a"b',
  "back\\slash",
  "zwölf",
  "_x",
  "1a",
  "a.b",
  "else",
  "fun",
  "xor",
];

it("Erlang reads the names back as they are written", () => {
  const list = NAMES.map(erlangAtom).join(", ");
  const script = `
    {ok, Tokens, _} = erl_scan:string(binary_to_list(base64:decode("${Buffer.from(`[${list}].`, "latin1").toString("base64")}"))),
    {ok, Names} = erl_parse:parse_term(Tokens),
    [io:put_chars([base64:encode(atom_to_binary(Name, utf8)), "\\n"]) || Name <- Names],
    halt().`;
  const { status, stdout, stderr, error } = spawnSync("erl", ["-noshell", "-eval", script], {
    encoding: "utf8",
  });
  if (error !== undefined) throw new Error(`This test needs erl in PATH: ${error.message}`);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(
    stdout
      .trim()
      .split("\n")
      .map((text) => Buffer.from(text, "base64").toString("utf8")),
  ).toEqual(NAMES);
});
