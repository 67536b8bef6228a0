import {
  atom,
  BitString,
  decode,
  ExportFun,
  encode,
  Float,
  Fun,
  ImproperList,
  NativeRecord,
  Pid,
  Port,
  Reference,
  type Term,
  TermWriter,
  tuple,
} from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { codeOf } from "../support/code.ts";

describe("output", () => {
  it("given out is never written again", () => {
    const writer = new TermWriter({ slabBytes: 32 });
    const taken: Buffer[] = [];
    for (let i = 0; i < 100; i++) {
      writer.u32(i);
      if (i % 3 === 0) writer.u16(i);
      taken.push(writer.take());
      expect(writer.length).toBe(0);
    }
    taken.forEach((bytes, index) => {
      expect(bytes.readUInt32BE(0)).toBe(index);
      expect(bytes.length).toBe(index % 3 === 0 ? 6 : 4);
    });
  });

  it("keeps marks when it moves to another slab", () => {
    const writer = new TermWriter({ slabBytes: 16 });
    writer.u8(1);
    writer.take();
    const mark = writer.mark();
    writer.u32(0);
    writer.copy(Buffer.alloc(1000, 7), 0, 1000);
    writer.patchU32(mark, 0xcafebabe);
    const second = writer.mark();
    writer.u64(2n ** 64n - 1n);
    writer.truncate(second);
    const bytes = writer.take();
    expect(bytes.length).toBe(1004);
    expect(bytes.readUInt32BE(0)).toBe(0xcafebabe);
    expect(bytes.subarray(4).every((byte) => byte === 7)).toBe(true);
  });

  it("is copied out by copyOut, and its memory used again", () => {
    const writer = new TermWriter({ slabBytes: 16 });
    writer.u32(1);
    const first = writer.copyOut();
    const slab = writer.bytes;
    writer.u32(2);
    expect(writer.bytes).toBe(slab);
    expect(first).toEqual(Buffer.from([0, 0, 0, 1]));
    expect(writer.copyOut()).toEqual(Buffer.from([0, 0, 0, 2]));
  });

  it("is the same whether parts or terms are written", () => {
    const pid = new Pid(atom("n@h"), 1, 2, 3);
    const port = new Port(atom("n@h"), 4n, 5);
    const reference = new Reference(atom("n@h"), 3, [1, 2]);
    const writer = new TermWriter();
    writer.u8(131);
    writer.tupleHeader(6);
    writer.atom(atom("a"));
    writer.pid(pid);
    writer.port(port);
    writer.reference(reference);
    writer.integer(-7);
    writer.integer(1n << 64n);
    expect(writer.take()).toEqual(encode(tuple(atom("a"), pid, port, reference, -7, 1n << 64n)));
    expect(codeOf(() => writer.integer(1.5))).toBe("ETF_UNREPRESENTABLE");
    expect(codeOf(() => writer.integer(Number.NaN))).toBe("ETF_UNREPRESENTABLE");
    expect(codeOf(() => writer.integer(2 ** 53))).toBe("ETF_NUMBER_UNSAFE");
  });

  it("of old releases has Latin-1 atoms and short ports", () => {
    const options = { otpRelease: 25 };
    expect(encode(atom("é"), options).toString("hex")).toBe("83640001e9");
    expect(encode(atom("日"), options).toString("hex")).toBe("837703e697a5");
    expect(encode(new Port(atom("n"), 2n ** 28n - 1n, 1), options)[1]).toBe(89);
    expect(encode(new Port(atom("n"), 2n ** 28n, 1), options)[1]).toBe(120);
    expect(encode(new Port(atom("n"), 1n, 1))[1]).toBe(120);
  });
});

describe("canonical forms", () => {
  it.each<[string, Term, string]>([
    ["a list of bytes", [1, 255], "836b000201ff"],
    ["a list of bytes as bigints", [1n, 255n], "836b000201ff"],
    ["a list of one more than bytes", [1, 256], "836c0000000261016200000100 6a"],
    ["the integer -0", -0, "836100"],
    ["a small bigint", 5n, "836105"],
    ["a string", "é", "836d00000002c3a9"],
    ["a long string", "x".repeat(40), `836d00000028${"78".repeat(40)}`],
    ["a float with a fraction", 1.5, "83463ff8000000000000"],
    ["a whole float", new Float(2), "83464000000000000000"],
    ["the empty tuple", tuple(), "836800"],
    ["a Uint8Array", new Uint8Array([1]), "836d0000000101"],
    ["a view into a larger array", new Uint8Array([9, 1, 9]).subarray(1, 2), "836d0000000101"],
    ["a Map", new Map([[1, 2]]), "837400000001610161 02"],
  ])("%s", (_, term, expected) => {
    expect(encode(term).toString("hex")).toBe(expected.replace(" ", ""));
  });
});

describe("what is no term", () => {
  it.each<[string, unknown, string]>([
    ["undefined", undefined, "ETF_UNREPRESENTABLE"],
    ["null", null, "ETF_UNREPRESENTABLE"],
    ["an object", { a: 1 }, "ETF_UNREPRESENTABLE"],
    ["an object without a prototype", Object.create(null), "ETF_UNREPRESENTABLE"],
    ["a function", () => 1, "ETF_UNREPRESENTABLE"],
    ["a symbol", Symbol("x"), "ETF_UNREPRESENTABLE"],
    ["a date", new Date(0), "ETF_UNREPRESENTABLE"],
    ["NaN", Number.NaN, "ETF_UNREPRESENTABLE"],
    ["infinity", -Infinity, "ETF_UNREPRESENTABLE"],
    ["a whole number beyond 2^53", 2 ** 53, "ETF_NUMBER_UNSAFE"],
    ["a large whole number", 1e300, "ETF_NUMBER_UNSAFE"],
    ["half a surrogate pair", "\ud800", "ETF_UNREPRESENTABLE"],
    ["a hole in an array", new Array(1), "ETF_UNREPRESENTABLE"],
  ])("%s is refused, wherever it stands", (_, value, code) => {
    const term = value as Term;
    const writer = new TermWriter();
    const tail = Array.isArray(value) ? [] : [new ImproperList([1], term)];
    for (const around of [term, [term], tuple(1, [term]), new Map([[1, term]]), ...tail]) {
      const mark = writer.mark();
      expect(codeOf(() => writer.term(around))).toBe(code);
      writer.truncate(mark);
    }
    expect(codeOf(() => encode(term))).toBe(code);
    // what was half written is gone
    expect(decode(encode([1]))).toEqual([1]);
  });

  it("cannot be constructed either", () => {
    const n = atom("n@h");
    const fun = {
      arity: 1,
      uniq: Buffer.alloc(16),
      index: 0,
      module: n,
      oldIndex: 0,
      oldUniq: 0,
      creator: new Pid(n, 0, 0, 0),
      free: [],
    };
    const constructions: (() => unknown)[] = [
      () => new Pid(n, -1, 0, 0),
      () => new Pid(n, 0, 2 ** 32, 0),
      () => new Pid(n, 0, 0, 0.5),
      () => new Port(n, -1n, 0),
      () => new Port(n, 1n << 64n, 0),
      () => new Port(n, 0n, -1),
      () => new Reference(n, 0, []),
      () => new Reference(n, 0, [1, 2, 3, 4, 5, 6]),
      () => new Reference(n, 0, [-1]),
      () => new Float(Number.NaN),
      () => new BitString(Buffer.alloc(0), 1),
      () => new BitString(Buffer.alloc(1), 8),
      () => new BitString(Buffer.alloc(1), 0),
      () => new ImproperList([], 1),
      () => new ImproperList([1], [2]),
      () => new ImproperList([1], new ImproperList([2], 3)),
      () => new ExportFun(n, n, 256),
      () => new Fun({ ...fun, arity: 256 }),
      () => new Fun({ ...fun, uniq: Buffer.alloc(15) }),
      () => new Fun({ ...fun, oldUniq: 2 ** 31 }),
      () => new NativeRecord(n, n, [n], [], { exported: true }),
      () => new NativeRecord(n, n, [n, n], [1, 2], { exported: true }),
    ];
    for (const construct of constructions)
      expect(codeOf(construct), construct.toString()).toBe("ETF_UNREPRESENTABLE");
    expect(new Fun(fun).free).toEqual([]);
    expect(new BitString(Buffer.from([0xff]), 3).bytes).toEqual(Buffer.from([0xe0]));
  });
});
