import type { Connection } from "@isthmus/core";
import { Signal } from "@isthmus/core/channel";
import { atom, Pid } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import type { Barriers } from "../../src/routing/barriers.ts";
import type { Lane, RouterContext } from "../../src/routing/context.ts";
import { UnnamedSenders } from "../../src/routing/unnamed-senders.ts";

const NODE = atom("a1@h");
const MIRROR = atom("b1@mirror");
/** What OTP 23 can read, and what it cannot. */
const READABLE = new Pid(atom("b1@h"), 100, 0, 1);
const WIDE = new Pid(atom("b1@h"), 40_000, 0, 1);

const from = (pid: Pid): Signal => Object.assign(new Signal(), { from: pid });
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Node b1, which has a mirror in a cluster with OTP 23, and the mirror's connection with a1. */
function setUp(narrow = true) {
  const done: string[] = [];
  const source = {
    pause: () => done.push("pause"),
    suspend: () => done.push("suspend"),
    resume: () => done.push("resume"),
  } as unknown as Connection;
  const barriers = { reached: () => arrived } as unknown as Barriers;
  let arrive = (): void => undefined;
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const connection = {} as Connection;
  let connected = (_connection: Connection | undefined): void => undefined;
  const mirror = {
    whenConnected: (_node: unknown, run: typeof connected) => {
      connected = run;
    },
  };
  const own = {};
  const self = atom("bridge@h");
  const lane = {
    to: { node: own, mirrors: new Map([[MIRROR, mirror]]), index: { narrow } },
    translator: {
      identity: () => ({ node: MIRROR, each: narrow ? {} : undefined }),
      pid: (pid: Pid) => (pid === WIDE ? new Pid(self, 7, 0, 9) : new Pid(MIRROR, 100, 0, 9)),
    },
  } as unknown as Lane;
  const clock = new FakeClock();
  const relations = new Map([[connection, { barriers }]]);
  const unnamed = new UnnamedSenders({ relations, clock } as unknown as RouterContext);
  const sent = (home: object = mirror): void => unnamed.sent(source, lane, home as typeof lane.to.node, NODE);
  const wait = () => unnamed.wait(source, () => done.push("go"));
  return {
    ...{ unnamed, sent, wait, source, own, clock, done },
    connected: (up = true) => connected(up ? connection : undefined),
    arrive: () => arrive(),
  };
}

describe("messages without a sender, to a cluster with OTP 23", () => {
  it("are waited for by what goes another way: the other end has taken them", async () => {
    const { unnamed, sent, wait, source, done, connected, arrive, clock } = setUp();
    expect([unnamed.some, unnamed.overtaken(source, from(WIDE))]).toEqual([false, false]);
    sent();
    expect(unnamed.some).toBe(true);
    expect(unnamed.overtaken(source, from(READABLE))).toBe(false);
    expect(unnamed.overtaken(source, new Signal())).toBe(false);
    expect(unnamed.overtaken(source, from(WIDE))).toBe(true);
    const over = wait();
    expect(done).toEqual(["pause", "suspend"]);
    connected();
    await settled();
    expect(done).toEqual(["pause", "suspend"]);
    arrive();
    await over;
    expect(done).toEqual(["pause", "suspend", "go", "resume"]);
    expect([unnamed.some, clock.pending]).toEqual([false, 0]);
  });

  it("are not waited for when there is no connection for them, nor for long", async () => {
    const none = setUp();
    none.sent();
    const over = none.wait();
    none.connected(false);
    await over;
    expect(none.done.at(-1)).toBe("resume");
    const hanging = setUp();
    hanging.sent();
    const late = hanging.wait();
    hanging.connected();
    await hanging.clock.advance(2000);
    await late;
    expect(hanging.done.slice(-2)).toEqual(["go", "resume"]);
  });

  it("do not matter when all goes one way, and are forgotten with their connection", () => {
    const wide = setUp(false);
    wide.sent();
    expect(wide.unnamed.some).toBe(false);
    const { unnamed, sent, source, own } = setUp();
    sent(own);
    expect(unnamed.some).toBe(false);
    sent();
    unnamed.lost(source);
    expect(unnamed.some).toBe(false);
  });
});
