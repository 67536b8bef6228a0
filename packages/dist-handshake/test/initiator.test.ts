import { Cookie, FLAG, HIDDEN_FULL, HIDDEN_PASS_THROUGH, MANDATORY_25 } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";
import { encodeChallenge, encodeNamed, encodeOldChallenge, encodeStatus } from "../src/messages.ts";
import { acceptor, initiator, node, pair } from "./support/nodes.ts";

const text = (frames: readonly Buffer[]) => frames.map((frame) => frame.toString("latin1"));
const code = (expected: string) => expect.objectContaining({ code: expected });

describe("an initiator", () => {
  it("agrees with an acceptor about everything", () => {
    const run = pair(
      initiator({ local: node("a@h", { creation: 5, flags: HIDDEN_PASS_THROUGH | FLAG.PUBLISHED }) }),
      acceptor({ local: node("b@h", { creation: 6, flags: HIDDEN_FULL | FLAG.PUBLISHED }) }),
    );
    const flags = HIDDEN_PASS_THROUGH | FLAG.PUBLISHED;
    const shared = { flags, hidden: false, version: 6, replacesOld: false };
    expect(run.initiator?.outcome).toEqual({
      ...shared,
      peer: "b@h",
      peerCreation: 6,
      peerFlags: HIDDEN_FULL | FLAG.PUBLISHED,
      localName: "a@h",
      localCreation: 5,
    });
    expect(run.acceptor?.outcome).toEqual({
      ...shared,
      peer: "a@h",
      peerCreation: 5,
      peerFlags: flags,
      localName: "b@h",
      localCreation: 6,
    });
  });

  it("is hidden as soon as one side is", () => {
    const published = { flags: HIDDEN_FULL | FLAG.PUBLISHED };
    const run = pair(initiator({ local: node("a@h", published) }), acceptor());
    expect(run.initiator?.outcome?.hidden).toBe(true);
    expect(run.acceptor?.outcome?.hidden).toBe(true);
  });

  it("writes out the shorthand for the mandatory flags, of both words", () => {
    const short = FLAG.MANDATORY_25_DIGEST | FLAG.SPAWN;
    const run = pair(initiator({ local: node("a@h", { flags: short }) }), acceptor());
    expect(run.acceptor?.outcome?.peerFlags).toBe(short | MANDATORY_25);
    expect(run.acceptor?.outcome?.flags).toBe(short | MANDATORY_25);
    expect(run.initiator?.outcome?.flags).toBe(short | MANDATORY_25);
  });

  it("sends the old name and its complement when epmd says so", () => {
    const run = pair(initiator({ epmdHighVersion: 5 }), acceptor());
    expect(run.sent.map(({ bytes }) => String.fromCharCode(bytes[0]!))).toEqual([
      "n",
      "s",
      "N",
      "c",
      "r",
      "a",
    ]);
    expect(run.acceptor?.outcome).toMatchObject({ peerCreation: 77, peerFlags: HIDDEN_FULL, version: 6 });
    expect(run.initiator?.outcome?.flags).toBe(HIDDEN_FULL);
  });

  it("meets a node without the new form only when it is not required", () => {
    const flags = MANDATORY_25 & ~FLAG.HANDSHAKE_23;
    const machine = initiator({ epmdHighVersion: 5, required: flags });
    machine.start();
    machine.receive(encodeStatus("ok"));
    const step = machine.receive(encodeOldChallenge(flags, 1, "b@h"));
    expect(text(step.write).map((frame) => frame[0])).toEqual(["r"]);
    expect(machine.state).toMatchObject({ outcome: { version: 5, peerCreation: 0, flags } });

    const strict = initiator({ epmdHighVersion: 5 });
    strict.start();
    strict.receive(encodeStatus("ok"));
    const { error } = strict.receive(encodeOldChallenge(flags, 1, "b@h"));
    expect(error).toEqual(code("HANDSHAKE_FLAGS_REJECTED"));
    expect(error?.message).toContain("HANDSHAKE_23");
  });

  it("goes on after alive, or gives up, as it is told", () => {
    const on = pair(initiator(), acceptor({ decide: () => "alive" }));
    expect(on.initiator?.outcome?.replacesOld).toBe(true);
    expect(on.acceptor?.outcome?.replacesOld).toBe(true);
    const off = pair(initiator({ onAlive: () => false }), acceptor({ decide: () => "alive" }));
    expect(off.initiator?.error).toEqual(code("HANDSHAKE_ALREADY_CONNECTED"));
    expect(text(off.initiator?.write ?? [])).toEqual(["sfalse"]);
    expect(off.acceptor?.error).toEqual(code("HANDSHAKE_ALREADY_CONNECTED"));
  });

  it("takes the name that it asked for, on its own host", () => {
    const local = node("h", { flags: HIDDEN_FULL | FLAG.NAME_ME, creation: 0 });
    const run = pair(initiator({ local }), acceptor({ decide: () => ({ named: "é@h", creation: 8 }) }));
    expect(run.initiator?.outcome).toMatchObject({ localName: "é@h", localCreation: 8, hidden: true });
    expect(run.acceptor?.outcome).toMatchObject({ peer: "é@h", peerCreation: 8, hidden: true });
    for (const wrong of [
      encodeNamed("x@other", 1),
      encodeNamed("x", 1),
      encodeNamed("", 1),
      encodeStatus("ok"),
    ]) {
      const machine = initiator({ local });
      machine.start();
      expect(machine.receive(wrong).error).toEqual(code("HANDSHAKE_MALFORMED"));
    }
    const named = initiator();
    named.start();
    expect(named.receive(encodeNamed("x@h", 1)).error).toEqual(code("HANDSHAKE_MALFORMED"));
  });

  it("refuses another node than it wanted", () => {
    const run = pair(initiator({ peer: "c@h" }), acceptor());
    expect(run.initiator?.error).toEqual(code("HANDSHAKE_NAME_MISMATCH"));
    expect(run.initiator?.error?.message).toContain('"b@h", not c@h');
    expect(run.acceptor?.error).toEqual(code("HANDSHAKE_CLOSED"));
  });

  it("says which flags the peer lacks", () => {
    const run = pair(
      initiator({ required: MANDATORY_25 | FLAG.ALIAS | FLAG.SPAWN }),
      acceptor({ local: node("b@h", { flags: MANDATORY_25 | FLAG.SPAWN }) }),
    );
    expect(run.initiator?.error).toMatchObject({
      code: "HANDSHAKE_FLAGS_REJECTED",
      context: { missing: ["ALIAS"] },
    });
  });

  it("tells a refusal for its flags from a refusal of its name", () => {
    const refuse = { decide: (): "not_allowed" => "not_allowed" };
    const full = pair(initiator(), acceptor(refuse));
    expect(full.initiator?.error).toEqual(code("HANDSHAKE_NOT_ALLOWED"));
    const poor = pair(initiator({ local: node("a@h", { flags: MANDATORY_25 }) }), acceptor(refuse));
    expect(poor.initiator?.error).toEqual(code("HANDSHAKE_FLAGS_REJECTED"));
    expect(poor.initiator?.error?.message).toContain("UNLINK_ID, V4_NC");
  });

  it("knows what a wrong cookie looks like from its side", () => {
    const closed = pair(initiator({ local: node("a@h", { cookies: [Cookie.of("other")] }) }), acceptor());
    expect(closed.initiator?.error).toEqual(code("HANDSHAKE_COOKIE_REJECTED"));
    expect(closed.acceptor?.error).toEqual(code("HANDSHAKE_COOKIE_REJECTED"));
    expect(closed.acceptor?.write).toEqual([]);

    const machine = initiator();
    machine.start();
    machine.receive(encodeStatus("ok"));
    machine.receive(encodeChallenge(HIDDEN_FULL, 1, 1, "b@h"));
    expect(machine.receive(Buffer.from("a0123456789abcdef")).error).toEqual(
      code("HANDSHAKE_COOKIE_REJECTED"),
    );
  });

  it("dials with its first cookie and accepts any", () => {
    const [old, next] = [Cookie.of("old"), Cookie.of("next")];
    const dial = (mine: Cookie[], theirs: Cookie[]) =>
      pair(
        initiator({ local: node("a@h", { cookies: mine }) }),
        acceptor({ local: node("b@h", { cookies: theirs }) }),
      );
    expect(dial([old, next], [next, old]).initiator?.outcome).toBeDefined();
    expect(dial([old], [next, old]).initiator?.outcome).toBeDefined();
    expect(dial([next, old], [old]).acceptor?.error).toEqual(code("HANDSHAKE_COOKIE_REJECTED"));
  });

  it("asks for the cookie of the peer", () => {
    const asked: string[] = [];
    const cookies = (peer: string) => {
      asked.push(peer);
      return [Cookie.of("monster")];
    };
    expect(pair(initiator({ local: node("a@h", { cookies }) }), acceptor()).initiator?.outcome).toBeDefined();
    expect(new Set(asked)).toEqual(new Set(["b@h"]));
    const none = pair(initiator({ local: node("a@h", { cookies: () => [] }) }), acceptor());
    expect(none.initiator?.error).toEqual(code("HANDSHAKE_NO_COOKIE"));
  });

  it("explains an early end by where it comes", () => {
    const machine = initiator();
    machine.start();
    const cause = Object.assign(new Error("reset"), { code: "ECONNRESET" });
    const { error } = machine.closed(cause);
    expect(error).toMatchObject({ code: "HANDSHAKE_CLOSED", cause, context: { state: "awaiting_status" } });
    expect(error?.message).toContain("ECONNRESET");
    const old = initiator({ epmdHighVersion: 5 });
    old.start();
    expect(old.closed().error?.message).toContain("25.0 to 25.2");
  });

  it("does not mind the end of the connection after its own", () => {
    const machine = initiator();
    pair(machine, acceptor());
    expect(machine.closed()).toEqual({ write: [] });
    expect(machine.state.kind).toBe("done");
  });

  it("cannot be used in the wrong order", () => {
    const machine = initiator();
    expect(() => machine.receive(Buffer.from("sok"))).toThrowError(code("HANDSHAKE_OUT_OF_ORDER"));
    machine.start();
    expect(() => machine.start()).toThrowError(code("HANDSHAKE_OUT_OF_ORDER"));
    machine.receive(encodeStatus("nok"));
    expect(machine.state.kind).toBe("failed");
    expect(() => machine.receive(Buffer.from("sok"))).toThrowError(code("HANDSHAKE_OUT_OF_ORDER"));
  });

  it("checks its options at once", () => {
    const wrong = [
      { local: node("a") },
      { local: node("a@b@c") },
      { local: node("ж@h") },
      { local: node("a@h", { creation: 0 }) },
      { local: node("a@h", { creation: 2 ** 32 }) },
      { local: node("a@h", { creation: 1.5 }) },
      { local: node("a@h", { flags: 1n << 64n }) },
      { local: node("a@h", { flags: -1n }) },
      { local: node("a@h", { flags: FLAG.NAME_ME }) },
      { local: node("h", { flags: FLAG.NAME_ME }), epmdHighVersion: 5 },
    ];
    for (const options of wrong) {
      expect(() => initiator(options)).toThrowError(code("HANDSHAKE_OPTIONS_INVALID"));
    }
    expect(() => initiator({ peer: "nonsense" })).toThrowError(code("NODE_NAME_INVALID"));
  });

  it("accepts each message in its turn only", () => {
    const challenge = encodeChallenge(HIDDEN_FULL, 1, 1, "b@h");
    const ack = Buffer.from("a0123456789abcdef");
    const status = encodeStatus("ok");
    const turns: [Buffer[], Buffer[]][] = [
      [[], [challenge, ack]],
      [[status], [status, ack]],
      [
        [status, challenge],
        [status, challenge],
      ],
    ];
    for (const [before, wrong] of turns) {
      for (const frame of wrong) {
        const machine = initiator();
        machine.start();
        for (const one of before) machine.receive(one);
        expect(machine.receive(frame).error).toEqual(code("HANDSHAKE_MALFORMED"));
      }
    }
  });

  it("sends any 32-bit challenge", () => {
    for (const number of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
      const run = pair(initiator({ random: () => number }), acceptor({ random: () => number }));
      expect(run.initiator?.outcome).toBeDefined();
      expect(run.sent.find(({ bytes }) => bytes[0] === 0x72)?.bytes.readUInt32BE(1)).toBe(number);
    }
  });
});
