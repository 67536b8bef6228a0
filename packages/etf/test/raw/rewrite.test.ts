import {
  atom,
  decode,
  encode,
  equals,
  type Fun,
  Pid,
  type Term,
  TermMap,
  TermReader,
  TermWriter,
  tuple,
} from "@isthmus/etf";
import { type IdentityTranslator, rewriteTerm } from "@isthmus/etf/raw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { terms } from "../support/arbitraries.ts";
import { codeOf, hex } from "../support/code.ts";

const keep: IdentityTranslator = { identity: () => null };
const bridge = atom("bridge@127.0.0.1");
const toBridge: IdentityTranslator = {
  identity: (_, creation) => ({ node: bridge, creation: creation + 1000 }),
};

function rewrite(
  bytes: Buffer,
  translator: IdentityTranslator,
  atomRefs?: Parameters<typeof rewriteTerm>[5],
): string {
  const writer = new TermWriter();
  writer.u8(255);
  const end = rewriteTerm(bytes, 0, bytes.length, writer, translator, atomRefs);
  expect(end).toBe(bytes.length);
  return writer.take().subarray(1).toString("hex");
}

const name = "77 03 6e4068"; // n@h
const stranger = "77 10 627269646765403132372e302e302e31"; // bridge@127.0.0.1

describe("an identifier", () => {
  it.each([
    ["NEW_PID_EXT", `58 ${name} 00000001 00000002 00000007`, `58 ${stranger} 00000001 00000002 000003ef`],
    ["PID_EXT", `67 ${name} 00000001 00000002 03`, `58 ${stranger} 00000001 00000002 000003eb`],
    ["NEW_PORT_EXT", `59 ${name} 00000001 00000007`, `59 ${stranger} 00000001 000003ef`],
    ["PORT_EXT", `66 ${name} 00000001 02`, `59 ${stranger} 00000001 000003ea`],
    ["V4_PORT_EXT", `78 ${name} 0102030405060708 00000007`, `78 ${stranger} 0102030405060708 000003ef`],
    [
      "NEWER_REFERENCE_EXT",
      `5a 0002 ${name} 00000007 00000001 00000002`,
      `5a 0002 ${stranger} 000003ef 00000001 00000002`,
    ],
    [
      "NEW_REFERENCE_EXT",
      `72 0002 ${name} 01 00000001 00000002`,
      `5a 0002 ${stranger} 000003e9 00000001 00000002`,
    ],
    ["REFERENCE_EXT", `65 ${name} 00000009 01`, `5a 0001 ${stranger} 000003e9 00000009`],
  ])("%s changes node and creation, and nothing else", (_, from, to) => {
    expect(rewrite(hex(from), toBridge)).toBe(hex(to).toString("hex"));
    // also between other terms
    expect(rewrite(hex(`68 03 61 01 ${from} 61 02`), toBridge)).toBe(
      hex(`68 03 61 01 ${to} 61 02`).toString("hex"),
    );
  });

  it.each([
    ["NEW_PID_EXT", `58 ${name} 00000001 00000002 00000007`, `58 ${name} 00000001 00000002 00000007`],
    ["PID_EXT", `67 ${name} 00000001 00000002 03`, `58 ${name} 00000001 00000002 00000003`],
    ["PORT_EXT", `66 ${name} 00000001 02`, `59 ${name} 00000001 00000002`],
    ["NEW_REFERENCE_EXT", `72 0001 ${name} 01 00000001`, `5a 0001 ${name} 00000001 00000001`],
    ["REFERENCE_EXT", `65 ${name} 00000009 01`, `5a 0001 ${name} 00000001 00000009`],
    ["a cached node name", "58 52 00 00000001 00000002 00000007", `58 ${name} 00000001 00000002 00000007`],
    [
      "a cached node name of a reference",
      "5a 0001 52 00 00000001 00000002",
      `5a 0001 ${name} 00000001 00000002`,
    ],
  ])("%s takes its present form even when it stays", (_, from, to) => {
    expect(rewrite(hex(from), keep, [atom("n@h")])).toBe(hex(to).toString("hex"));
  });

  it("is asked about once while the same incarnation repeats", () => {
    const asked: string[] = [];
    const pids = [1, 2, 3].map((id) => new Pid(atom("n@h"), id, 0, 7));
    const bytes = encode([
      ...pids,
      new Pid(atom("n@h"), 1, 0, 8),
      new Pid(atom("m@h"), 1, 0, 8),
      ...pids,
    ]).subarray(1);
    rewrite(bytes, {
      identity(node, creation) {
        asked.push(`${node.text}:${creation}`);
        return null;
      },
    });
    expect(asked).toEqual(["n@h:7", "n@h:8", "m@h:8", "n@h:7"]);
  });
});

describe("everything else", () => {
  it("stays as it is, byte by byte", () => {
    fc.assert(
      fc.property(terms({ identifiers: false }), (term) => {
        const bytes = encode(term).subarray(1);
        expect(rewrite(bytes, toBridge)).toBe(bytes.toString("hex"));
      }),
    );
  });

  it("that the rewriter leaves alone is the identity translation", () => {
    fc.assert(
      fc.property(terms(), (term) => {
        const bytes = encode(term).subarray(1);
        expect(rewrite(bytes, keep)).toBe(bytes.toString("hex"));
      }),
    );
  });

  it("writes atoms of the cache where they stand", () => {
    const refs = [atom("ok"), atom("日本")];
    expect(rewrite(hex("68 03 52 00 52 01 52 00"), keep, refs)).toBe(
      hex("68 03 77 02 6f6b 77 06 e697a5e69cac 77 02 6f6b").toString("hex"),
    );
    expect(codeOf(() => rewrite(hex("52 02"), keep, refs))).toBe("ETF_ATOM_INVALID");
    expect(codeOf(() => rewrite(hex("52 00"), keep))).toBe("ETF_ATOM_INVALID");
  });

  it("writes compressed terms plain, and finds their end", () => {
    const packed = encode(new Array(500).fill(new Pid(atom("n@h"), 1, 2, 3)), { compressed: true }).subarray(
      1,
    );
    expect(packed[0]).toBe(80);
    const bytes = Buffer.concat([packed, hex("61 07")]);
    const writer = new TermWriter();
    const end = rewriteTerm(bytes, 0, bytes.length, writer, toBridge);
    expect(end).toBe(packed.length);
    const reader = new TermReader();
    const out = writer.take();
    reader.reset(out, 0, out.length);
    expect(reader.term()).toEqual(new Array(500).fill(new Pid(bridge, 1, 2, 1003)));
  });
});

describe("a fun", () => {
  const uniq = "00".repeat(16);
  const fun = (size: number, free: string, count: number) =>
    hex(
      `70 ${size.toString(16).padStart(8, "0")} 01 ${uniq} 00000005 ${count.toString(16).padStart(8, "0")} 52 00 6101 6102 ` +
        `58 52 01 00000001 00000000 00000007 ${free}`,
    );
  const pid = `58 ${name} 00000009 00000000 00000007`;

  it.each([
    ["without free variables", "", 0],
    ["with a captured pid", pid, 1],
    ["with a fun that has captured a pid", fun(0, pid, 1).toString("hex"), 1],
    [
      "with a list of funs",
      `6c 00000002 ${fun(0, pid, 1).toString("hex")} ${fun(0, "", 0).toString("hex")} 6a`,
      1,
    ],
  ])("%s has all pids translated and its size set", (_, free, count) => {
    const refs = [atom("some_module"), atom("n@h")];
    const bytes = fun(12_345, free, count);
    const out = Buffer.from(rewrite(bytes, toBridge, refs), "hex");
    expect(out.readUInt32BE(1)).toBe(out.length - 1);
    const term = decode(Buffer.concat([Buffer.from([131]), out])) as Fun;
    expect(term.creator).toEqual(new Pid(bridge, 1, 0, 1007));
    expect(out.includes("n@h")).toBe(false);
    // what the encoder writes has the right sizes as well
    expect(encode(term).subarray(1)).toEqual(out);
  });
});

describe("what cannot be passed on", () => {
  it("is refused with a code and an offset, and the writer can be rolled back", () => {
    const writer = new TermWriter();
    writer.term(atom("before"));
    const mark = writer.mark();
    const bytes = hex(`68 03 58 ${name} 00000001 00000002 00000007 61 01 ff`);
    let offset: unknown;
    try {
      rewriteTerm(bytes, 0, bytes.length, writer, toBridge);
    } catch (error) {
      offset = (error as { context: { offset: number } }).context.offset;
    }
    expect(offset).toBe(bytes.length - 1);
    expect(writer.mark()).toBeGreaterThan(mark);
    writer.truncate(mark);
    writer.term(1);
    expect(writer.take()).toEqual(Buffer.concat([encode(atom("before")).subarray(1), hex("61 01")]));
  });

  // PROTOCOL section 12: what crashes a BEAM
  it.each([
    ["a reference of no words", `5a 0000 ${name} 00000001`, "ETF_MALFORMED"],
    ["a reference of six words", `5a 0006 ${name} 00000001 ${"00000001".repeat(6)}`, "ETF_MALFORMED"],
    ["fun m:f/256", "71 77 01 6d 77 01 66 62 00000100", "ETF_MALFORMED"],
    ["fun m:f/-1", "71 77 01 6d 77 01 66 62 ffffffff", "ETF_MALFORMED"],
    [
      "a fun without a pid",
      `70 00000000 00 ${"00".repeat(16)} 00000000 00000000 77 01 6d 61 01 61 01 61 05`,
      "ETF_UNEXPECTED_TERM",
    ],
    ["an old creation of 4", `67 ${name} 00000001 00000001 04`, "ETF_MALFORMED"],
    ["an old reference beyond 18 bits", `72 0001 ${name} 01 00040000`, "ETF_MALFORMED"],
    ["NaN", "46 7ff8000000000000", "ETF_MALFORMED"],
    ["infinity", "46 fff0000000000000", "ETF_MALFORMED"],
    ["the same key twice", "74 00000002 77 01 61 61 01 77 01 61 61 02", "ETF_DUPLICATE_KEY"],
    ["the same key in two forms", "74 00000002 77 01 61 61 01 64 0001 61 61 02", "ETF_DUPLICATE_KEY"],
    ["the same integer in two forms", "74 00000002 61 05 61 01 6e 01 00 05 61 02", "ETF_DUPLICATE_KEY"],
    [
      "the same list in two forms",
      "74 00000002 6b 0001 05 61 01 6c 00000001 61 05 6a 61 02",
      "ETF_DUPLICATE_KEY",
    ],
    [
      "the same map as key twice",
      "74 00000002 74 00000002 61 01 61 02 61 03 61 04 61 00 74 00000002 61 03 61 04 61 01 61 02 61 00",
      "ETF_DUPLICATE_KEY",
    ],
    ["a surrogate in an atom", "77 03 eda080", "ETF_ATOM_INVALID"],
    ["an overlong atom", "77 02 c080", "ETF_ATOM_INVALID"],
    ["an atom of 256 characters", `76 0100 ${"61".repeat(256)}`, "ETF_ATOM_INVALID"],
    [
      "a record with a field twice",
      "43 00000002 01 77 01 6d 77 01 72 77 01 78 77 01 78 61 01 61 02",
      "ETF_MALFORMED",
    ],
    ["a record with unknown flags", "43 00000000 02 77 01 6d 77 01 72", "ETF_MALFORMED"],
    ["LOCAL_EXT", "79 00000000 61 01", "ETF_TAG_UNKNOWN"],
    ["FUN_EXT", "75 00000000", "ETF_TAG_UNKNOWN"],
    ["compressed within a term", "68 01 50 00000002 789c4b64040000c50063", "ETF_TAG_UNKNOWN"],
    ["a bit string without bits", "4d 00000001 00 ff", "ETF_MALFORMED"],
  ])("%s", (_, bytes, code) => {
    const reader = new TermReader();
    expect(codeOf(() => rewrite(hex(bytes), keep))).toBe(code);
    expect(
      codeOf(() => {
        reader.reset(hex(bytes), 0, hex(bytes).length);
        reader.term();
      }),
    ).toBe(code);
    // as the value of a map with one key, as its key, and as the last of many keys
    for (const around of [
      `74 00000001 61 01 ${bytes}`,
      `74 00000001 ${bytes} 61 01`,
      `74 00000002 61 01 61 01 ${bytes} 61 01`,
    ]) {
      expect(codeOf(() => rewrite(hex(around), keep))).toBe(code);
    }
  });

  it("is said by the translator's own error, and the next call works", () => {
    const bytes = encode(new Pid(atom("n@h"), 1, 2, 3)).subarray(1);
    const failing: IdentityTranslator = {
      identity: () => {
        throw new RangeError("no more identities");
      },
    };
    expect(() => rewriteTerm(bytes, 0, bytes.length, new TermWriter(), failing)).toThrow(RangeError);
    expect(rewrite(bytes, keep)).toBe(bytes.toString("hex"));
  });

  it("may itself rewrite a term", () => {
    const inner = encode([new Pid(atom("m@h"), 1, 2, 3)]).subarray(1);
    const bytes = encode([new Pid(atom("n@h"), 1, 2, 3), new Pid(atom("o@h"), 1, 2, 3)]).subarray(1);
    const nested: IdentityTranslator = {
      identity: (node, creation) => {
        expect(rewrite(inner, keep)).toBe(inner.toString("hex"));
        return { node, creation: creation + 1 };
      },
    };
    const out = Buffer.from(`83${rewrite(bytes, nested)}`, "hex");
    expect(decode(out)).toEqual([new Pid(atom("n@h"), 1, 2, 4), new Pid(atom("o@h"), 1, 2, 4)]);
  });
});

describe("incarnations that become the same", () => {
  const shared = { node: bridge, creation: 9, shared: true };
  const merging: IdentityTranslator = { identity: () => shared };
  const [one, two, three] = [7, 8, 7].map(
    (creation, i) => new Pid(atom("n@h"), i === 2 ? 2 : 1, 0, creation),
  ) as [Pid, Pid, Pid];
  const map = (...keys: Term[]) => encode(new TermMap(keys.map((key) => [key, 1]))).subarray(1);

  it("may stand together, but not as keys of one map", () => {
    expect(decode(Buffer.from(`83${rewrite(encode([one, two]).subarray(1), merging)}`, "hex"))).toHaveLength(
      2,
    );
    for (const fine of [
      map(one, three),
      map(one, three, 5),
      encode([map(one), new TermMap([[one, 1]]), new TermMap([[two, 1]])]).subarray(1),
      encode(
        new TermMap([
          [1, [one, two]],
          [2, two],
        ]),
      ).subarray(1),
      map(one, [two]),
    ])
      rewrite(fine, merging);
    for (const twice of [
      map(one, two),
      map(two, 3, one),
      map([1, one], [1, two]),
      map(
        new TermMap([
          [one, 1],
          [5, two],
        ]),
        new TermMap([
          [two, 1],
          [5, one],
        ]),
      ),
      map(
        new TermMap([
          [one, 1],
          [two, 1],
        ]),
        3,
      ),
      map(
        new TermMap([
          [one, 1],
          [two, 1],
        ]),
      ),
      encode(
        tuple(one, [
          new TermMap([
            [
              1,
              new TermMap([
                [one, 1],
                [two, 2],
              ]),
            ],
          ]),
        ]),
      ).subarray(1),
    ])
      expect(codeOf(() => rewrite(twice, merging))).toBe("ETF_DUPLICATE_KEY");
  });

  it("are no crime of the sender where there is a target", () => {
    const bytes = map(one, two);
    const target = { node: atom("b1@h"), wide: true, records: true };
    expect(
      codeOf(() =>
        rewriteTerm(bytes, 0, bytes.length, new TermWriter(), merging, undefined, undefined, target),
      ),
    ).toBe("ETF_UNREPRESENTABLE");
  });
});

describe("maps that are keys of maps", () => {
  it("nested ten thousand deep, with a neighbour on each level, take no time worth attacking", () => {
    // each level compares its two keys, which are maps of two keys again
    const small = (): Term =>
      new TermMap([
        [1, 1],
        [2, 2],
      ]);
    let term: Term = small();
    for (let i = 0; i < 4_000; i++)
      term = new TermMap([
        [term, 1],
        [
          new TermMap([
            [small(), 1],
            [i, 2],
          ]),
          1,
        ],
      ]);
    const bytes = encode(term).subarray(1);
    expect(rewrite(bytes, keep)).toBe(bytes.toString("hex"));
    const reader = new TermReader();
    reader.reset(bytes, 0, bytes.length);
    expect(equals(reader.term(), term)).toBe(true);
    // with all keys compared once more, as they become
    const pids = [7, 8].map((creation) => new Pid(atom("n@h"), 1, 0, creation));
    const shared: IdentityTranslator = { identity: () => ({ node: bridge, creation: 9, shared: true }) };
    rewrite(encode(tuple(pids, term)).subarray(1), shared);
  });
});
