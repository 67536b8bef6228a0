import type { Bridge, PolicyRule } from "@isthmus/bridge";
import { SIGNAL } from "@isthmus/core/channel";
import { atom } from "@isthmus/etf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Beam } from "../support/beam.ts";
import { broadcast, Clusters, got, member, SOON, size, startScope } from "./clusters.ts";

const ROOM = { from: "a", to: "b", groups: ["room"], form: "fan_out" } as const;
const ROUTES: readonly [] = [];

describe("a group of which one process stands for all members", () => {
  let clusters: Clusters;
  let a: Beam;
  let b: Beam;
  let other: Beam;
  let bridge: Bridge;

  beforeEach(async () => {
    clusters = new Clusters();
    [a, b, other] = (await Promise.all(["a", "b", "b"].map((id) => clusters.beam(id)))) as [Beam, Beam, Beam];
    await Promise.all([a, b, other].map((beam) => startScope(beam)));
    bridge = await clusters.bridge(["a", "b"], { groups: [ROOM] });
  });
  afterEach(async () => {
    try {
      expect(await clusters.reports()).toEqual({});
    } finally {
      await clusters.stop();
    }
  });

  const PLACES = () => [b, b, other, other, other] as const;
  const NAMES = ["m1", "m2", "m3", "m4", "m5"];
  /** Two members on one node, three on another. */
  async function fill(): Promise<void> {
    for (const [i, beam] of PLACES().entries()) await member(beam, NAMES[i]!, "room");
    await expect.poll(() => bridge.status().groups, SOON).toMatchObject([{ shared: 1, members: 5 }]);
    await expect.poll(() => size(a, "room"), SOON).toBe(1);
  }
  const all = () => Promise.all(PLACES().map((beam, i) => got(beam, NAMES[i]!)));
  const reload = (policy: readonly PolicyRule[]) => bridge.reload({ routes: ROUTES, groups: [ROOM], policy });

  it("a message goes to the bridge once, and to each of them once, who can answer", async () => {
    await fill();
    const route = vi.spyOn(bridge.router("a"), "route");
    const frames = () =>
      route.mock.calls.filter(([, { kind, to }]) => kind === SIGNAL.SEND && typeof to === "object").length;
    await broadcast(a, "room", "{hello,1}");
    await expect.poll(all, SOON).toEqual(NAMES.map(() => "[{hello,1}]"));
    expect(route).toHaveBeenCalledTimes(1);
    expect(frames()).toBe(1);
    await broadcast(a, "room", "{from,self()}");
    await expect.poll(async () => (await all()).every((text) => text.includes("{from,")), SOON).toBe(true);
    for (const [i, beam] of PLACES().entries())
      await beam.eval(`[_, {from, From${i}}] = isthmus_probe:collected(${NAMES[i]}), From${i} ! ${NAMES[i]}`);
    expect(
      await a.eval("lists:sort([receive M -> M after 10000 -> nothing end || _ <- lists:seq(1, 5)])"),
    ).toBe("[m1,m2,m3,m4,m5]");
  });

  it("messages keep their order, whoever joins and leaves meanwhile", async () => {
    await fill();
    await other.eval(
      "Churn = spawn(fun F() -> P = spawn(fun() -> receive stop -> ok end end), pg:join(pg, room, P), timer:sleep(1), pg:leave(pg, room, P), F() end), ok",
    );
    await a.eval("[Room] = pg:get_members(pg, room), [Room ! N || N <- lists:seq(1, 5000)], ok");
    await expect
      .poll(() => b.eval("length(isthmus_probe:collected(m1))", { timeoutMs: 20_000 }), SOON)
      .toBe("5000");
    await other.eval("exit(Churn, kill)");
    for (const [i, beam] of PLACES().entries()) {
      await expect
        .poll(() => beam.eval(`isthmus_probe:collected(${NAMES[i]}) =:= lists:seq(1, 5000)`), SOON)
        .toBe("true");
    }
  });

  it("it is there while there are members, and cannot be ended by others", async () => {
    await fill();
    await a.eval(
      "process_flag(trap_exit, true), [Room] = pg:get_members(pg, room), M = monitor(process, Room), link(Room)",
    );
    await a.eval("exit(Room, kill), exit(Room, shutdown), Room ! {'EXIT', self(), kill}");
    await a.eval("spawn(fun() -> link(Room), exit(boom) end), group_leader(self(), self())");
    await a.eval("Room ! still_there");
    await expect.poll(() => got(b, "m1"), SOON).toBe("[still_there]");
    expect(await a.eval("receive Any -> Any after 0 -> nothing end")).toBe("nothing");
    for (const [i, beam] of PLACES().entries()) await beam.eval(`exit(whereis(${NAMES[i]}), kill)`);
    expect(await a.eval("receive {'DOWN', M, process, Room, Why} -> Why after 10000 -> nothing end")).toBe(
      "shutdown",
    );
    expect(await a.eval("receive {'EXIT', Room, Reason} -> Reason after 10000 -> nothing end")).toBe(
      "shutdown",
    );
    await expect.poll(() => a.eval("pg:which_groups(pg)"), SOON).toBe("[]");
    expect(bridge.status().groups).toMatchObject([{ shared: 0, members: 0 }]);
  });

  it("who joined twice gets all twice; a call is answered by a member", async () => {
    await b.eval("isthmus_probe:orders(server), pg:join(pg, room, whereis(server))");
    await expect.poll(() => size(a, "room"), SOON).toBe(1);
    expect(await a.eval("[Room] = pg:get_members(pg, room), gen_server:call(Room, {add, 1, 2})")).toBe("3");
    await b.eval("pg:leave(pg, room, whereis(server)), exit(whereis(server), kill)");
    // what another node says may be heard before it
    await expect.poll(() => bridge.status().groups, SOON).toMatchObject([{ members: 0 }]);
    await member(other, "m3", "room");
    await other.eval("pg:join(pg, room, whereis(m3))");
    await expect.poll(() => bridge.status().groups, SOON).toMatchObject([{ members: 2 }]);
    await expect.poll(() => size(a, "room"), SOON).toBe(1);
    await broadcast(a, "room", "twice");
    await expect.poll(() => got(other, "m3"), SOON).toBe("[twice,twice]");
  });

  it("the rules for pids judge a message once, however many it is for", async () => {
    await fill();
    await reload([
      {
        id: "few",
        action: "allow",
        from: ["a"],
        pid: true,
        maxBytes: 100,
        rate: { perSecond: 1e-9, burst: 3 },
      },
    ]);
    await a.eval(
      "[Room] = pg:get_members(pg, room), Room ! binary:copy(<<1>>, 200), [Room ! N || N <- lists:seq(1, 5)]",
    );
    await expect
      .poll(() => bridge.status().rules.find(({ rule }) => rule === "few"), SOON)
      .toMatchObject({ allowed: 3, refused: 3 });
    await expect.poll(all, SOON).toEqual(NAMES.map(() => "[1,2,3]"));
    await reload([{ action: "deny", from: ["a"], pid: true, toNodes: [other.node] }]);
    await broadcast(a, "room", "here");
    await expect.poll(() => got(b, "m1"), SOON).toBe("[1,2,3,here]");
    await reload([{ action: "deny", from: ["a"], pid: true, operations: ["cast"] }]);
    await broadcast(a, "room", "{'$gen_cast',no}");
    await broadcast(a, "room", "there");
    await expect.poll(() => got(other, "m5"), SOON).toBe("[1,2,3,there]");
    await expect.poll(() => got(b, "m1"), SOON).toBe("[1,2,3,here,there]");
  });

  it("its name is a way to it where that is wanted, and no name of anybody else", async () => {
    for (const name of ["rex", "pg", "free"]) await b.eval(`pg:join(pg, ${name}, isthmus_probe:collect())`);
    await member(b, "m1", "room");
    await bridge.reload({ routes: ROUTES, groups: [{ from: "a", to: "b", groups: ["*"], named: true }] });
    await expect.poll(() => a.eval("length(pg:which_groups(pg))"), SOON).toBe("4");
    await a.eval("[{Name, 'bridge@127.0.0.1'} ! {to, Name} || Name <- [rex, pg, free, room, nobody]]");
    await expect.poll(() => got(b, "m1"), SOON).toBe("[{to,room}]");
    expect(await b.eval("[isthmus_probe:collected(hd(pg:get_members(pg, G))) || G <- [rex, pg, free]]")).toBe(
      "[[],[],[{to,free}]]",
    );
    await b.eval("exit(whereis(m1), kill)");
    await expect.poll(() => a.eval("length(pg:which_groups(pg))"), SOON).toBe("3");
    await bridge.reload({ routes: ROUTES, groups: [ROOM] });
    await a.eval("{free, 'bridge@127.0.0.1'} ! lost, ok");
    await member(b, "m2", "room");
    await expect.poll(() => size(a, "room"), SOON).toBe(1);
    await broadcast(a, "room", "found");
    await expect.poll(() => got(b, "m2"), SOON).toBe("[found]");
    expect(await b.eval("isthmus_probe:collected(hd(pg:get_members(pg, free)))")).toBe("[{to,free}]");
  });

  it("what a node sends that has a mirror there comes from the mirror, each once and in order", async () => {
    await fill();
    await bridge.reload({
      routes: ROUTES,
      groups: [ROOM],
      mirrors: [{ from: "b", to: "a", as: "mirror@127.0.0.1" }],
    });
    await expect
      .poll(() => bridge.status().mirrors.map(({ name, port }) => port !== undefined && name), SOON)
      .toEqual(["mirror@127.0.0.1"]);
    await a.eval("[Room] = pg:get_members(pg, room), [Room ! {N, self()} || N <- lists:seq(1, 500)], ok");
    for (const [i, beam] of PLACES().entries()) {
      const wanted = `[{N, node(From)} || {N, From} <- isthmus_probe:collected(${NAMES[i]})] =:= [{N, 'mirror@127.0.0.1'} || N <- lists:seq(1, 500)]`;
      await expect.poll(() => beam.eval(wanted), SOON).toBe("true");
    }
  });

  it("a member's node that does not read holds up the senders, not the bridge's memory, and nothing is lost", async () => {
    await fill();
    await other.pause();
    const before = process.memoryUsage().rss;
    // 600 messages of 64 KiB for three members there are 118 MB
    await a.eval(
      "[Room] = pg:get_members(pg, room), Bin = binary:copy(<<1>>, 65536), spawn(fun() -> [Room ! {N, Bin} || N <- lists:seq(1, 600)] end), ok",
    );
    // one more, for which the others are not held up for ever
    await expect.poll(() => b.eval("length(isthmus_probe:collected(m1)) > 0"), SOON).toBe("true");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(process.memoryUsage().rss - before).toBeLessThan(80 * 1024 * 1024);
    other.resume();
    for (const [i, beam] of PLACES().entries()) {
      await expect
        .poll(
          () =>
            beam.eval(`[N || {N, _} <- isthmus_probe:collected(${NAMES[i]})] =:= lists:seq(1, 600)`, {
              timeoutMs: 30_000,
            }),
          { ...SOON, timeout: 60_000 },
        )
        .toBe("true");
    }
  });

  it("a long message for many members of one node leaves in parts, and what comes after it comes after it", async () => {
    await b.eval("Many = [isthmus_probe:collect() || _ <- lists:seq(1, 40)], pg:join(pg, room, Many)");
    await expect.poll(() => bridge.status().groups, SOON).toMatchObject([{ members: 40 }]);
    await expect.poll(() => size(a, "room"), SOON).toBe(1);
    const router = bridge.router("a");
    const spread = router.spread.bind(router);
    let most = 0;
    vi.spyOn(router, "spread").mockImplementation((...args) => {
      spread(...args);
      most = Math.max(most, bridge.node("b").connection(atom(b.node))?.backlog ?? 0);
    });
    await a.eval(
      "[Room] = pg:get_members(pg, room), Room ! first, Room ! {long, binary:copy(<<1>>, 1000000)}, Room ! last",
    );
    const sizes =
      "[[case M of {long, B} -> byte_size(B); _ -> M end || M <- isthmus_probe:collected(P)] || P <- Many]";
    await expect.poll(() => b.eval(`lists:usort(${sizes})`), SOON).toBe("[[first,1000000,last]]");
    expect(most).toBeGreaterThan(1_000_000);
    expect(most).toBeLessThan(5_000_000);
  });
});
