import { deflateSync } from "node:zlib";
import { DEFAULT_TERM_LIMITS, decode, encode, type TermLimits, TermReader } from "@isthmus/etf";
import { skipTerm } from "@isthmus/etf/raw";
import { describe, expect, it } from "vitest";
import { codeOf, hex } from "../support/code.ts";

function both(bytes: Buffer, limits: Partial<TermLimits>): (string | undefined)[] {
  return [codeOf(() => decode(bytes, limits)), codeOf(() => skipTerm(bytes, 1, bytes.length, limits))];
}

describe("limits", () => {
  it.each<[string, Buffer, Partial<TermLimits>, Partial<TermLimits>, string]>([
    ["depth", encode([[[]]]), { maxDepth: 2 }, { maxDepth: 1 }, "ETF_DEPTH_LIMIT"],
    [
      "elements of a list",
      encode([300, 301, 302]),
      { maxElements: 3 },
      { maxElements: 2 },
      "ETF_ELEMENTS_LIMIT",
    ],
    [
      "elements of all containers",
      encode([[300], [301]]),
      { maxElements: 4 },
      { maxElements: 3 },
      "ETF_ELEMENTS_LIMIT",
    ],
    ["bytes of a charlist", encode([1, 2, 3]), { maxElements: 3 }, { maxElements: 2 }, "ETF_ELEMENTS_LIMIT"],
    [
      "elements of a map",
      encode(new Map([[1, 2]])),
      { maxElements: 2 },
      { maxElements: 1 },
      "ETF_ELEMENTS_LIMIT",
    ],
    [
      "a list in the tail of a list",
      hex("83 6c 00000001 61 01 6c 00000002 61 02 61 03 6a"),
      { maxElements: 3 },
      { maxElements: 2 },
      "ETF_ELEMENTS_LIMIT",
    ],
    ["integers", encode(1n << 80n), { maxBignumBytes: 11 }, { maxBignumBytes: 10 }, "ETF_BIGNUM_LIMIT"],
    [
      "large integers",
      encode(1n << 4000n),
      { maxBignumBytes: 501 },
      { maxBignumBytes: 500 },
      "ETF_BIGNUM_LIMIT",
    ],
    [
      "compressed terms",
      encode(Buffer.alloc(1000), { compressed: true }),
      { maxInflatedBytes: 1005 },
      { maxInflatedBytes: 1004 },
      "ETF_INFLATED_LIMIT",
    ],
  ])("on %s", (_, bytes, enough, little, code) => {
    expect(both(bytes, enough)).toEqual([undefined, undefined]);
    expect(both(bytes, little)).toEqual([code, code]);
  });

  it("must be whole numbers", () => {
    expect(codeOf(() => new TermReader({ maxDepth: Number.NaN }))).toBe("ETF_UNREPRESENTABLE");
    expect(codeOf(() => new TermReader({ maxElements: -1 }))).toBe("ETF_UNREPRESENTABLE");
    expect(Object.isFrozen(DEFAULT_TERM_LIMITS)).toBe(true);
  });
});

describe("lengths that no input could fill", () => {
  it.each([
    ["a list", "83 6c ffffffff 61 01 6a"],
    ["a tuple", "83 69 ffffffff 61 01"],
    ["a map", "83 74 80000001 61 01 61 01"],
    ["a map of more entries than 32 bits of elements", "83 74 ffffffff 61 01 61 01"],
    ["a binary", "83 6d ffffffff 61"],
    ["an integer", "83 6f ffffffff 00 01"],
    ["a record", "83 43 ffffffff 00 77 01 6d 77 01 72"],
    [
      "a fun",
      `83 70 ffffffff 00 ${"00".repeat(16)} 00000000 ffffffff 77 01 6d 61 01 61 01 58 77 03 6e4068 ${"00".repeat(12)}`,
    ],
    ["the tail of a list", "83 6c 00000001 61 01 6c ffffffff 61 01 6a"],
  ])("are refused at once: %s", (_, bytes) => {
    expect(both(hex(bytes), {})).toEqual(["ETF_TRUNCATED", "ETF_TRUNCATED"]);
  });
});

describe("compressed terms", () => {
  const packed = (size: number, data: Buffer) => {
    const head = Buffer.from([131, 80, 0, 0, 0, 0]);
    head.writeUInt32BE(size, 2);
    return Buffer.concat([head, data]);
  };
  const plain = hex("61 05");

  it.each([
    ["a smaller size", packed(1, deflateSync(plain))],
    ["a larger size", packed(3, deflateSync(plain))],
    ["no size", packed(0, deflateSync(plain))],
    ["no size and nothing in it", packed(0, deflateSync(Buffer.alloc(0)))],
    ["damaged data", packed(2, Buffer.from([1, 2, 3]))],
    ["cut data", packed(2, deflateSync(plain).subarray(0, 5))],
    ["two terms", packed(4, deflateSync(hex("61 05 61 06")))],
    ["a bomb", packed(2, deflateSync(Buffer.alloc(10_000_000)))],
  ])("with %s are refused", (_, bytes) => {
    const codes = both(bytes, {});
    expect(codes[0]).toMatch(/^ETF_(COMPRESSED_INVALID|TRUNCATED)$/);
    expect(codes[1]).toBe(codes[0]);
  });

  it("in compressed terms do not exist", () => {
    const inner = packed(2, deflateSync(plain)).subarray(1);
    expect(both(packed(inner.length, deflateSync(inner)), {})).toEqual([
      "ETF_TAG_UNKNOWN",
      "ETF_TAG_UNKNOWN",
    ]);
  });
});
