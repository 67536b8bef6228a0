import { AcceptorHandshake, Cookie, FLAG, InitiatorHandshake, MANDATORY } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";
import { decodeFromAcceptor, decodeFromInitiator } from "../src/messages.ts";
import { RECORDED_COOKIE, type Recording, recording, recordings } from "./support/recorded.ts";

const cookies = [Cookie.of(RECORDED_COOKIE)];
const complete = recordings().filter(({ name }) => name !== "v23-v27-rejected");

/** What the two recorded nodes said about themselves. */
function facts({ frames }: Recording) {
  const said = frames.map(({ from, bytes }) =>
    from === "initiator" ? decodeFromInitiator(bytes) : decodeFromAcceptor(bytes),
  );
  const find = <K extends (typeof said)[number]["kind"]>(kind: K) =>
    said.find((message): message is Extract<(typeof said)[number], { kind: K }> => message.kind === kind);
  const name = find("name")!;
  const complement = find("complement");
  return {
    name: {
      ...name,
      creation: complement?.creation ?? name.creation,
      flags: name.flags | (complement?.flags ?? 0n),
    },
    challenge: find("challenge")!,
    reply: find("reply")!,
    named: find("named"),
  };
}

describe("our machines in the place of recorded nodes", () => {
  it.each(complete)("initiator of $name", (recorded) => {
    const { name, challenge, reply, named } = facts(recorded);
    const machine = new InitiatorHandshake({
      local: { name: name.name, creation: name.creation, flags: name.flags, cookies },
      peer: challenge.name,
      random: () => reply.challenge,
      epmdHighVersion: name.old ? 5 : 6,
    });
    const written = [...machine.start().write];
    for (const { from, bytes } of recorded.frames) {
      if (from === "acceptor") written.push(...machine.receive(bytes).write);
    }
    expect(written.map(hex)).toEqual(frames(recorded, "initiator"));
    expect(machine.state).toMatchObject({
      kind: "done",
      outcome: {
        peer: challenge.name,
        peerCreation: challenge.creation,
        flags: name.flags & challenge.flags,
        localName: named?.name ?? name.name,
        localCreation: named?.creation ?? name.creation,
        hidden: (name.flags & challenge.flags & 1n) === 0n,
        version: 6,
        replacesOld: false,
      },
    });
  });

  it.each(complete)("acceptor of $name", (recorded) => {
    const { name, challenge, named } = facts(recorded);
    const machine = new AcceptorHandshake({
      local: {
        name: challenge.name,
        creation: challenge.creation,
        // a node that gives a name adds this flag by itself
        flags: challenge.flags & ~FLAG.NAME_ME,
        cookies,
      },
      random: () => challenge.challenge,
      decide: () => (named === undefined ? "ok" : { named: named.name, creation: named.creation }),
    });
    const written = [...machine.start().write];
    for (const { from, bytes } of recorded.frames) {
      if (from === "initiator") written.push(...machine.receive(bytes).write);
    }
    expect(written.map(hex)).toEqual(frames(recorded, "acceptor"));
    expect(machine.state).toMatchObject({
      kind: "done",
      outcome: {
        peer: named?.name ?? name.name,
        peerCreation: named?.creation ?? name.creation,
        flags: name.flags & challenge.flags,
        localName: challenge.name,
        localCreation: challenge.creation,
        hidden: (name.flags & challenge.flags & 1n) === 0n,
      },
    });
  });
});

describe("OTP 27 refusing OTP 23", () => {
  const recorded = recording("v23-v27-rejected");
  const name = decodeFromInitiator(recorded.frames[0]!.bytes);
  if (name.kind !== "name") throw new Error("The recording does not begin with a name.");

  it("is done with the same bytes by us when the flags of OTP 26 are required", () => {
    const machine = new AcceptorHandshake({
      local: { name: "b@h", creation: 1, flags: MANDATORY[26], cookies },
      random: () => 1,
      decide: () => "ok",
      required: MANDATORY[26],
    });
    machine.start();
    const step = machine.receive(recorded.frames[0]!.bytes);
    expect(step.write.map(hex)).toEqual(frames(recorded, "acceptor"));
    expect(step.error).toMatchObject({
      code: "HANDSHAKE_FLAGS_REJECTED",
      context: { missing: ["UNLINK_ID", "V4_NC"] },
    });
  });

  it("is understood: the message names the flags", () => {
    const machine = new InitiatorHandshake({
      local: { name: name.name, creation: name.creation, flags: name.flags, cookies },
      peer: "b@h",
      random: () => 1,
    });
    expect(machine.start().write.map(hex)).toEqual(frames(recorded, "initiator"));
    const { error } = machine.receive(recorded.frames[1]!.bytes);
    expect(error?.code).toBe("HANDSHAKE_FLAGS_REJECTED");
    expect(error?.message).toContain("UNLINK_ID, V4_NC");
  });
});

function hex(bytes: Buffer): string {
  return bytes.toString("hex");
}

function frames(recorded: Recording, from: "initiator" | "acceptor"): string[] {
  return recorded.frames.filter((frame) => frame.from === from).map(({ bytes }) => hex(bytes));
}
