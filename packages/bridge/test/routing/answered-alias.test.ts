import { Signal } from "@isthmus/core/channel";
import { atom, encode, ImproperList, Reference, type Term, tuple } from "@isthmus/etf";
import { expect, it } from "vitest";
import { answeredAlias } from "../../src/routing/signal-operation.ts";

const ref = new Reference(atom("bridge@b"), 5, [1, 2, 0]);
const alias = atom("alias");
const tag = new ImproperList([alias], ref);

function signal(body: Buffer): Signal {
  const made = new Signal();
  made.bytes = body;
  made.bodyStart = 1;
  made.bodyEnd = body.length;
  return made;
}

it.each<[string, Term]>([
  ["of a call", tuple(tag, 42)],
  ["of a call of many", tuple(new ImproperList([tag], new Reference(atom("bridge@b"), 5, [9, 9, 0])), [1])],
])("the alias that an answer is for: %s", (_, body) => {
  expect(answeredAlias(signal(encode(body)))).toEqual(ref);
});

it.each<[string, Term]>([
  ["a plain reference", tuple(ref, 42)],
  ["three elements", tuple(tag, 1, 2)],
  ["no tuple", new ImproperList([tag], 1)],
  ["another word", tuple(new ImproperList([atom("other")], ref), 1)],
  ["more words", tuple(new ImproperList([alias, alias], ref), 1)],
  ["no reference", tuple(new ImproperList([alias], 1), 1)],
  ["a proper list", tuple([alias, ref], 1)],
  ["much more than a tag", tuple(new Array(40).fill(alias), 1)],
])("there is none: %s", (_, body) => {
  expect(answeredAlias(signal(encode(body)))).toBeUndefined();
});

it("nor in bytes that end too early, at whatever place", () => {
  const bytes = encode(tuple(tag, 1));
  for (let end = 2; end < bytes.length - 2; end++)
    expect(answeredAlias(signal(Buffer.from(bytes.subarray(0, end))))).toBeUndefined();
});
