import { IsthmusError } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { DialLimit } from "../src/cluster/dial-limit.ts";
import { backoffDelays, fixedDelays } from "../src/cluster/retry-delays.ts";
import { Dialler } from "../src/dialler.ts";
import { type Attempt, settled } from "./support/fake-cluster.ts";

let clock: FakeClock;
let limit: DialLimit;
let attempts: Attempt[];
let told: string[];
let diallers: Dialler[];
beforeEach(() => {
  clock = new FakeClock();
  limit = new DialLimit(2);
  attempts = [];
  told = [];
  diallers = [];
});
afterEach(() => {
  for (const dialler of diallers) dialler.end();
  expect(clock.pending, "timers left behind").toBe(0);
  expect([limit.running, limit.waiting], "places left behind").toEqual([0, 0]);
});

function make(node: string, connect?: (node: string, signal: AbortSignal) => Promise<void>): Dialler {
  const dialler = new Dialler({
    node,
    connect:
      connect ??
      ((name, signal) =>
        new Promise<void>((succeed, fail) => attempts.push({ node: name, signal, succeed, fail }))),
    delays: backoffDelays({ firstMs: 1000, maxMs: 8000 }, () => 0),
    timeoutMs: 10_000,
    limit,
    clock,
    events: {
      connected: (name, failures, ms) => void told.push(`up ${name} ${failures} ${ms}`),
      failed: ({ node: name, attempt, error }) => void told.push(`failed ${name} ${attempt} ${error.code}`),
      lost: (name, reason) => void told.push(`lost ${name} ${reason?.code}`),
    },
  });
  diallers.push(dialler);
  return dialler;
}
const dialled = () => attempts.map(({ node }) => node);
const refused = new IsthmusError("NO_CONNECTION", "No.");

describe("a dialler", () => {
  it("tells how long an attempt took, and nothing of one that others made needless", async () => {
    const [a, b] = [make("a"), make("b")];
    a.observe(false);
    b.observe(false);
    clock.advance(30);
    attempts[0]!.succeed();
    await settled();
    b.observe(true);
    b.observe(false, refused);
    b.observe(true);
    expect(told).toEqual(["up a 0 30", "up b 0 30", "lost b NO_CONNECTION", "up b 0 undefined"]);
  });

  it("gives up an attempt that takes too long, even one that does not heed its signal", async () => {
    const a = make("a");
    a.observe(false);
    clock.advance(10_000);
    expect(attempts[0]!.signal.reason).toMatchObject({
      code: "CONNECT_TIMEOUT",
      context: { node: "a", timeoutMs: 10_000 },
    });
    expect(told).toEqual(["failed a 1 CONNECT_TIMEOUT"]);
    expect(limit.running).toBe(0);
    clock.advance(500);
    expect(dialled()).toEqual(["a", "a"]);
    attempts[0]!.fail(refused);
    await settled();
    expect(told.length, "what comes later has no meaning").toBe(1);
  });

  it("keeps its place in the queue while others run, and leaves it when nobody wants it", async () => {
    const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((node) => make(node)) as Dialler[];
    for (const dialler of [a, b, c, d, e]) dialler!.observe(false);
    expect(dialled()).toEqual(["a", "b"]);
    expect([c!.state, c!.retryMs]).toEqual(["waiting", 0]);
    c!.end();
    d!.observe(true);
    attempts[1]!.fail(refused);
    await settled();
    expect(dialled()).toEqual(["a", "b", "e"]);
    expect(b!.retryMs).toBe(500);
  });

  it("makes room also when the connection is there before the attempt has returned", async () => {
    const quick: Dialler = make("quick", async () => quick.observe(true));
    quick.observe(false);
    await settled();
    expect(told).toEqual(["up quick 0 0"]);
    expect(limit.running).toBe(0);
  });

  it("rests and wakes", async () => {
    const a = make("a");
    a.observe(false);
    a.rest();
    expect(attempts[0]!.signal.reason).toMatchObject({ code: "CONNECT_ABORTED" });
    a.observe(false);
    expect(dialled()).toEqual(["a"]);
    expect(a.state).toBe("idle");
    a.observe(true);
    a.observe(false);
    expect(a.state).toBe("idle");
    a.wake();
    a.observe(false);
    expect(dialled()).toEqual(["a", "a"]);
  });

  it("does nothing once it has ended", async () => {
    const a = make("a");
    a.end();
    a.observe(false);
    a.observe(true);
    expect([a.state, told, attempts]).toEqual(["idle", [], []]);
  });
});

describe("a limit of attempts", () => {
  it("lets in as many as may run, in the order in which they came", () => {
    const begun: number[] = [];
    const leaves = [1, 2, 3, 4, 5].map((n) => limit.enter(() => void begun.push(n)));
    expect(begun).toEqual([1, 2]);
    leaves[3]!();
    leaves[0]!();
    leaves[0]!();
    expect(begun).toEqual([1, 2, 3]);
    leaves[1]!();
    expect(begun).toEqual([1, 2, 3, 5]);
    for (const leave of leaves) leave();
  });
});

describe("fixed delays", () => {
  it("are always the same", () => {
    const delays = fixedDelays(5000);
    expect([
      delays.afterFailure(1),
      delays.afterFailure(9),
      delays.afterLoss(0),
      delays.afterLoss(3),
    ]).toEqual([5000, 5000, 5000, 5000]);
  });
});
