import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMessage, encodeMessage } from "../../src/trunk/codec.ts";
import { KIND } from "../../src/trunk/frames.ts";
import { TwoSites } from "./two-sites.ts";

describe("what an authenticated peer may not send", () => {
  const open = encodeMessage(KIND.OPEN, 1, 0, "c");
  const chunk = Buffer.alloc(32 * 1024);
  const overWindow = Array.from({ length: 40 }, (_, i) => encodeMessage(KIND.DATA, i + 2, 0, 0, chunk));
  it.each<[string, Buffer[]]>([
    ["bytes that are no MessagePack", [Buffer.from([0xc1])]],
    ["half a frame", [Buffer.from([0x93, 7])]],
    ["a frame that is no array", [Buffer.from([7])]],
    ["a frame without kind", [encodeMessage("x" as never)]],
    ["a frame of the handshake", [encodeMessage(KIND.READY)]],
    ["a longer chunk than allowed", [open, encodeMessage(KIND.DATA, 2, 0, 0, Buffer.alloc(33_000))]],
    ["a channel out of turn", [encodeMessage(KIND.OPEN, 1, 1, "c")]],
    ["a channel without a name", [encodeMessage(KIND.OPEN, 1, 0, "")]],
    ["a channel with a strange name", [encodeMessage(KIND.OPEN, 1, 0, "a\nb")]],
    ["a channel twice", [open, encodeMessage(KIND.OPEN, 2, 1, "c")]],
    ["data of no channel", [encodeMessage(KIND.DATA, 1, 0, 0, chunk)]],
    ["an acknowledgement of what was never sent", [encodeMessage(KIND.ACK, 1)]],
    ["a negative acknowledgement", [encodeMessage(KIND.ACK, -1)]],
    ["credit for no channel", [encodeMessage(KIND.CREDIT, 0, 1)]],
    ["credit that is no number", [encodeMessage(KIND.CREDIT, 0, "1")]],
    ["deflated bytes that were not agreed", [open, encodeMessage(KIND.DATA, 2, 0, 2, deflateRawSync(chunk))]],
    ["more than its credit", [open, ...overWindow]],
    ["the end of no channel", [encodeMessage(KIND.CUT, 1, 0)]],
    ["the end of a channel twice", [open, encodeMessage(KIND.CUT, 2, 0), encodeMessage(KIND.CUT, 3, 0)]],
    ["data after the end", [open, encodeMessage(KIND.CUT, 2, 0), encodeMessage(KIND.DATA, 3, 0, 0, chunk)]],
    ["a channel's number twice", [open, encodeMessage(KIND.CUT, 2, 0), encodeMessage(KIND.OPEN, 3, 0, "c")]],
    ["frames skipped backwards", [open, encodeMessage(KIND.SKIP, 2, 1)]],
    ["frames skipped to nowhere", [encodeMessage(KIND.SKIP, 1, -1)]],
  ])("%s: the session ends, on both sides, and a new one begins", async (_what, messages) => {
    const sites = new TwoSites();
    await sites.settle();
    sites.accepted.pause("c");
    for (const message of messages) sites.cable!.dialing.send(message);
    await sites.settle();
    expect(sites.south.lines.filter((line) => line !== "cut c")).toEqual(["up", "lost TRUNK_PROTOCOL"]);
    expect(sites.north.lines).toEqual(["up", "lost TRUNK_PROTOCOL"]);
    await sites.pass(1000);
    expect(sites.south.lines.at(-1)).toBe("up");
  });

  it("a deflated frame that grows too large", async () => {
    const sites = new TwoSites({ deflate: true }, { deflate: true });
    await sites.settle();
    const bomb = deflateRawSync(Buffer.alloc(10_000_000));
    sites.cable!.dialing.send(open);
    sites.cable!.dialing.send(encodeMessage(KIND.DATA, 2, 0, 2, bomb));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "lost TRUNK_PROTOCOL"]);
  });

  it("a payload without end", async () => {
    const sites = new TwoSites({}, { limits: { maxPayloadBytes: 100_000 } });
    await sites.settle();
    sites.cable!.dialing.send(open);
    for (let i = 0; i < 4; i++) sites.cable!.dialing.send(encodeMessage(KIND.DATA, i + 2, 0, 1, chunk));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "lost TRUNK_PROTOCOL"]);
  });

  it("more channels than it was told", async () => {
    const sites = new TwoSites({}, { limits: { maxChannels: 2 } });
    await sites.settle();
    for (let i = 0; i < 3; i++) sites.cable!.dialing.send(encodeMessage(KIND.OPEN, i + 1, i, `c${i}`));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "lost TRUNK_PROTOCOL"]);
  });

  it("nested arrays cost no more than the message is long", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.cable!.dialing.send(Buffer.alloc(256 * 1024, 0x91));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "lost TRUNK_PROTOCOL"]);
  });
});

describe("a later minor version", () => {
  it("may send frames that we do not know, and more fields", async () => {
    const sites = new TwoSites();
    await sites.settle();
    const { dialing } = sites.cable!;
    dialing.send(encodeMessage(200, "news", { of: [1, 2] }));
    dialing.send(encodeMessage(KIND.OPEN, 1, 0, "c", "and more"));
    dialing.send(encodeMessage(KIND.DATA, 2, 0, 64, Buffer.from("hello"), null));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "data c hello"]);
  });
});

it("a frame that comes again is ignored, and costs no credit", async () => {
  const sites = new TwoSites();
  await sites.settle();
  const open = encodeMessage(KIND.OPEN, 1, 0, "c");
  const data = encodeMessage(KIND.DATA, 2, 0, 0, Buffer.alloc(32_000));
  sites.accepted.pause("c");
  for (const message of [open, data, ...Array.from({ length: 50 }, () => data), open]) {
    sites.cable!.dialing.send(message);
  }
  while (sites.cable!.dialing.deliver());
  sites.accepted.resume("c");
  expect(sites.south.lines).toEqual(["up", "data c 32000"]);
  expect(sites.accepted.status().counters).toMatchObject({ repeated: 51, payloadsReceived: 1 });
});

it("a gap means a new connection, over which what is missing comes again", async () => {
  const sites = new TwoSites();
  await sites.settle();
  for (const word of ["one", "two", "three"]) {
    sites.dialed.send("c", Buffer.from(word));
    sites.turn();
  }
  sites.cable!.dialing.sent.splice(1, 1);
  await sites.pass(1000);
  expect(sites.south.lines).toEqual([
    "up",
    "data c one",
    "suspended TRUNK_GAP",
    "resumed",
    "data c two",
    "data c three",
  ]);
});

it("answers only the last of many pings, so that a peer that does not read costs nothing", async () => {
  const sites = new TwoSites();
  await sites.settle();
  const { dialing, accepting } = sites.cable!;
  for (let i = 0; i < 1000; i++) dialing.send(encodeMessage(KIND.PING, i));
  while (dialing.deliver());
  sites.turn();
  const frames = accepting.sent.flatMap((message) => [...decodeMessage(message)]);
  expect(frames).toEqual([[KIND.PONG, 999]]);
});

/** What may happen to two sites. */
type Step =
  | {
      readonly type: "send";
      readonly from: "north" | "south";
      readonly channel: number;
      readonly size: number;
    }
  | { readonly type: "deliver"; readonly from: "north" | "south"; readonly count: number }
  | { readonly type: "turn" }
  | { readonly type: "cut" }
  | { readonly type: "half-cut"; readonly at: "north" | "south" }
  | { readonly type: "drop"; readonly from: "north" | "south" }
  | { readonly type: "pause" | "resume"; readonly at: "north" | "south"; readonly channel: number }
  | { readonly type: "time"; readonly ms: number };

const side = fc.constantFrom("north" as const, "south" as const);
const channel = fc.nat({ max: 2 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("send" as const),
      from: side,
      channel,
      size: fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 90_000 })),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("deliver" as const),
      from: side,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("turn" as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("cut" as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("half-cut" as const), at: side }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("drop" as const), from: side }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constantFrom("pause" as const, "resume" as const), at: side, channel }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("time" as const), ms: fc.nat({ max: 800 }) }) },
);

/** Sends numbered payloads over two sites that all kinds of things happen to. */
class Trial {
  readonly sites: TwoSites;
  readonly #graceMs: number;
  /** What was sent, by side, session and channel: "session of the sender" counts the ups. */
  readonly sent = { north: new Map<string, string[]>(), south: new Map<string, string[]>() };
  #number = 0;

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
    const limits = {
      windowBytes: 140_000,
      highWaterBytes: 30_000,
      maxUnackedFrames: 20,
      maxUnackedBytes: 150_000,
      graceMs,
    };
    this.sites = new TwoSites({ limits, backoff: { firstMs: 50, maxMs: 300 } }, { limits });
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.sites.settle();
    for (const one of steps) {
      this.#step(one);
      await this.sites.microtasks();
    }
    for (const link of [this.sites.dialed, this.sites.accepted]) {
      for (let c = 0; c < 3; c++) for (let i = 0; i < steps.length; i++) link.resume(`c${c}`);
    }
    // long enough that silence is noticed; shorter than the grace time where nothing may be lost
    await this.sites.pass(Math.min(20_000, this.#graceMs / 2), 100);
    await this.sites.pass(100_000, 1000);
  }

  #step(one: Step): void {
    const { sites } = this;
    const link = (name: "north" | "south") => (name === "north" ? sites.dialed : sites.accepted);
    const end = (name: "north" | "south") =>
      name === "north" ? sites.cable?.dialing : sites.cable?.accepting;
    switch (one.type) {
      case "send": {
        const from = link(one.from);
        const name = `c${one.channel}`;
        if (from.state === "down" || from.blocked(name)) return;
        const payload = `${this.#number++} `.padEnd(one.size, "x");
        from.send(name, Buffer.from(payload));
        const key = `${sites[one.from].lines.filter((line) => line === "up").length} ${name}`;
        const list = this.sent[one.from].get(key) ?? [];
        this.sent[one.from].set(key, list);
        list.push(payload);
        return;
      }
      case "deliver":
        for (let i = 0; i < one.count; i++) end(one.from)?.deliver();
        return;
      case "turn":
        sites.turn();
        return;
      case "cut":
        sites.cable?.cut();
        return;
      case "half-cut":
        end(one.at)?.fail();
        return;
      case "drop":
        end(one.from)?.drop();
        return;
      case "pause":
        link(one.at).pause(`c${one.channel}`);
        return;
      case "resume":
        link(one.at).resume(`c${one.channel}`);
        return;
      case "time":
        sites.clock.advance(one.ms);
    }
  }
}

describe("whatever happens to the connections", () => {
  it("within the grace time every payload arrives once, in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 120 }), async (steps) => {
        const trial = new Trial(10_000_000);
        await trial.run(steps);
        for (const [from, to] of [
          ["north", "south"],
          ["south", "north"],
        ] as const) {
          expect(trial.sites[to].lines.filter((line) => line === "up" || line.startsWith("lost"))).toEqual([
            "up",
          ]);
          for (let c = 0; c < 3; c++) {
            expect(trial.sites[to].texts(`c${c}`)).toEqual(trial.sent[from].get(`1 c${c}`) ?? []);
          }
        }
      }),
      { numRuns: 120 },
    );
  });

  it("beyond it a session's payloads are a beginning of what was sent in it, and nothing comes after its end", {
    timeout: 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 120 }), async (steps) => {
        const trial = new Trial(400);
        await trial.run(steps);
        for (const [from, to] of [
          ["north", "south"],
          ["south", "north"],
        ] as const) {
          const sessions = [...trial.sent[from].values()];
          let state = "down";
          let came = new Map<string, string[]>();
          const { lines, payloads } = trial.sites[to];
          let index = 0;
          const check = (): void => {
            for (const [, texts] of came) {
              expect(sessions.some((all) => texts.every((text, i) => all[i] === text))).toBe(true);
            }
            came = new Map();
          };
          for (const line of lines) {
            if (line.startsWith("data")) {
              expect(state).toBe("up");
              const { channel: name, bytes } = payloads[index++]!;
              const texts = came.get(name) ?? [];
              came.set(name, texts);
              texts.push(bytes.toString());
            } else if (line === "up") {
              expect(state).toBe("down");
              state = "up";
            } else if (line.startsWith("lost")) {
              expect(state).toBe("up");
              state = "down";
              check();
            }
          }
          check();
          expect(state).toBe("up");
        }
      }),
      { numRuns: 120 },
    );
  });
});
