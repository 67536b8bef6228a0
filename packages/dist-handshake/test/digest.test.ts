import { createHash } from "node:crypto";
import { Cookie, digest } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";
import { matchingCookie } from "../src/digest.ts";
import { RECORDED_COOKIE, recordings } from "./support/recorded.ts";

describe("digest", () => {
  it("is what recorded nodes have sent", () => {
    let compared = 0;
    const cookie = Cookie.of(RECORDED_COOKIE);
    for (const { frames } of recordings()) {
      const challenge = frames.find(({ from, bytes }) => from === "acceptor" && bytes[0] === 0x4e)?.bytes;
      const reply = frames.find(({ bytes }) => bytes[0] === 0x72)?.bytes;
      const ack = frames.find(({ bytes }) => bytes[0] === 0x61)?.bytes;
      if (challenge === undefined || reply === undefined || ack === undefined) continue;
      expect(digest(challenge.readUInt32BE(9), cookie)).toEqual(reply.subarray(5));
      expect(digest(reply.readUInt32BE(1), cookie)).toEqual(ack.subarray(1));
      compared++;
    }
    expect(compared).toBeGreaterThan(8);
  });

  it("writes the challenge as unsigned decimal and the cookie as Latin-1", () => {
    const expected = createHash("md5")
      .update(Buffer.from([0xe9, 0xff]))
      .update("4294967295")
      .digest();
    expect(digest(0xffffffff, Cookie.of("éÿ"))).toEqual(expected);
    expect(digest(0, Cookie.of("c"))).toEqual(createHash("md5").update("c0").digest());
  });

  it("finds the cookie that fits among several", () => {
    const [old, current] = [Cookie.of("old"), Cookie.of("current")];
    expect(matchingCookie(5, [old, current], digest(5, current))).toBe(current);
    expect(matchingCookie(5, [old, current], digest(5, old))).toBe(old);
    expect(matchingCookie(5, [old, current], digest(6, old))).toBeUndefined();
    expect(matchingCookie(5, [], digest(5, old))).toBeUndefined();
  });
});
