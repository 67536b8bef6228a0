import { atom, Pid, Reference } from "@isthmus/etf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstIndex, IdentityIndex } from "../../src/translate/identity-index.ts";
import { type Place, Translator } from "../../src/translate/translator.ts";

function place(name: string, first = 1000, limit = 100, creation = 77): Place {
  const self = atom(name);
  return { self, creation, index: new IdentityIndex<Place>(self, first, limit) };
}

const a1 = atom("a1@h");

describe("translation between two clusters", () => {
  const setUp = () => {
    const a = place("bridge@a");
    const b = place("bridge@b", 5000);
    return { a, b, there: new Translator(a, b), back: new Translator(b, a) };
  };

  it("shows a process under the bridge's name with its own id and serial, and gives it back as itself", () => {
    const { there, back } = setUp();
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 4, max: 12 }), (id, serial, creation) => {
        const pid = new Pid(a1, id, serial, creation);
        const shown = there.pid(pid);
        expect([shown.node.text, shown.id, shown.serial]).toEqual(["bridge@b", id, serial]);
        expect(back.pid(shown)).toEqual(pid);
      }),
    );
  });

  it("does the same with references, whatever their number of words", () => {
    const { there, back } = setUp();
    for (const words of [[1], [1, 2, 3], [1, 2, 3, 4, 5]]) {
      const ref = new Reference(a1, 9, words);
      expect(there.reference(ref).words).toEqual(words);
      expect(back.reference(there.reference(ref))).toEqual(ref);
    }
  });

  it("tells incarnations and nodes apart, and gives one index to each", () => {
    const { b, there } = setUp();
    const seen = new Set<number>();
    for (const node of ["a1@h", "a2@h"]) {
      for (const creation of [5, 6]) {
        for (let id = 0; id < 50; id++) seen.add(there.pid(new Pid(atom(node), id, 0, creation)).creation);
      }
    }
    expect(seen.size).toBe(4);
    expect(b.index.size).toBe(4);
  });

  it("never shows the first cluster's own names to the second, nor an index that nobody gave out", () => {
    const { a, there } = setUp();
    for (const pid of [
      new Pid(a1, 1, 2, 3),
      new Pid(a.self, 1, 2, 4_000_000_000),
      new Pid(a.self, 1, 2, a.creation),
      new Pid(atom("b1@h"), 1, 2, 3),
    ]) {
      expect(there.pid(pid).node.text).toBe("bridge@b");
    }
  });

  it("a process of a third cluster is one and the same in the second, whichever way it came", () => {
    const { a, b, there } = setUp();
    const c = place("bridge@c", 9000);
    const pid = new Pid(atom("c1@h"), 7, 8, 9);
    const throughA = there.pid(new Translator(c, a).pid(pid));
    expect(throughA).toEqual(new Translator(c, b).pid(pid));
    expect(new Translator(b, c).pid(throughA)).toEqual(pid);
  });
});

describe("an identity index", () => {
  it("refuses more incarnations than its limit, and still knows the others", () => {
    const a = place("bridge@a");
    const b = place("bridge@b", 5000, 3);
    const there = new Translator(a, b);
    for (let creation = 4; creation < 7; creation++) there.pid(new Pid(a1, 1, 0, creation));
    expect(() => there.pid(new Pid(a1, 1, 0, 7))).toThrow(
      expect.objectContaining({ code: "IDENTITY_LIMIT" }),
    );
    expect(there.pid(new Pid(a1, 2, 0, 4)).creation).toBe(5001);
    expect(b.index.size).toBe(3);
  });

  it("wraps around above the small creations, and passes over the bridge's own", () => {
    const a = place("bridge@a");
    const b = place("bridge@b", 2 ** 32 - 2, 100, 4);
    const there = new Translator(a, b);
    const given = [5, 6, 7].map((creation) => there.pid(new Pid(a1, 1, 0, creation)).creation);
    expect(given).toEqual([2 ** 32 - 1, 5, 6]);
  });

  it("begins anywhere above the small creations", () => {
    expect(firstIndex(0)).toBe(4);
    expect(firstIndex(0.999_999_999_999)).toBeLessThan(2 ** 32);
  });
});
