import { createRequire } from "node:module";
import { atom, decode, encode, equals, Float, NativeRecord, type Term } from "@isthmus/etf";
import { type ErlangJsNamespace, erlangJs } from "@isthmus/etf/erlang-js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { terms } from "./support/arbitraries.ts";
import { codeOf } from "./support/code.ts";

type Callback = (error: Error | undefined, result: unknown) => void;

interface ErlangJs extends ErlangJsNamespace {
  term_to_binary(term: unknown, callback: Callback): void;
  binary_to_term(bytes: Buffer, callback: Callback): void;
  readonly OtpErlangAtom: new (value: string, utf8?: boolean) => { value: string };
  readonly OtpErlangBinary: new (value: string | Buffer, bits?: number) => object;
  readonly OtpErlangList: new (
    value: unknown[],
    improper?: boolean,
  ) => { value: unknown[]; improper: boolean };
  readonly OtpErlangMap: new (value: Map<unknown, unknown>) => object;
}

const { Erlang } = createRequire(import.meta.url)("erlang_js") as { Erlang: ErlangJs };
const adapter = erlangJs(Erlang);

/** What erlang_js itself does, for comparison. */
function theirs(run: (callback: Callback) => void): unknown {
  let error: Error | undefined;
  let result: unknown;
  run((problem, value) => {
    error = problem;
    result = value;
  });
  if (error !== undefined) throw error;
  return result;
}
const theirEncode = (value: unknown) =>
  theirs((callback) => Erlang.term_to_binary(value, callback)) as Buffer;
const theirDecode = (bytes: Buffer) => theirs((callback) => Erlang.binary_to_term(bytes, callback));
const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
};

describe("what erlang_js gets wrong", () => {
  it("integers beyond 32 bits are truncated; the adapter writes them", () => {
    for (const value of [2 ** 32, 2 ** 60]) {
      expect(decode(theirEncode(value))).toBe(0);
      expect(decode(adapter.encode(value))).toEqual(value === 2 ** 32 ? value : BigInt(value));
    }
    expect(decode(theirEncode(Number.MAX_SAFE_INTEGER))).toBe(2 ** 32 - 1);
    expect(decode(adapter.encode(Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("bigints are refused, and large integers rounded; the adapter takes and gives them", () => {
    expect(() => theirEncode(2n ** 64n)).toThrow();
    expect(decode(adapter.encode(2n ** 64n))).toBe(2n ** 64n);
    const bytes = encode(2n ** 64n - 1n);
    expect(theirDecode(bytes)).toBe(2 ** 64);
    expect(adapter.decode(bytes)).toBe(2n ** 64n - 1n);
  });

  it("atoms beyond ASCII are written with the wrong bytes and read as others; the adapter keeps their text", () => {
    const value = new Erlang.OtpErlangAtom("日本");
    expect(codeOf(() => decode(theirEncode(value)))).toBe("ETF_ATOM_INVALID");
    expect(decode(adapter.encode(value))).toBe(atom("日本"));
    expect((theirDecode(encode(atom("é"))) as { value: string }).value).toBe("Ã©");
    expect((adapter.decode(encode(atom("é"))) as { value: string }).value).toBe("é");
  });

  it("deep terms fail; the adapter reads and writes them", () => {
    const bytes = adapter.encode(nested(9_000));
    expect(() => theirDecode(bytes)).toThrow("missing data");
    expect(() => theirEncode(nested(9_000))).toThrow();
    expect(equals(adapter.toTerm(adapter.decode(bytes)), decode(bytes))).toBe(true);
    expect(codeOf(() => adapter.encode(nested(10_001)))).toBe("ETF_DEPTH_LIMIT");
  });

  it("whole floats become integers; the adapter keeps them, or does the same when asked", () => {
    const bytes = encode([new Float(2)]);
    expect(decode(theirEncode(theirDecode(bytes)))).toEqual([2]);
    expect(adapter.encode(adapter.decode(bytes))).toEqual(bytes);
    expect(
      decode(erlangJs(Erlang).encode(erlangJs(Erlang, { wholeFloats: "number" }).decode(bytes))),
    ).toEqual([2]);
  });

  it("compressed terms come later than the call returns; the adapter inflates them at once", () => {
    const bytes = encode(new Array(1000).fill(atom("a")), { compressed: true });
    expect(theirDecode(bytes)).toBeUndefined();
    expect((adapter.decode(bytes) as { value: unknown[] }).value).toHaveLength(1000);
  });
});

describe("where erlang_js is right", () => {
  const values: readonly unknown[] = [
    0,
    -1,
    2 ** 31 - 1,
    1.5,
    true,
    null,
    "a charlist",
    [],
    [1, [2, "x"]],
    new Erlang.OtpErlangAtom("ok"),
    new Erlang.OtpErlangBinary("bytes"),
    new Erlang.OtpErlangBinary(Buffer.from([0xa0]), 3),
    new Erlang.OtpErlangList([1, 2]),
    new Erlang.OtpErlangList([1, 2, 3], true),
    new Erlang.OtpErlangList([]),
    new Erlang.OtpErlangMap(new Map<unknown, unknown>([[new Erlang.OtpErlangAtom("k"), [1]]])),
    { "a key": 1 },
  ];

  it.each(values.map((value, index) => [index, value]))("value %i means the same term", (_, value) => {
    expect(equals(adapter.toTerm(value), decode(theirEncode(value)))).toBe(true);
  });

  it("its objects and ours are the same for the same bytes", () => {
    const bytes = encode([atom("ok"), Buffer.from("x"), [1, 2], 1.5, new Map([[atom("k"), []]])]);
    expect(adapter.decode(bytes)).toEqual(theirDecode(bytes));
  });
});

describe("the adapter", () => {
  it("brings every term back", () => {
    fc.assert(
      fc.property(terms(), (term) => {
        const bytes = encode(term);
        expect(equals(decode(adapter.encode(adapter.decode(bytes))), term)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it("says what it has no object for", () => {
    const record: Term = new NativeRecord(atom("m"), atom("r"), [], [], { exported: true });
    expect(codeOf(() => adapter.fromTerm([record]))).toBe("ETF_CONVERSION");
    expect(codeOf(() => adapter.toTerm([() => 1]))).toBe("ETF_CONVERSION");
    expect(codeOf(() => adapter.toTerm(undefined))).toBe("ETF_CONVERSION");
  });

  it("knows another atom for null when told", () => {
    const nil = erlangJs(Erlang, { undefined: "nil" });
    expect(decode(nil.encode(null))).toBe(atom("nil"));
    expect(nil.decode(encode(atom("nil")))).toBeNull();
  });
});
