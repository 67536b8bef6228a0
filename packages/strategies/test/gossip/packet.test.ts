import { createCipheriv } from "node:crypto";
import { atom, encode, type Term, tuple } from "@isthmus/etf";
import { isNodeName } from "@isthmus/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeGossipPacket,
  encodeHeartbeat,
  encryptHeartbeat,
  type GossipPacket,
  gossipKey,
} from "../../src/gossip/packet.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
const PRELUDE = Buffer.from("heartbeat::");
const SELF = "me@127.0.0.1";
const packet = (term: Parameters<typeof encode>[0], options?: Parameters<typeof encode>[1]): Buffer =>
  Buffer.concat([PRELUDE, encode(term, options)]);
const node = (name: string) => new Map([[atom("node"), atom(name)]]);

// written by libcluster 3.x on Erlang/OTP 25 and by OTP 26 and later, for the node a@127.0.0.1
const PLAIN_26 = hex("6865617274626561743a3a 83 74 00000001 77 04 6e6f6465 77 0b 61403132372e302e302e31");
const PLAIN_25 = hex("6865617274626561743a3a 83 74 00000001 64 0004 6e6f6465 64 000b 61403132372e302e302e31");
const SECRET = "somepassword";
const IV = hex("000102030405060708090a0b0c0d0e0f");
const ENCRYPTED = hex(`000102030405060708090a0b0c0d0e0f
  0293fcf646d248542d82eea283216c73c7370123217699486aae4f07a44089035b732433424c8511568cd5507173456a`);
const KEY = gossipKey(SECRET);

describe("what libcluster sends", () => {
  it("is what we send, byte for byte", () => {
    expect(encodeHeartbeat("a@127.0.0.1")).toEqual(PLAIN_26);
    expect(KEY).toEqual(hex("42a9798b99d4afcec9995e47a1d246b98ebc96be7a732323eee39d924006ee1d"));
    expect(encryptHeartbeat(PLAIN_26, KEY, IV)).toEqual(ENCRYPTED);
  });

  it.each([
    ["of OTP 26 and later", PLAIN_26, undefined],
    ["of OTP 25 and before", PLAIN_25, undefined],
    ["with a secret", ENCRYPTED, KEY],
    ["of OTP 25 with a secret", encryptHeartbeat(PLAIN_25, KEY), KEY],
  ])("is understood: %s", (_, bytes, key) => {
    expect(decodeGossipPacket(bytes, SELF, key)).toEqual({ kind: "heartbeat", node: "a@127.0.0.1" });
    expect(decodeGossipPacket(bytes, "a@127.0.0.1", key)).toEqual({ kind: "own" });
  });
});

describe("a packet", () => {
  const heartbeat = (name: string): GossipPacket => ({ kind: "heartbeat", node: name });

  it("is encrypted with another vector each time", () => {
    const [one, two] = [encryptHeartbeat(PLAIN_26, KEY), encryptHeartbeat(PLAIN_26, KEY)];
    expect(one.subarray(0, 16)).not.toEqual(two.subarray(0, 16));
    expect(one.subarray(16)).not.toEqual(two.subarray(16));
  });

  it("may have atoms in any form that Erlang had, and be compressed", () => {
    const atoms = ["64 0004 6e6f6465", "73 04 6e6f6465", "76 0004 6e6f6465", "77 04 6e6f6465"];
    for (const key of atoms) {
      const bytes = Buffer.concat([PRELUDE, hex(`83 74 00000001 ${key} 73 03 614068`)]);
      expect(decodeGossipPacket(bytes, SELF), key).toEqual(heartbeat("a@h"));
    }
    const long = `${"a".repeat(200)}@h`;
    expect(decodeGossipPacket(packet(node(long), { compressed: 9 }), SELF)).toEqual(heartbeat(long));
  });

  it("may name any node: Unicode, 255 characters, further entries", () => {
    for (const name of ["zażółć@h", `${"ż".repeat(253)}@h`]) {
      expect(decodeGossipPacket(encodeHeartbeat(name), SELF)).toEqual(heartbeat(name));
      expect(decodeGossipPacket(encryptHeartbeat(encodeHeartbeat(name), KEY), SELF, KEY)).toEqual(
        heartbeat(name),
      );
    }
    const more = new Map<Term, Term>([...node("a@h"), [atom("zone"), Buffer.from("b")]]);
    expect(decodeGossipPacket(packet(more), SELF)).toEqual(heartbeat("a@h"));
  });

  it.each<[string, Buffer]>([
    ["nothing after the prelude", PRELUDE],
    ["no term", Buffer.concat([PRELUDE, hex("83")])],
    ["another version", Buffer.concat([PRELUDE, hex("82 6a")])],
    ["no map", packet(tuple(atom("node"), atom("a@h")))],
    ["no node in it", packet(new Map([[atom("nodes"), atom("a@h")]]))],
    ["a node as text", packet(new Map([[atom("node"), "a@h"]]))],
    ["a node as true", packet(new Map([[atom("node"), true]]))],
    ["a node without host", packet(node("a"))],
    ["a node with a slash", packet(node("a@h/x"))],
    ["a node with a line feed", packet(node("a@h\n"))],
    ["bytes after the term", Buffer.concat([encodeHeartbeat("a@h"), hex("00")])],
    ["a term cut off", encodeHeartbeat("a@h").subarray(0, -1)],
    ["a map that says it is huge", Buffer.concat([PRELUDE, hex("83 74 ffffffff")])],
    ["a list that says it is huge", Buffer.concat([PRELUDE, hex("83 6c 7fffffff")])],
    ["zlib data that says it is huge", Buffer.concat([PRELUDE, hex("83 50 ffffffff 789c")])],
    ["a zlib bomb", packet(Buffer.alloc(10_000_000), { compressed: 9 })],
    ["deep nesting", Buffer.concat([PRELUDE, hex("83"), Buffer.alloc(60_000, hex("6801"))])],
  ])("is malformed with %s", (_, bytes) => {
    expect(decodeGossipPacket(bytes, SELF)).toEqual({ kind: "malformed" });
    expect(decodeGossipPacket(encryptHeartbeat(bytes, KEY), SELF, KEY)).toEqual({ kind: "malformed" });
  });

  it("is foreign without the prelude, encrypted for whom has no secret, plain for whom has one", () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from("heartbeat:"), Buffer.from("M-SEARCH *"), ENCRYPTED])
      expect(decodeGossipPacket(bytes, SELF)).toEqual({ kind: "foreign" });
    expect(decodeGossipPacket(PLAIN_26, SELF, KEY)).toEqual({ kind: "foreign" });
  });

  it("is not opened by another secret, nor when it is cut, damaged, or something else encrypted", () => {
    const cannot = { kind: "undecryptable" };
    expect(decodeGossipPacket(ENCRYPTED, SELF, gossipKey("other"))).toEqual(cannot);
    for (let length = 0; length < ENCRYPTED.length; length++)
      expect(decodeGossipPacket(ENCRYPTED.subarray(0, length), SELF, KEY)).toEqual(cannot);
    expect(decodeGossipPacket(encryptHeartbeat(Buffer.from("hello"), KEY), SELF, KEY)).toEqual(cannot);
    expect(decodeGossipPacket(encryptHeartbeat(Buffer.alloc(0), KEY), SELF, KEY)).toEqual(cannot);
    for (const last of [0, 17, 255]) {
      const cipher = createCipheriv("aes-256-cbc", KEY, IV).setAutoPadding(false);
      const block = Buffer.concat([PRELUDE, Buffer.alloc(4), Buffer.from([last])]);
      expect(decodeGossipPacket(Buffer.concat([IV, cipher.update(block)]), SELF, KEY)).toEqual(cannot);
    }
  });

  it("never throws, and never names what is no node name", () => {
    const term = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.nat(PLAIN_25.length - 1), fc.nat(255))
        .map(([at, byte]) => Buffer.from(PLAIN_25.with(at, byte))),
      fc.string().map((name) => Buffer.concat([PLAIN_26.subarray(0, 23), Buffer.from(name)])),
    );
    fc.assert(
      fc.property(term, fc.boolean(), fc.boolean(), (bytes, withPrelude, encrypted) => {
        const plain = withPrelude ? Buffer.concat([PRELUDE, bytes]) : bytes;
        const found = encrypted
          ? decodeGossipPacket(encryptHeartbeat(plain, KEY), SELF, KEY)
          : decodeGossipPacket(plain, SELF);
        if (found.kind === "heartbeat") expect(isNodeName(found.node)).toBe(true);
        decodeGossipPacket(plain, SELF, KEY);
      }),
      { numRuns: 20_000 },
    );
  });
});
