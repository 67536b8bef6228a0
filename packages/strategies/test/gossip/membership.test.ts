import { expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { FloodGate } from "../../src/gossip/flood-gate.ts";
import { Membership } from "../../src/gossip/membership.ts";

it("remembers whom it heard, in that order", () => {
  const members = new Membership({ expiryMs: 1000, maxNodes: 10 });
  expect([members.heard("b@h", 0), members.heard("a@h", 1), members.heard("b@h", 2)]).toEqual([
    "new",
    "new",
    "known",
  ]);
  expect(members.nodes).toEqual(["b@h", "a@h"]);
});

it("forgets the silent ones while others are heard", () => {
  const members = new Membership({ expiryMs: 1000, maxNodes: 10 });
  members.heard("a@h", 0);
  members.heard("b@h", 0);
  members.heard("b@h", 900);
  expect(members.expire(1000)).toEqual([]);
  members.heard("b@h", 1001);
  expect(members.expire(1001)).toEqual(["a@h"]);
  expect(members.nodes).toEqual(["b@h"]);
  expect(members.heard("a@h", 1002)).toBe("new");
});

it("forgets nobody when all fall silent one after the other", () => {
  const members = new Membership({ expiryMs: 1000, maxNodes: 10 });
  for (const [at, node] of ["a@h", "b@h", "c@h"].entries()) members.heard(node, at * 100);
  for (let now = 200; now < 10_000; now += 50) expect(members.expire(now)).toEqual([]);
  expect([members.isSilent(1200), members.isSilent(1201)]).toEqual([false, true]);
  members.heard("b@h", 10_000);
  expect(members.isSilent(10_000)).toBe(false);
  expect(members.expire(10_000)).toEqual(["a@h", "c@h"]);
});

it("forgets nobody ever without an expiry, and is not silent when it never heard anybody", () => {
  const forever = new Membership({ expiryMs: undefined, maxNodes: 10 });
  forever.heard("a@h", 0);
  forever.heard("b@h", 1e12);
  expect([forever.expire(1e12), forever.isSilent(2e12)]).toEqual([[], false]);
  expect(new Membership({ expiryMs: 1000, maxNodes: 10 }).isSilent(1e12)).toBe(false);
});

it("remembers no more than it may", () => {
  const members = new Membership({ expiryMs: 1000, maxNodes: 2 });
  expect(["a@h", "b@h", "c@h", "a@h"].map((node) => members.heard(node, 0))).toEqual([
    "new",
    "new",
    "full",
    "known",
  ]);
  expect(members.nodes).toEqual(["a@h", "b@h"]);
});

it("lets so many packets through each second, from each sender and from all", () => {
  const clock = new FakeClock();
  const gate = new FloodGate({ total: 5, perSender: 2 }, clock);
  const passed = (senders: string) => [...senders].map((sender) => gate.passes(sender));
  expect(passed("aaabbbcdd")).toEqual([true, true, false, true, true, false, true, false, false]);
  clock.advance(999);
  expect(gate.passes("e")).toBe(false);
  clock.advance(1);
  expect(passed("aaab")).toEqual([true, true, false, true]);
});
