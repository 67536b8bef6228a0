import { FLAG, HIDDEN_FULL, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { atom, type Pid, type Tuple, tuple } from "@isthmus/etf";
import { IsthmusError } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { SIGNAL, TermBody } from "../../src/channel/index.ts";
import { connectedPair, FRAMINGS, leftPid, leftRef, rightPid, settle } from "../support.ts";

const body = (term: Parameters<TermBody["of"]>[0]): TermBody => new TermBody().of(term);

describe.each(FRAMINGS)("a connection with %s framing", (_name, flags) => {
  it("carries every signal as it was sent", async () => {
    const { left, seenRight } = connectedPair(flags);
    const out = left.signals;
    const from = leftPid(1);
    const to = rightPid(2);
    const ref = leftRef(1, 2, 3);
    const orders = atom("orders");
    out.send(from, to, body(tuple(1, 2)));
    out.send(undefined, to, body(3));
    out.sendName(from, orders, body([atom("x")]));
    out.sendAlias(from, leftRef(4, 5, 6), body(true));
    out.link(from, to);
    out.unlink(7, from, to);
    out.unlinkAck(2n ** 63n, from, to);
    out.exit(from, to, body(atom("gone")));
    out.exit2(from, to, body(atom("kill")));
    out.groupLeader(from, to);
    out.monitor(from, orders, ref);
    out.monitor(from, to, ref);
    out.demonitor(from, orders, ref);
    out.down(from, to, ref, body(atom("normal")));
    out.down(orders, to, ref, body(atom("noproc")));
    const mfa = { module: atom("erpc"), function: atom("execute_call"), arity: 4 };
    out.spawnRequest(ref, from, from, mfa, [atom("monitor")], body([1, 2, 3, 400]));
    out.spawnReply(ref, to, 2, from);
    await settle();
    expect(seenRight.closed).toEqual([]);
    expect(seenRight.signals).toEqual([
      { kind: SIGNAL.SEND, from, to, body: tuple(1, 2) },
      { kind: SIGNAL.SEND, to, body: 3 },
      { kind: SIGNAL.SEND, from, to: orders, body: [atom("x")] },
      { kind: SIGNAL.SEND, from, to: leftRef(4, 5, 6), body: true },
      { kind: SIGNAL.LINK, from, to },
      { kind: SIGNAL.UNLINK, from, to, unlinkId: 7 },
      { kind: SIGNAL.UNLINK_ACK, from, to, unlinkId: 2n ** 63n },
      { kind: SIGNAL.EXIT, from, to, body: atom("gone") },
      { kind: SIGNAL.EXIT2, from, to, body: atom("kill") },
      { kind: SIGNAL.GROUP_LEADER, groupLeader: from, to },
      { kind: SIGNAL.MONITOR, from, to: orders, ref },
      { kind: SIGNAL.MONITOR, from, to, ref },
      { kind: SIGNAL.DEMONITOR, from, to: orders, ref },
      { kind: SIGNAL.DOWN, from, to, ref, body: atom("normal") },
      { kind: SIGNAL.DOWN, from: orders, to, ref, body: atom("noproc") },
      {
        kind: SIGNAL.SPAWN_REQUEST,
        from,
        ref,
        groupLeader: from,
        module: mfa.module,
        name: mfa.function,
        arity: 4,
        options: [atom("monitor")],
        body: [1, 2, 3, 400],
      },
      { kind: SIGNAL.SPAWN_REPLY, to, ref, flags: 2, result: from },
    ]);
  });

  it.each([65_000, 65_536, 65_600, 131_072, 1_000_000])(
    "carries a body of %i bytes whole, in order",
    async (size) => {
      const { left, seenRight } = connectedPair(flags);
      const big = Buffer.alloc(size, 7);
      left.signals.send(leftPid(1), rightPid(2), body(big));
      left.signals.send(leftPid(1), rightPid(2), body(atom("after")));
      await settle();
      expect(
        seenRight.signals.map(({ body: got }) => (Buffer.isBuffer(got) ? got.equals(big) : got)),
      ).toEqual([true, atom("after")]);
    },
  );

  it("leaves no trace of a signal whose body cannot be encoded", async () => {
    const { left, seenRight } = connectedPair(flags);
    left.signals.send(leftPid(1), rightPid(2), body(1));
    expect(() => left.signals.send(leftPid(1), rightPid(2), body(tuple(1, Number.NaN)))).toThrow(
      expect.objectContaining({ code: "ETF_UNREPRESENTABLE" }),
    );
    left.signals.send(leftPid(1), rightPid(2), body(2));
    await settle();
    expect(seenRight.signals.map(({ body: got }) => got)).toEqual([1, 2]);
  });

  it("closes with a code when the peer sends a frame of another form", async () => {
    const { left, seenLeft, rightEnd } = connectedPair(flags);
    rightEnd.write(Buffer.from([0, 0, 0, 4, 1, 2, 3, 4]));
    await settle();
    expect(seenLeft.closed.map(({ code }) => code)).toEqual(["FRAME_MALFORMED"]);
    expect(left.closeReason?.code).toBe("FRAME_MALFORMED");
  });

  it("closes when a peer uses a pid that is not its own", async () => {
    const { left, seenRight } = connectedPair(flags);
    left.signals.link(rightPid(5), rightPid(6));
    await settle();
    expect(seenRight.closed.map(({ code }) => code)).toEqual(["CONTROL_NOT_OWN"]);
  });
});

it("uses the forms of OTP 23 towards a peer that has no other", async () => {
  const flags = HIDDEN_PASS_THROUGH & ~(FLAG.UNLINK_ID | FLAG.EXIT_PAYLOAD | FLAG.SEND_SENDER | FLAG.ALIAS);
  const { left, seenRight } = connectedPair(flags);
  left.signals.send(leftPid(1), rightPid(2), body(1));
  left.signals.unlink(9, leftPid(1), rightPid(2));
  left.signals.exit(leftPid(1), rightPid(2), body(atom("gone")));
  left.signals.down(leftPid(1), rightPid(2), leftRef(1), body(atom("gone")));
  await settle();
  expect(left.signals.acknowledgesUnlink).toBe(false);
  expect(seenRight.signals).toEqual([
    { kind: SIGNAL.SEND, to: rightPid(2), body: 1 },
    { kind: SIGNAL.UNLINK, from: leftPid(1), to: rightPid(2), unlinkId: undefined },
    { kind: SIGNAL.EXIT, from: leftPid(1), to: rightPid(2), body: atom("gone") },
    { kind: SIGNAL.DOWN, from: leftPid(1), to: rightPid(2), ref: leftRef(1), body: atom("gone") },
  ]);
});

describe("ticks", () => {
  it("are sent when nothing else was, and keep the other end alive", async () => {
    const { left, right, seenLeft, seenRight } = connectedPair(HIDDEN_FULL);
    for (let round = 0; round < 10; round++) {
      left.tick(4);
      right.tick(4);
      await settle();
    }
    expect([seenLeft.closed, seenRight.closed]).toEqual([[], []]);
  });

  it("a peer that is silent for four rounds is given up", () => {
    const { left, seenLeft } = connectedPair(HIDDEN_FULL);
    for (let round = 0; round < 3; round++) left.tick(4);
    expect(seenLeft.closed).toEqual([]);
    left.tick(4);
    expect(seenLeft.closed.map(({ code }) => code)).toEqual(["TICK_TIMEOUT"]);
  });

  it("silence while we do not read says nothing", () => {
    const { left, seenLeft } = connectedPair(HIDDEN_FULL);
    left.pause();
    for (let round = 0; round < 10; round++) left.tick(4);
    expect(seenLeft.closed).toEqual([]);
  });
});

describe("a peer that does not read", () => {
  const chunk = body(Buffer.alloc(10_000));
  const fill = async (left: ReturnType<typeof connectedPair>["left"], to: Pid): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      left.signals.send(leftPid(1), to, chunk);
      await settle();
    }
  };

  it("makes the connection say that it is blocked, and writable again later", async () => {
    const { left, leftEnd, seenLeft, seenRight } = connectedPair(HIDDEN_PASS_THROUGH, {
      highWaterBytes: 50_000,
    });
    leftEnd.stuck = true;
    await fill(left, rightPid(1));
    expect(left.blocked).toBe(true);
    leftEnd.unstick();
    await settle();
    expect([left.blocked, seenLeft.writable, seenRight.signals.length]).toEqual([false, 1, 20]);
  });

  it("is given up when too much waits", async () => {
    const { left, leftEnd, seenLeft } = connectedPair(HIDDEN_PASS_THROUGH, {
      highWaterBytes: 50_000,
      maxBacklogBytes: 100_000,
    });
    leftEnd.stuck = true;
    await fill(left, rightPid(1));
    expect(seenLeft.closed.map(({ code }) => code)).toEqual(["BACKLOG_EXCEEDED"]);
  });
});

it("what was sent before close arrives, and close is told once", async () => {
  const { left, seenLeft, seenRight } = connectedPair(HIDDEN_FULL);
  left.signals.send(leftPid(1), rightPid(2), body(atom("last")));
  const reason = left.closeReason ?? new (await import("@isthmus/wire")).IsthmusError("NODE_CLOSED", "bye");
  left.close(reason);
  left.close(reason);
  await settle();
  expect(seenRight.signals.map(({ body: got }) => got)).toEqual([atom("last")]);
  expect(seenLeft.closed).toEqual([reason]);
  expect(seenRight.closed.map(({ code }) => code)).toEqual(["CONNECTION_CLOSED"]);
});

describe.each(FRAMINGS)("a long binary with %s framing", (_name, flags) => {
  const long = (size = 300_000) => Buffer.alloc(size, "every byte has its place");

  it("is handed to the stream as it is, and a short one copied", async () => {
    const { left, leftEnd, seenRight } = connectedPair(flags);
    const chunks: Buffer[] = [];
    const write = leftEnd._write.bind(leftEnd);
    leftEnd._write = (chunk: Buffer, encoding, done) => {
      chunks.push(chunk);
      write(chunk, encoding, done);
    };
    const of = (data: Buffer) => chunks.filter(({ buffer }) => buffer === data.buffer);
    const [data, short] = [long(), long(5000)];
    left.signals.send(leftPid(1), rightPid(2), body(tuple(atom("x"), data, short)));
    await settle();
    expect(of(data).reduce((sum, { length }) => sum + length, 0)).toBe(data.length);
    expect(of(short)).toEqual([]);
    const [{ body: got }] = seenRight.signals as [{ body: Tuple }];
    expect((got.elements[1] as Buffer).equals(data)).toBe(true);
    expect((got.elements[2] as Buffer).equals(short)).toBe(true);
  });

  it("counts as backlog until it is sent", async () => {
    const { left, leftEnd, seenLeft, seenRight } = connectedPair(flags, { highWaterBytes: 50_000 });
    leftEnd.stuck = true;
    left.signals.send(leftPid(1), rightPid(2), body(long()));
    expect(left.backlog).toBeGreaterThan(300_000);
    await settle();
    expect(left.backlog).toBeGreaterThan(300_000);
    expect(left.blocked).toBe(true);
    leftEnd.unstick();
    await settle();
    expect([left.backlog, left.blocked, seenLeft.writable]).toEqual([0, false, 1]);
    expect(seenRight.signals.map(({ body: got }) => (got as Buffer).equals(long()))).toEqual([true]);
  });

  it("arrives when the connection is closed right after, and what cannot be encoded leaves nothing", async () => {
    const { left, seenRight } = connectedPair(flags);
    left.signals.send(leftPid(1), rightPid(2), body(1));
    const unsent = body(tuple(long(), Number.NaN));
    expect(() => left.signals.send(leftPid(1), rightPid(2), unsent)).toThrow(
      expect.objectContaining({ code: "ETF_UNREPRESENTABLE" }),
    );
    left.signals.send(leftPid(1), rightPid(2), body(long()));
    left.close(new IsthmusError("NODE_CLOSED", "bye"));
    await settle();
    expect(
      seenRight.signals.map(({ body: got }) => (Buffer.isBuffer(got) ? got.equals(long()) : got)),
    ).toEqual([1, true]);
  });
});
