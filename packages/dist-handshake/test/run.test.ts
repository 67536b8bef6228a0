import { connect, createServer, type Socket } from "node:net";
import { Cookie, HIDDEN_FULL, runAcceptor, runInitiator } from "@isthmus/dist-handshake";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { decodeFromAcceptor, decodeFromInitiator, encodeName, encodeStatus } from "../src/messages.ts";
import { node } from "./support/nodes.ts";
import { RECORDED_COOKIE, recording } from "./support/recorded.ts";
import { framed, pieces, settle, WireDuplex } from "./support/wire-duplex.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });
const OURS = ["data", "end", "close", "error"] as const;
const listeners = (stream: WireDuplex) => OURS.map((event) => stream.listenerCount(event));

/** Our driver in the place of the recorded initiator, and what it is to receive and to send. */
function replay(lengthBytes: 2 | 4) {
  const recorded = recording("h25-v25");
  const from = (who: "initiator" | "acceptor") =>
    recorded.frames.filter((frame) => frame.from === who).map(({ bytes }) => bytes);
  const name = decodeFromInitiator(from("initiator")[0]!);
  const challenge = decodeFromAcceptor(from("acceptor")[1]!);
  if (name.kind !== "name" || challenge.kind !== "challenge") throw new Error("Not the recording expected.");
  const random = () => from("initiator")[1]!.readUInt32BE(1);
  const local = { name: name.name, creation: name.creation, flags: name.flags };
  return {
    options: {
      local: { ...local, cookies: [Cookie.of(RECORDED_COOKIE)] },
      peer: challenge.name,
      random,
      lengthBytes,
    },
    handshake: framed(from("acceptor"), lengthBytes),
    afterwards: recorded.afterwards,
    expected: framed(from("initiator"), lengthBytes),
  };
}

async function dial(chunks: readonly Buffer[], lengthBytes: 2 | 4, at: { handshake: number }) {
  const { options } = replay(lengthBytes);
  const stream = new WireDuplex();
  const before = listeners(stream);
  let done = false;
  const run = runInitiator(stream, options).finally(() => {
    done = true;
  });
  let given = 0;
  for (const chunk of chunks) {
    expect(done).toBe(given >= at.handshake);
    stream.give(chunk);
    given += chunk.length;
    await settle(1);
  }
  const { outcome, rest } = await run;
  expect(stream.isPaused()).toBe(true);
  await settle();
  expect(listeners(stream)).toEqual(before);
  const later: Buffer[] = [rest];
  stream.on("data", (chunk: Buffer) => later.push(chunk));
  stream.resume();
  await settle();
  return { outcome, written: stream.written, later: Buffer.concat(later) };
}

describe.each([2, 4] as const)("the driver with lengths of %i bytes", (lengthBytes) => {
  const { handshake, afterwards, expected } = replay(lengthBytes);
  const all = Buffer.concat([handshake, afterwards]);

  it.each(["whole", "bytes"] as const)("loses no byte between handshake and channel (%s)", async (how) => {
    expect(afterwards.length).toBeGreaterThan(20);
    const { outcome, written, later } = await dial(pieces(all, how), lengthBytes, {
      handshake: handshake.length,
    });
    expect(outcome.peer).toMatch(/^ca25_/);
    expect(written).toEqual(expected);
    expect(later).toEqual(afterwards);
  });

  it("does so wherever the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { minLength: 1, maxLength: 12 }), async (cuts) => {
        const { written, later } = await dial(pieces(all, cuts), lengthBytes, {
          handshake: handshake.length,
        });
        expect(written).toEqual(expected);
        expect(later).toEqual(afterwards);
      }),
      { numRuns: 40 },
    );
  });
});

describe("the driver", () => {
  const start = (change: Partial<Parameters<typeof runInitiator>[1]> = {}) => {
    const stream = new WireDuplex();
    const clock = new FakeClock();
    const run = runInitiator(stream, { local: node("a@h"), peer: "b@h", clock, ...change });
    run.catch(() => undefined);
    return { stream, clock, run };
  };
  const accept = (change: Partial<Parameters<typeof runAcceptor>[1]> = {}) => {
    const stream = new WireDuplex();
    const clock = new FakeClock();
    const run = runAcceptor(stream, { local: node("b@h"), decide: () => "ok", clock, ...change });
    run.catch(() => undefined);
    return { stream, clock, run };
  };

  it("joins two nodes over TCP, each with the first bytes of the other", async () => {
    const sockets: Socket[] = [];
    const accepted = new Promise<Awaited<ReturnType<typeof runAcceptor>> & { socket: Socket }>(
      (resolve, reject) => {
        const server = createServer((socket) => {
          server.close();
          sockets.push(socket);
          runAcceptor(socket, { local: node("b@h"), decide: () => "ok" }).then((done) => {
            socket.write("from b");
            resolve({ ...done, socket });
          }, reject);
        });
        server.listen(0, "127.0.0.1", () => {
          const address = server.address();
          sockets.push(connect(typeof address === "object" ? address!.port : 0, "127.0.0.1"));
        });
      },
    );
    while (sockets.length === 0) await settle(1);
    const dialled = await runInitiator(sockets[0]!, { local: node("a@h"), peer: "b@h" });
    const b = await accepted;
    expect(dialled.outcome.peer).toBe("b@h");
    expect(b.outcome.peer).toBe("a@h");
    const parts = [dialled.rest];
    await new Promise<void>((resolve) => {
      const check = () => Buffer.concat(parts).toString() === "from b" && resolve();
      sockets[0]!.on("data", (chunk: Buffer) => {
        parts.push(chunk);
        check();
      });
      check();
      sockets[0]!.resume();
    });
    for (const socket of sockets) socket.destroy();
  });

  it("gives each step its time, not each byte", async () => {
    const { stream, clock, run } = accept({ timeoutMs: 100 });
    const name = framed([encodeName(HIDDEN_FULL, 3, "a@h")], 2);
    clock.advance(99);
    stream.give(name);
    await settle();
    clock.advance(99);
    stream.give(Buffer.from([0]));
    await settle();
    expect(stream.destroyed).toBe(false);
    clock.advance(1);
    await expect(run).rejects.toEqual(code("HANDSHAKE_TIMEOUT"));
    expect(stream.destroyed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("waits seven seconds by default", async () => {
    const { clock, run, stream } = start();
    clock.advance(6999);
    await settle();
    expect(stream.destroyed).toBe(false);
    clock.advance(1);
    await expect(run).rejects.toEqual(code("HANDSHAKE_TIMEOUT"));
  });

  it("ends when its caller says so, before or during", async () => {
    const during = new AbortController();
    const { run, stream, clock } = start({ signal: during.signal });
    during.abort(new Error("enough"));
    await expect(run).rejects.toMatchObject({ code: "HANDSHAKE_ABORTED", cause: { message: "enough" } });
    expect(stream.destroyed).toBe(true);
    expect(clock.pending).toBe(0);

    const before = start({ signal: AbortSignal.abort() });
    await expect(before.run).rejects.toEqual(code("HANDSHAKE_ABORTED"));
    expect(before.stream.sent).toEqual([]);
  });

  it("says what it has to say before it closes", async () => {
    const { stream, clock, run } = accept({ decide: () => "not_allowed" });
    stream.give(framed([encodeName(HIDDEN_FULL, 3, "a@h")], 2));
    await expect(run).rejects.toEqual(code("HANDSHAKE_NOT_ALLOWED"));
    await settle();
    expect(stream.written.toString()).toBe("\0\x0csnot_allowed");
    expect(stream.ended).toBe(true);
    expect(stream.destroyed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("does not wait for ever until a refused peer reads", async () => {
    const { stream, clock, run } = accept({ decide: () => "nok" });
    stream._write = () => undefined;
    stream.give(framed([encodeName(HIDDEN_FULL, 3, "a@h")], 2));
    await expect(run).rejects.toEqual(code("HANDSHAKE_NOK"));
    await settle();
    expect(stream.destroyed).toBe(false);
    clock.advance(1000);
    expect(stream.destroyed).toBe(true);
  });

  it("reports the end of a connection as what it means", async () => {
    const ended = start();
    ended.stream.giveEnd();
    await expect(ended.run).rejects.toEqual(code("HANDSHAKE_CLOSED"));
    const broken = start();
    broken.stream.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    await expect(broken.run).rejects.toMatchObject({
      code: "HANDSHAKE_CLOSED",
      cause: { code: "ECONNRESET" },
    });
    const gone = new WireDuplex();
    gone.destroy();
    await expect(runInitiator(gone, { local: node("a@h"), peer: "b@h" })).rejects.toEqual(
      code("HANDSHAKE_CLOSED"),
    );
  });

  it("survives errors that come after the handshake and before its caller listens", async () => {
    const { options, handshake } = replay(2);
    const stream = new WireDuplex();
    const run = runInitiator(stream, options);
    stream.once("data", () => stream.destroy(new Error("late")));
    stream.give(handshake);
    await run;
    expect(stream.destroyed).toBe(true);
    await settle();
    expect(stream.listenerCount("error")).toBe(0);
  });

  it("refuses long messages by their length, and knows TLS when it meets it", async () => {
    const first = async (hex: string, change: Partial<Parameters<typeof runInitiator>[1]> = {}) => {
      const { stream, run } = start(change);
      for (const byte of Buffer.from(hex, "hex")) stream.give(Buffer.from([byte]));
      return run.then(
        () => undefined,
        (error: unknown) => error,
      );
    };
    expect(await first("ffff")).toEqual(code("HANDSHAKE_TOO_LARGE"));
    expect(await first("1001")).toEqual(code("HANDSHAKE_TOO_LARGE"));
    expect(await first("0003", { maxFrameBytes: 2 })).toEqual(code("HANDSHAKE_TOO_LARGE"));
    expect(await first("48545450", { lengthBytes: 4 })).toEqual(code("HANDSHAKE_TOO_LARGE"));
    expect(await first("1503")).toEqual(code("HANDSHAKE_PEER_SPEAKS_TLS"));
    expect(await first("16030102")).toEqual(code("HANDSHAKE_PEER_SPEAKS_TLS"));
    expect(await first("15030300", { lengthBytes: 4 })).toEqual(code("HANDSHAKE_PEER_SPEAKS_TLS"));
  });

  it("stops at the first wrong message", async () => {
    const { stream, run } = start();
    stream.give(framed([Buffer.from("sfoo"), encodeStatus("ok")], 2));
    await expect(run).rejects.toEqual(code("HANDSHAKE_MALFORMED"));
    expect(stream.destroyed).toBe(true);
  });

  it("passes on what decide throws, and closes", async () => {
    const { stream, run } = accept({
      decide: () => {
        throw new TypeError("a bug");
      },
    });
    stream.give(framed([encodeName(HIDDEN_FULL, 3, "a@h")], 2));
    await expect(run).rejects.toThrowError(TypeError);
    expect(stream.destroyed).toBe(true);
  });

  it("rejects, and does not throw, for options that cannot be used", async () => {
    const rejected = async (change: Partial<Parameters<typeof runInitiator>[1]>) => {
      const stream = new WireDuplex();
      const run = runInitiator(stream, { local: node("a@h"), peer: "b@h", ...change });
      await expect(run).rejects.toEqual(code("HANDSHAKE_OPTIONS_INVALID"));
      expect(stream.destroyed).toBe(true);
    };
    await rejected({ local: node("nonsense") });
    await rejected({ timeoutMs: 0 });
    await rejected({ timeoutMs: Number.NaN });
    await rejected({ maxFrameBytes: -1 });
  });
});
