import type { Connection, PgEvent, PgScope } from "@isthmus/core";
import { atom, inspectTerm, Pid, type Term, tuple } from "@isthmus/etf";
import { silentLogger } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { bridgeError } from "../../src/errors.ts";
import { GroupEntry } from "../../src/groups/group-entry.ts";
import { ScopeShare } from "../../src/groups/scope-share.ts";
import type { GroupOptions } from "../../src/options.ts";
import { Policy, type PolicyOptions } from "../../src/policy/policy.ts";
import type { ClusterRouter } from "../../src/routing/cluster-router.ts";
import { Refusals } from "../../src/routing/refusals.ts";

const NODE = "b1@h";
const BRIDGE = "other@h";
const ORDERS: GroupOptions = { from: "a", to: "b", groups: ["orders", "{room,*}"] };
const member = (id: number, { node = NODE, serial = 1, creation = 5 } = {}): Pid =>
  new Pid(atom(node), id, serial, creation);

/** One cluster that sees the groups of another, with the scopes and routers as far as they matter here. */
function setUp({
  entries = [ORDERS],
  fromFar = false,
  policy = {},
}: {
  entries?: readonly GroupOptions[];
  fromFar?: boolean;
  policy?: Partial<PolicyOptions>;
} = {}) {
  const clock = new FakeClock();
  const announced: string[] = [];
  const held = new Map<string, number>();
  const there = new Map<Term, Map<string, Pid[]>>();
  const connections: Record<string, Partial<Connection>> = {
    [NODE]: { peerCreation: 5, hidden: false, joinsBridges: false },
    [BRIDGE]: { peerCreation: 5, hidden: true, joinsBridges: true },
  };
  const hold = (by: number) => (pid: Pid) => {
    const key = inspectTerm(pid);
    const count = (held.get(key) ?? 0) + by;
    if (count === 0) held.delete(key);
    else held.set(key, count);
  };
  const listeners = new Set<() => void>();
  const from = {
    id: "a",
    index: {
      narrow: false,
      hold: hold(1),
      release: hold(-1),
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  };
  let full = false;
  const to = {
    id: "b",
    node: { connection: (name: { text: string }) => connections[name.text] },
    show: (pid: Pid) => {
      if (full) throw bridgeError("IDENTITY_LIMIT", "full");
      return new Pid(atom("bridge@h"), pid.id, pid.serial, from.index.narrow ? 2000 : 1000);
    },
  };
  let changed: (event: PgEvent) => void = () => undefined;
  const tell = (word: string) => (group: Term, pids: readonly Pid[]) =>
    void announced.push(...pids.map(({ id, creation }) => `${word} ${inspectTerm(group)} ${id}.${creation}`));
  const here = { announce: tell("+"), withdraw: tell("-"), process: { alive: true } };
  const scope = {
    groups: () => [...there.keys()],
    membersByNode: (group: Term) => there.get(group) ?? new Map(),
    monitorScope: ({ onEvent }: { onEvent: (event: PgEvent) => void }) => {
      changed = onEvent;
      return { close: () => void announced.push("closed") };
    },
  };
  const context = {
    policy: new Policy({ rules: [], routes: [], groups: entries, clock, ...policy }),
    refusals: new Refusals(silentLogger, clock),
  };
  const share = new ScopeShare({
    from: from as unknown as ClusterRouter,
    here: here as unknown as PgScope,
    to: to as unknown as ClusterRouter,
    there: scope as unknown as PgScope,
    ...{ fromFar, context, logger: silentLogger },
  });
  const ready = entries.map((options) => new GroupEntry(options, silentLogger));
  return {
    ...{ share, announced, held, there, context, ready, connections },
    change: (
      type: PgEvent["type"],
      pids: readonly Pid[],
      { node = NODE, group = atom("orders") as Term } = {},
    ) => changed({ type, group, pids, node }),
    becomeNarrow: () => {
      from.index.narrow = true;
      for (const listener of listeners) listener();
    },
    fill: () => {
      full = true;
    },
    take: () => announced.splice(0),
  };
}

describe("members", () => {
  it("are announced as they join and withdrawn as they leave, as often as they do", () => {
    const { share, ready, change, take, held } = setUp();
    share.configure(ready);
    change("join", [member(1), member(1), member(2)]);
    expect(take()).toEqual(["+ orders 1.1000", "+ orders 1.1000", "+ orders 2.1000"]);
    expect(held.size).toBe(2);
    change("leave", [member(1), member(3)]);
    expect(take()).toEqual(["- orders 1.1000"]);
    expect(ready[0]!.status()).toMatchObject({ shared: 1, members: 2, leftOut: 0 });
    change("leave", [member(1), member(2), member(2)]);
    expect(take()).toEqual(["- orders 1.1000", "- orders 2.1000"]);
    expect(ready[0]!.status()).toMatchObject({ shared: 0, members: 0 });
    expect(held.size).toBe(0);
  });

  it("that were there before are announced when the entry comes", () => {
    const { share, ready, there, take } = setUp();
    const room = tuple(atom("room"), 7);
    there.set(
      atom("orders"),
      new Map([
        [NODE, [member(1)]],
        [BRIDGE, [member(2, { node: BRIDGE })]],
      ]),
    );
    there.set(room, new Map([[NODE, [member(3)]]]));
    there.set(atom("secret"), new Map([[NODE, [member(4)]]]));
    share.configure(ready);
    expect(take()).toEqual(["+ orders 1.1000", "+ {room, 7} 3.1000"]);
    share.configure([]);
    expect(take()).toEqual(["- orders 1.1000", "- {room, 7} 3.1000"]);
  });

  it.each([
    ["another bridge announces", { node: BRIDGE }, member(1, { node: BRIDGE })],
    ["a node announces for another", { node: NODE }, member(1, { node: "b2@h" })],
    ["are of an earlier incarnation", { node: NODE }, member(1, { creation: 4 })],
    ["are OTP's own", { node: NODE }, member(44, { serial: 0 })],
    ["a node announces that is gone", { node: "b3@h" }, member(1, { node: "b3@h" })],
    ["are in a group that no entry fits", { node: NODE, group: atom("bills") }, member(1)],
    [
      "are in a group with a name without end",
      { node: NODE, group: tuple(atom("room"), "x".repeat(1100)) },
      member(1),
    ],
  ])("that %s are not announced, nor withdrawn", (_why, where, pid) => {
    const { share, ready, change, take } = setUp();
    share.configure(ready);
    change("join", [pid], where);
    change("leave", [pid], where);
    expect(take()).toEqual([]);
  });

  it("of one node stay when another one says that they leave", () => {
    const { share, ready, change, take } = setUp();
    share.configure(ready);
    change("join", [member(1)]);
    take();
    change("leave", [member(1)], { node: BRIDGE });
    expect(take()).toEqual([]);
  });

  it("of a cluster of another site are those that its bridge announces", () => {
    const { share, ready, change, take } = setUp({ fromFar: true });
    share.configure(ready);
    change("join", [member(1, { node: BRIDGE, creation: 77 })], { node: BRIDGE });
    expect(take()).toEqual(["+ orders 1.1000"]);
  });

  it("for which there is no room are left out", () => {
    const { share, ready, change, take, fill } = setUp({
      entries: [{ ...ORDERS, maxMembers: 3, maxMembersPerGroup: 2 }],
    });
    share.configure(ready);
    change("join", [member(1), member(2), member(3)]);
    change("join", [member(4), member(5)], { group: tuple(atom("room"), 1) });
    expect(take()).toEqual(["+ orders 1.1000", "+ orders 2.1000", "+ {room, 1} 4.1000"]);
    expect(ready[0]!.status()).toMatchObject({ shared: 2, members: 3, leftOut: 2 });
    change("leave", [member(3), member(2)]);
    expect(take()).toEqual(["- orders 2.1000"]);
    fill();
    change("join", [member(6)]);
    expect(take()).toEqual([]);
    expect(ready[0]!.status().leftOut).toBe(3);
  });

  it("are announced anew when a node of OTP 23 has come", () => {
    const { share, ready, change, take, becomeNarrow, held } = setUp();
    share.configure(ready);
    change("join", [member(1), member(1)]);
    take();
    becomeNarrow();
    expect(take()).toEqual(["- orders 1.1000", "- orders 1.1000", "+ orders 1.2000", "+ orders 1.2000"]);
    becomeNarrow();
    expect(take()).toEqual([]);
    change("leave", [member(1), member(1)]);
    expect(take()).toEqual(["- orders 1.2000", "- orders 1.2000"]);
    expect(held.size).toBe(0);
  });

  it("are all withdrawn at the end", () => {
    const { share, ready, change, take } = setUp();
    share.configure(ready);
    change("join", [member(1)]);
    change("join", [member(2)], { group: tuple(atom("room"), 1) });
    take();
    share.close();
    expect(take()).toEqual(["closed", "- orders 1.1000", "- {room, 1} 2.1000"]);
  });
});

describe("rules", () => {
  it("are asked for each node, and anew when they change", () => {
    const rules = [{ id: "no", action: "deny", groups: ["orders"], toNodes: [NODE] }] as const;
    const { share, ready, change, take, context, there } = setUp({ policy: { rules } });
    share.configure(ready);
    change("join", [member(1)]);
    expect(take()).toEqual([]);
    expect(context.refusals.total).toBe(1);
    there.set(atom("orders"), new Map([[NODE, [member(1)]]]));
    context.policy = new Policy({ rules: [], routes: [], groups: [ORDERS], clock: new FakeClock() });
    share.configure(ready);
    expect(take()).toEqual(["+ orders 1.1000"]);
    share.configure(ready);
    expect(take()).toEqual([]);
    context.policy = new Policy({ rules, routes: [], groups: [ORDERS], clock: new FakeClock() });
    share.configure(ready);
    expect(take()).toEqual(["- orders 1.1000"]);
  });

  it("in the mode log are noted, and the members are announced", () => {
    const rules = [{ action: "deny", groups: ["orders"] }] as const;
    const { share, ready, change, take, context } = setUp({ policy: { rules, mode: "log" } });
    share.configure(ready);
    change("join", [member(1)]);
    expect(take()).toEqual(["+ orders 1.1000"]);
    expect([context.refusals.noted, context.refusals.total]).toEqual([1, 0]);
  });
});
