import {
  type Atom,
  atom,
  BitString,
  ExportFun,
  Float,
  Fun,
  ImproperList,
  Pid,
  Port,
  Reference,
  type Term,
  TermMap,
  Tuple,
  tuple,
} from "@isthmus/etf";
import fc from "fast-check";

/** Text that an atom can hold; all planes, up to 255 characters now and then. */
const atomText = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom("ok", "error", "a", "b", "Elixir.Foo", "hello world", "", "'", "undefined"),
  },
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
  { weight: 1, arbitrary: fc.integer({ min: 120, max: 255 }).map((length) => "é".repeat(length)) },
);
// true and false are booleans as terms
const anyAtom: fc.Arbitrary<Atom> = atomText.filter((text) => text !== "true" && text !== "false").map(atom);
const node = fc.constantFrom("a@h", "b@h", "bridge@127.0.0.1", "café@höst").map(atom);
const u32 = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 0xffff_ffff }));
/** BEAMs know 1 to 3 as creations of old nodes, and 0 as "unknown". */
const creation = fc.oneof(fc.integer({ min: 0, max: 4 }), u32);

const integer: fc.Arbitrary<number | bigint> = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(1n << 70n), max: 1n << 70n }).map(narrow),
  fc
    .tuple(fc.integer({ min: 0, max: 2100 }), fc.integer({ min: -1, max: 1 }), fc.boolean())
    .map(([bits, offset, negative]) => narrow((negative ? -1n : 1n) * (1n << BigInt(bits)) + BigInt(offset))),
);
const float: fc.Arbitrary<number | Float> = fc
  .oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.constantFrom(-0, 0, 1e300, 2 ** 53),
  )
  .map((value) => (Number.isInteger(value) ? new Float(value) : value));

const bytes = fc.uint8Array({ maxLength: 40 }).map((data) => Buffer.from(data));
const bits = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 7 }))
  .map(([data, used]) => new BitString(Buffer.from(data), used));
export const pid = fc.tuple(node, u32, u32, creation).map((fields) => new Pid(...fields));
const port = fc
  .tuple(node, fc.oneof(u32.map(BigInt), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })), creation)
  .map((fields) => new Port(...fields));
const reference = fc
  .tuple(node, creation, fc.array(u32, { minLength: 1, maxLength: 5 }))
  .map((fields) => new Reference(...fields));
const exported = fc
  .tuple(anyAtom, anyAtom, fc.integer({ min: 0, max: 255 }))
  .map((fields) => new ExportFun(...fields));

/** Which parts of the terms to make. */
export interface TermOptions {
  /** Closures: a BEAM decodes them, but their modules do not exist there. Default true. */
  readonly funs?: boolean;
  /** Pids, ports and references. Default true. */
  readonly identifiers?: boolean;
  /** Keys of maps and lists may hold -0.0, which is 0.0 before OTP 27. Default true. */
  readonly negativeZero?: boolean;
}

/** Terms as the decoder gives them: every one must survive a round trip unchanged. */
export function terms(options: TermOptions = {}): fc.Arbitrary<Term> {
  const numbers = options.negativeZero === false ? float.filter((value) => !isNegativeZero(value)) : float;
  return fc.letrec<{ term: Term; container: Term; leaf: Term }>((tie) => ({
    leaf: fc.oneof(
      integer,
      numbers,
      fc.boolean(),
      anyAtom,
      bytes,
      bits,
      exported,
      ...(options.identifiers === false ? [] : [pid, port, reference]),
    ),
    container: fc.oneof(
      fc.array(tie("term"), { maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 300 }),
      fc.array(tie("term"), { maxLength: 5 }).map((elements) => new Tuple(elements)),
      fc
        .tuple(fc.array(tie("term"), { minLength: 1, maxLength: 4 }), tie("leaf"))
        .map(([elements, tail]) => new ImproperList(elements, tail)),
      fc.array(fc.tuple(tie("term"), tie("term")), { maxLength: 5 }).map(mapWithoutRepeats),
      ...(options.funs === false || options.identifiers === false ? [] : [funs(tie("term"))]),
    ),
    term: fc.oneof({ depthSize: "small", withCrossShrink: true }, tie("leaf"), tie("container")),
  })).term;
}

function funs(term: fc.Arbitrary<Term>): fc.Arbitrary<Term> {
  return fc
    .record({
      arity: fc.integer({ min: 0, max: 255 }),
      uniq: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((data) => Buffer.from(data)),
      index: u32,
      module: anyAtom,
      oldIndex: fc.integer({ min: 0, max: 1000 }),
      oldUniq: fc.integer({ min: 0, max: 0x7ff_ffff }),
      creator: pid,
      free: fc.array(term, { maxLength: 3 }),
    })
    .map((fields) => new Fun(fields));
}

/** The first of each key wins. */
function mapWithoutRepeats(entries: readonly [Term, Term][]): TermMap {
  const kept: [Term, Term][] = [];
  for (const [key, value] of entries) {
    if (!new TermMap(kept).has(key)) kept.push([key, value]);
  }
  return new TermMap(kept);
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function isNegativeZero(value: number | Float): boolean {
  return value instanceof Float && Object.is(value.value, -0);
}

/** Terms that stress one thing each. */
export const corners: readonly Term[] = [
  [],
  new Tuple([]),
  new TermMap(),
  Buffer.alloc(0),
  Array.from({ length: 65_535 }, () => 7),
  Array.from({ length: 65_536 }, () => 7),
  new Tuple(Array.from({ length: 255 }, (_, index) => index)),
  new Tuple(Array.from({ length: 256 }, (_, index) => index)),
  new TermMap(Array.from({ length: 100 }, (_, index) => [tuple(index), index] as const)),
  (1n << 2040n) - 1n,
  1n << 2040n,
  new Float(-0),
  Number.MIN_VALUE,
];
