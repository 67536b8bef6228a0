import {
  type AcceptDecision,
  type AcceptedPeer,
  FLAG,
  HIDDEN_FULL,
  MANDATORY,
  MANDATORY_25,
} from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";
import { encodeComplement, encodeName, encodeOldName, encodeReply, encodeStatus } from "../src/messages.ts";
import { acceptor, initiator, node, pair } from "./support/nodes.ts";

const text = (frames: readonly Buffer[] = []) => frames.map((frame) => frame.toString("latin1"));
const code = (expected: string) => expect.objectContaining({ code: expected });

describe("an acceptor", () => {
  it("asks who may come in, and answers with that", () => {
    const cases: [AcceptDecision, string[], string][] = [
      ["nok", ["snok"], "HANDSHAKE_NOK"],
      ["not_allowed", ["snot_allowed"], "HANDSHAKE_NOT_ALLOWED"],
      ["close", [], "HANDSHAKE_ALREADY_CONNECTED"],
    ];
    for (const [decision, written, expected] of cases) {
      const machine = acceptor({ decide: () => decision });
      machine.start();
      const step = machine.receive(encodeName(HIDDEN_FULL, 3, "a@h"));
      expect(text(step.write)).toEqual(written);
      expect(step.error).toEqual(code(expected));
    }
    for (const decision of ["ok", "ok_simultaneous"] as const) {
      const machine = acceptor({ decide: () => decision });
      machine.start();
      const step = machine.receive(encodeName(HIDDEN_FULL, 3, "a@h"));
      expect(text(step.write)[0]).toBe(`s${decision}`);
      expect(text(step.write)[1]).toMatch(/^N/);
    }
  });

  it("shows what the caller says about itself", () => {
    const seen: AcceptedPeer[] = [];
    const decide = (peer: AcceptedPeer): AcceptDecision => {
      seen.push(peer);
      return "not_allowed";
    };
    for (const frame of [
      encodeName(FLAG.MANDATORY_25_DIGEST, 3, "é@h"),
      encodeOldName(HIDDEN_FULL, "o@h"),
      encodeName(HIDDEN_FULL | FLAG.NAME_ME, 0, "host.example"),
    ]) {
      const machine = acceptor({ decide });
      machine.start();
      machine.receive(frame);
    }
    expect(seen).toEqual([
      { name: "é@h", flags: FLAG.MANDATORY_25_DIGEST | MANDATORY_25, creation: 3, dynamic: false },
      { name: "o@h", flags: HIDDEN_FULL & 0xffffffffn, creation: 0, dynamic: false },
      { name: "host.example", flags: HIDDEN_FULL | FLAG.NAME_ME, creation: 0, dynamic: true },
    ]);
  });

  it("lets every release since 23 in, and no older one", () => {
    const defaults = [0x101df7fbdn, 0xd07df7fbdn, 0x6d07df7fbdn];
    for (const flags of defaults) {
      expect(pair(initiator({ local: node("a@h", { flags }) }), acceptor()).acceptor?.outcome).toBeDefined();
    }
    // OTP 22 announces neither HANDSHAKE_23 nor BIG_CREATION by default
    const machine = acceptor();
    machine.start();
    const step = machine.receive(encodeOldName(0x3df7fbdn & ~FLAG.UNLINK_ID & ~FLAG.HANDSHAKE_23, "old@h"));
    expect(text(step.write)).toEqual(["snot_allowed"]);
    expect(step.error?.message).toContain("HANDSHAKE_23");
  });

  it("names the flags that a caller lacks, also those that come with the complement", () => {
    const required = MANDATORY[26] | FLAG.ALIAS;
    const direct = acceptor({ required });
    direct.start();
    const refused = direct.receive(encodeName(MANDATORY_25, 3, "a@h"));
    expect(text(refused.write)).toEqual(["snot_allowed"]);
    expect(refused.error).toMatchObject({ context: { missing: ["UNLINK_ID", "V4_NC", "ALIAS"] } });

    const old = acceptor({ required });
    old.start();
    expect(text(old.receive(encodeOldName(MANDATORY[26], "a@h")).write)[0]).toBe("sok");
    const { error } = old.receive(encodeComplement(FLAG.V4_NC, 3));
    expect(error).toMatchObject({ code: "HANDSHAKE_FLAGS_REJECTED", context: { missing: ["ALIAS"] } });
  });

  it("speaks the old form with nodes that have no other, if they are let in", () => {
    const flags = MANDATORY_25 & ~FLAG.HANDSHAKE_23;
    const run = pair(
      initiator({ epmdHighVersion: 5, required: flags, local: node("a@h", { flags }) }),
      acceptor({ required: flags }),
    );
    expect(run.sent.map(({ bytes }) => String.fromCharCode(bytes[0]!))).toEqual(["n", "s", "n", "r", "a"]);
    expect(run.acceptor?.outcome).toMatchObject({ version: 5, peerCreation: 0, flags });
    expect(run.initiator?.outcome).toMatchObject({ version: 5, peerCreation: 0, flags });
  });

  it("gives a name, and offers to do so in its challenge", () => {
    const machine = acceptor({
      local: node("b@h", { flags: HIDDEN_FULL | FLAG.PUBLISHED }),
      decide: ({ name }) => ({ named: `x@${name}`, creation: 7 }),
    });
    machine.start();
    const step = machine.receive(encodeName(HIDDEN_FULL | FLAG.NAME_ME, 0, "h"));
    expect(text(step.write)[0]).toBe("snamed:\0\x03x@h\0\0\0\x07");
    expect(step.write[1]?.readBigUInt64BE(1)).toBe(HIDDEN_FULL | FLAG.NAME_ME);
  });

  it("refuses decisions that do not fit the caller", () => {
    const asking = encodeName(HIDDEN_FULL | FLAG.NAME_ME, 0, "h");
    const plain = encodeName(HIDDEN_FULL, 5, "a@h");
    const cases: [Buffer, AcceptDecision][] = [
      [asking, "ok"],
      [asking, "alive"],
      [asking, { named: "x@other", creation: 1 }],
      [asking, { named: "x", creation: 1 }],
      [asking, { named: "x@h", creation: -1 }],
      [plain, { named: "x@h", creation: 1 }],
    ];
    for (const [frame, decision] of cases) {
      const machine = acceptor({ decide: () => decision });
      machine.start();
      expect(machine.receive(frame).error).toEqual(code("HANDSHAKE_OPTIONS_INVALID"));
    }
  });

  it("passes on what decide throws", () => {
    const machine = acceptor({
      decide: () => {
        throw new TypeError("a bug");
      },
    });
    machine.start();
    expect(() => machine.receive(encodeName(HIDDEN_FULL, 5, "a@h"))).toThrowError(TypeError);
  });

  it("does not accept without a cookie", () => {
    const machine = acceptor({ local: node("b@h", { cookies: (peer) => (peer === "a@h" ? [] : []) }) });
    machine.start();
    const step = machine.receive(encodeName(HIDDEN_FULL, 5, "a@h"));
    expect(text(step.write)).toEqual(["snot_allowed"]);
    expect(step.error).toEqual(code("HANDSHAKE_NO_COOKIE"));
  });

  it("refuses names that are none", () => {
    for (const name of ["", "a", "a@", "@h", "a@b@c", "a b@h", "a\n@h", "../x@h"]) {
      const machine = acceptor();
      machine.start();
      expect(machine.receive(encodeName(HIDDEN_FULL, 5, name)).error).toEqual(code("HANDSHAKE_MALFORMED"));
    }
    for (const name of ["", "a@h", "@", "a b"]) {
      const machine = acceptor();
      machine.start();
      const step = machine.receive(encodeName(HIDDEN_FULL | FLAG.NAME_ME, 0, name));
      expect(step.error).toEqual(code("HANDSHAKE_MALFORMED"));
    }
  });

  it("accepts each message in its turn only", () => {
    const name = encodeName(HIDDEN_FULL, 5, "a@h");
    const old = encodeOldName(HIDDEN_FULL, "a@h");
    const reply = encodeReply(1, Buffer.alloc(16));
    const complement = encodeComplement(HIDDEN_FULL, 1);
    const answer = encodeStatus("true");
    const turns: ["ok" | "alive", Buffer[], Buffer[]][] = [
      ["ok", [], [reply, complement, answer]],
      ["ok", [name], [name, old, complement, answer]],
      ["ok", [old], [name, old, reply, answer]],
      ["alive", [name], [name, reply, complement]],
    ];
    for (const [decision, before, wrong] of turns) {
      for (const frame of wrong) {
        const machine = acceptor({ decide: () => decision });
        machine.start();
        for (const one of before) machine.receive(one);
        expect(machine.receive(frame).error).toEqual(code("HANDSHAKE_MALFORMED"));
      }
    }
  });

  it("explains an early end by where it comes", () => {
    const machine = acceptor();
    machine.start();
    machine.receive(encodeName(HIDDEN_FULL, 5, "a@h"));
    const { error } = machine.closed();
    expect(error).toMatchObject({
      code: "HANDSHAKE_CLOSED",
      context: { peer: "a@h", state: "awaiting_reply" },
    });
    expect(error?.message).toContain("another node than b@h");
  });

  it("needs a name of its own", () => {
    const local = node("h", { flags: HIDDEN_FULL | FLAG.NAME_ME });
    expect(() => acceptor({ local })).toThrowError(code("HANDSHAKE_OPTIONS_INVALID"));
  });
});
