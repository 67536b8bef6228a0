import {
  type Atom,
  atom,
  compareTerms,
  decode,
  encode,
  equals,
  inspectTerm,
  parseTerm,
  type Term,
  TermWriter,
  type Tuple,
  tuple,
} from "@isthmus/etf";
import { type Identity, rewriteTerm, TermStream } from "@isthmus/etf/raw";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generator } from "./fuzz.ts";
import { corners, terms } from "./support/arbitraries.ts";
import { Beam } from "./support/beam.ts";
import { codeOf } from "./support/code.ts";
import { decodeVectors, encodeVectors } from "./support/vectors.ts";

// the erl in PATH, and those releases whose folder the environment names
const releases = [0, 23, 27, 29].filter(
  (release) => release === 0 || process.env[`ISTHMUS_OTP_${release}`] !== undefined,
);

describe.each(releases)("OTP %i (0: the one in PATH)", (wanted) => {
  let beam: Beam;
  let release: number;
  beforeAll(async () => {
    beam = await Beam.start(wanted);
    release = await beam.release();
  });
  afterAll(() => beam?.stop());

  /** OTP 23 has narrower identifiers, and -0.0 is 0.0 before OTP 27. */
  const arbitrary = () =>
    terms({ identifiers: release >= 25, negativeZero: release >= 27, funs: release >= 25 });

  it("reads what we write, and writes what we read, as the same term", async () => {
    for (const sample of [
      ...corners
        .filter((term) => release >= 27 || !Object.is((term as { value?: number }).value, -0))
        .map((term) => [term]),
      ...batches(arbitrary(), 40, 100),
    ]) {
      const answer = await beam.again(encode(sample));
      const back = decode(answer) as readonly Term[];
      sample.forEach((term, index) => {
        expect(equals(back[index] as Term, term), inspectTerm(term, { maxLength: 2000 })).toBe(true);
      });
      // canonical: the BEAM's own bytes come out again, in the BEAM's own order of keys
      expect(encode(back, { otpRelease: release })).toEqual(answer);
    }
  });

  it("reads the forms of older releases and compressed terms", async () => {
    for (const sample of batches(arbitrary(), 10, 50)) {
      for (const options of [{ otpRelease: 25 }, { compressed: true }, { compressed: 9 }]) {
        const back = decode(await beam.again(encode(sample, options)));
        expect(equals(back, sample)).toBe(true);
      }
    }
  });

  it("reads what the rewriter makes", async () => {
    const bridge = { node: atom("bridge@127.0.0.1"), creation: 4711 };
    const writer = new TermWriter();
    for (const sample of batches(arbitrary(), 10, 50)) {
      // keys that differ in their node only would become one key
      const terms = sample.filter(
        (term) => codeOf(() => decode(translated(writer, term, bridge))) === undefined,
      );
      expect(terms.length).toBeGreaterThan(sample.length / 2);
      const bytes = translated(writer, terms, bridge);
      expect(equals(decode(await beam.again(bytes)), decode(bytes))).toBe(true);
    }
  });

  it("reads what a stream makes of pieces", async () => {
    const bridge = { node: atom("bridge@127.0.0.1"), creation: 4711 };
    const random = generator(release);
    const writer = new TermWriter();
    for (const sample of batches(arbitrary(), 10, 50)) {
      const terms = sample.filter(
        (term) => codeOf(() => decode(translated(writer, term, bridge))) === undefined,
      );
      const bytes = encode(terms);
      const stream = new TermStream({ identity: () => bridge });
      writer.u8(131);
      let complete = false;
      for (let at = 1; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + random(2 ** random(12)));
        complete = stream.push(bytes, at, end, writer);
        at = end;
      }
      expect(complete).toBe(true);
      const copy = writer.take();
      expect(copy).toEqual(translated(writer, terms, bridge));
      expect(equals(decode(await beam.again(copy)), decode(copy))).toBe(true);
    }
  });

  it("has the same order of terms", async () => {
    for (const sample of batches(
      terms({ funs: false, identifiers: release >= 25, negativeZero: release >= 27 }),
      20,
      60,
    )) {
      const pairs: Tuple[] = [];
      for (const a of sample) for (const b of sample.slice(0, 20)) pairs.push(tuple(a, b));
      const answers = decode(await beam.compare(encode(pairs))) as readonly (number | Atom)[];
      pairs.forEach(({ elements: [a, b] }, index) => {
        const theirs = answers[index];
        const ours = Math.sign(compareTerms(a as Term, b as Term));
        const what = `${inspectTerm(a as Term)} and ${inspectTerm(b as Term)}`;
        if (theirs === atom("equal")) {
          expect(ours, what).toBe(0);
          expect(equals(a as Term, b as Term), what).toBe(false);
        } else {
          expect(ours, what).toBe(theirs);
          expect(equals(a as Term, b as Term), what).toBe(theirs === 0);
        }
      });
    }
  });

  it("reads what inspectTerm prints as the same term", async () => {
    for (const sample of batches(terms({ identifiers: false, negativeZero: release >= 27 }), 10, 40)) {
      for (const term of sample) {
        const source = `${inspectTerm(term)}.`;
        expect(equals(decode(await beam.evaluate(source)), term), source).toBe(true);
        expect(equals(parseTerm(source), term), source).toBe(true);
      }
    }
  });

  it("refuses what we refuse, and takes what we take", async () => {
    const random = generator(release);
    const corpus = [
      ...encodeVectors.flatMap(({ hex, otp }) => (hex !== undefined && otp.includes(release) ? [hex] : [])),
      ...decodeVectors.filter(({ otp }) => otp.includes(release)).map(({ hex }) => hex),
    ]
      .map((hex) => Buffer.from(hex, "hex"))
      // the BEAM knows which node it is; compression is judged elsewhere; closures must be known to old releases
      .filter(
        (bytes) =>
          bytes.length < 300 && bytes[1] !== 80 && bytes[1] !== 121 && !bytes.includes("nonode@nohost"),
      );
    const inputs: Buffer[] = [];
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(corpus[random(corpus.length)] as Buffer);
      for (let changes = 1 + random(2); changes > 0; changes--)
        bytes[1 + random(bytes.length - 1)] = random(3) === 0 ? random(256) : random(128);
      if (!crashes(bytes)) inputs.push(bytes);
    }
    const answers = decode(await beam.takes(encode(inputs))) as readonly boolean[];
    const wrong: string[] = [];
    inputs.forEach((bytes, index) => {
      const ours = codeOf(() => decode(bytes));
      const here = ours === undefined || ours === "ETF_TRAILING_BYTES";
      if (here !== answers[index] && !known(bytes, here, release))
        wrong.push(`${bytes.toString("hex")} here ${ours ?? "ok"}`);
    });
    expect(wrong).toEqual([]);
  });
});

/** What must not be shown to a BEAM (PROTOCOL section 12), wherever it stands. */
function crashes(bytes: Buffer): boolean {
  return bytes.includes(112) || bytes.includes(113) || bytes.includes(Buffer.from([90, 0, 0]));
}

const EMPTY_BITS = Buffer.from([77, 0, 0, 0, 0, 0]);
const IDENTIFIER_TAGS = [88, 89, 90, 101, 102, 103, 114, 120];

/**
 * Where this codec and the BEAM differ on purpose: native records are new in OTP 29; BEAMs take two tags from outside
 * (73, 75: numbers in their own atom table) that only mean something inside of a node; releases before 27 take an empty
 * bit string; and OTP 23 takes only small numbers in identifiers.
 */
function known(bytes: Buffer, here: boolean, release: number): boolean {
  if (!here) return bytes.includes(73) || bytes.includes(75) || (release < 27 && bytes.includes(EMPTY_BITS));
  return (
    (release < 29 && bytes.includes(67)) ||
    (release === 23 && IDENTIFIER_TAGS.some((tag) => bytes.includes(tag)))
  );
}

function translated(writer: TermWriter, term: Term, identity: Identity): Buffer {
  const bytes = encode(term);
  writer.u8(131);
  rewriteTerm(bytes, 1, bytes.length, writer, { identity: () => identity });
  return writer.take();
}

function batches(arbitrary: fc.Arbitrary<Term>, count: number, size: number): Term[][] {
  const all = fc.sample(arbitrary, { numRuns: count * size, seed: 4711 });
  return Array.from({ length: count }, (_, index) => all.slice(index * size, (index + 1) * size));
}
