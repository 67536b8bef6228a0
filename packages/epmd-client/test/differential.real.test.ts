import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EpmdServer } from "../src/embedded-server.ts";
import { encodeAlive2Request } from "../src/requests.ts";
import { startEpmdServer } from "../src/server.ts";
import { framed } from "./support/chunks.ts";
import { installedOtps, RealEpmd } from "./support/otp.ts";
import { RawPeer } from "./support/tcp.ts";

const ALIVE2 = 0x78;
const STEPS = 400;

/** Numbers that look random and are the same in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const NAMES = [
  "a",
  "b",
  "c",
  "gämma",
  "with space",
  "n".repeat(254),
  "n".repeat(255),
  "😀".repeat(255),
  "\ufeff",
];
const BAD_NAMES = [
  "",
  "fffe",
  "61c3",
  "eda080",
  "c181",
  "f4908080",
  "610062",
  "6e".repeat(256),
  "f09f9880".repeat(256),
];

/** One request with a length that fits: mostly right, often nearly right. */
function makeRequest(pick: (below: number) => number): Buffer {
  const good = NAMES[pick(NAMES.length)]!;
  const bad = Buffer.from(BAD_NAMES[pick(BAD_NAMES.length)]!, "hex");
  switch (pick(12)) {
    case 0:
    case 1:
    case 2: {
      const request = encodeAlive2Request({
        name: good,
        port: 1 + pick(65535),
        nodeType: pick(256),
        protocol: pick(256),
        highVersion: pick(8),
        lowVersion: pick(8),
        extra: Buffer.alloc(pick(4) === 0 ? 1020 : pick(5), 120),
      });
      return pick(6) === 0 ? framed(Buffer.concat([request.subarray(2), Buffer.alloc(pick(4))])) : request;
    }
    case 3: {
      const request = encodeAlive2Request({ name: "x", port: 5000, extra: Buffer.alloc(pick(3)) });
      const extra = Buffer.alloc(pick(2) === 0 ? pick(3) : 1021, 121);
      const lengths = Buffer.alloc(2);
      lengths.writeUInt16BE(bad.length + (pick(8) === 0 ? 1 : 0));
      const extraLength = Buffer.alloc(2);
      extraLength.writeUInt16BE(extra.length + (pick(8) === 0 ? 1 : 0));
      return framed(Buffer.concat([request.subarray(2, 11), lengths, bad, extraLength, extra]));
    }
    case 4:
    case 5:
    case 6:
      return framed(`z${good}${"\0".repeat(pick(3) === 0 ? pick(3) : 0)}`);
    case 7:
      return framed(Buffer.concat([Buffer.from(pick(2) === 0 ? "z" : "s"), bad]));
    case 8:
      return framed(pick(2) === 0 ? "n" : "nx");
    case 9:
      return framed("d");
    case 10:
      return framed(pick(2) === 0 ? "k" : `s${good}`);
    default:
      return framed(Buffer.from([pick(256), pick(256), pick(256)]).subarray(0, pick(4)));
  }
}

/** Without what must differ: creations, file descriptors, the epmd's own port. */
function masked(tag: number | undefined, reply: Buffer): string {
  if (tag === ALIVE2 && reply[1] === 0)
    return `${String.fromCharCode(reply[0]!)} granted, ${reply.length} bytes`;
  const text = reply.toString("latin1");
  if (tag === 0x6e || tag === 0x64) return text.slice(4).replaceAll(/fd = \d+/g, "fd = N");
  return text;
}

/** One server, ours or the real one, and the connections that it keeps open. */
class Subject {
  readonly #port: number;
  readonly held: RawPeer[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  async ask(request: Buffer, chunks: readonly Buffer[] = [request]): Promise<string> {
    const peer = await RawPeer.connect(this.#port);
    for (const chunk of chunks) peer.send(chunk);
    const tag = request[2];
    const reply = tag === ALIVE2 ? await peer.receive(request[8]! >= 6 ? 6 : 4) : await peer.all();
    if (tag === ALIVE2 && reply.length > 0) this.held.push(peer);
    const port = (tag === 0x6e || tag === 0x64) && reply.length >= 4 ? reply.readUInt32BE(0) : this.#port;
    return `${masked(tag, reply)}, port ${port === this.#port ? "right" : "wrong"}`;
  }

  /** Ends a kept connection, by its end or by a byte, and waits until the server has closed it too. */
  async release(index: number, byte: boolean): Promise<void> {
    const [peer] = this.held.splice(index, 1);
    if (byte) peer!.send(Buffer.of(0));
    else peer!.socket.end();
    await peer!.closed;
  }

  async close(): Promise<void> {
    for (const peer of this.held) await peer.close();
  }
}

describe.each(installedOtps())("our server and epmd of OTP $release answer alike", (otp) => {
  describe.each([1, 2, 3])("sequence %i", (seed) => {
    let real: RealEpmd;
    let server: EpmdServer;
    let theirs: Subject;
    let ours: Subject;

    beforeAll(async () => {
      real = await RealEpmd.start(otp);
      server = await startEpmdServer({ port: 0, relaxedCommandCheck: false });
      theirs = new Subject(real.port);
      ours = new Subject(server.port);
    });
    afterAll(async () => {
      await theirs?.close();
      await ours?.close();
      await server?.close();
      await real?.stop();
    });

    it("to everything", async () => {
      const pick = generator(seed * 7919);
      const outcomes = new Set<string>();
      // One node that stays, so that KILL is refused.
      const anchor = encodeAlive2Request({ name: "anchor", port: 1 });
      expect(await ours.ask(anchor)).toBe(await theirs.ask(anchor));
      for (let i = 0; i < STEPS; i++) {
        if (pick(5) === 0 && ours.held.length > 1) {
          const index = 1 + pick(ours.held.length - 1);
          const byte = pick(3) === 0;
          await ours.release(index, byte);
          await theirs.release(index, byte);
          continue;
        }
        const request = makeRequest(pick);
        const trailing = pick(20) === 0 ? Buffer.concat([request, Buffer.of(0)]) : request;
        const answer = await theirs.ask(trailing);
        expect(await ours.ask(trailing), `step ${i}: ${trailing.toString("hex")}`).toBe(answer);
        outcomes.add(answer.slice(0, 2));
      }
      // The sequence has reached every kind of answer: granted, refused, found, unknown, lists, refusal, silence.
      expect(outcomes.size).toBeGreaterThan(8);
    });
  });
});
