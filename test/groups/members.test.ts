import type { Bridge } from "@isthmus/bridge";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Beam } from "../support/beam.ts";
import { eachOtp } from "../support/peers.ts";
import { broadcast, Clusters, got, member, others, SOON, size, startScope } from "./clusters.ts";

const GROUPS = [{ from: "a", to: "b", groups: ["orders", "{room,*}", "<<*>>"] }] as const;

eachOtp("groups of a cluster that another one of OTP 25 sees", ({ otp }) => {
  const clusters = new Clusters();
  let a: Beam;
  let b: Beam;
  let bridge: Bridge;

  beforeAll(async () => {
    [a, b] = await Promise.all([clusters.beam("a"), clusters.beam("b", otp)]);
    await Promise.all([startScope(a), startScope(b)]);
    bridge = await clusters.bridge(["a", "b"], { groups: GROUPS });
  });
  afterAll(async () => {
    try {
      expect(await clusters.reports()).toEqual({});
    } finally {
      await clusters.stop();
    }
  });

  it("members that join, leave and end are seen, each as often as it joined", async () => {
    for (const group of ["orders", "{room,7}", '<<"b">>']) {
      await member(b, "one", group);
      await expect.poll(() => size(a, group), SOON).toBe(1);
      await b.eval(`pg:join(pg, ${group}, whereis(one))`);
      await member(b, "two", group);
      await expect.poll(() => size(a, group), SOON).toBe(3);
      expect(await a.eval(`length(lists:usort(pg:get_members(pg, ${group})))`)).toBe("2");
      await b.eval(`pg:leave(pg, ${group}, whereis(one))`);
      await expect.poll(() => size(a, group), SOON).toBe(2);
      await b.eval("exit(whereis(two), kill)");
      await expect.poll(() => size(a, group), SOON).toBe(1);
      expect(bridge.status().groups).toMatchObject([{ shared: 1, members: 1, leftOut: 0 }]);
      await b.eval("exit(whereis(one), kill)");
      await expect.poll(() => a.eval("pg:which_groups(pg)"), SOON).toBe("[]");
    }
    expect(bridge.status().groups).toMatchObject([{ from: "a", to: "b", shared: 0, members: 0 }]);
  });

  it("members can be sent to, called, and watched", async () => {
    await b.eval("isthmus_probe:orders(server), pg:join(pg, orders, whereis(server))");
    await member(b, "one", "{room,1}");
    await expect.poll(() => size(a, "{room,1}"), SOON).toBe(1);
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    await broadcast(a, "{room,1}", "{hello,self()}");
    await expect.poll(() => got(b, "one"), SOON).toMatch(/^\[\{hello,<.*>\}\]$/);
    await b.eval("[{hello, From}] = isthmus_probe:collected(one), From ! answer");
    expect(await a.eval("receive answer -> got after 10000 -> nothing end")).toBe("got");
    expect(await a.eval("gen_server:call(hd(pg:get_members(pg, orders)), {add, 1, 2})")).toBe("3");
    await a.eval("W = hd(pg:get_members(pg, {room,1})), M = erlang:monitor(process, W), ok");
    // the scope watches it, too
    const watchers = `[P || {monitored_by, Ps} <- [process_info(whereis(one), monitored_by)], P <- Ps, node(P) =/= node()]`;
    await expect.poll(() => b.eval(`length(${watchers})`), SOON).toBe("1");
    await b.eval("exit(whereis(one), kill), exit(whereis(server), kill)");
    expect(await a.eval("receive {'DOWN', M, process, W, R} -> R after 10000 -> nothing end")).toBe("killed");
    await expect.poll(() => a.eval("pg:which_groups(pg)"), SOON).toBe("[]");
  });

  it("other groups, and members in the other direction, are not seen", async () => {
    await member(b, "hidden", "secrets");
    await member(b, "long", `{room,lists:duplicate(2000, $a)}`);
    await member(a, "mine", "orders");
    await member(b, "seen", "orders");
    await expect.poll(() => size(a, "orders"), SOON).toBe(2);
    expect(await a.eval("pg:which_groups(pg)")).toBe("[orders]");
    expect(await others(b, "orders")).toEqual([]);
    await a.eval("exit(whereis(mine), kill)");
    await b.eval("[exit(whereis(P), kill) || P <- [hidden, long, seen]]");
    await expect.poll(() => a.eval("pg:which_groups(pg)"), SOON).toBe("[]");
  });

  it("a scope that is lost takes its members along, and is found again", async () => {
    await member(b, "one", "orders");
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    await b.eval("gen_server:stop(pg)");
    await expect.poll(() => size(a, "orders"), SOON).toBe(0);
    await startScope(b);
    await b.eval("pg:join(pg, orders, whereis(one))");
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    // a scope that starts anew is told of all
    await a.eval("gen_server:stop(pg)");
    await startScope(a);
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    await b.eval("exit(whereis(one), kill)");
    await expect.poll(() => size(a, "orders"), SOON).toBe(0);
  });
});
