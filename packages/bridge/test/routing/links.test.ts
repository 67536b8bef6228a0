import type { Connection } from "@isthmus/core";
import { SIGNAL, Signal } from "@isthmus/core/channel";
import { atom, Pid } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import type { Lane, RouterParts } from "../../src/routing/context.ts";
import { Links } from "../../src/routing/links.ts";
import { Relations } from "../../src/routing/relations.ts";

const NEAR = new Pid(atom("a1@h"), 100, 0, 7);
const FAR = new Pid(atom("b1@h"), 200, 0, 8);
/** How each knows the other. */
const NEAR_THERE = new Pid(atom("bridge@h"), 100, 0, 1000);
const FAR_HERE = new Pid(atom("bridge@h"), 200, 0, 2000);
/** The same process under the name of a mirror. */
const FAR_MIRRORED = new Pid(atom("b1@mirrors"), 200, 0, 8);

/** One link, with what is sent to its two ends. */
function setUp() {
  const relations = new Map<Connection, Relations>();
  const sent: unknown[][] = [];
  const connection = (end: string): Connection => {
    const tell =
      (what: string) =>
      (id: unknown): void =>
        void sent.push([what, end, typeof id === "object" ? undefined : id]);
    const signals = { acknowledgesUnlink: true };
    const made = {
      signals: Object.assign(signals, {
        unlink: tell("unlink"),
        unlinkAck: tell("ack"),
        link: tell("link"),
        exit: tell("exit"),
      }),
    } as unknown as Connection;
    relations.set(made, new Relations());
    return made;
  };
  const near = connection("near");
  const far = connection("far");
  const index = { hold: () => undefined, release: () => undefined };
  const flow = { carried: () => undefined, answer: () => undefined, counters: { undeliverable: 0 } };
  const links = new Links({
    context: { relations, limits: { maxRelations: 10 } },
    flow,
    index,
    admission: { sendReason: (...args: [...unknown[], () => void]) => (args.at(-1) as () => void)() },
  } as unknown as RouterParts);
  const token = { tokenOf: () => undefined };
  const lane = { translator: { pid: () => NEAR_THERE }, to: { index }, token } as unknown as Lane;
  const signal = (kind: Signal["kind"], from: Pid, to: Pid, unlinkId?: number) =>
    Object.assign(new Signal(), { kind, from, to, unlinkId });
  links.link(near, signal(SIGNAL.LINK, NEAR, FAR_HERE), FAR_HERE, FAR, lane, far);
  sent.splice(0);
  const left = () => [...relations.values()].reduce((count, { links: held }) => count + held.size, 0);
  const connectionLost = (connection: Connection): void => {
    const lost = relations.get(connection)!;
    relations.delete(connection);
    links.lost(connection, lost);
  };
  return {
    sent,
    left,
    linkMirrored: () =>
      links.link(near, signal(SIGNAL.LINK, NEAR, FAR_MIRRORED), FAR_MIRRORED, FAR, lane, far),
    unlinkMirrored: (id: number) =>
      links.unlink(near, signal(SIGNAL.UNLINK, NEAR, FAR_MIRRORED, id), FAR_MIRRORED),
    ackMirrored: (id: number) =>
      links.unlinkAck(near, signal(SIGNAL.UNLINK_ACK, NEAR, FAR_MIRRORED, id), FAR_MIRRORED),
    exitFar: () => links.exit(far, signal(SIGNAL.EXIT, FAR, NEAR_THERE), NEAR_THERE, lane),
    lostNear: () => connectionLost(near),
    lostFar: () => connectionLost(far),
    unlink: {
      near: (id: number) => links.unlink(near, signal(SIGNAL.UNLINK, NEAR, FAR_HERE, id), FAR_HERE),
      far: (id: number) => links.unlink(far, signal(SIGNAL.UNLINK, FAR, NEAR_THERE, id), NEAR_THERE),
    },
    ack: {
      near: (id: number) => links.unlinkAck(near, signal(SIGNAL.UNLINK_ACK, NEAR, FAR_HERE, id), FAR_HERE),
      far: (id: number) => links.unlinkAck(far, signal(SIGNAL.UNLINK_ACK, FAR, NEAR_THERE, id), NEAR_THERE),
    },
  };
}

it("an unlink is acknowledged when the other end has, and nothing is left", () => {
  const { sent, left, unlink, ack } = setUp();
  unlink.near(5);
  ack.far(4);
  expect(sent).toEqual([["unlink", "far", 5]]);
  ack.far(5);
  expect(sent[1]).toEqual(["ack", "near", 5]);
  expect(left()).toBe(0);
});

it("both ends that unlink at the same time are acknowledged", () => {
  const { sent, left, unlink, ack } = setUp();
  unlink.near(5);
  unlink.far(9);
  ack.far(5);
  ack.near(9);
  expect(sent.slice(2)).toEqual([
    ["ack", "near", 5],
    ["ack", "far", 9],
  ]);
  expect(left()).toBe(0);
});

describe("two links with one process, under two names of it", () => {
  const twice = () => {
    const one = setUp();
    one.linkMirrored();
    one.sent.splice(0);
    expect(one.left()).toBe(3);
    return one;
  };
  const exits = (end: string, count: number) => Array(count).fill(["exit", end, undefined]);

  it("both end with it", () => {
    const { sent, left, exitFar } = twice();
    exitFar();
    expect(sent).toEqual(exits("near", 2));
    expect(left()).toBe(0);
  });

  it("both end with the connection to it", () => {
    const { sent, left, lostFar } = twice();
    lostFar();
    expect(sent).toEqual(exits("near", 2));
    expect(left()).toBe(0);
  });

  it("it is told when the one who has them is gone", () => {
    const { sent, left, lostNear } = twice();
    lostNear();
    expect(sent).toEqual(exits("far", 2));
    expect(left()).toBe(0);
  });

  it("one is taken back, and the other stays until it is, too", () => {
    const { sent, left, unlink, unlinkMirrored, ack, exitFar } = twice();
    unlinkMirrored(5);
    expect(sent).toEqual([["ack", "near", 5]]);
    expect(left()).toBe(2);
    unlink.near(6);
    expect(sent[1]).toEqual(["unlink", "far", 6]);
    ack.far(6);
    expect(sent[2]).toEqual(["ack", "near", 6]);
    exitFar();
    expect(sent).toHaveLength(3);
    expect(left()).toBe(0);
  });

  it("the first is taken back, and the exit comes under the name of the second", () => {
    const { sent, left, unlink, exitFar } = twice();
    unlink.near(7);
    expect(left()).toBe(2);
    exitFar();
    expect(sent).toEqual([["ack", "near", 7], ...exits("near", 1)]);
    expect(left()).toBe(0);
  });

  it("both are taken back by the process that they are with", () => {
    const { sent, left, unlink, ack, ackMirrored } = twice();
    unlink.far(9);
    expect(sent.map(([what, end]) => [what, end])).toEqual([
      ["unlink", "near"],
      ["unlink", "near"],
    ]);
    // one of them has a number that the bridge has made up, and is no more
    ack.near(1);
    expect(sent).toHaveLength(2);
    ackMirrored(9);
    expect(sent[2]).toEqual(["ack", "far", 9]);
    expect(left()).toBe(0);
  });
});
