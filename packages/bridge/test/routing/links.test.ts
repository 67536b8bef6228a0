import type { Connection } from "@isthmus/core";
import { SIGNAL, Signal } from "@isthmus/core/channel";
import { atom, Pid } from "@isthmus/etf";
import { expect, it } from "vitest";
import type { Lane, RouterParts } from "../../src/routing/context.ts";
import { Links } from "../../src/routing/links.ts";
import { Relations } from "../../src/routing/relations.ts";

const NEAR = new Pid(atom("a1@h"), 100, 0, 7);
const FAR = new Pid(atom("b1@h"), 200, 0, 8);
/** How each knows the other. */
const NEAR_THERE = new Pid(atom("bridge@h"), 100, 0, 1000);
const FAR_HERE = new Pid(atom("bridge@h"), 200, 0, 2000);

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
  const flow = { carried: () => undefined, answer: () => undefined };
  const links = new Links({
    context: { relations, limits: { maxRelations: 10 } },
    flow,
    index,
  } as unknown as RouterParts);
  const lane = { translator: { pid: () => NEAR_THERE }, to: { index } } as unknown as Lane;
  const signal = (kind: Signal["kind"], from: Pid, to: Pid, unlinkId?: number) =>
    Object.assign(new Signal(), { kind, from, to, unlinkId });
  links.link(near, signal(SIGNAL.LINK, NEAR, FAR_HERE), FAR_HERE, FAR, lane, far);
  sent.splice(0);
  const left = () => [...relations.values()].reduce((count, { links: held }) => count + held.size, 0);
  return {
    sent,
    left,
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
