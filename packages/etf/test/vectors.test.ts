import { decode, decodePrefix, encode, LocalTerm, TermReader } from "@isthmus/etf";
import { skipTerm } from "@isthmus/etf/raw";
import { isIsthmusError } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { assertAgreement } from "./support/agreement.ts";
import { type DecodeVector, decodeVectors, encodeVectors } from "./support/vectors.ts";

function code(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!isIsthmusError(error)) throw error;
    return error.code;
  }
}

/**
 * Where this codec and some release differ on purpose. It reads what any release reads, and does not know which node it
 * runs for; it refuses what the newest releases refuse.
 */
const DIFFERENCES: readonly { readonly why: string; readonly erl: RegExp; readonly here: "ok" | "badarg" }[] =
  [
    {
      why: "an empty bit string with 0 bits: read by 23 and 25, refused by 27 and 29, so never passed on",
      erl: /^<<131,77,0:32,0>>$/,
      here: "badarg",
    },
    {
      why: "ids and serials beyond 15 and 13 bits: OTP 23 only",
      erl: /^<<131,103,119,3,"n@h",(32768:32,0:32|1:32,8192:32),1>>$/,
      here: "ok",
    },
    {
      why: "numbers that the node of that name could not have made: only that node knows",
      erl: /"nonode@nohost"/,
      here: "ok",
    },
    {
      why: "ports beyond 28 bits and V4_PORT_EXT: not on OTP 23",
      erl: /^<<131,(89,119,3,"n@h",268435456|120,119,3,"n@h",1:64)/,
      here: "ok",
    },
    {
      why: "references of 4 and 5 words: not on OTP 23",
      erl: /^<<131,90,0,[45],119,3,"n@h",9:32/,
      here: "ok",
    },
    {
      why: "native records: OTP 29 only",
      erl: /^<<131,67,1:32,1,119,1,"m",119,1,"r",119,1,"x",97,1>>$/,
      here: "ok",
    },
  ];

/** What a release makes of the term while its meaning stays: its own order of keys, words that are cut. */
const OTHER_BYTES: readonly RegExp[] = [
  /^<<131,116,2:32,97,2,97,2,97,1,97,1>>$/, // entries keep their order here; a BEAM has an order of its own
  /^<<131,90,0,5,119,13,"nonode@nohost"/, // its own references have three words
];

function difference({ erl, result }: DecodeVector): (typeof DIFFERENCES)[number] | undefined {
  return DIFFERENCES.find((entry) => entry.erl.test(erl) && entry.here !== result);
}

describe("what binary_to_term was given", () => {
  it.each(
    decodeVectors
      .filter(({ result }) => result === "badarg")
      .map((vector) => [vector.erl.slice(0, 90), vector]),
  )("%s is refused", (_, vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    const refused = code(() => decodePrefix(bytes));
    if (difference(vector) === undefined) expect(refused).toMatch(/^ETF_/);
    else expect(refused).toBeUndefined();
  });

  it.each(
    decodeVectors.filter(({ result }) => result === "ok").map((vector) => [vector.erl.slice(0, 90), vector]),
  )("%s is read, and written as that release writes it", (_, vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    if (difference(vector) !== undefined) {
      expect(code(() => decodePrefix(bytes))).toMatch(/^ETF_/);
      return;
    }
    const { term, used } = decodePrefix(bytes);
    expect(used).toBe(vector.used);
    if (OTHER_BYTES.some((pattern) => pattern.test(vector.erl))) return;
    for (const otpRelease of vector.otp)
      expect(encode(term, { otpRelease }).toString("hex")).toBe(vector.reenc);
  });

  it("lists no difference that is none", () => {
    const used = new Set(decodeVectors.map(difference).filter((entry) => entry !== undefined));
    expect([...used].map(({ why }) => why).sort()).toEqual(DIFFERENCES.map(({ why }) => why).sort());
  });
});

describe("what term_to_binary made", () => {
  const vectors = encodeVectors.filter(({ hex }) => hex !== undefined);

  it("is there in number", () => {
    expect(vectors.length).toBeGreaterThan(900);
  });

  it("is read, and written as that release writes it", () => {
    const wrong: unknown[] = [];
    for (const { kind, otp, erl, hex } of vectors) {
      const term = decode(Buffer.from(hex as string, "hex"), { local: true });
      // the outputs of the other kinds are not what a plain term_to_binary of that release makes
      if (!kind.includes("t2b")) continue;
      for (const otpRelease of otp) {
        const written = encode(term, { otpRelease }).toString("hex");
        if (written !== hex) wrong.push({ otpRelease, erl, hex, written });
      }
    }
    expect(wrong).toEqual([]);
  });

  it("is kept as it is when only its own node can read it", () => {
    const local = vectors.filter(({ hex }) => hex?.startsWith("8379"));
    expect(local.length).toBeGreaterThan(5);
    for (const { hex } of local) {
      const bytes = Buffer.from(hex as string, "hex");
      expect(code(() => decode(bytes))).toBe("ETF_TAG_UNKNOWN");
      const term = decode(bytes, { local: true });
      expect(term).toBeInstanceOf(LocalTerm);
      expect(encode(term)).toEqual(bytes);
      expect(code(() => encode([term]))).toBe("ETF_UNREPRESENTABLE");
    }
  });

  it("compresses to what inflates to the same term, and only when shorter", () => {
    let shorter = 0;
    for (const vector of vectors.filter(({ kind }) => kind.includes("t2b_compressed"))) {
      const term = decode(Buffer.from(vector.hex as string, "hex"));
      const plain = encode(term);
      const packed = encode(term, { compressed: true });
      expect(packed.length).toBeLessThanOrEqual(plain.length);
      if (packed.length < plain.length) {
        shorter++;
        expect(packed[1]).toBe(80);
        expect(encode(decode(packed))).toEqual(plain);
      } else {
        expect(packed).toEqual(plain);
      }
    }
    expect(shorter).toBeGreaterThan(20);
  });
});

const distinct = [
  ...new Set([
    ...encodeVectors.flatMap(({ hex }) => (hex === undefined ? [] : [hex])),
    ...decodeVectors.map(({ hex }) => hex),
  ]),
].map((hex) => Buffer.from(hex, "hex").subarray(1));

describe("every vector, damaged", () => {
  it("is refused with a code when cut anywhere", { timeout: 120_000 }, () => {
    const reader = new TermReader();
    let cuts = 0;
    for (const bytes of distinct) {
      const whole = code(() => skipTerm(bytes, 0, bytes.length));
      if (whole !== undefined || bytes[0] === 80) continue;
      const end = skipTerm(bytes, 0, bytes.length);
      for (let length = 0; length < end; length++) {
        reader.reset(bytes, 0, length);
        expect(code(() => reader.term())).toBe("ETF_TRUNCATED");
        expect(code(() => skipTerm(bytes, 0, length))).toBe("ETF_TRUNCATED");
        cuts++;
      }
      // what follows is left alone
      const more = Buffer.concat([bytes.subarray(0, end), Buffer.from([97, 1, 255])]);
      reader.reset(more, 0, more.length);
      reader.term();
      expect(reader.offset).toBe(end);
      expect(reader.term()).toBe(1);
    }
    expect(cuts).toBeGreaterThan(10_000);
  });

  it("is read or refused by all readers alike, whichever byte changes", { timeout: 120_000 }, () => {
    for (const bytes of distinct) {
      assertAgreement(bytes);
      // zlib is slow and checks itself
      const step = bytes[0] === 80 ? 32 : bytes.length > 200 ? 11 : 1;
      for (let at = 0; at < bytes.length; at += step) {
        for (const flip of [1, 128]) {
          const copy = Buffer.from(bytes);
          copy[at] = (copy[at] as number) ^ flip;
          assertAgreement(copy);
        }
      }
    }
  });
});

describe("version byte", () => {
  it("must be there, and nothing may follow the term", () => {
    expect(code(() => decode(Buffer.alloc(0)))).toBe("ETF_TRUNCATED");
    expect(code(() => decode(Buffer.from([130, 106])))).toBe("ETF_VERSION");
    expect(code(() => decode(Buffer.from([131])))).toBe("ETF_TRUNCATED");
    expect(code(() => decode(Buffer.from([131, 106, 0])))).toBe("ETF_TRAILING_BYTES");
    expect(decodePrefix(Buffer.from([131, 106, 0]))).toEqual({ term: [], used: 2 });
    expect(decode(new Uint8Array([131, 97, 7]))).toBe(7);
  });
});
