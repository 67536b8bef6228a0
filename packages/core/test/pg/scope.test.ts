import { atom, Pid, type Term, TermMap, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { startPg } from "../../src/pg/pg-scope.ts";
import { collector, LEFT, RIGHT } from "../process/network.ts";
import { pgNode, pids, setup, shown } from "./pg-node.ts";

const A = atom("a");

/** Two nodes with a scope each that know each other. */
async function twoScopes() {
  const all = await setup();
  const other = startPg(pgNode(all.right), { clock: all.network.clock, logger: all.right.logger });
  await all.network.settle();
  return { ...all, other };
}

describe("members", () => {
  it("are those of all nodes; local ones those of ours", async () => {
    const { network, left, right, pg, other } = await twoScopes();
    const [mine, theirs] = [left.table.spawn(), right.table.spawn()];
    pg.join(A, mine);
    other.join(A, [theirs, theirs.pid]);
    await network.settle();
    for (const scope of [pg, other])
      expect(pids(scope.members(A))).toBe(pids([mine.pid, theirs.pid, theirs.pid]));
    expect(pg.localMembers(A)).toEqual([mine.pid]);
    expect(other.localMembers(A)).toEqual([theirs.pid, theirs.pid]);
    expect([pg.nodes(), other.nodes()]).toEqual([[RIGHT], [LEFT]]);
    expect(pg.members("nobody")).toEqual([]);
    expect(pg.localMembers("nobody")).toEqual([]);
  });

  it("leave when they end, also those that had ended before", async () => {
    const { network, left, pg, other } = await twoScopes();
    const [ends, ended] = [left.table.spawn(), left.table.spawn()];
    ended.exit();
    pg.join(A, [ends, ends, ended]);
    pg.join("b", ends);
    await network.settle();
    expect(other.members(A)).toEqual([ends.pid, ends.pid]);
    ends.exit();
    await network.settle();
    expect([pg.groups(), pg.localGroups(), other.groups()]).toEqual([[], [], []]);
  });

  it("that left everything are watched no more", async () => {
    const { network, left, pg } = await twoScopes();
    const member = left.table.spawn();
    pg.join(A, member);
    pg.join("b", member);
    pg.leave(A, member);
    pg.leave("b", member);
    await network.settle();
    pg.join(A, member);
    expect(pg.members(A)).toEqual([member.pid]);
    member.exit();
    await network.settle();
    expect(pg.members(A)).toEqual([]);
  });

  it("of a node are gone with the connection, and there again with the next", async () => {
    const { network, left, right, node, pg, other } = await twoScopes();
    const [mine, theirs] = [left.table.spawn(), right.table.spawn()];
    pg.join(A, mine);
    other.join(A, theirs);
    await network.settle();
    network.disconnect(LEFT, RIGHT);
    await network.settle();
    expect([pg.members(A), other.members(A), pg.nodes()]).toEqual([[mine.pid], [theirs.pid], []]);
    network.connect(LEFT, RIGHT);
    node.up(RIGHT);
    await network.settle();
    for (const scope of [pg, other]) expect(pids(scope.members(A))).toBe(pids([mine.pid, theirs.pid]));
  });

  it("of a scope are gone with it; a new one in its place is found", async () => {
    const { network, right, pg, other } = await twoScopes();
    const theirs = right.table.spawn();
    other.join(A, theirs);
    await network.settle();
    other.close();
    await network.settle();
    expect([pg.members(A), pg.nodes()]).toEqual([[], []]);
    const next = startPg(pgNode(right), { clock: network.clock });
    next.join(A, theirs);
    network.clock.advance(1000);
    await network.settle();
    expect(pg.members(A)).toEqual([theirs.pid]);
  });

  it("of another node cannot be joined here", async () => {
    const { right, pg } = await twoScopes();
    const theirs = right.table.spawn();
    for (const act of [() => pg.join(A, theirs), () => pg.leave(A, [theirs.pid])]) {
      expect(act).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    }
  });
});

describe("groups", () => {
  it("are equal when their terms are", async () => {
    const { left, network, pg, other } = await twoScopes();
    const member = left.table.spawn();
    const map = (...keys: string[]): Term => new TermMap(keys.map((key) => [atom(key), tuple(key)]));
    pg.join(tuple(map("x", "y"), "bytes", true), member);
    await network.settle();
    const same = tuple(new Map([...(map("y", "x") as TermMap)]), Buffer.from("bytes"), atom("true"));
    expect(other.members(same)).toEqual([member.pid]);
    expect(pg.leave(same, member)).toBe(true);
    expect(pg.groups()).toEqual([]);
    pg.join(1, member);
    expect([pg.members(1n), pg.members("1"), pg.members(1.5)]).toEqual([[member.pid], [], []]);
  });

  it("of different scopes have nothing to do with each other", async () => {
    const { left, network, node, pg } = await setup();
    const scope = startPg(node, { scope: atom("other"), clock: network.clock });
    expect([pg.scope, scope.scope]).toEqual(["pg", "other"]);
    scope.join(A, left.table.spawn());
    expect([pg.members(A).length, scope.members(A).length]).toEqual([0, 1]);
    expect(() => startPg(node, { scope: "other" })).toThrow(expect.objectContaining({ code: "NAME_TAKEN" }));
  });

  it("whose name cannot be a term, or is nested without end, are refused", async () => {
    const { left, pg } = await setup();
    let deep: Term = [];
    for (let i = 0; i < 600; i++) deep = [deep];
    expect(() => pg.join(deep, left.table.spawn())).toThrow(
      expect.objectContaining({ code: "OPTION_INVALID" }),
    );
    expect(() => pg.members(Number.NaN)).toThrow(expect.objectContaining({ code: "ETF_UNREPRESENTABLE" }));
    expect(pg.groups()).toEqual([]);
  });
});

describe("a scope", () => {
  it("that is closed has no members any more, and does nothing", async () => {
    const { network, left, node, pg, other } = await twoScopes();
    const mine = left.table.spawn();
    pg.join(A, mine);
    await network.settle();
    pg.close();
    pg[Symbol.dispose]();
    await network.settle();
    expect([pg.groups(), other.groups(), pg.nodes()]).toEqual([[], [], []]);
    for (const act of [
      () => pg.join(A, mine),
      () => pg.leave(A, mine),
      () => pg.monitor(A),
      () => pg.monitorScope(),
    ]) {
      expect(act).toThrow(expect.objectContaining({ code: "PROCESS_DEAD" }));
    }
    node.up(RIGHT);
    other.close();
    await network.settle();
    expect(network.clock.pending).toBe(0);
    expect(startPg(node, { clock: network.clock }).process.alive).toBe(true);
  });

  it("ends with its node", async () => {
    const { network, left, pg, other } = await twoScopes();
    const mine = left.table.spawn();
    pg.join(A, mine);
    await network.settle();
    left.table.close();
    await network.settle();
    expect([pg.groups(), other.groups(), pg.process.alive]).toEqual([[], [], false]);
  });

  it("is not ended by exit signals but kill, and dials nobody", async () => {
    const { network, right, pg } = await setup();
    const stranger = right.table.spawn();
    stranger.exitOther(pg.process.pid, atom("boom"));
    const absent = new Pid(atom("absent@h"), 1, 0, 1);
    stranger.send(pg.process.pid, tuple(atom("discover"), absent));
    stranger.send(pg.process.pid, tuple(atom("discover"), pg.process.pid));
    stranger.send(
      pg.process.pid,
      tuple(atom("$gen_cast"), tuple(atom("sync"), absent, [tuple(A, [absent])])),
    );
    await network.settle();
    expect([pg.process.alive, pg.nodes(), pg.members(A)]).toEqual([true, [], []]);
    stranger.exitOther(pg.process.pid, atom("kill"));
    await network.settle();
    expect(pg.process.alive).toBe(false);
    expect(network.clock.pending).toBe(0);
  });

  it("of which another process of the same node takes the place is forgotten", async () => {
    const { network, right, pg, other } = await twoScopes();
    other.join(A, right.table.spawn());
    await network.settle();
    const { process } = collector(right);
    process.send(pg.process.pid, tuple(atom("discover"), process.pid));
    await network.settle();
    expect(pg.members(A)).toEqual([]);
    other.join(A, right.table.spawn());
    await network.settle();
    expect(pg.members(A)).toEqual([]);
    expect(pg.nodes()).toEqual([RIGHT]);
  });

  it.each([{ maxMembersPerNode: -1 }, { maxNameBytesPerNode: Number.NaN }, { discoverIntervalMs: 1 }])(
    "with %j is refused",
    async (options) => {
      await expect(setup(options)).rejects.toMatchObject({ code: "OPTION_INVALID" });
    },
  );
});

describe("limits", () => {
  it("leave out what is beyond them, say so once, and nothing else suffers", async () => {
    const { network, left, right, pg } = await setup({ maxMembersPerNode: 3, maxNameBytesPerNode: 60 });
    const other = startPg(pgNode(right), { clock: network.clock });
    const many = Array.from({ length: 5 }, () => right.table.spawn());
    other.join(A, many);
    network.clock.advance(1000);
    await network.settle();
    expect(pg.members(A).length).toBe(3);
    other.join("b", many);
    other.leave(A, many.slice(0, 3));
    await network.settle();
    expect(pg.groups()).toEqual([]);
    other.join("x".repeat(70), many[0]!);
    other.join("x", many[0]!);
    await network.settle();
    expect(pg.groups().map(shown)).toEqual(['<<"x">>']);
    expect(left.log.filter(({ level }) => level === "warn").map(({ fields }) => fields)).toEqual([
      { scope: "pg", node: RIGHT, refused: 2, maxMembers: 3, maxNameBytes: 60 },
    ]);
    const mine = Array.from({ length: 9 }, () => left.table.spawn());
    pg.join(A, mine);
    expect(pg.members(A).length).toBe(9);
    other.close();
    await network.settle();
    expect(pg.groups()).toEqual([A]);
  });

  it("refuse a message with a group that cannot be, and go on", async () => {
    const { network, right, left, pg, other } = await twoScopes();
    let deep: Term = [];
    for (let i = 0; i < 600; i++) deep = [deep];
    const { pid } = other.process;
    const member = right.table.spawn();
    other.join(A, member);
    const stranger = right.table.spawn();
    stranger.send(pg.process.pid, tuple(atom("join"), pid, deep, [member.pid]));
    stranger.send(pg.process.pid, tuple(atom("sync"), pid, [tuple(deep, [member.pid])]));
    await network.settle();
    expect(pg.groups()).toEqual([A]);
    expect(left.log.map(({ level }) => level)).toEqual(["warn", "warn"]);
  });
});
