import { atom, Pid, type Port, Reference } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import type { Standin } from "../../src/translate/identity-index.ts";
import {
  NARROW_PIDS,
  NARROW_PORTS,
  NARROW_REFERENCES,
  type NarrowKind,
  NarrowTable,
} from "../../src/translate/narrow-table.ts";

const self = atom("bridge@b");
const a1 = atom("a1@h");
const standin: Standin<object> = {
  node: self,
  creation: 50,
  place: {},
  origin: { node: a1, creation: 7 },
  mirror: undefined,
};
const wide = (id: number) => new Pid(a1, 100_000 + id, 0, 7);

function table(limit: number, kind: NarrowKind<Pid> = NARROW_PIDS) {
  let creation = 1000;
  const pids = new NarrowTable<object, Pid>(kind, self, limit);
  const show = (pid: Pid) => pids.show(standin, pid, () => creation++);
  return { pids, show };
}

describe("the numbers of a kind", () => {
  it.each([
    ["pids", NARROW_PIDS, 2 ** 28],
    ["ports", NARROW_PORTS, 2 ** 28],
    ["references", NARROW_REFERENCES, 2 ** 50],
  ] as const)("of %s fit what OTP 23 reads, and lead back", (_, kind, count) => {
    expect(kind.count).toBe(count);
    for (const number of [0, 1, 2 ** 15 - 1, 2 ** 15, 2 ** 18, 2 ** 18 - 1, 2 ** 27 + 3, count - 1]) {
      const made = kind.make(self, 1000, number);
      expect(kind.number(made as Pid & Port & Reference)).toBe(number);
      if (made.kind === "pid") expect([made.id < 2 ** 15, made.serial < 2 ** 13]).toEqual([true, true]);
      if (made.kind === "port") expect(made.id < 2n ** 28n).toBe(true);
      if (made.kind === "reference") expect([made.words.length, made.words[0]! < 2 ** 18]).toEqual([3, true]);
    }
  });

  it("are none for what was never made", () => {
    expect(NARROW_PIDS.number(new Pid(self, 2 ** 15, 0, 1000))).toBe(-1);
    expect(NARROW_PIDS.number(new Pid(self, 0, 2 ** 13, 1000))).toBe(-1);
    expect(NARROW_REFERENCES.number(new Reference(self, 1000, [1, 2]))).toBe(-1);
    expect(NARROW_REFERENCES.number(new Reference(self, 1000, [1, 2, 3]))).toBe(-1);
    expect(NARROW_REFERENCES.number(new Reference(self, 1000, [2 ** 18, 2, 0]))).toBe(-1);
  });
});

describe("a table of narrow identifiers", () => {
  it("shows one always as the same, different ones as different ones, and knows what they stand for", () => {
    const { pids, show } = table(100);
    const shown = Array.from({ length: 50 }, (_, id) => show(wide(id)));
    expect(new Set(shown.map(({ id, serial, creation }) => `${id}.${serial}.${creation}`)).size).toBe(50);
    expect(Array.from({ length: 50 }, (_, id) => show(wide(id)))).toEqual(shown);
    for (const [id, pid] of shown.entries()) expect(pids.find(pid)).toMatchObject({ standin, own: wide(id) });
    expect(pids.find(new Pid(self, shown[0]!.id, 77, 1000))).toBeUndefined();
    expect(pids.find(new Pid(self, shown[0]!.id, 0, 1001))).toBeUndefined();
    expect(pids.size).toBe(50);
  });

  it("gives up what was not used for the longest time, and never shows another in its place", () => {
    const { pids, show } = table(3);
    const [one, two, three] = [show(wide(1)), show(wide(2)), show(wide(3))];
    show(wide(1));
    pids.find(two);
    const four = show(wide(4));
    expect(pids.find(three)).toBeUndefined();
    expect([one, two, four].map((pid) => pids.find(pid)?.own.id)).toEqual([100_001, 100_002, 100_004]);
    const again = show(wide(3));
    expect([one, two, three, four]).not.toContainEqual(again);
    expect(pids.size).toBe(3);
  });

  it("keeps what is held, however long it is not used, and refuses when all is held", () => {
    const { pids, show } = table(3);
    const held = [show(wide(1)), show(wide(2))];
    for (const pid of held) pids.hold(pid);
    pids.hold(held[0]!);
    for (let id = 10; id < 30; id++) show(wide(id));
    expect(held.map((pid) => pids.find(pid)?.own.id)).toEqual([100_001, 100_002]);
    pids.hold(show(wide(29)));
    expect(() => show(wide(30))).toThrow(expect.objectContaining({ code: "TERM_NOT_FOR_TARGET" }));
    expect(pids.size).toBe(3);
    pids.release(held[0]!);
    expect(() => show(wide(30))).toThrow(/Raise maxNarrowed/);
    pids.release(held[0]!);
    show(wide(30));
    expect(pids.find(held[0]!)).toBeUndefined();
    // one too many does no harm
    pids.release(held[0]!);
    pids.release(held[1]!);
    pids.release(held[1]!);
    show(wide(31));
    expect(pids.size).toBe(3);
  });

  it("begins anew under another creation when all numbers were given out", () => {
    const { pids, show } = table(10, { ...NARROW_PIDS, count: 4 });
    const shown = Array.from({ length: 10 }, (_, id) => show(wide(id)));
    expect(shown.map(({ id, creation }) => `${creation}.${id}`)).toEqual([
      ...["1000.1", "1000.2", "1000.3"],
      ...["1001.0", "1001.1", "1001.2", "1001.3"],
      ...["1002.0", "1002.1", "1002.2"],
    ]);
    expect(shown.map((pid) => pids.find(pid)?.own)).toEqual(shown.map((_, id) => wide(id)));
    expect([1000, 1001, 1002, 1003].map((creation) => pids.has(creation))).toEqual([true, true, true, false]);
  });
});
