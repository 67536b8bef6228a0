import { describe, expect, it } from "vitest";
import {
  decodeFromAcceptor,
  decodeFromInitiator,
  encodeAck,
  encodeChallenge,
  encodeComplement,
  encodeName,
  encodeNamed,
  encodeOldChallenge,
  encodeOldName,
  encodeReply,
  encodeStatus,
} from "../src/messages.ts";
import { recordings } from "./support/recorded.ts";

const digest = Buffer.from("00112233445566778899aabbccddeeff", "hex");
const malformed = expect.objectContaining({ code: "HANDSHAKE_MALFORMED" });

describe("messages", () => {
  it("of recordings are written as they were read", () => {
    for (const { frames } of recordings()) {
      for (const { from, bytes } of frames) {
        const message = from === "initiator" ? decodeFromInitiator(bytes) : decodeFromAcceptor(bytes);
        expect(encode(message)).toEqual(bytes);
      }
    }
  });

  function encode(
    message: ReturnType<typeof decodeFromInitiator> | ReturnType<typeof decodeFromAcceptor>,
  ): Buffer {
    switch (message.kind) {
      case "name":
        return message.old
          ? encodeOldName(message.flags, message.name)
          : encodeName(message.flags, message.creation, message.name);
      case "status":
        return encodeStatus(message.status);
      case "named":
        return encodeNamed(message.name, message.creation);
      case "challenge":
        return message.old
          ? encodeOldChallenge(message.flags, message.challenge, message.name)
          : encodeChallenge(message.flags, message.challenge, message.creation, message.name);
      case "complement":
        return encodeComplement(message.flags, message.creation);
      case "reply":
        return encodeReply(message.challenge, message.digest);
      case "ack":
        return encodeAck(message.digest);
    }
  }

  it("carry names in Latin-1, but a given name in UTF-8", () => {
    expect(encodeName(1n, 2, "é@h")).toEqual(Buffer.from("4e0000000000000001000000020003e94068", "hex"));
    expect(encodeNamed("é@h", 2)).toEqual(
      Buffer.concat([Buffer.from("snamed:"), Buffer.from("0004c3a940680000 0002".replace(" ", ""), "hex")]),
    );
    expect(decodeFromAcceptor(encodeNamed("é@h", 2))).toEqual({ kind: "named", name: "é@h", creation: 2 });
    expect(decodeFromInitiator(encodeName(1n, 2, "é@h"))).toMatchObject({ name: "é@h" });
  });

  it("carry all 64 bits of flags and 32 of numbers", () => {
    const flags = 0xfedcba9876543210n;
    expect(decodeFromAcceptor(encodeChallenge(flags, 0xffffffff, 0xfffffffe, "a@h"))).toEqual({
      kind: "challenge",
      old: false,
      flags,
      challenge: 0xffffffff,
      creation: 0xfffffffe,
      name: "a@h",
    });
    expect(decodeFromInitiator(encodeOldName(flags, "a@h"))).toMatchObject({
      flags: 0x76543210n,
      creation: 0,
    });
    expect(decodeFromInitiator(encodeComplement(flags, 9))).toEqual({
      kind: "complement",
      flags: 0xfedcba9800000000n,
      creation: 9,
    });
    expect(decodeFromAcceptor(encodeOldChallenge(flags, 7, "a@h"))).toMatchObject({
      flags: 0x76543210n,
      challenge: 7,
      old: true,
    });
  });

  it("with names may have bytes after them; those with digests may not", () => {
    const more = (frame: Buffer) => Buffer.concat([frame, Buffer.from("zzz")]);
    expect(decodeFromInitiator(more(encodeName(1n, 2, "a@h")))).toMatchObject({ name: "a@h" });
    expect(decodeFromAcceptor(more(encodeChallenge(1n, 2, 3, "a@h")))).toMatchObject({ name: "a@h" });
    expect(decodeFromAcceptor(more(encodeNamed("a@h", 3)))).toMatchObject({ name: "a@h" });
    expect(() => decodeFromInitiator(more(encodeReply(1, digest)))).toThrowError(malformed);
    expect(() => decodeFromInitiator(more(encodeComplement(1n, 1)))).toThrowError(malformed);
    expect(() => decodeFromAcceptor(more(encodeAck(digest)))).toThrowError(malformed);
    expect(() => decodeFromAcceptor(more(encodeStatus("ok")))).toThrowError(malformed);
  });

  it("cut off anywhere are refused", () => {
    const fromInitiator = [
      encodeName(1n, 2, "a@h"),
      encodeStatus("true"),
      encodeComplement(1n, 1),
      encodeReply(1, digest),
    ];
    const fromAcceptor = [
      encodeStatus("alive"),
      encodeNamed("a@h", 2),
      encodeChallenge(1n, 2, 3, "a@h"),
      encodeAck(digest),
    ];
    for (const whole of fromInitiator) {
      for (let n = 0; n < whole.length; n++) {
        expect(() => decodeFromInitiator(whole.subarray(0, n))).toThrowError(malformed);
      }
    }
    for (const whole of fromAcceptor) {
      for (let n = 0; n < whole.length; n++) {
        expect(() => decodeFromAcceptor(whole.subarray(0, n))).toThrowError(malformed);
      }
    }
    for (let n = 0; n < 8; n++) {
      expect(() => decodeFromInitiator(encodeOldName(1n, "a@h").subarray(0, n))).toThrowError(malformed);
    }
  });

  it("with other tags, statuses or overlong names are refused", () => {
    for (const text of [
      "",
      "x",
      "sOK",
      "sok ",
      "s",
      "strue",
      "snamed",
      "snamed:",
      "N",
      "n",
      "GET / HTTP/1.1",
    ]) {
      expect(() => decodeFromAcceptor(Buffer.from(text))).toThrowError(malformed);
    }
    for (const text of ["sok", "sTRUE", "a0123456789abcdef", "snamed:"]) {
      expect(() => decodeFromInitiator(Buffer.from(text))).toThrowError(malformed);
    }
    const name = "a".repeat(255);
    expect(decodeFromInitiator(encodeName(1n, 2, name))).toMatchObject({ name });
    expect(() => decodeFromInitiator(encodeName(1n, 2, `${name}b`))).toThrowError(malformed);
    expect(() => decodeFromInitiator(encodeOldName(1n, `${name}b`))).toThrowError(malformed);
    expect(() => decodeFromAcceptor(Buffer.from("snamed:\0\x02\xff\xfe\0\0\0\0", "latin1"))).toThrowError(
      malformed,
    );
  });
});
