import { FLAG } from "@isthmus/dist-handshake";
import { isIsthmusError } from "@isthmus/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bridgeError } from "../../src/errors.ts";
import { BRIDGE_FLAGS } from "../../src/membership.ts";
import {
  decodeHello,
  decodeVerdict,
  encodeAccept,
  encodeHello,
  encodeRefuse,
  isRefusal,
} from "../../src/sites/greeting.ts";
import { encodeMessage } from "../../src/trunk/codec.ts";
import { PAIR, THEIRS } from "./two-joints.ts";

const ours = { creation: 0xfffffffe, flags: BRIDGE_FLAGS };

describe("the greeting of two bridges", () => {
  it("says what the other needs to know", () => {
    expect(decodeHello(encodeHello(THEIRS, ours), PAIR)).toEqual(ours);
    expect(() => decodeVerdict(encodeAccept())).not.toThrow();
  });

  it("refuses other versions, and says which", () => {
    expect(() => decodeHello(encodeMessage(1, 2, 0, { anything: 1 }), PAIR)).toThrow(
      expect.objectContaining({ code: "FAR_CLUSTER_VERSION", message: expect.stringContaining("version 2") }),
    );
    // what a later minor version adds is ignored
    const flags = Buffer.alloc(8);
    flags.writeBigUInt64BE(BRIDGE_FLAGS);
    const map = { node: PAIR.peer, peer: PAIR.node, creation: 7, flags, more: [1] };
    expect(decodeHello(encodeMessage(1, 1, 9, map, "more"), PAIR).creation).toBe(7);
  });

  it.each<[string, Buffer]>([
    ["the hello of another pair", encodeHello(PAIR, ours)],
    ["no flags of a bridge", encodeHello(THEIRS, { ...ours, flags: BRIDGE_FLAGS & ~FLAG.BRIDGE })],
    ["flags that no node has", encodeHello(THEIRS, { ...ours, flags: FLAG.BRIDGE })],
    ["a creation that none is", encodeHello(THEIRS, { ...ours, creation: 0 })],
    ["nothing", Buffer.alloc(0)],
    ["an answer", encodeAccept()],
    ["no map", encodeMessage(1, 1, 0, "map")],
    ["bytes", Buffer.alloc(100, 0xc1)],
  ])("takes no %s for a hello", (_what, message) => {
    expect(() => decodeHello(message, PAIR)).toThrow(expect.objectContaining({ code: "TRUNK_PROTOCOL" }));
  });

  it("a refusal comes with its reason, and nothing that could disturb a log", () => {
    const version = encodeRefuse(bridgeError("FAR_CLUSTER_VERSION", "Too old."));
    expect(isRefusal(version)).toBe(true);
    expect(() => decodeVerdict(version)).toThrow(
      expect.objectContaining({ code: "FAR_CLUSTER_VERSION", message: expect.stringContaining("Too old.") }),
    );
    const strange = encodeMessage(3, "WHATEVER", "a\nb");
    for (const read of [() => decodeVerdict(strange), () => decodeHello(strange, PAIR)])
      expect(read).toThrow(
        expect.objectContaining({ code: "FAR_CLUSTER_REFUSED", message: expect.not.stringContaining("\n") }),
      );
  });

  it("any bytes at all are answered by an error with a code", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [decodeHello, decodeVerdict]) {
          try {
            read(Buffer.from(bytes), PAIR);
          } catch (error) {
            if (!isIsthmusError(error)) throw error;
          }
        }
        isRefusal(Buffer.from(bytes));
      }),
    );
  });
});
