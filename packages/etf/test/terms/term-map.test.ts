import { atom, decode, encode, equals, Float, type Term, TermMap, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { codeOf } from "../support/code.ts";

const keys: readonly Term[] = [
  1,
  new Float(1),
  10n ** 20n,
  1.5,
  atom("a"),
  true,
  Buffer.from("text"),
  [1, 2],
  [],
  tuple(atom("a"), [tuple()]),
  new TermMap([[1, 2]]),
];

describe.each([
  ["few", keys.slice(0, 7)],
  ["many", [...keys, ...Array.from({ length: 200 }, (_, index) => tuple(index))]],
])("a map of %s keys", (_, used) => {
  const map = new TermMap(used.map((key, index) => [key, index] as const));

  it("finds each key by value", () => {
    const copy = decode(encode(map)) as TermMap;
    used.forEach((key, index) => {
      expect(map.get(key)).toBe(index);
      expect(copy.get(key)).toBe(index);
      expect(copy.has((decode(encode([key])) as readonly Term[])[0] as Term)).toBe(true);
    });
    expect(map.get(atom("missing"))).toBeUndefined();
    expect(map.has(tuple(-1))).toBe(false);
    expect(map.get("text")).toBe(map.get(Buffer.from("text")));
    expect(map.get(atom("true"))).toBe(map.get(true));
    expect(map.get(1n)).toBe(map.get(1));
  });

  it("is a ReadonlyMap in the order of its entries", () => {
    expect(map.size).toBe(used.length);
    expect([...map.keys()]).toEqual(used);
    expect([...map.values()]).toEqual(used.map((_key, index) => index));
    expect([...map]).toEqual([...map.entries()]);
    const seen: Term[] = [];
    map.forEach((value, key, self) => {
      expect(self).toBe(map);
      expect(map.get(key)).toBe(value);
      seen.push(key);
    });
    expect(seen).toEqual(used);
  });
});

describe("keys", () => {
  it.each<[string, Term, Term]>([
    ["integers", 5, 5n],
    ["texts", "é", Buffer.from("é")],
    ["booleans", true, atom("true")],
    ["tuples", tuple(1, [2]), tuple(1, [2])],
    [
      "maps in another order",
      new TermMap([
        [1, 1],
        [2, 2],
      ]),
      new TermMap([
        [2, 2],
        [1, 1],
      ]),
    ],
    ["floats", new Float(1), new Float(1)],
  ])("that are the same %s are refused", (_, a, b) => {
    const filler = Array.from({ length: 30 }, (_unused, index) => [`filler ${index}`, 0] as const);
    for (const entries of [
      [
        [a, 1],
        [b, 2],
      ] as const,
      [[a, 1], ...filler, [b, 2]] as const,
    ]) {
      expect(codeOf(() => new TermMap(entries))).toBe("ETF_DUPLICATE_KEY");
      // two keys of a Map of the program's own are different objects
      expect(codeOf(() => encode(new Map(entries)))).toBe(
        new Map(entries).size === entries.length ? "ETF_DUPLICATE_KEY" : undefined,
      );
    }
  });

  it("that are alike but not the same are kept apart", () => {
    const entries: [Term, Term][] = [
      [1, 0],
      [new Float(1), 0],
      [new Float(-0), 0],
      [new Float(0), 0],
      [0, 0],
      ["1", 0],
      [[49], 0],
      [atom("1"), 0],
    ];
    expect(new TermMap(entries).size).toBe(8);
    expect(equals(decode(encode(new TermMap(entries))), new TermMap(entries))).toBe(true);
  });

  it("in great number are checked in no time", () => {
    const numbers = Array.from({ length: 200_000 }, (_, index) => [(index * 7919) % 200_003, 0] as const);
    const texts = Array.from({ length: 200_000 }, (_, index) => [`key ${index}`, 0] as const);
    for (const entries of [numbers, texts]) {
      const bytes = encode(new TermMap(entries));
      expect((decode(bytes) as TermMap).size).toBe(200_000);
      expect(codeOf(() => new TermMap([...entries, entries[77] as [Term, Term]]))).toBe("ETF_DUPLICATE_KEY");
    }
  });
});
