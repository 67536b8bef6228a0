import { atom, decode, encode, Pid, Reference, type Term, TermReader, TermWriter, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { codeOf } from "../support/code.ts";

const pid = new Pid(atom("n@h"), 1, 2, 3);
const reference = new Reference(atom("n@h"), 3, [1, 2, 3]);

function readerOf(...terms: Term[]): TermReader {
  const writer = new TermWriter();
  for (const term of terms) writer.term(term);
  const bytes = writer.take();
  const reader = new TermReader();
  reader.reset(bytes, 0, bytes.length);
  return reader;
}

describe("a reader", () => {
  it("takes a control message apart", () => {
    const reader = readerOf(
      tuple(22, pid, atom(""), reference, -(1n << 70n), tuple(...new Array(300).fill(1))),
      [1],
    );
    expect(reader.tupleHeader()).toBe(6);
    expect(reader.integer()).toBe(22);
    expect(reader.pid()).toEqual(pid);
    reader.skip();
    expect(reader.reference()).toEqual(reference);
    expect(reader.integer()).toBe(-(1n << 70n));
    expect(reader.tupleHeader()).toBe(300);
    for (let i = 0; i < 300; i++) reader.skip();
    expect(reader.term()).toEqual([1]);
    expect(reader.offset).toBe(reader.end);
  });

  it.each<[string, (reader: TermReader) => unknown]>([
    ["atom", (reader) => reader.atom()],
    ["pid", (reader) => reader.pid()],
    ["reference", (reader) => reader.reference()],
    ["tuple", (reader) => reader.tupleHeader()],
    ["integer", (reader) => reader.integer()],
  ])("asked for a %s, refuses another term and an end", (_, ask) => {
    expect(codeOf(() => ask(readerOf("some binary")))).toBe("ETF_UNEXPECTED_TERM");
    expect(codeOf(() => ask(readerOf()))).toBe("ETF_TRUNCATED");
  });

  it.each<[string, Term, (reader: TermReader) => unknown]>([
    ["atom", atom("some atom"), (reader) => reader.atom()],
    ["pid", pid, (reader) => reader.pid()],
    ["reference", reference, (reader) => reader.reference()],
    ["small tuple", tuple(), (reader) => reader.tupleHeader()],
    ["large tuple", tuple(...new Array(256).fill([])), (reader) => reader.tupleHeader()],
    ["byte", 200, (reader) => reader.integer()],
    ["integer", -5, (reader) => reader.integer()],
    ["bignum", 1n << 65n, (reader) => reader.integer()],
    ["large bignum", 1n << 4000n, (reader) => reader.integer()],
  ])("refuses a cut %s", (_, term, ask) => {
    const bytes = encode(term).subarray(1);
    const reader = new TermReader();
    const head = Array.isArray((term as { elements?: unknown }).elements)
      ? bytes[0] === 104
        ? 2
        : 5
      : bytes.length;
    for (let length = 0; length < head; length++) {
      reader.reset(bytes, 0, length);
      expect(codeOf(() => ask(reader))).toBe("ETF_TRUNCATED");
    }
    reader.reset(bytes, 0, bytes.length);
    ask(reader);
    expect(reader.offset).toBe(head);
  });

  it("works on after an error, once reset", () => {
    const bad = encode([tuple(1, new Map([[1, 2]])), 1]);
    const reader = new TermReader();
    for (let length = 1; length < bad.length; length++) {
      reader.reset(bad, 1, length);
      expect(codeOf(() => reader.term())).toBe("ETF_TRUNCATED");
    }
    reader.reset(bad, 1, bad.length);
    expect(reader.term()).toEqual(decode(bad));
  });
});

describe("binaries", () => {
  it("are views of the input, unless copies are asked for", () => {
    const bytes = encode([Buffer.from("view")]);
    const [view] = decode(bytes) as [Buffer];
    const [copy] = decode(bytes, { copy: true }) as [Buffer];
    bytes.fill(0);
    expect(view.toString("latin1")).toBe("\0\0\0\0");
    expect(copy.toString()).toBe("view");
  });
});

describe("numbers", () => {
  it.each<[string, number | bigint]>([
    ["83 6e 07 00 ff ff ff ff ff ff 1f", Number.MAX_SAFE_INTEGER],
    ["83 6e 07 01 ff ff ff ff ff ff 1f", Number.MIN_SAFE_INTEGER],
    ["83 6e 07 00 00 00 00 00 00 00 20", 2n ** 53n],
    ["83 6e 07 01 00 00 00 00 00 00 20", -(2n ** 53n)],
    ["83 6e 01 01 00", 0],
    ["83 6e 00 01", 0],
    ["83 6e 0a 00 05 00 00 00 00 00 00 00 00 00", 5],
    ["83 6e 08 00 ff ff ff ff ff ff ff ff", 2n ** 64n - 1n],
    ["83 6e 09 01 00 00 00 00 00 00 00 00 01", -(2n ** 64n)],
  ])("%s is exact", (digits, value) => {
    const read = decode(Buffer.from(digits.replaceAll(" ", ""), "hex"));
    expect(Object.is(read, value) || read === value).toBe(true);
    expect(Object.is(read, -0)).toBe(false);
  });
});
