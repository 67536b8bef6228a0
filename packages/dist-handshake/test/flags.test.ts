import {
  expandFlags,
  FLAG,
  flagNames,
  HIDDEN_FULL,
  HIDDEN_PASS_THROUGH,
  MANDATORY,
  MANDATORY_25,
  missingMandatory,
} from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";

// default words of real releases, as seen on the wire
const OTP_23 = 0x101df7fbdn;
const OTP_25 = 0xd07df7fbdn;
const OTP_29 = 0x6d07df7fbdn;

describe("flags", () => {
  it("are single bits, all different", () => {
    const bits = Object.values(FLAG);
    for (const bit of bits) expect(bit & (bit - 1n)).toBe(0n);
    expect(new Set(bits).size).toBe(bits.length);
  });

  it("give names to every bit of the words of real releases", () => {
    for (const word of [OTP_23, OTP_25, OTP_29]) {
      expect(flagNames(word).filter((name) => /^BIT_\d/.test(name))).toEqual([]);
    }
    expect(flagNames(OTP_29 & ~OTP_25)).toEqual(["ALTACT_SIG", "NATIVE_RECORDS"]);
    expect(flagNames(OTP_25 & ~OTP_23)).toEqual(["UNLINK_ID", "MANDATORY_25_DIGEST", "V4_NC", "ALIAS"]);
  });

  it("print unknown bits by number", () => {
    expect(flagNames((1n << 62n) | 0x8000n | FLAG.PUBLISHED)).toEqual(["PUBLISHED", "BIT_15", "BIT_62"]);
    expect(flagNames(0n)).toEqual([]);
  });

  it("a full hidden node is OTP 29 without PUBLISHED", () => {
    expect(HIDDEN_FULL).toBe(OTP_29 & ~FLAG.PUBLISHED);
  });

  it("a pass-through node has neither atom cache nor fragments, and all that any release demands", () => {
    expect(HIDDEN_PASS_THROUGH & (FLAG.DIST_HDR_ATOM_CACHE | FLAG.FRAGMENTS | FLAG.PUBLISHED)).toBe(0n);
    for (const since of [23, 25, 26] as const)
      expect(missingMandatory(HIDDEN_PASS_THROUGH, since)).toEqual([]);
    expect(HIDDEN_PASS_THROUGH & ~HIDDEN_FULL).toBe(0n);
  });

  it("releases accept each other or not as real ones do", () => {
    expect(missingMandatory(OTP_23, 25)).toEqual([]);
    expect(missingMandatory(OTP_23, 26)).toEqual(["UNLINK_ID", "V4_NC"]);
    expect(missingMandatory(OTP_25, 26)).toEqual([]);
    expect(missingMandatory(OTP_29, 23)).toEqual([]);
  });

  it("the shorthand passes OTP 25, not 26, and OTP 23 does not know it", () => {
    const shorthand = FLAG.MANDATORY_25_DIGEST;
    expect(expandFlags(shorthand)).toBe(shorthand | MANDATORY_25);
    expect(expandFlags(FLAG.SPAWN)).toBe(FLAG.SPAWN);
    expect(missingMandatory(shorthand)).toEqual([]);
    expect(missingMandatory(shorthand, 26)).toEqual(["UNLINK_ID", "V4_NC"]);
    expect(missingMandatory(shorthand, 23)).toEqual(flagNames(MANDATORY[23]));
  });
});
