import { FLAG, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { atom, encode, NativeRecord, Pid, type Term, TermWriter, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { type Recipient, RewrittenBody, targetOf } from "../../src/channel/body.ts";
import { Signal } from "../../src/channel/signal.ts";
import { SignalWriter } from "../../src/channel/signal-writer.ts";

const OTP_23: Recipient = { peer: atom("b1@h"), flags: 0x101df7fbdn & HIDDEN_PASS_THROUGH };
const OTP_27: Recipient = { peer: atom("b1@h"), flags: 0xd07df7fbdn & HIDDEN_PASS_THROUGH };
const OTP_29: Recipient = {
  peer: atom("b1@h"),
  flags: 0x6d07df7fbdn & (HIDDEN_PASS_THROUGH | FLAG.NATIVE_RECORDS),
};

const from = new Pid(atom("bridge@h"), 1, 0, 5);
const to = new Pid(atom("b1@h"), 2, 0, 6);
const record = new NativeRecord(atom("m"), atom("r"), [], [], { exported: false });

function signal(body: Term): Signal {
  const made = new Signal();
  made.bytes = Buffer.from(encode(body));
  made.bodyStart = 1;
  made.bodyEnd = made.bytes.length;
  return made;
}

describe("a body that is rewritten for a recipient", () => {
  it("is what that can decode, by the flags of the releases", () => {
    expect(targetOf(OTP_23)).toEqual({ node: atom("b1@h"), wide: false, records: false });
    expect(targetOf(OTP_27)).toEqual({ node: atom("b1@h"), wide: true, records: false });
    expect(targetOf(OTP_29)).toEqual({ node: atom("b1@h"), wide: true, records: true });
    expect(targetOf(OTP_29)).toBe(targetOf(OTP_29));
  });

  it("leaves nothing of its signal in the output when it is not, and the next signal is whole", () => {
    const wide = new Pid(atom("a1@h"), 2 ** 15, 0, 7);
    for (const [recipient, term] of [
      [OTP_23, tuple(from, [wide])],
      [OTP_27, tuple(from, record)],
    ] as const) {
      const out = new TermWriter();
      const writer = new SignalWriter(out, recipient.flags, () => undefined);
      const body = new RewrittenBody({ identity: () => null });
      writer.send(from, to, body.of(signal([1]), recipient));
      const before = out.mark();
      expect(() => writer.send(from, to, body.of(signal(term), recipient))).toThrow(
        expect.objectContaining({ code: "ETF_UNREPRESENTABLE" }),
      );
      // a reason within the control message, and a token
      expect(() => writer.exit(from, to, body.of(signal(term), recipient))).toThrow();
      const token = new RewrittenBody({ identity: () => null }).of(signal(term), recipient);
      expect(() => writer.send(from, to, body.of(signal([1]), recipient), token)).toThrow();
      expect(out.mark()).toBe(before);
      writer.send(from, to, body.of(signal([1]), recipient));
      const frames = out.take();
      expect(frames.subarray(before)).toEqual(frames.subarray(0, before));
      writer.send(from, to, body.of(signal(term), OTP_29));
      expect(out.take().includes(encode(term).subarray(1))).toBe(true);
    }
  });
});
