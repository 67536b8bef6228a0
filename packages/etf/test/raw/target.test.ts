import {
  type Atom,
  atom,
  BitString,
  decode,
  ExportFun,
  encode,
  Fun,
  ImproperList,
  NativeRecord,
  Pid,
  Port,
  Reference,
  type Term,
  TermMap,
  TermWriter,
  tuple,
} from "@isthmus/etf";
import {
  type IdentifierTranslator,
  type IdentityTranslator,
  isDecodable,
  isNarrow,
  rewriteTerm,
  type TermTarget,
} from "@isthmus/etf/raw";
import { describe, expect, it } from "vitest";
import { codeOf, hex } from "../support/code.ts";

const n = atom("n@h");
const b1 = atom("b1@h");
const bridge = atom("bridge@h");
const keep: IdentityTranslator = { identity: () => null };
/** Every identifier of n@h takes numbers of its own. */
const each: IdentifierTranslator = {
  pid: ({ id, serial }) => new Pid(bridge, id % 1000, serial % 1000, 5000),
  port: ({ id }) => new Port(bridge, id % 1000n, 5000),
  reference: ({ words }) => new Reference(bridge, 5000, words.slice(0, 3)),
};
const singly: IdentityTranslator = {
  identity: (node, creation) => (node === n ? { node: bridge, creation, each } : null),
};

const otp23: TermTarget = { node: b1, wide: false, records: false };
const otp27: TermTarget = { node: b1, wide: true, records: false };
const otp29: TermTarget = { node: b1, wide: true, records: true };

function rewritten(
  bytes: Buffer,
  translator: IdentityTranslator,
  target?: TermTarget,
  refs?: Atom[],
): Buffer {
  const writer = new TermWriter();
  expect(rewriteTerm(bytes, 0, bytes.length, writer, translator, refs, undefined, target)).toBe(bytes.length);
  return Buffer.concat([hex("83"), writer.take()]);
}

const through = (term: Term, translator: IdentityTranslator, target?: TermTarget) =>
  decode(rewritten(encode(term).subarray(1), translator, target));

describe("identifiers that do not keep their numbers", () => {
  const pid = new Pid(n, 100_001, 70_002, 7);
  const port = new Port(n, 2n ** 40n, 7);
  const ref = new Reference(n, 7, [1, 2, 3, 4, 5]);
  const becomes = [
    new Pid(bridge, 1, 2, 5000),
    new Port(bridge, 776n, 5000),
    new Reference(bridge, 5000, [1, 2, 3]),
  ];

  it("become what the translator says, wherever they stand", () => {
    const fun = new Fun({
      arity: 0,
      uniq: Buffer.alloc(16, 7),
      index: 1,
      module: atom("m"),
      oldIndex: 1,
      oldUniq: 2,
      creator: pid,
      free: [[pid], ref],
    });
    const term = [fun, tuple(pid, port, ref), new ImproperList([pid], ref), new TermMap([[pid, tuple(ref)]])];
    const [p, o, r] = becomes as [Pid, Port, Reference];
    const other = new Fun({ ...fun, creator: p, free: [[p], r] });
    expect(through(term, singly)).toEqual([
      other,
      tuple(p, o, r),
      new ImproperList([p], r),
      new TermMap([[p, tuple(r)]]),
    ]);
  });

  it("do so in their old forms, and with node names of the atom cache", () => {
    const name = "77 03 6e4068";
    for (const [bytes, term] of [
      [`67 ${name} 00000401 00000402 03`, new Pid(bridge, 25, 26, 5000)],
      [`66 ${name} 00000401 02`, new Port(bridge, 25n, 5000)],
      [`65 ${name} 00000009 01`, new Reference(bridge, 5000, [9])],
      [`72 0002 ${name} 01 00000001 00000002`, new Reference(bridge, 5000, [1, 2])],
      ["58 52 00 00000401 00000002 00000007", new Pid(bridge, 25, 2, 5000)],
      ["78 52 00 0000000100000401 00000007", new Port(bridge, 321n, 5000)],
      ["5a 0001 52 00 00000007 00000003", new Reference(bridge, 5000, [3])],
    ] as const) {
      const around = hex(`68 03 61 01 ${bytes} 61 02`);
      expect(decode(rewritten(around, singly, undefined, [n]))).toEqual(tuple(1, term, 2));
    }
  });

  it("are followed by others that do", () => {
    const near = new Pid(b1, 1, 2, 3);
    expect(through([pid, near, pid, near], singly)).toEqual([becomes[0], near, becomes[0], near]);
  });
});

describe("what OTP 23 can decode", () => {
  it.each([
    [new Pid(n, 2 ** 15 - 1, 2 ** 13 - 1, 7), true],
    [new Pid(n, 2 ** 15, 0, 7), false],
    [new Pid(n, 0, 2 ** 13, 7), false],
    [new Port(n, 2n ** 28n - 1n, 7), true],
    [new Port(n, 2n ** 28n, 7), false],
    [new Reference(n, 7, [2 ** 32 - 1, 2, 3]), true],
    [new Reference(n, 7, [1, 2, 3, 4]), false],
  ])("%s: %s", (identifier, narrow) => {
    expect(isNarrow(identifier)).toBe(narrow);
    expect(isDecodable(identifier, otp23)).toBe(narrow);
    expect(isDecodable(identifier, otp27)).toBe(true);
    const term = tuple(atom("ok"), [identifier]);
    if (narrow) expect(through(term, keep, otp23)).toEqual(term);
    else expect(codeOf(() => through(term, keep, otp23))).toBe("ETF_UNREPRESENTABLE");
    expect(through(term, keep, otp27)).toEqual(term);
  });

  it("is a port in its old form only", () => {
    const bytes = encode(new Port(n, 2n ** 28n - 1n, 7)).subarray(1);
    expect(bytes[0]).toBe(120);
    expect(rewritten(bytes, keep, otp23)[1]).toBe(89);
    const shown = rewritten(bytes, { identity: () => ({ node: bridge, creation: 8 }) }, otp23);
    expect([shown[1], decode(shown)]).toEqual([89, new Port(bridge, 2n ** 28n - 1n, 8)]);
    expect(rewritten(bytes, keep, otp27)[1]).toBe(120);
  });

  it("is what each identifier has become", () => {
    const wide = new Pid(n, 100_001, 70_002, 7);
    expect(through(wide, singly, otp23)).toEqual(new Pid(bridge, 1, 2, 5000));
  });
});

describe("a node's own identifiers", () => {
  it.each([
    [new Pid(b1, 2 ** 28 - 1, 2 ** 32 - 1, 7), true],
    [new Pid(b1, 2 ** 28, 0, 7), false],
    [new Reference(b1, 7, [2 ** 18 - 1, 2 ** 32 - 1, 3, 4, 5]), true],
    [new Reference(b1, 7, [2 ** 18, 2, 3]), false],
    [new Port(b1, 2n ** 60n, 7), true],
  ])("%s may be one: %s", (identifier, possible) => {
    expect(isDecodable(identifier, otp27)).toBe(possible);
    if (possible) expect(through([identifier], keep, otp27)).toEqual([identifier]);
    else expect(codeOf(() => through([identifier], keep, otp27))).toBe("ETF_UNREPRESENTABLE");
    // to others it is as good as any
    expect(through([identifier], keep, { ...otp27, node: n })).toEqual([identifier]);
  });
});

describe("terms that not every release can decode", () => {
  const record = new NativeRecord(atom("m"), atom("r"), [atom("x")], [1], { exported: true });

  it("native records go to OTP 29 only", () => {
    for (const term of [record, [1, tuple(record)], new TermMap([[1, record]])]) {
      expect(through(term, keep, otp29)).toEqual(term);
      expect(codeOf(() => through(term, keep, otp27))).toBe("ETF_UNREPRESENTABLE");
      expect(through(term, keep)).toEqual(term);
    }
  });

  it("fun m:f/256, over which OTP 27 crashes, and the empty bit string go to nobody, and are no crime", () => {
    for (const bytes of ["71 77 01 6d 77 01 66 62 00000100", "4d 00000000 00"]) {
      expect(codeOf(() => rewritten(hex(`68 02 61 01 ${bytes}`), keep, otp29))).toBe("ETF_UNREPRESENTABLE");
      expect(codeOf(() => rewritten(hex(`68 02 61 01 ${bytes}`), keep))).toBe("ETF_MALFORMED");
    }
    // these are: no release writes them
    for (const bytes of ["71 77 01 6d 77 01 66 62 ffffffff", "4d 00000001 00 ff", "4d 00000000 01"]) {
      expect(codeOf(() => rewritten(hex(`68 02 61 01 ${bytes}`), keep, otp29))).toBe("ETF_MALFORMED");
    }
    for (const term of [new ExportFun(atom("m"), atom("f"), 255), new BitString(Buffer.from([128]), 1)])
      expect(through(term, keep, otp23)).toEqual(term);
  });

  it("the reason says which, and the same each time", () => {
    const message = (term: Term, target: TermTarget): string => {
      try {
        through(term, keep, target);
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(message(record, otp27)).toBe("b1@h cannot decode a native record.");
    expect(message([1, 2, record], otp27)).toBe("b1@h cannot decode a native record.");
    expect(message(new Pid(n, 2 ** 15, 0, 7), otp23)).toBe("b1@h cannot decode a pid of this kind.");
  });
});
