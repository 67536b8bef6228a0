import { describe, expect, it } from "vitest";
import {
  decodeRequest,
  encodeAlive2Request,
  encodeDumpRequest,
  encodeKillRequest,
  encodeNamesRequest,
  encodePort2Request,
  encodeStopRequest,
  MAX_REQUEST_BYTES,
} from "../src/requests.ts";
import { codeOf } from "./support/code.ts";

const hex = (bytes: Buffer) => bytes.toString("hex");
const alive2 = (tail: string) => Buffer.from(`7813894d0000060005${tail}`, "hex");

describe("requests", () => {
  it("are the bytes that a BEAM sends", () => {
    const normal = { name: "alpha", port: 5001, nodeType: "normal", highVersion: 6, lowVersion: 5 } as const;
    expect(hex(encodeAlive2Request(normal))).toBe("00127813894d00000600050005616c7068610000");
    const hidden = { name: "gämma", port: 5004, lowVersion: 6, extra: Buffer.from("xtra") };
    expect(hex(encodeAlive2Request(hidden))).toBe("001778138c480000060006000667c3a46d6d61000478747261");
    expect(hex(encodePort2Request("alpha"))).toBe("00067a616c706861");
    expect(hex(encodeNamesRequest())).toBe("00016e");
    expect(hex(encodeDumpRequest())).toBe("000164");
    expect(hex(encodeKillRequest())).toBe("00016b");
    expect(hex(encodeStopRequest("alpha"))).toBe("000673616c706861");
  });

  it("are read back", () => {
    const extra = Buffer.from([0, 1, 255]);
    const request = encodeAlive2Request({ name: "ü", port: 65535, nodeType: 7, protocol: 2, extra });
    expect(decodeRequest(request.subarray(2))).toEqual({
      type: "alive2",
      name: Buffer.from("ü"),
      port: 65535,
      nodeType: 7,
      protocol: 2,
      highVersion: 6,
      lowVersion: 5,
      extra,
    });
    expect(decodeRequest(encodePort2Request("a").subarray(2))).toEqual({
      type: "port2",
      name: Buffer.from("a"),
    });
    expect(decodeRequest(encodeStopRequest("a").subarray(2))).toEqual({
      type: "stop",
      name: Buffer.from("a"),
    });
    expect(decodeRequest(encodeNamesRequest().subarray(2))).toEqual({ type: "names" });
    expect(decodeRequest(encodeDumpRequest().subarray(2))).toEqual({ type: "dump" });
    expect(decodeRequest(encodeKillRequest().subarray(2))).toEqual({ type: "kill" });
  });

  it.each(["", "a\0b", "a@b", "n".repeat(256), "\ud800"])("are not made for the name %j", (name) => {
    expect(codeOf(() => encodePort2Request(name))).toBe("EPMD_NAME_INVALID");
    expect(codeOf(() => encodeStopRequest(name))).toBe("EPMD_NAME_INVALID");
    expect(codeOf(() => encodeAlive2Request({ name, port: 1 }))).toBe("EPMD_NAME_INVALID");
  });

  it("take the longest name, in characters and in bytes", () => {
    expect(encodePort2Request("n".repeat(255))).toHaveLength(258);
    expect(encodePort2Request("😀".repeat(255))).toHaveLength(1023);
    expect(codeOf(() => encodePort2Request("😀".repeat(256)))).toBe("EPMD_NAME_INVALID");
    const longest = { name: "😀".repeat(255), port: 1, extra: Buffer.alloc(1020) };
    expect(encodeAlive2Request(longest).length - 2).toBeLessThanOrEqual(MAX_REQUEST_BYTES);
  });

  it.each([
    { port: 0 },
    { port: 65536 },
    { port: 1.5 },
    { port: 1, nodeType: 256 },
    { port: 1, protocol: -1 },
    { port: 1, highVersion: 65536 },
    { port: 1, lowVersion: Number.NaN },
  ])("are not made of %j", (fields) => {
    expect(codeOf(() => encodeAlive2Request({ name: "a", ...fields }))).toBe("EPMD_OPTIONS_INVALID");
  });

  it("are not made of an extra of more than 1020 bytes", () => {
    const fields = { name: "a", port: 1, extra: Buffer.alloc(1021) };
    expect(codeOf(() => encodeAlive2Request(fields))).toBe("EPMD_OPTIONS_INVALID");
  });
});

describe("decodeRequest", () => {
  it.each([
    ["an empty body", Buffer.alloc(0)],
    ["an unknown tag", Buffer.from("?")],
    ["the ALIVE of old", Buffer.from("61010278", "hex")],
    ["ALIVE2 with an empty name and nothing else", alive2("00000000")],
    ["ALIVE2 whose name is longer than the body", alive2("000361620000")],
    ["ALIVE2 whose extra is longer than the body", alive2("0001610001")],
    ["ALIVE2 with a NUL in its name", alive2("00026100" + "0000")],
    ["PORT2 without a name", Buffer.from("z")],
    ["PORT2 with nothing but a NUL", Buffer.from("z\0")],
    ["PORT2 with two NULs", Buffer.from("za\0\0")],
    ["PORT2 with a NUL inside", Buffer.from("za\0b")],
    ["STOP without a name", Buffer.from("s")],
  ])("refuses %s", (_, body) => {
    expect(codeOf(() => decodeRequest(body))).toBe("EPMD_REQUEST_MALFORMED");
  });

  it("takes what epmd takes", () => {
    expect(decodeRequest(alive2("0000" + "000178"))).toMatchObject({
      name: Buffer.alloc(0),
      extra: Buffer.from("x"),
    });
    expect(decodeRequest(alive2("000161" + "0000" + "787878"))).toMatchObject({ name: Buffer.from("a") });
    expect(decodeRequest(Buffer.from("za\0"))).toEqual({ type: "port2", name: Buffer.from("a") });
    expect(decodeRequest(Buffer.from("sa\0b"))).toEqual({ type: "stop", name: Buffer.from("a") });
    expect(decodeRequest(Buffer.from("s\0"))).toEqual({ type: "stop", name: Buffer.alloc(0) });
    expect(decodeRequest(Buffer.from("nabc"))).toEqual({ type: "names" });
  });
});
