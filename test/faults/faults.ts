import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { until } from "../e2e/two-clusters.ts";
import { type Member, TICK_SECONDS } from "./member.ts";
import type { Sides } from "./sides.ts";
import { cut, cutFor, mend } from "./wire.ts";

/** Something that befalls two clusters with a bridge between them, under load, and is over when `run` is. */
export interface Fault {
  readonly title: string;
  run(sides: Sides): Promise<void>;
}

/** All members. */
export const EVERYBODY = ["a1", "a2", "b1", "b2"];

/** Until every connection is found silent; that takes each up to 1.25 tick times, and they differ. */
const LONG_MS = 1_500 * TICK_SECONDS;
/** Long for a conversation, and shorter than the time after which anybody counts as lost. */
const SHORT_MS = 1_500;
/** TCP asks again after 0.2, 0.6, 1.4 and 3 seconds, so a cut link is silent for longer than it is cut. */
const SHORT_CUT_SECONDS = 1;

/** Runs `during`, and waits until senders of each of the members with these ids have been told of it. */
export async function noticedBy(
  sides: Sides,
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
export async function noticedByNobody(sides: Sides, during: () => Promise<void>): Promise<void> {
  const counted = async (): Promise<object> => ({
    notices: Object.fromEntries(Array.from(await sides.notices(), ([{ id }, count]) => [id, count])),
    gaps: await sides.gaps(),
  });
  const before = await counted();
  await during();
  await sides.progressed();
  expect(await counted()).toEqual(before);
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
    await noticedBy(sides, others, async () => {
      await member.pause();
      await sleep(LONG_MS);
    });
    member.resume();
    await sides.noticed([member], new Map([[member, before]]));
  },
});

/** The way between the bridge and a node is cut for longer than both wait, after `before`. */
const cutLink = (
  id: string,
  others: readonly string[],
  when = "",
  before?: (sides: Sides) => Promise<void>,
): Fault => ({
  title: `the link between the bridge and ${id} is cut for longer than the tick time${when}`,
  async run(sides) {
    const ends = [sides.member(id).host, [sides.bridges[0]!.host]] as const;
    await before?.(sides);
    try {
      await noticedBy(sides, [id, ...others], () => cut(...ends));
    } finally {
      await mend(...ends);
    }
  },
});

/** A bridge is stopped for longer than the nodes wait, and than the other bridge does when there is one. */
export const pausedBridge = (bridge = 0, name = "the bridge"): Fault => ({
  title: `${name} is paused for longer than the tick time`,
  async run(sides) {
    await noticedBy(sides, EVERYBODY, async () => {
      await sides.bridges[bridge]!.pause();
      await sleep(LONG_MS);
    });
    sides.bridges[bridge]!.resume();
  },
});

/** While `during` runs a bridge ends, and another one has its place after it: pids of before are dead, and never another process. */
async function replacedWhile(sides: Sides, during: () => Promise<void>): Promise<void> {
  for (const member of sides.members) await member.checker.keep(sides.peersOf(member)[0]!);
  await during();
  await sides.progressed();
  for (const { checker } of sides.members) {
    expect(await checker.probe()).toEqual({ same: 0, dead: 2, impostors: 0, hung: 0 });
  }
}

/** A bridge ends, and is started again once everybody has been told. */
export const endedBridge = (how: "killed" | "told to end", bridge = 0, name = "the bridge"): Fault => ({
  title: `${name} is ${how} and started again`,
  run: (sides) =>
    replacedWhile(sides, async () => {
      const program = sides.bridges[bridge]!;
      await noticedBy(sides, EVERYBODY, () => (how === "killed" ? program.kill() : program.stop()));
      await program.start();
    }),
});

/** A bridge is killed, and its successor there before anybody misses it for long. */
export const replacedBridge = (bridge = 0, name = "the bridge"): Fault => ({
  title: `${name} is killed and started again at once`,
  run: (sides) =>
    replacedWhile(sides, () =>
      noticedBy(sides, EVERYBODY, async () => {
        await sides.bridges[bridge]!.kill();
        await sides.bridges[bridge]!.start();
      }),
    ),
});

/** What befalls nodes and ends connections; each is told to whom it concerns. */
export const NODE_FAULTS = {
  killedA: killedNode("a1", ["b1", "b2"]),
  killedB: killedNode("b1", ["a1", "a2"]),
  pausedA: pausedNode("a1", ["b1", "b2"]),
  pausedB: pausedNode("b2", ["a1", "a2"]),
} satisfies Record<string, Fault>;

/** The same of the only bridge, and of the ways to it. */
export const BRIDGE_FAULTS = {
  cutA: cutLink("a1", ["b1", "b2"]),
  cutB: cutLink("b1", ["a1", "a2"]),
  pausedBridge: pausedBridge(),
  killedBridge: endedBridge("killed"),
  replacedBridge: replacedBridge(),
  stoppedBridge: endedBridge("told to end"),
} satisfies Record<string, Fault>;

/** The same when the node has more to send than there is room for on the way: its socket is full when the link is cut. */
export const CUT_WHEN_FULL: Fault = cutLink("b1", ["a1", "a2"], " while much is on its way", (sides) =>
  flood(sides, sides.member("b1"), sides.member("a1")),
);

/** Sends 128 MiB to a member, which is more than there is room for in all buffers on the way. */
async function flood(sides: Sides, from: Member, to: Member): Promise<void> {
  await from.checker.flood(sides.peersOf(from).find((peer) => peer.includes(to.id))!, 2048, 65_536);
}

/** A bridge is stopped, and goes on before anybody counts as lost. */
export const shortlyPausedBridge = (bridge = 0, name = "the bridge"): Fault => ({
  title: `${name} is paused for less than the tick time`,
  run: (sides) =>
    noticedByNobody(sides, async () => {
      await sides.bridges[bridge]!.pause();
      await sleep(SHORT_MS);
      sides.bridges[bridge]!.resume();
    }),
});

/** What is over before anybody counts as lost: nobody is told, and nothing is lost. */
export const SHORT_FAULTS = {
  pausedNode: {
    title: "a node is paused for less than the tick time",
    run: (sides: Sides) =>
      noticedByNobody(sides, async () => {
        const member = sides.member("b1");
        await member.pause();
        await sleep(SHORT_MS);
        member.resume();
      }),
  },
  cutLink: {
    title: "the link between a bridge and a node is cut for less than the tick time",
    run: (sides: Sides) =>
      noticedByNobody(sides, () =>
        cutFor(
          sides.member("a1").host,
          sides.bridges.map(({ host }) => host),
          SHORT_CUT_SECONDS,
        ),
      ),
  },
  slowConsumer: {
    title: "a node takes more slowly than another sends: the senders wait, nobody keeps it for them",
    run: (sides: Sides) =>
      noticedByNobody(sides, async () => {
        const slow = sides.member("b1");
        const sender = sides.member("a1");
        const before = sides.bridgeMemory;
        let most = before;
        const floods = async (): Promise<number> => (await sender.checker.report())["floods"] ?? 0;
        const flooded = (await floods()) + 1;
        await flood(sides, sender, slow);
        await slow.pause();
        for (const end = Date.now() + SHORT_MS; Date.now() < end; await sleep(20))
          most = Math.max(most, sides.bridgeMemory);
        slow.resume();
        expect(most - before).toBeLessThan(64 * 1024 * 1024);
        await until(async () => (await floods()) === flooded, "all of it has come");
      }),
  },
} satisfies Record<string, Fault>;
