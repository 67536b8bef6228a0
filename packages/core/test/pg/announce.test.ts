import { atom, Pid, tuple } from "@isthmus/etf";
import { expect, it } from "vitest";
import type { PgEvent } from "../../src/pg/groups.ts";
import { startPg } from "../../src/pg/pg-scope.ts";
import { collector, LEFT, RIGHT } from "../process/network.ts";
import { pgNode, pids, setup } from "./pg-node.ts";

const A = atom("a");
const STRANGER = new Pid(atom("far@h"), 7, 1, 12);

/** A scope each on two nodes, and a process that the left node stands behind. */
async function announcing() {
  const all = await setup();
  const other = startPg(pgNode(all.right), { clock: all.network.clock });
  await all.network.settle();
  const standin = new Pid(atom(LEFT), 7, 0, all.pg.process.pid.creation + 1);
  return { ...all, other, standin };
}

it("processes that are announced are members, as often as they are, until they are withdrawn", async () => {
  const { network, pg, other, standin } = await announcing();
  pg.announce(A, [standin, standin, STRANGER]);
  pg.announce("b", []);
  await network.settle();
  for (const scope of [pg, other]) expect(pids(scope.members(A))).toBe(pids([standin, standin, STRANGER]));
  expect(pids(pg.localMembers(A))).toBe(pids([standin, standin, STRANGER]));
  expect([pg.groups(), other.groups(), pg.localGroups()]).toEqual([[A], [A], [A]]);
  expect(pg.withdraw(A, [standin, STRANGER, STRANGER])).toBe(true);
  await network.settle();
  for (const scope of [pg, other]) expect(scope.members(A)).toEqual([standin]);
  expect(pg.withdraw(A, [STRANGER])).toBe(false);
  expect(pg.withdraw("b", [standin])).toBe(false);
  pg.close();
  await network.settle();
  expect(other.groups()).toEqual([]);
});

it("the death of a process does not touch what was announced under another creation", async () => {
  const { network, left, pg, other } = await announcing();
  const mine = left.table.spawn();
  const { id, serial, node, creation } = mine.pid;
  const namesake = new Pid(node, id, serial, creation + 1);
  pg.join(A, [mine, mine]);
  pg.announce(A, [namesake]);
  mine.exit();
  await network.settle();
  for (const scope of [pg, other]) expect(scope.members(A)).toEqual([namesake]);
});

it("processes of the node itself have to join", async () => {
  const { left, pg } = await announcing();
  const { pid } = left.table.spawn();
  for (const act of [() => pg.announce(A, [STRANGER, pid]), () => pg.withdraw(A, [pid])]) {
    expect(act).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
  }
  expect(pg.groups()).toEqual([]);
  pg.close();
  expect(() => pg.announce(A, [STRANGER])).toThrow(expect.objectContaining({ code: "PROCESS_DEAD" }));
});

it("members and events tell which node announces them", async () => {
  const { network, left, right, pg, other, standin } = await announcing();
  const events: PgEvent[] = [];
  other.monitorScope({ onEvent: (event) => void events.push(event) });
  const [mine, theirs] = [left.table.spawn(), right.table.spawn()];
  pg.join(A, mine);
  pg.announce(A, [standin, STRANGER]);
  other.join(A, theirs);
  await network.settle();
  expect(Object.fromEntries(other.membersByNode(A))).toEqual({
    [LEFT]: [mine.pid, standin, STRANGER],
    [RIGHT]: [theirs.pid],
  });
  expect(other.membersByNode("nobody").size).toBe(0);
  pg.close();
  await network.settle();
  expect([...other.membersByNode(A).keys()]).toEqual([RIGHT]);
  expect(events.map(({ type, node }) => [type, node])).toEqual([
    ["join", RIGHT],
    ["join", LEFT],
    ["join", LEFT],
    ["leave", LEFT],
  ]);
});

it("a node that asks is told of what is announced", async () => {
  const { network, right, node, pg } = await setup();
  const standin = new Pid(atom(LEFT), 7, 0, pg.process.pid.creation + 1);
  pg.announce(A, [standin]);
  const { got, process } = collector(right, { name: "pg" });
  node.up(RIGHT);
  process.send(pg.process.pid, tuple(atom("discover"), process.pid));
  await network.settle();
  expect(got).toContainEqual(
    tuple(atom("$gen_cast"), tuple(atom("sync"), pg.process.pid, [tuple(A, [standin])])),
  );
});
