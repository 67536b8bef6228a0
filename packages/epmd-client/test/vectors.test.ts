import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EpmdServer } from "../src/embedded-server.ts";
import {
  alive2Format,
  dumpFormat,
  killFormat,
  namesFormat,
  port2Format,
  type ReplyFormat,
  ReplyReader,
  stopFormat,
} from "../src/reply-reader.ts";
import { decodeRequest } from "../src/requests.ts";
import { startEpmdServer } from "../src/server.ts";
import { cuts } from "./support/chunks.ts";
import { RawPeer } from "./support/tcp.ts";

/** One exchange with the epmd of some releases, recorded from the wire. */
interface Recorded {
  readonly otp: number[];
  readonly relaxed: boolean;
  readonly what: string;
  readonly req?: string;
  readonly resp?: string;
  readonly server_closed?: boolean;
  readonly closed?: boolean;
}

const file = new URL("../../../test/vectors/epmd.json", import.meta.url);
const recorded = JSON.parse(readFileSync(file, "utf8")) as Recorded[];
const ALIVE2 = 0x78;

/** The file has NAMES once per release, at the place where they were asked only for the first. */
function sessionOf(otp: number): Recorded[] {
  const names = recorded.filter(({ what }) => what === "NAMES");
  const own = names.find((entry) => entry.otp.includes(otp))!;
  return recorded
    .filter((entry) => entry === names[0] || (entry.otp.includes(otp) && entry !== own))
    .map((entry) => (entry === names[0] ? own : entry));
}

/** Creations and the epmd's own port and file descriptors differ from run to run. */
function masked(tag: number, reply: Buffer): string {
  if (reply.length === 0) return "";
  if (tag === ALIVE2 && reply[1] === 0) return `${reply.toString("hex", 0, 2)}, ${reply.length} bytes`;
  const text = reply.toString("latin1");
  if (tag === 0x6e || tag === 0x64) return text.slice(4).replaceAll(/fd = \d+/g, "fd = N");
  return text;
}

describe.each([23, 25, 27, 29])("what epmd of OTP %i did, our server does", (otp) => {
  describe.each([false, true])("relaxed: %s", (relaxed) => {
    const session = sessionOf(otp).filter((entry) => entry.relaxed === relaxed);
    const open = new Map<string, RawPeer>();
    const creations: number[] = [];
    let server: EpmdServer;

    beforeAll(async () => {
      server = await startEpmdServer({ port: 0, relaxedCommandCheck: relaxed });
      // The recording began with a node that the relaxed session stops.
      if (relaxed) {
        const alpha = await RawPeer.connect(server.port);
        alpha.send(Buffer.from("00127813894d00000600050005616c7068610000", "hex"));
        await alpha.receive(6);
        open.set("alpha", alpha);
      }
    });
    afterAll(async () => {
      for (const peer of open.values()) await peer.close();
      await server.close();
    });

    it("has a session to replay", () => expect(session.length).toBeGreaterThan(3));

    it.each(session)("$what", async (entry) => {
      if (entry.closed === true) {
        await open.get("alpha")!.closed;
        return;
      }
      const request = Buffer.from(entry.req!, "hex");
      const expected = Buffer.from(entry.resp!, "hex");
      const tag = request[2] ?? 0;
      if (entry.what.includes("after the alive socket closed")) {
        await open.get("alpha")!.close();
        await expect.poll(() => server.names().map(({ name }) => name)).not.toContain("alpha");
      }
      const peer = await RawPeer.connect(server.port);
      peer.send(request);
      const reply = entry.server_closed ? await peer.all() : await peer.receive(expected.length);
      expect(masked(tag, reply)).toBe(masked(tag, expected));
      if (entry.server_closed) {
        if (tag === 0x6e && reply.length > 0) expect(reply.readUInt32BE(0)).toBe(server.port);
        return;
      }
      expect(peer.socket.closed).toBe(false);
      const name = decodeRequest(request.subarray(2));
      if (name.type !== "alive2") throw new Error("Only ALIVE2 leaves the connection open.");
      if (reply[1] !== 0) {
        await peer.close();
        return;
      }
      open.set(name.name.toString(), peer);
      if (name.name.toString() === "alpha") creations.push(reply.readUInt32BE(2));
      if (entry.what.includes("previous + 1")) expect(creations[1]).toBe(creations[0]! + 1);
    });
  });
});

describe("what epmd answered, our decoders read", () => {
  const formats: Record<number, ReplyFormat<unknown>> = {
    120: alive2Format,
    122: port2Format,
    110: namesFormat,
    100: dumpFormat,
    107: killFormat,
    115: stopFormat,
  };
  const creation = { ok: true, creation: expect.any(Number) };
  const refused = { ok: false, result: 1 };
  const common = { nodeType: "normal", protocol: 0, highVersion: 6, lowVersion: 5, extra: Buffer.alloc(0) };
  const alpha = { ...common, name: "alpha", port: 5001 };
  const nodes = [
    { name: "n".repeat(255), port: 5006 },
    { name: "gämma", port: 5004 },
    { name: "beta", port: 5003 },
    { name: "alpha", port: 5001 },
  ];
  const names = { epmdPort: expect.any(Number), nodes };
  const entries = nodes.map((node) => ({ ...node, active: true, fd: expect.any(Number) }));
  const gamma = {
    ...common,
    name: "gämma",
    port: 5004,
    nodeType: "hidden",
    lowVersion: 6,
    extra: Buffer.from("xtra"),
  };
  const expected: Record<string, unknown> = {
    "ALIVE2 v6 ok (creation varies)": { ok: true, creation: 0x6b01270c },
    "ALIVE2 same name again: result 1, creation 99, socket left open": refused,
    "ALIVE2 highest version 5: short reply y": { ok: true, creation: 2 },
    "ALIVE2 hidden type 72 with extra": creation,
    "ALIVE2 name of 255 chars": creation,
    "ALIVE2 name of 256 chars": refused,
    "ALIVE2 invalid utf8 name": refused,
    "PORT2 alpha": alpha,
    "PORT2 with trailing NUL": alpha,
    "PORT2 utf8 name, hidden, extra": gamma,
    "PORT2 unknown": undefined,
    NAMES: names,
    DUMP: { epmdPort: expect.any(Number), entries },
    "KILL with live nodes": false,
    "PORT2 after the alive socket closed": undefined,
    "ALIVE2 again: creation = previous + 1": { ok: true, creation: 0x6b01270d },
    "STOP unknown name": false,
    "STOP alpha": true,
    "KILL relaxed": true,
  };
  const answered = recorded.filter(({ resp }) => resp !== undefined && resp !== "");

  it("covers all of it", () => {
    expect(new Set(answered.map(({ what }) => what))).toEqual(new Set(Object.keys(expected)));
  });

  it.each(answered)("$what, OTP $otp", ({ req, resp, what }) => {
    const bytes = Buffer.from(resp!, "hex");
    for (const { chunks } of cuts(bytes)) {
      const reader = new ReplyReader(formats[Buffer.from(req!, "hex")[2]!]!);
      let given: { reply: unknown } | undefined;
      for (const chunk of chunks) given = reader.push(chunk);
      expect(given ?? reader.end()).toEqual({ reply: expected[what] });
    }
  });
});
