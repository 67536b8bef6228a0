import { deflateSync } from "node:zlib";
import { FLAG, HIDDEN_FULL, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { atom, Pid, tuple } from "@isthmus/etf";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ATTACKER_CREATION, type Attacker, attack, bare, HEADER, u32, u64 } from "./attacker.ts";
import { startVictim, until, type Victim } from "./victim.ts";

const NAME = "attacker@127.0.0.1";
const pid = new Pid(atom(NAME), 1, 0, ATTACKER_CREATION);
/** A message to the process `inbox`, which takes everything, and so must be decoded. */
const TO_INBOX = bare(tuple(6, pid, atom(""), atom("inbox")));
const TO_NOBODY = bare(tuple(6, pid, atom(""), atom("nobody")));
const first = (sequence: bigint, count: bigint): Buffer =>
  Buffer.concat([Buffer.from([131, 69]), u64(sequence), u64(count), Buffer.from([0])]);
const next = (sequence: bigint, number: bigint): Buffer =>
  Buffer.concat([Buffer.from([131, 70]), u64(sequence), u64(number)]);
const MAX_U64 = 2n ** 64n - 1n;

let victim: Victim;
let attacker: Attacker;
beforeAll(async () => {
  victim = await startVictim({ limits: { fragments: { maxFragmentBytes: 64 * 1024 * 1024 } } });
});
afterAll(() => victim?.stop());
afterEach(async () => {
  attacker?.end();
  await victim.gone(NAME);
});

async function start(flags = HIDDEN_FULL): Promise<void> {
  attacker = await attack({ port: victim.port, name: NAME, victim: victim.node.name, flags });
  victim.mark();
}

/** The attacker was thrown out with this code, and nobody else noticed. */
async function thrownOut(code: string | RegExp): Promise<void> {
  await attacker.closed;
  const reason = await victim.downReason(NAME);
  if (typeof code === "string") expect(reason).toBe(code);
  else expect(reason).toMatch(code);
  await victim.unharmed();
}

describe("frames that are none", () => {
  it.each<[string, readonly Buffer[]]>([
    ["of the other framing", [Buffer.from([112, 131]), TO_INBOX, Buffer.from([131, 106])]],
    ["of one byte", [Buffer.from([131])]],
    ["with an unknown header", [Buffer.from([131, 71, 0, 0, 0])]],
    ["with a cut header", [Buffer.from([131, 68, 200, 1, 2, 3])]],
    ["with a header only", [HEADER]],
    ["with a cut fragment header", [Buffer.from([131, 69, 0, 0])]],
    ["of zeros", [Buffer.alloc(1000)]],
  ])("%s", async (_name, parts) => {
    await start();
    await attacker.frame(...parts);
    await thrownOut(/^(FRAME_MALFORMED|ETF_TRUNCATED)$/);
  });

  it("a length beyond the limit is refused before anything of it comes", async () => {
    await start();
    attacker.socket.write(u32(0xffffffff));
    await thrownOut("FRAME_TOO_LARGE");
  });

  it("a length within the limit of which nothing comes costs nothing", async () => {
    const before = process.memoryUsage().rss;
    const many = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        attack({ port: victim.port, name: `long_${n}@127.0.0.1`, victim: victim.node.name }),
      ),
    );
    for (const one of many) one.socket.write(Buffer.concat([u32(128 * 1024 * 1024), Buffer.from([131])]));
    await victim.unharmed();
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    for (const one of many) one.end();
    await until(() => victim.node.nodes().length === 1);
    await victim.unharmed();
  });
});

describe("fragments", () => {
  it.each<[string, readonly (readonly Buffer[])[]]>([
    ["a sequence that was never begun", [[next(9n, 1n), Buffer.from([106])]]],
    [
      "a sequence begun twice",
      [
        [first(9n, 3n), TO_INBOX],
        [first(9n, 3n), TO_INBOX],
      ],
    ],
    ["a wrong number", [[first(9n, 3n), TO_INBOX], [next(9n, 1n)]]],
    ["a number twice", [[first(9n, 4n), TO_INBOX], [next(9n, 3n)], [next(9n, 3n)]]],
    [
      "more than were announced",
      [[first(9n, 2n), TO_INBOX], [next(9n, 1n), Buffer.from([106])], [next(9n, 0n)]],
    ],
    ["sequence 0", [[first(0n, 2n), TO_INBOX]]],
    ["none at all", [[first(9n, 0n), TO_INBOX]]],
  ])("%s", async (_name, frames) => {
    await start();
    for (const parts of frames) await attacker.frame(...parts);
    await thrownOut("FRAME_MALFORMED");
  });

  it("messages that are begun and never ended", async () => {
    await start();
    for (let n = 1n; n < 10_000n && (await attacker.frame(first(n, MAX_U64), TO_INBOX)); n++);
    await thrownOut("FRAGMENT_LIMIT");
    await until(() => victim.grown() < 20e6);
  });

  it.each([
    ["nothing", 0],
    ["a byte each", 1],
  ])("a message of endless fragments of %s", async (_name, size) => {
    await start();
    const part = Buffer.alloc(size, 106);
    await attacker.frame(first(1n, MAX_U64), TO_INBOX);
    // each costs more than its bytes
    for (let n = 1n; n < 1_000_000n && (await attacker.frame(next(1n, MAX_U64 - n), part)); n++);
    await thrownOut("FRAGMENT_LIMIT");
    await until(() => victim.grown() < 20e6);
  });

  it("small fragments among many other frames hold no more than they are", async () => {
    await start();
    const ballast = Buffer.concat(
      Array.from({ length: 15 }, () => Buffer.concat([HEADER, TO_NOBODY, bare(Buffer.alloc(4000))])),
    );
    await attacker.frame(first(1n, MAX_U64), TO_INBOX);
    for (let n = 1n; n <= 3000n; n++) {
      await attacker.frame(next(1n, MAX_U64 - n), Buffer.from([106]));
      await attacker.frame(HEADER, TO_NOBODY, bare(ballast));
    }
    await victim.unharmed();
    expect(victim.grown()).toBeLessThan(50e6);
    expect(attacker.open).toBe(true);
  });

  it("without having been agreed on", async () => {
    await start(HIDDEN_PASS_THROUGH);
    await attacker.frame(first(1n, 2n), TO_INBOX);
    await thrownOut(/^(FRAME_MALFORMED|ETF_.*)$/);
  });
});

describe("the atom cache", () => {
  /** One entry; `flags` is its nibble and, above it, the one of the header. */
  const header = (flags: number, ...rest: number[]): Buffer => Buffer.from([131, 68, 1, flags, ...rest]);
  const LONG = 0x10;
  const NEW = 0x08;

  it.each<[string, Buffer, RegExp]>([
    ["a slot that was never filled", header(0, 7), /^FRAME_MALFORMED$/],
    ["text that is no UTF-8", header(NEW, 7, 2, 0xff, 0xfe), /^FRAME_MALFORMED$/],
    ["half of a surrogate pair", header(NEW, 7, 3, 0xed, 0xa0, 0x80), /^FRAME_MALFORMED$/],
    ["text that is cut off", header(NEW, 7, 200, 65), /^FRAME_MALFORMED$/],
    ["a long text that is cut off", header(NEW | LONG, 7, 255, 255, 65), /^FRAME_MALFORMED$/],
    [
      "an atom of 256 letters",
      Buffer.concat([header(NEW | LONG, 7, 1, 0), Buffer.alloc(256, 65)]),
      /^FRAME_MALFORMED$/,
    ],
    [
      "a reference beyond the header",
      Buffer.concat([
        header(NEW, 7, 1, 65),
        Buffer.from([104, 4, 97, 6]),
        bare(pid),
        Buffer.from([82, 1, 82, 200, 106]),
      ]),
      /^ETF_/,
    ],
    [
      "a reference without a header",
      Buffer.concat([HEADER, Buffer.from([104, 3, 97, 22, 88, 82, 0])]),
      /^ETF_/,
    ],
  ])("%s", async (_name, bytes, code) => {
    await start();
    await attacker.frame(bytes);
    await thrownOut(code);
  });

  it("in a connection that has none", async () => {
    await start(HIDDEN_FULL & ~FLAG.DIST_HDR_ATOM_CACHE & ~FLAG.FRAGMENTS);
    await attacker.frame(header(NEW, 7, 1, 65), TO_INBOX, Buffer.from([106]));
    await thrownOut(/^(FRAME_MALFORMED|ETF_.*|CONTROL_MALFORMED)$/);
  });
});

describe("terms", () => {
  const message = (...body: (Buffer | number[])[]): Buffer[] => [
    HEADER,
    TO_INBOX,
    ...body.map((part) => Buffer.from(part as Buffer)),
  ];
  const nested = (unit: number[], depth: number): Buffer =>
    Buffer.concat(Array(depth).fill(Buffer.from(unit)));

  it.each<[string, readonly Buffer[], RegExp]>([
    [
      "a million lists within each other",
      message(nested([108, 0, 0, 0, 1], 1_000_000)),
      /^ETF_(DEPTH|ELEMENTS)_LIMIT$/,
    ],
    [
      "a million tuples within each other",
      message(nested([104, 1], 1_000_000)),
      /^ETF_(DEPTH|ELEMENTS)_LIMIT$/,
    ],
    ["a million maps within each other", message(nested([116, 0, 0, 0, 1], 1_000_000)), /^ETF_/],
    ["a million heads within each other", message(nested([108, 0, 0, 0, 1, 106], 1_000_000)), /^ETF_/],
    [
      "a deep control message",
      [HEADER, Buffer.from([104, 4, 97, 6]), bare(pid), nested([104, 1], 1_000_000)],
      /^ETF_/,
    ],
    ["a list of four thousand million", message([108, 255, 255, 255, 255, 106]), /^ETF_/],
    ["a tuple of four thousand million", message([105, 255, 255, 255, 255, 106]), /^ETF_/],
    ["a map of four thousand million", message([116, 255, 255, 255, 255, 106, 106]), /^ETF_/],
    ["a binary of four gigabytes", message([109, 255, 255, 255, 255, 0]), /^ETF_/],
    ["an integer of four gigabytes", message([111, 255, 255, 255, 255, 0, 1]), /^ETF_/],
    [
      "an integer of a megabyte",
      message([111, 0, 16, 0, 0, 0], Buffer.alloc(1 << 20, 255)),
      /^ETF_BIGNUM_LIMIT$/,
    ],
    ["a reference of no words", message([90, 0, 0, 119, 1, 65, 0, 0, 0, 0]), /^ETF_/],
    ["a reference of 65535 words", message([90, 255, 255, 119, 1, 65, 0, 0, 0, 0]), /^ETF_/],
    ["a fun of arity 300", message([113, 119, 1, 65, 119, 1, 65, 98, 0, 0, 1, 44]), /^ETF_/],
    ["not a number", message([70, 127, 248, 0, 0, 0, 0, 0, 0]), /^ETF_/],
    ["a tag that does not exist", message([200, 1, 2, 3]), /^ETF_/],
    ["a map with a key twice", message([116, 0, 0, 0, 2, 97, 1, 97, 1, 97, 1, 97, 2]), /^ETF_/],
  ])("%s", async (_name, parts, code) => {
    await start();
    await attacker.frame(...parts);
    await thrownOut(code);
    await until(() => victim.grown() < 20e6);
  });

  it.each([
    ["with headers", HIDDEN_FULL, [HEADER, TO_INBOX]],
    [
      "with pass-through framing",
      HIDDEN_PASS_THROUGH,
      [Buffer.from([112, 131]), TO_INBOX, Buffer.from([131])],
    ],
  ] as const)("compressed to a thousandth: %s", async (_name, flags, start_) => {
    await start(flags);
    const size = 1 << 30;
    const bomb = deflateSync(Buffer.alloc(100e6));
    await attacker.frame(...start_, Buffer.from([80]), u32(size), bomb);
    await thrownOut(/^ETF_/);
    await until(() => victim.grown() < 20e6);
  });
});
