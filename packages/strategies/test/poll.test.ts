import { type Discovery, type PollAnswer, type PollOptions, startPolling } from "@isthmus/strategies";
import { IsthmusError, silentLogger } from "@isthmus/wire";
import { afterEach, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { settled } from "./support/fake-cluster.ts";

interface Round {
  readonly signal: AbortSignal;
  answer(answer: PollAnswer): void;
  fail(error: unknown): void;
}

let stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops) await stop();
  stops = [];
});

function start(options: Partial<PollOptions> = {}, signal = new AbortController().signal) {
  const clock = new FakeClock();
  const rounds: Round[] = [];
  const reports: Discovery[] = [];
  const discover = (roundSignal: AbortSignal) =>
    new Promise<PollAnswer>((resolve, reject) => {
      rounds.push({ signal: roundSignal, answer: resolve, fail: reject });
    });
  const context = {
    self: "js@h",
    report: (discovery: Discovery) => void reports.push(discovery),
    logger: silentLogger,
    clock,
    signal,
    compat: false,
  };
  const polling = startPolling(context, { intervalMs: 1000, discover, random: () => 0.5, ...options });
  stops.push(() => polling.stop());
  const answer = async (nodes: string[], nextMs?: number) => {
    rounds.at(-1)!.answer(nextMs === undefined ? { nodes } : { nodes, nextMs });
    await settled();
  };
  const fail = async (error: unknown = new IsthmusError("DISCOVERY_FAILED", "Down.")) => {
    rounds.at(-1)!.fail(error);
    await settled();
  };
  return { clock, rounds, reports, polling, answer, fail };
}

it("asks at once, reports, and asks again an interval after the answer", async () => {
  const { clock, rounds, reports, answer } = start();
  expect(rounds).toHaveLength(1);
  clock.advance(5000);
  expect(rounds, "one round at a time").toHaveLength(1);
  await answer(["a@h"]);
  expect(reports).toEqual([{ ok: true, nodes: ["a@h"] }]);
  clock.advance(999);
  expect(rounds).toHaveLength(1);
  clock.advance(1);
  expect(rounds).toHaveLength(2);
});

it("comes back when the answer says so", async () => {
  const { clock, rounds, answer } = start();
  await answer([], 0);
  clock.advance(0);
  expect(rounds).toHaveLength(2);
  await answer([], 5000);
  clock.advance(4999);
  expect(rounds).toHaveLength(2);
  clock.advance(1);
  expect(rounds).toHaveLength(3);
});

it("reports failures with a code, and waits longer after each", async () => {
  const { clock, rounds, reports, fail, answer } = start();
  await fail(new Error("no code"));
  expect(reports[0]).toMatchObject({
    ok: false,
    error: { code: "DISCOVERY_FAILED", cause: { message: "no code" } },
  });
  for (const delay of [750, 1500, 3000, 6000, 12_000, 22_500, 22_500]) {
    const before = rounds.length;
    clock.advance(delay - 1);
    expect(rounds).toHaveLength(before);
    clock.advance(1);
    expect(rounds).toHaveLength(before + 1);
    await fail();
  }
  clock.advance(22_500);
  await answer([]);
  clock.advance(1000);
  await fail();
  const before = rounds.length;
  clock.advance(750);
  expect(rounds, "the delay is short again after a success").toHaveLength(before + 1);
});

it("takes a throw for a failed round", async () => {
  const { clock, reports } = start({
    discover: () => {
      throw new IsthmusError("HTTP_STATUS", "403");
    },
  });
  await settled();
  expect(reports).toMatchObject([{ ok: false, error: { code: "HTTP_STATUS" } }]);
  clock.advance(750);
  await settled();
  expect(reports).toHaveLength(2);
});

it("gives up a round that takes too long, even one that does not heed its signal", async () => {
  const { clock, rounds, reports, answer } = start({ timeoutMs: 100 });
  clock.advance(100);
  await settled();
  expect(rounds[0]!.signal.aborted).toBe(true);
  expect(reports).toMatchObject([
    { ok: false, error: { code: "DISCOVERY_FAILED", context: { timeoutMs: 100 } } },
  ]);
  await answer(["late@h"]);
  expect(reports).toHaveLength(1);
});

it("refreshes now, or right after the present round", async () => {
  const { rounds, polling, answer } = start();
  polling.refresh();
  polling.refresh();
  expect(rounds).toHaveLength(1);
  await answer([]);
  expect(rounds).toHaveLength(2);
  await answer([]);
  expect(rounds).toHaveLength(2);
  polling.refresh();
  expect(rounds).toHaveLength(3);
});

it("ends with its context: aborts the round, reports nothing more, leaves no timer", async () => {
  const owner = new AbortController();
  const { clock, rounds, reports, polling } = start({}, owner.signal);
  owner.abort();
  await polling.stop();
  expect(rounds[0]!.signal.aborted).toBe(true);
  polling.refresh();
  expect(rounds).toHaveLength(1);
  expect(reports).toEqual([]);
  expect(clock.pending).toBe(0);
});
