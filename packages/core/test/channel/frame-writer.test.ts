import { createHash } from "node:crypto";
import { FLAG } from "@isthmus/dist-handshake";
import { atom, decode, Pid, type Term, TermReader, TermWriter, Tuple, tuple } from "@isthmus/etf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TermBody } from "../../src/channel/body.ts";
import { FrameReader } from "../../src/channel/frame-reader.ts";
import { SIGNAL } from "../../src/channel/opcodes.ts";
import { SignalWriter } from "../../src/channel/signal-writer.ts";

const FLAGS = FLAG.DIST_HDR_ATOM_CACHE | FLAG.FRAGMENTS | FLAG.SEND_SENDER | FLAG.EXIT_PAYLOAD;
/** Pass-through: no header, no fragments. */
const PLAIN = FLAG.SEND_SENDER | FLAG.EXIT_PAYLOAD;
const pid = (id: number, node = "a@h") => new Pid(atom(node), id, 0, 1);
const to = pid(9, "b@h");

/** A writer, and a reader of what it has sent. */
function channel(flags = FLAGS, attachBytes = Number.POSITIVE_INFINITY) {
  const out = new TermWriter({ attachBytes });
  const signals = new SignalWriter(out, flags, () => undefined);
  const reader = new FrameReader(atom("a@h"), flags);
  const terms = new TermReader();
  const { frames } = signals;
  const taken = () => {
    out.takeParts(frames.ready);
    return Buffer.concat(frames.ready.splice(0));
  };
  /** Reads what is ready. */
  const sent = (): { from: number; message: Term }[] => {
    const got: { from: number; message: Term }[] = [];
    for (let bytes = taken(); bytes.length > 0; ) {
      const end = 4 + bytes.readUInt32BE(0);
      const signal = reader.read(bytes, 4, end);
      if (signal?.kind === SIGNAL.SEND) {
        terms.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
        const message = terms.term();
        const shown = message instanceof Tuple ? tuple(...message.elements.map(brief)) : brief(message);
        got.push({ from: (signal.from as Pid).id, message: shown });
      }
      bytes = bytes.subarray(end);
    }
    return got;
  };
  return { signals, frames, out, taken, sent };
}

/** Binaries as text that is quick to compare. */
const brief = (term: Term): Term =>
  term instanceof Uint8Array ? `${term.length}:${createHash("md5").update(term).digest("hex")}` : term;
const body = (term: Term) => new TermBody().of(term);

describe("the atom cache of what is sent", () => {
  it("tells an atom once, and then its number", () => {
    const { signals, taken } = channel();
    const message = () => {
      signals.send(pid(1), to, body(tuple(atom("order"), 7)));
      return taken();
    };
    const first = message();
    const second = message();
    for (const text of ["a@h", "b@h", "order"]) {
      expect(first.includes(text)).toBe(true);
      expect(second.includes(text)).toBe(false);
    }
    expect(second.length).toBeLessThan(first.length);
    // PROTOCOL 4.3: count, a nibble of flags for each and one more, the slots
    expect([...second.subarray(6, 6 + 1 + 2 + 3)]).toEqual([3, 0, 0, 0, 1, 2]);
    expect([...first.subarray(6, 9)]).toEqual([3, 0x88, 0x08]);
  });

  it("writes every atom out for a peer that has no cache", () => {
    const { signals, taken } = channel(FLAGS & ~FLAG.DIST_HDR_ATOM_CACHE);
    for (let i = 0; i < 2; i++) {
      signals.send(pid(1), to, body(atom("order")));
      const frame = taken();
      expect(frame[6]).toBe(0);
      expect(frame.includes("order")).toBe(true);
    }
  });

  it("takes lengths of two bytes when an atom has more than 255", () => {
    const { signals, sent } = channel();
    const long = atom("ü".repeat(200));
    signals.send(pid(1), to, body([long, atom("short"), long]));
    signals.send(pid(1), to, body(long));
    expect(sent().map(({ message }) => message)).toEqual([[long, atom("short"), long], long]);
  });

  it("forgets what a message that was not sent would have told", () => {
    const { signals, sent } = channel();
    const message = [atom("new"), () => 1] as unknown as Term;
    expect(() => signals.send(pid(1), to, body(message))).toThrowError(/not a term/);
    signals.send(pid(1), to, body(atom("new")));
    expect(sent()).toEqual([{ from: 1, message: atom("new") }]);
  });

  it("replaces the oldest slot when all are taken, never one that the message uses", () => {
    const { signals, sent } = channel();
    const many = Array.from({ length: 5000 }, (_, i) => atom(`cached${i}`));
    for (let i = 0; i < many.length; i += 250) signals.send(pid(1), to, body(many.slice(i, i + 250)));
    // more than one header can hold
    signals.send(pid(1), to, body(many.slice(0, 600)));
    const got = sent().map(({ message }) => message as Term[]);
    expect(got.slice(0, -1).flat()).toEqual(many);
    expect(got.at(-1)).toEqual(many.slice(0, 600));
  });

  it("puts back what an abandoned message had replaced", () => {
    const { signals, sent } = channel();
    const fill = Array.from({ length: 2048 }, (_, i) => atom(`slot${i}`));
    for (let i = 0; i < fill.length; i += 200) signals.send(pid(1), to, body(fill.slice(i, i + 200)));
    sent();
    const broken = [...fill.slice(0, 100).map((_, i) => atom(`instead${i}`)), () => 1] as unknown as Term;
    expect(() => signals.send(pid(1), to, body(broken))).toThrow();
    signals.send(pid(1), to, body(fill.slice(0, 200)));
    expect(sent()[0]!.message).toEqual(fill.slice(0, 200));
  });
});

describe("long messages", () => {
  const long = (text: string) => Buffer.alloc(300_000, text);

  it("let the signals of other processes pass, and none of their own", () => {
    const { signals, frames, sent } = channel();
    signals.send(pid(1), to, body(long("1")));
    signals.send(pid(2), to, body(atom("two")));
    signals.send(pid(1), to, body(atom("one")));
    expect(frames.pending).toBe(true);
    expect(frames.pendingBytes).toBeGreaterThan(230_000);
    expect(sent()).toEqual([{ from: 2, message: atom("two") }]);
    frames.flush();
    expect(sent()).toEqual([
      { from: 1, message: brief(long("1")) },
      { from: 1, message: atom("one") },
    ]);
    expect(frames.pending).toBe(false);
    expect(frames.pendingBytes).toBe(0);
  });

  it("take turns", () => {
    const { signals, frames, taken } = channel();
    signals.send(pid(1), to, body(long("1")));
    signals.send(pid(2), to, body(long("2")));
    taken();
    const inTurn: number[] = [];
    while (frames.pending) {
      frames.nextFragment();
      inTurn.push(Number(taken().readBigUInt64BE(6)));
    }
    expect(inTurn).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
  });

  it("leave before a signal whose sender is not known", () => {
    const { signals, sent } = channel();
    signals.send(pid(1), to, body(long("1")));
    signals.groupLeader(pid(3), to);
    expect(sent()).toEqual([{ from: 1, message: brief(long("1")) }]);
  });

  it("are not cut for a peer without fragments", () => {
    const { signals, frames, sent } = channel(FLAGS & ~FLAG.FRAGMENTS);
    signals.send(pid(1), to, body(long("1")));
    expect(frames.pending).toBe(false);
    expect(sent()).toEqual([{ from: 1, message: brief(long("1")) }]);
  });

  it("keep each sender's order and every byte, whatever is sent and however it leaves", () => {
    const send = fc.record({
      from: fc.integer({ min: 1, max: 4 }),
      size: fc.constantFrom(0, 1, 1000, 65_000, 65_536, 65_537, 140_000, 200_000),
      fresh: fc.integer({ min: 0, max: 3000 }),
      fragments: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(send, { maxLength: 40 }), fc.constantFrom(FLAGS, PLAIN), (sends, flags) => {
        // from 1000 bytes on binaries are not copied on their way out
        const { signals, frames, sent } = channel(flags, sends.length % 2 === 0 ? 1000 : undefined);
        const got: { from: number; message: Term }[] = [];
        const expected: { from: number; message: Term }[] = [];
        for (const [n, { from, size, fresh, fragments }] of sends.entries()) {
          const bytes = Buffer.alloc(size, n);
          expected.push({ from, message: tuple(n, atom(`atom${fresh}`), brief(bytes)) });
          signals.send(pid(from), to, body(tuple(n, atom(`atom${fresh}`), bytes)));
          for (let i = 0; i < fragments && frames.pending; i++) {
            // as a connection does: what was written first, then a fragment
            got.push(...sent());
            frames.nextFragment();
          }
        }
        frames.flush();
        got.push(...sent());
        for (let from = 1; from <= 4; from++) {
          const of = (list: typeof got) => list.filter((one) => one.from === from);
          expect(of(got)).toEqual(of(expected));
        }
      }),
      { numRuns: 60 },
    );
  });
});

it("pass-through frames have neither cache nor fragments", () => {
  const { signals, taken } = channel(FLAG.SEND_SENDER);
  signals.send(pid(1), to, body(atom("ok")));
  const frame = taken();
  expect(frame[4]).toBe(112);
  expect(decode(frame.subarray(frame.length - 5))).toBe(atom("ok"));
});

describe("a message whose fragments come by themselves", () => {
  it("has as many as it was announced with, and they have what was written", () => {
    const { signals, frames, sent } = channel(FLAG.FRAGMENTS | FLAG.SEND_SENDER);
    const bytes = Buffer.alloc(300_000, 5);
    const whole = new TermWriter();
    whole.term(tuple(1, bytes));
    const encoded = whole.take();
    signals.send(pid(1), to, {
      fragments: 4,
      writeTo: (into) => into.copy(encoded, 0, 10),
    });
    expect(sent()).toEqual([]);
    const next = new TermWriter({ attachBytes: 1000 });
    for (const [from, end] of [
      [10, 200_000],
      [200_000, 200_000],
      [200_000, encoded.length],
    ]) {
      next.copy(encoded, from as number, end as number);
      frames.fragment(next);
    }
    expect(sent()).toEqual([{ from: 1, message: tuple(1, brief(bytes)) }]);
    // and the next one is a message as any other
    signals.send(pid(1), to, body(7));
    expect(sent()).toEqual([{ from: 1, message: 7 }]);
  });
});
