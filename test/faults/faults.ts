import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { until } from "../e2e/two-clusters.ts";
import type { TwoSides } from "./two-sides.ts";

/** Something that befalls two clusters with a bridge between them, under load, and is over when `run` is. */
export interface Fault {
  readonly title: string;
  run(sides: TwoSides): Promise<void>;
}

/** Long for a conversation, and shorter than the time after which anybody counts as lost. */
const SHORT_MS = 1_500;
/** TCP asks again after 0.2, 0.6, 1.4 and 3 seconds, so a cut link is silent for longer than it is cut. */
const SHORT_CUT_MS = 1_000;

/** Runs `during`, and waits until senders of each of the members with these ids have been told of it. */
async function noticedBy(
  sides: TwoSides,
  ids: readonly string[],
  during: () => Promise<void>,
): Promise<void> {
  const before = await sides.notices();
  await during();
  await sides.noticed(
    ids.map((id) => sides.member(id)),
    before,
  );
}

/** Runs `during`, of which nobody may be told. */
export async function noticedByNobody(sides: TwoSides, during: () => Promise<void>): Promise<void> {
  const [before, gaps] = [await sides.notices(), await sides.gaps()];
  await during();
  await sides.progressed();
  expect(await sides.notices()).toEqual(before);
  expect(await sides.gaps()).toBe(gaps);
}

/** A node is killed, and started again once all who spoke with it have been told. */
const killedNode = (id: string, others: readonly string[]): Fault => ({
  title: `node ${id} is killed and started again`,
  async run(sides) {
    await noticedBy(sides, others, () => sides.member(id).kill());
    await sides.member(id).start();
  },
});

/** A node is stopped for longer than its peers wait. */
const pausedNode = (id: string, others: readonly string[]): Fault => ({
  title: `node ${id} is paused for longer than the tick time`,
  async run(sides) {
    const member = sides.member(id);
    const before = await member.notices();
    await noticedBy(sides, others, () => member.pause());
    member.resume();
    await sides.noticed([member], new Map([[member, before]]));
  },
});

/** The way between the bridge and a node is cut for longer than both wait. */
const cutLink = (id: string, others: readonly string[]): Fault => ({
  title: `the link between the bridge and ${id} is cut for longer than the tick time`,
  async run(sides) {
    await noticedBy(sides, [id, ...others], () =>
      sides.network.partition([sides.bridgeHost], [sides.member(id).host]),
    );
    await sides.network.heal();
  },
});

/** The bridge ends, by `end`, and is started again: pids of before are dead, and never another process. */
const endedBridge = (how: string, end: (sides: TwoSides) => Promise<unknown>): Fault => ({
  title: `the bridge is ${how} and started again`,
  async run(sides) {
    for (const member of sides.members) await member.checker.keep(sides.peersOf(member)[0]!);
    await noticedBy(sides, ["a1", "a2", "b1", "b2"], async () => void (await end(sides)));
    await sides.startBridge();
    await sides.progressed();
    for (const { checker } of sides.members) {
      expect(await checker.probe()).toEqual({ same: 0, dead: 2, impostors: 0, hung: 0 });
    }
  },
});

/** What ends connections; each is told to whom it concerns. */
export const FAULTS = {
  killedA: killedNode("a1", ["b1", "b2"]),
  killedB: killedNode("b1", ["a1", "a2"]),
  pausedA: pausedNode("a1", ["b1", "b2"]),
  pausedB: pausedNode("b2", ["a1", "a2"]),
  cutA: cutLink("a1", ["b1", "b2"]),
  cutB: cutLink("b1", ["a1", "a2"]),
  pausedBridge: {
    title: "the bridge is paused for longer than the tick time",
    async run(sides: TwoSides) {
      await noticedBy(sides, ["a1", "a2", "b1", "b2"], () => sides.bridge.pause());
      sides.bridge.resume();
    },
  },
  killedBridge: endedBridge("killed", (sides) => sides.bridge.kill()),
  stoppedBridge: endedBridge("told to end", (sides) => sides.bridge.stop()),
} satisfies Record<string, Fault>;

/** What is over before anybody counts as lost: nobody is told, and nothing is lost. */
export const SHORT_FAULTS = {
  pausedNode: {
    title: "a node is paused for less than the tick time",
    run: (sides: TwoSides) =>
      noticedByNobody(sides, async () => {
        const member = sides.member("b1");
        await member.pause();
        await sleep(SHORT_MS);
        member.resume();
      }),
  },
  pausedBridge: {
    title: "the bridge is paused for less than the tick time",
    run: (sides: TwoSides) =>
      noticedByNobody(sides, async () => {
        await sides.bridge.pause();
        await sleep(SHORT_MS);
        sides.bridge.resume();
      }),
  },
  cutLink: {
    title: "the link between the bridge and a node is cut for less than the tick time",
    run: (sides: TwoSides) =>
      noticedByNobody(sides, async () => {
        await sides.network.partition([sides.bridgeHost], [sides.member("a1").host]);
        await sleep(SHORT_CUT_MS);
        await sides.network.heal();
      }),
  },
  slowConsumer: {
    title:
      "a node takes more slowly than another sends: the senders wait, the bridge does not keep it for them",
    run: (sides: TwoSides) =>
      noticedByNobody(sides, async () => {
        const slow = sides.member("b1");
        const sender = sides.member("a1");
        const to = sides.peersOf(sender).find((peer) => peer.includes(slow.name))!;
        const before = sides.bridgeMemory;
        let most = before;
        const floods = async (): Promise<number> => (await sender.checker.report())["floods"] ?? 0;
        const flooded = (await floods()) + 1;
        // 128 MiB, more than there is room for in all buffers on the way
        await sender.checker.flood(to, 2048, 65_536);
        await slow.pause();
        for (const end = Date.now() + SHORT_MS; Date.now() < end; await sleep(20))
          most = Math.max(most, sides.bridgeMemory);
        slow.resume();
        expect(most - before).toBeLessThan(64 * 1024 * 1024);
        await until(async () => (await floods()) === flooded, "all of it has come");
      }),
  },
} satisfies Record<string, Fault>;
