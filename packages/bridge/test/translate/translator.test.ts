import {
  atom,
  decode,
  encode,
  equals,
  Pid,
  Port,
  Reference,
  type Term,
  TermMap,
  TermWriter,
} from "@isthmus/etf";
import { isNarrow, rewriteTerm } from "@isthmus/etf/raw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstIndex, IdentityIndex } from "../../src/translate/identity-index.ts";
import { type Place, Translator } from "../../src/translate/translator.ts";

function place(name: string, first = 1000, limit = 100, creation = 77, maxNarrowed?: number): Place {
  const self = atom(name);
  return { self, creation, index: new IdentityIndex<Place>(self, first, limit, maxNarrowed) };
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

describe("a process that a cluster knows by two names", () => {
  it("is no two keys of one map on its way back", () => {
    const a = place("bridge@a");
    const b = place("bridge@b", 5000);
    const [there, back] = [new Translator(a, b), new Translator(b, a)];
    const target = { node: a1, wide: true, records: true };
    const both = (...pids: Pid[]) => encode(new TermMap(pids.map((pid) => [pid, 1])));
    const rewritten = (bytes: Buffer) =>
      rewriteTerm(bytes, 1, bytes.length, new TermWriter(), back, undefined, undefined, target);
    const wide = new Pid(a1, 100_000, 0, 9);
    const other = new Pid(a1, 1, 0, 9);
    // before and after a node of OTP 23 was seen
    const before = [there.pid(wide), there.pid(other)];
    back.pid(before[0]!);
    b.index.becomeNarrow();
    const after = [there.pid(wide), there.pid(other)];
    expect(after.map((pid) => back.pid(pid))).toEqual([wide, other]);
    expect(after[1]).toEqual(before[1]);
    rewritten(both(before[0]!, before[1]!));
    rewritten(both(after[0]!, before[1]!));
    expect(() => rewritten(both(before[0]!, after[0]!))).toThrow(
      expect.objectContaining({ code: "ETF_UNREPRESENTABLE" }),
    );
    // under the bridge's name and a mirror's
    const standin = b.index.standin(a, a1, 9, b.creation);
    b.index.rename(standin, atom("a1@mirror"));
    const mirrored = there.pid(other);
    expect([mirrored.node.text, back.pid(mirrored)]).toEqual(["a1@mirror", other]);
    expect(() => rewritten(both(before[1]!, mirrored))).toThrow(
      expect.objectContaining({ code: "ETF_UNREPRESENTABLE" }),
    );
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

describe("translation into a cluster with nodes of OTP 23", () => {
  const setUp = (maxNarrowed = 1000) => {
    const a = place("bridge@a");
    const b = place("bridge@b", 5000, 100, 77, maxNarrowed);
    b.index.becomeNarrow();
    return { a, b, there: new Translator(a, b), back: new Translator(b, a) };
  };
  const wide = new Pid(a1, 100_000, 0, 9);
  const alias = new Reference(a1, 9, [1, 2, 3, 4, 5]);

  it("leaves what fits as it is", () => {
    const { there, back, b } = setUp();
    const pid = new Pid(a1, 32_767, 8191, 9);
    const ref = new Reference(a1, 9, [1, 2, 3]);
    expect(there.pid(pid)).toEqual(new Pid(b.self, 32_767, 8191, 5001));
    expect(there.reference(ref)).toEqual(new Reference(b.self, 5001, [1, 2, 3]));
    expect([back.pid(there.pid(pid)), back.reference(there.reference(ref))]).toEqual([pid, ref]);
    expect(b.index.narrowed).toBe(0);
  });

  it("shows what does not fit in a form that does, always the same, and gives it back as itself", () => {
    const { there, back, b } = setUp();
    for (const pid of [
      wide,
      new Pid(a1, 100_000, 1, 9),
      new Pid(a1, 1, 8192, 9),
      new Pid(a1, 100_000, 0, 10),
    ]) {
      const shown = there.pid(pid);
      expect([shown.node, isNarrow(shown)]).toEqual([b.self, true]);
      expect(there.pid(pid)).toEqual(shown);
      expect(back.pid(shown)).toEqual(pid);
    }
    const shown = there.reference(alias);
    expect([shown.node, isNarrow(shown)]).toEqual([b.self, true]);
    expect(back.reference(shown)).toEqual(alias);
    expect(b.index.narrowed).toBe(5);
    // creations of tables are like no index
    expect(b.index.get(shown.creation)).toBeUndefined();
    expect(b.index.isTable(shown.creation)).toBe(true);
  });

  it("does so from the moment when the first such node is there", () => {
    const a = place("bridge@a");
    const b = place("bridge@b", 5000);
    const there = new Translator(a, b);
    expect(there.pid(wide).id).toBe(100_000);
    b.index.becomeNarrow();
    expect(isNarrow(there.pid(wide))).toBe(true);
    // what was shown before keeps its meaning
    expect(new Translator(b, a).pid(new Pid(b.self, 100_000, 0, 5001))).toEqual(wide);
  });

  it("says whose an addressed pid is, and what it is called there", () => {
    const { there, b } = setUp();
    for (const pid of [wide, new Pid(a1, 1, 2, 9)]) {
      const shown = there.pid(pid);
      const owner = b.index.owner(shown)!;
      expect(owner.origin).toEqual({ node: a1, creation: 9 });
      expect(b.index.own(shown, owner)).toEqual(pid);
    }
    const shown = there.reference(alias);
    expect(b.index.own(shown, b.index.owner(shown)!)).toEqual(alias);
    expect(b.index.owner(new Pid(b.self, 77, 0, there.pid(wide).creation))).toBeUndefined();
    expect(b.index.owner(new Pid(b.self, 77, 0, 12_345))).toBeUndefined();
  });

  it("a wide process of a third cluster is one and the same, whichever way it came, and goes on as itself", () => {
    const { a, b, there } = setUp();
    const c = place("bridge@c", 9000);
    const throughA = there.pid(new Translator(c, a).pid(wide));
    expect(throughA).toEqual(new Translator(c, b).pid(wide));
    expect(new Translator(b, c).pid(throughA)).toEqual(wide);
    expect(new Translator(b, a).pid(throughA)).toEqual(new Translator(c, a).pid(wide));
    c.index.becomeNarrow();
    const other = new Pid(a1, 200_000, 0, 3);
    expect(new Translator(c, a).pid(new Translator(b, c).pid(there.pid(other)))).toEqual(other);
  });

  it("what was given up becomes nobody, in one and the same form, and is never anybody else", () => {
    const { there, back, b } = setUp(2);
    const shown = there.pid(wide);
    for (let id = 0; id < 5; id++) there.pid(new Pid(a1, 200_000 + id, 0, 9));
    expect(b.index.owner(shown)).toBeUndefined();
    const nobody = back.pid(shown);
    expect(nobody.node.text).toBe("bridge@a");
    expect(back.pid(shown)).toEqual(nobody);
    expect(there.pid(nobody)).toEqual(shown);
    expect(there.pid(wide)).not.toEqual(shown);
    expect(b.index.narrowed).toBe(2);
  });

  it("keeps what links and monitors need", () => {
    const { there, back, b } = setUp(2);
    const [pid, ref] = [there.pid(wide), there.reference(alias)];
    b.index.hold(pid);
    b.index.hold(ref);
    b.index.hold(there.pid(new Pid(a1, 1, 1, 9)));
    for (let i = 0; i < 9; i++) {
      there.pid(new Pid(a1, 200_000 + i, 0, 9));
      there.reference(new Reference(a1, 9, [i, 2, 3, 4, 6]));
    }
    expect([back.pid(pid), back.reference(ref)]).toEqual([wide, alias]);
    b.index.release(pid);
    b.index.release(ref);
    for (let i = 0; i < 9; i++) {
      there.pid(new Pid(a1, 300_000 + i, 0, 9));
      there.reference(new Reference(a1, 9, [i, 2, 3, 4, 7]));
    }
    expect([b.index.owner(pid), b.index.owner(ref)]).toEqual([undefined, undefined]);
  });

  it("a number that was made up before it stood for something is refused afterwards", () => {
    const { there, back } = setUp();
    const { id, serial, creation, node } = there.pid(wide);
    const madeUp = back.pid(new Pid(node, id + 1, serial, creation));
    expect(there.pid(madeUp).id).toBe(id + 1);
    there.pid(new Pid(a1, 300_000, 0, 9));
    expect(() => there.pid(madeUp)).toThrow(expect.objectContaining({ code: "TERM_NOT_FOR_TARGET" }));
  });

  it("an index that was made up before it was given out is passed over", () => {
    const { there, back, b } = setUp();
    const nobody = back.pid(new Pid(b.self, 1, 2, 5001));
    const shown = there.pid(new Pid(a1, 1, 2, 9));
    expect(shown.creation).toBe(5002);
    expect(there.pid(nobody)).toEqual(new Pid(b.self, 1, 2, 5001));
  });

  it("different identifiers stay different in bodies, as keys of maps, and come back as they were", () => {
    const nodes = [a1, atom("a2@h"), atom("bridge@a"), atom("bridge@b"), atom("b1@h")];
    const node = fc.constantFrom(...nodes);
    const creation = fc.integer({ min: 4, max: 7 });
    const u32 = fc.oneof(fc.nat(3), fc.integer({ min: 32_760, max: 32_775 }), fc.nat(2 ** 28 - 1));
    const identifier = fc.oneof(
      fc.tuple(node, u32, u32, creation).map((args) => new Pid(...args)),
      fc.tuple(node, u32, creation).map(([n, id, c]) => new Port(n, BigInt(id) ** 2n, c)),
      fc
        .tuple(node, creation, fc.array(fc.nat(7), { minLength: 1, maxLength: 5 }))
        .map((args) => new Reference(...args)),
    );
    fc.assert(
      fc.property(fc.uniqueArray(identifier, { comparator: equals, maxLength: 30 }), (keys) => {
        const { there, back } = setUp();
        const term = new TermMap(keys.map((key, i): [Term, Term] => [key, [i, key]]));
        const shown = decode(translated(encode(term), there)) as TermMap;
        for (const [key] of shown) expect(isNarrow(key as Pid | Port | Reference)).toBe(true);
        expect(shown.size).toBe(keys.length);
        expect(equals(decode(translated(encode(shown), back)), term)).toBe(true);
      }),
    );
  });
});

function translated(bytes: Buffer, translator: Translator): Buffer {
  const writer = new TermWriter();
  writer.u8(131);
  rewriteTerm(bytes, 1, bytes.length, writer, translator);
  return writer.take();
}
