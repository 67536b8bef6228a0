import { setTimeout } from "node:timers/promises";
import { Atom, atom, decode, encode, internedAtomCount, type Term, TermReader } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { codeOf, hex } from "../support/code.ts";

describe("an atom", () => {
  it("is one object per text, whoever makes it and in whichever form it comes", () => {
    const made = atom("grüße");
    expect(atom("grüße")).toBe(made);
    const reader = new TermReader();
    for (const bytes of [
      encode(made),
      encode(made, { otpRelease: 25 }),
      hex("83 73 05 67 72 fc df 65"),
      hex("83 76 0007 67 72 c3bc c39f 65"),
    ]) {
      expect(decode(bytes)).toBe(made);
      reader.reset(bytes, 1, bytes.length);
      expect(reader.atom()).toBe(made);
    }
    // the same bytes in Latin-1 are another atom
    expect(decode(hex("83 73 07 67 72 c3bc c39f 65"))).toBe(atom("grÃ¼Ã\u009fe"));
  });

  it("is a boolean as a term when its text is true or false", () => {
    expect(decode(encode(true))).toBe(true);
    expect(decode(encode(atom("false")))).toBe(false);
    const reader = new TermReader();
    const bytes = encode(true);
    reader.reset(bytes, 1, bytes.length);
    expect(reader.atom()).toBe(atom("true"));
  });

  it("has at most 255 characters, which are code points", () => {
    expect(atom("😀".repeat(255)).text).toHaveLength(510);
    expect(decode(encode(atom("😀".repeat(255))))).toBe(atom("😀".repeat(255)));
    expect(codeOf(() => atom("😀".repeat(256)))).toBe("ETF_ATOM_INVALID");
    expect(codeOf(() => atom("a".repeat(256)))).toBe("ETF_ATOM_INVALID");
    expect(codeOf(() => atom("\ud800"))).toBe("ETF_ATOM_INVALID");
  });

  it("cannot be made past the table", () => {
    const Constructor = Atom as unknown as new (text: string) => Atom;
    expect(codeOf(() => new Constructor("x"))).toBe("ETF_UNREPRESENTABLE");
  });

  it("that only a peer named is forgotten", async () => {
    const { gc } = globalThis as { gc?: () => void };
    const collect = gc ?? (await exposeGc());
    const before = internedAtomCount();
    for (let i = 0; i < 50_000; i++) {
      const name = `made up ${i}`;
      decode(Buffer.concat([Buffer.from([131, 119, name.length]), Buffer.from(name)]));
    }
    expect(internedAtomCount()).toBeGreaterThan(before + 40_000);
    for (let round = 0; round < 100 && internedAtomCount() > before + 5_000; round++) {
      collect();
      await setTimeout(20);
    }
    // the cache of the decoder keeps a bounded number
    expect(internedAtomCount()).toBeLessThan(before + 5_000);
  });

  it("that the program made stays, though a peer named it first", async () => {
    const name = "named by a peer first";
    decode(Buffer.concat([Buffer.from([131, 119, name.length]), Buffer.from(name)]));
    const marked = atom(name) as Atom & { marked?: true };
    marked.marked = true;
    const collect = await exposeGc();
    collect();
    await setTimeout(20);
    collect();
    expect((atom(name) as Atom & { marked?: true }).marked).toBe(true);
  });

  it("is found again among more atoms than the cache has slots", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `slot ${index} ${"x".repeat(index % 70)}`);
    const bytes = encode(names.map(atom));
    const first = decode(bytes) as readonly Term[];
    const second = decode(bytes) as readonly Term[];
    names.forEach((name, index) => {
      expect(first[index]).toBe(atom(name));
      expect(second[index]).toBe(first[index]);
    });
  });
});

async function exposeGc(): Promise<() => void> {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
