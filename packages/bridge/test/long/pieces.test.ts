import type { Connection } from "@isthmus/core";
import { SIGNAL, Signal, SignalReader, SignalWriter } from "@isthmus/core/channel";
import { HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { type Atom, atom, Pid, Reference, type Term, TermWriter, tuple } from "@isthmus/etf";
import { IsthmusError, type PieceTaker } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import type { CarrierEvents } from "../../src/long/carrier.ts";
import { IncomingPieces } from "../../src/long/incoming-pieces.ts";
import { OutgoingPieces, PIECES } from "../../src/long/outgoing-pieces.ts";

const PEER = atom("bridge@north");
const SENDER = new Pid(PEER, 1, 2, 3);
const TO = new Pid(atom("bridge@south"), 4, 5, 6);
const REFERENCE = new Reference(atom("bridge@south"), 6, [1, 2, 3]);
const MALFORMED = expect.objectContaining({ code: "CONTROL_MALFORMED" });

/** The sending end: a connection of which the frames are taken out. */
function outgoing() {
  const out = new TermWriter({ attachBytes: 4096 });
  const connection = {
    signals: new SignalWriter(out, HIDDEN_PASS_THROUGH, () => undefined),
    blocked: false,
    closeReason: undefined as IsthmusError | undefined,
  };
  const clock = new FakeClock();
  const pieces = new OutgoingPieces(connection as unknown as Connection, clock);
  const reader = new SignalReader(PEER);
  /** What was sent since the last time, as the other bridge reads it. */
  const sent = (): Signal[] => {
    const bytes = out.copyOut();
    const signals: Signal[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 + bytes.readUInt32BE(at);
      signals.push(Object.assign(new Signal(), reader.read(bytes, at + 6, end, true)));
      at = end;
    }
    return signals;
  };
  const open = (events: Partial<CarrierEvents> = {}) =>
    pieces.open({ writable: () => undefined, closed: () => undefined, ...events });
  const close = (): void => {
    connection.closeReason = new IsthmusError("CONNECTION_CLOSED", "gone");
    pieces.lost();
  };
  return { pieces, open, close, sent, connection, clock };
}

/** The receiving end: notes what is handed on. */
function incoming(streams = true, maxBytes = 1_000_000) {
  const notes: unknown[][] = [];
  const source = { suspend: () => notes.push(["suspend"]) } as unknown as Connection;
  const pieces = new IncomingPieces({ source, givenUp: () => notes.push(["given up"]), maxBytes });
  const long = (head: Signal): PieceTaker["next"] | undefined => {
    notes.push(["long", head.to, body(head), head.missingBytes, head.missingPieces]);
    return streams
      ? (bytes, start, end, left) => void notes.push([bytes.toString("latin1", start, end), left])
      : undefined;
  };
  return { notes, take: (signal: Signal) => pieces.take(signal, long) };
}

const body = ({ bytes, bodyStart, bodyEnd }: Signal): string => bytes.toString("latin1", bodyStart, bodyEnd);

/** A writer with these bytes in it, as a piece comes. */
function bytes(text: string): TermWriter {
  const writer = new TermWriter();
  for (const byte of Buffer.from(text, "latin1")) writer.u8(byte);
  return writer;
}

const beginning = (to: Pid | Reference | Atom, text: string, pieces: number, total: number) => ({
  ...{ sender: SENDER, to, token: undefined, pieces, bytes: total },
  body: {
    writeTo: (out: TermWriter) => {
      for (const byte of Buffer.from(text, "latin1")) out.u8(byte);
    },
  },
});

/** A message to PIECES with any body. */
function message(term: Term): Signal {
  const writer = new TermWriter();
  writer.term(term);
  const taken = writer.copyOut();
  return Object.assign(new Signal(), {
    ...{ kind: SIGNAL.SEND, from: SENDER, to: PIECES },
    ...{ bytes: taken, bodyStart: 0, bodyEnd: taken.length },
  });
}

describe("pieces of a long message between bridges", () => {
  it.each([
    ["a process", TO],
    ["an alias", REFERENCE],
    ["a name", atom("orders")],
  ])("come as they were sent, to %s", async (_, to) => {
    const { open, sent } = outgoing();
    let closed = 0;
    const carrier = await open({ closed: () => closed++ });
    carrier.begin(beginning(to, "one", 3, 1000));
    carrier.piece(bytes("two"));
    carrier.piece(bytes("x".repeat(100_000)));
    expect(closed).toBe(0);
    carrier.end();
    carrier.close();
    expect(closed).toBe(1);
    const { notes, take } = incoming();
    const signals = sent();
    expect(signals.map((signal) => [signal.from, signal.to])).toEqual(Array(3).fill([SENDER, PIECES]));
    expect(signals.map(take)).toEqual([false, false, false]);
    expect(notes).toEqual([["long", to, "one", 997, 2], ["two", 1], ["x".repeat(100_000), 0], ["suspend"]]);
  });

  it("are gathered when nobody takes them while they come", async () => {
    const { open, sent } = outgoing();
    const carrier = await open();
    carrier.begin({
      ...beginning(TO, "one ", 3, 1000),
      token: { writeTo: (out) => out.term(atom("token")) },
    });
    carrier.piece(bytes("two "));
    carrier.piece(bytes("three"));
    const { take } = incoming(false);
    const signals = sent();
    expect(signals.map(take)).toEqual([false, false, true]);
    const whole = signals[2]!;
    expect([whole.from, whole.to, whole.missingBytes]).toEqual([SENDER, TO, 0]);
    expect(body(whole)).toBe("one two three");
    expect(whole.bytes.toString("latin1", whole.tokenStart, whole.tokenEnd)).toContain("token");
  });

  it("are given up in the middle, and the next message is whole", async () => {
    const { open, sent } = outgoing();
    const first = await open();
    first.begin(beginning(TO, "one", 3, 1000));
    first.piece(bytes("two"));
    first.close();
    first.close();
    const second = await open();
    second.begin(beginning(TO, "1", 2, 10));
    second.piece(bytes("2"));
    const { notes, take } = incoming();
    for (const signal of sent()) expect(take(signal)).toBe(false);
    expect(notes.map(([first]) => first)).toEqual(["long", "two", "given up", "long", "2", "suspend"]);
  });

  it("of one that never began nothing is sent", async () => {
    const { open, sent } = outgoing();
    (await open()).close();
    expect(sent()).toEqual([]);
  });

  it("one message after the other; who waits too long is told", async () => {
    const { open, clock } = outgoing();
    const first = await open();
    let begun = false;
    const second = open().finally(() => {
      begun = true;
    });
    const third = open().catch((error: IsthmusError) => error.code);
    await clock.advance(4000);
    expect(begun).toBe(false);
    first.close();
    await second;
    await clock.advance(1000);
    expect(await third).toBe("NO_CONNECTION");
  });

  it("the loss of the connection is told to the message under way, and to those that wait", async () => {
    const { open, close, sent, pieces } = outgoing();
    const told: string[] = [];
    const carrier = await open({ closed: () => told.push("closed"), writable: () => told.push("writable") });
    const waiting = open().catch((error: IsthmusError) => error.code);
    carrier.begin(beginning(TO, "one", 3, 1000));
    sent();
    pieces.writable();
    close();
    expect(carrier.lost).toBe(true);
    carrier.close();
    expect(told).toEqual(["writable", "closed"]);
    expect(await waiting).toBe("CONNECTION_CLOSED");
    expect(sent()).toEqual([]);
  });

  it("what is none closes the connection", () => {
    const binary = Buffer.from("x");
    const begin = tuple(TO, 10, 2, binary);
    for (const term of [
      atom("nothing"),
      tuple(TO, 10, 2),
      tuple(TO, 10, 1, binary),
      tuple(TO, 10, 2n ** 60n, binary),
      tuple(TO, -1, 2, binary),
      tuple(TO, 10, 2, atom("x")),
      binary,
    ])
      expect(() => incoming().take(message(term)), String(term)).toThrow(MALFORMED);
    expect(() => incoming().take(message(tuple(1, 10, 2, binary)))).toThrow(
      expect.objectContaining({ code: "ETF_UNEXPECTED_TERM" }),
    );
    const { take } = incoming();
    take(message(begin));
    expect(() => take(message(begin))).toThrow(MALFORMED);
    const short = message(binary);
    short.bodyEnd--;
    const other = incoming();
    other.take(message(begin));
    expect(() => other.take(short)).toThrow(MALFORMED);
  });

  it("no more is gathered than the limit", () => {
    const { take } = incoming(false, 100);
    take(message(tuple(TO, 10, 5, Buffer.alloc(60))));
    expect(() => take(message(Buffer.alloc(60)))).toThrow(
      expect.objectContaining({ code: "FRAME_TOO_LARGE" }),
    );
  });
});
