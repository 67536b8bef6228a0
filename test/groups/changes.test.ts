import type { GroupOptions } from "@isthmus/bridge";
import { afterEach, describe, expect, it } from "vitest";
import { eachOtp, type OtpRelease } from "../support/peers.ts";
import { Clusters, member, others, SOON, size, startScope } from "./clusters.ts";

const ORDERS: GroupOptions = { from: "a", to: "b", groups: ["orders"] };

let clusters = new Clusters();
afterEach(async () => {
  try {
    expect(await clusters.reports()).toEqual({});
  } finally {
    await clusters.stop();
    clusters = new Clusters();
  }
});

async function twoClusters(otpB: OtpRelease = 25) {
  const [a, b] = await Promise.all([clusters.beam("a"), clusters.beam("b", otpB)]);
  await Promise.all([startScope(a), startScope(b)]);
  return { a, b };
}

describe("what is seen of a group", () => {
  it("goes with a node that is killed, and is there again with the next one", async () => {
    const { a, b } = await twoClusters();
    const other = await clusters.beam("b");
    await startScope(other);
    expect(await b.eval(`net_adm:ping('${other.node}')`)).toBe("pong");
    await clusters.bridge(["a", "b"], { groups: [ORDERS] });
    await member(b, "one", "orders");
    await member(other, "two", "orders");
    await expect.poll(() => size(a, "orders"), SOON).toBe(2);
    await other.kill();
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    await a.eval("[One] = pg:get_members(pg, orders), One ! hello");
    expect(await b.eval("isthmus_probe:collected(one, 1, 5000)")).toBe("[hello]");
  });

  it("goes with a connection of the bridge that is cut, on either side, and comes again", async () => {
    const { a, b } = await twoClusters();
    const bridge = await clusters.bridge(["a", "b"], { groups: [ORDERS] });
    await member(b, "one", "orders");
    for (const beam of [a, b, b, a]) {
      await expect.poll(() => size(a, "orders"), SOON).toBe(1);
      const seen = await a.eval("pg:get_members(pg, orders)");
      await a.eval(
        "Self = self(), spawn(fun() -> M = monitor(process, hd(pg:get_members(pg, orders))), Self ! on, receive {'DOWN', M, _, _, R} -> Self ! R end end), receive on -> ok end",
      );
      await beam.eval("erlang:disconnect_node('bridge@127.0.0.1')");
      expect(await a.eval("receive noconnection -> ok after 10000 -> nothing end")).toBe("ok");
      await expect
        .poll(() => bridge.status().clusters.map(({ connected }) => connected.length), SOON)
        .toEqual([1, 1]);
      await expect.poll(() => size(a, "orders"), SOON).toBe(1);
      // it is the same process, and known as such
      expect(await a.eval("pg:get_members(pg, orders)")).toBe(seen);
    }
  });

  it("goes with a node that does not answer any more, and comes again with it", async () => {
    const { a, b } = await twoClusters();
    const bridge = await clusters.bridge(["a", "b"], { groups: [ORDERS] }, { tickTimeSeconds: 1 });
    await member(b, "one", "orders");
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    await b.pause();
    await expect.poll(() => size(a, "orders"), SOON).toBe(0);
    b.resume();
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    expect(bridge.status().groups).toMatchObject([{ shared: 1, members: 1 }]);
  });

  it("goes with the bridge, and is there once with the next one", async () => {
    const { a, b } = await twoClusters();
    await member(b, "one", "orders");
    for (let run = 0; run < 3; run++) {
      const bridge = await clusters.bridge(["a", "b"], { groups: [ORDERS] });
      await expect.poll(() => size(a, "orders"), SOON).toBe(1);
      await a.eval("hd(pg:get_members(pg, orders)) ! hello");
      await expect.poll(() => b.eval("length(isthmus_probe:collected(one))"), SOON).toBe(String(run + 1));
      if (run === 1) {
        await bridge.drain(5000);
        // the connections are there still, the members are not
        expect(bridge.status().clusters.map(({ connected }) => connected.length)).toEqual([1, 1]);
        await expect.poll(() => a.eval("pg:which_groups(pg)"), SOON).toBe("[]");
      }
      await bridge.close();
      await expect.poll(() => a.eval("pg:which_groups(pg)"), SOON).toBe("[]");
      expect(bridge.status().groups).toEqual([]);
    }
  });

  it("is decided by the rules, which come before the entry", async () => {
    const { a, b } = await twoClusters();
    const other = await clusters.beam("b");
    await startScope(other);
    const groups = [{ from: "a", to: "b", groups: ["*"] }];
    const bridge = await clusters.bridge(["a", "b"], {
      groups,
      policy: [
        { id: "open", action: "allow", groups: ["{secret,open}"] },
        { id: "secret", action: "deny", from: ["a"], groups: ["{secret,*}"] },
        { id: "node", action: "deny", groups: ["local"], toNodes: [other.node] },
        { id: "other way", action: "deny", from: ["b"] },
      ],
    });
    for (const beam of [b, other])
      for (const group of ["{secret,open}", "{secret,shut}", "local"])
        await beam.eval(`pg:join(pg, ${group}, isthmus_probe:collect())`);
    await expect.poll(() => a.eval("lists:sort(pg:which_groups(pg))"), SOON).toBe("[local,{secret,open}]");
    await expect.poll(() => size(a, "{secret,open}"), SOON).toBe(2);
    // what is refused of the other node comes after what is seen of it
    const rules = () =>
      Object.fromEntries(
        bridge.status().rules.map(({ rule, allowed, refused }) => [rule, [allowed, refused]]),
      );
    await expect.poll(rules, SOON).toMatchObject({ open: [2, 0], secret: [0, 2], node: [0, 1] });
    expect(bridge.status().refused).toBe(3);
    expect(await size(a, "local")).toBe(1);

    await bridge.reload({
      routes: [],
      groups,
      policy: [{ id: "shut", action: "deny", groups: ["{secret,open}"] }],
    });
    await expect.poll(() => a.eval("lists:sort(pg:which_groups(pg))"), SOON).toBe("[local,{secret,shut}]");
    await expect.poll(() => size(a, "local"), SOON).toBe(2);
    await bridge.reload({
      routes: [],
      groups,
      policyMode: "log",
      policy: [{ action: "deny", groups: ["*"] }],
    });
    await expect.poll(() => a.eval("length(pg:which_groups(pg))"), SOON).toBe("3");
    expect(bridge.status().wouldBeRefused).toBeGreaterThan(0);
  });

  it("changes with the configuration, and what stays in it is not touched", async () => {
    const { a, b } = await twoClusters();
    const bridge = await clusters.bridge(["a", "b"], { groups: [ORDERS] });
    for (const group of ["orders", "bills"]) await member(b, group, group);
    await expect.poll(() => size(a, "orders"), SOON).toBe(1);
    await a.eval(`Self = self(), M = spawn(fun() -> {R, _} = pg:monitor_scope(pg),
      (fun F() -> receive {R, T, G, _} -> Self ! {T, G}, F() end end)() end), ok`);
    await bridge.reload({ routes: [], groups: [ORDERS, { from: "a", to: "b", groups: ["bills"] }] });
    expect(await a.eval("receive {join, G1} -> G1 after 10000 -> nothing end")).toBe("bills");
    await bridge.reload({ routes: [], groups: [{ from: "a", to: "b", groups: ["bills"] }] });
    expect(await a.eval("receive {leave, G2} -> G2 after 10000 -> nothing end")).toBe("orders");
    // the first entry that fits has it
    await bridge.reload({
      routes: [],
      groups: [
        { from: "a", to: "b", groups: ["b*"], form: "fan_out" },
        { from: "a", to: "b", groups: ["bills"] },
      ],
    });
    expect(await a.eval("receive {leave, G3} -> G3 after 10000 -> nothing end")).toBe("bills");
    expect(await a.eval("receive {join, G4} -> G4 after 10000 -> nothing end")).toBe("bills");
    expect(await size(a, "bills")).toBe(1);
    await bridge.reload({ routes: [], groups: [{ from: "b", to: "a", groups: ["*"] }] });
    expect(await a.eval("receive {leave, G5} -> G5 after 10000 -> nothing end")).toBe("bills");
    await bridge.reload({ routes: [] });
    expect(await a.eval("receive Message -> Message after 0 -> nothing end")).toBe("nothing");
    expect(bridge.status().groups).toEqual([]);
  });

  it.each([
    [{ from: "a", to: "a", groups: ["*"] }, "must differ"],
    [{ from: "a", to: "c", groups: ["*"] }, "no cluster"],
    [{ from: "a", to: "b", groups: [] }, "no pattern"],
    [{ from: "a", to: "b", groups: ["*"], maxMembers: -1 }, "0 or more"],
  ] satisfies [GroupOptions, string][])("is as before when an entry is wrong: %j", async (entry, problem) => {
    const bridge = await clusters.bridge(["a", "b"], { groups: [ORDERS] });
    await expect(bridge.reload({ routes: [], groups: [entry] })).rejects.toMatchObject({
      code: "BRIDGE_OPTIONS_INVALID",
      message: expect.stringContaining(problem),
    });
    expect(bridge.status().groups).toMatchObject([ORDERS]);
  });

  it("is of the nodes that mirrors stand for, where there are mirrors", async () => {
    const { a, b } = await twoClusters();
    const bridge = await clusters.bridge(["a", "b"], {
      groups: [ORDERS],
      mirrors: [{ from: "a", to: "b", as: "mirror@127.0.0.1" }],
    });
    await member(b, "one", "orders");
    const nodes = async () => (await others(a, "orders")).map(({ node }) => node.text);
    await expect.poll(nodes, SOON).toEqual(["mirror@127.0.0.1"]);
    await a.eval("[One] = pg:get_members(pg, orders), One ! {hello, self()}");
    expect(
      await b.eval(
        "[{hello, From}] = isthmus_probe:collected(one, 1, 5000), From ! {from, whereis(one)}, ok",
      ),
    ).toBe("ok");
    expect(await a.eval("receive {from, Who} -> Who =:= One after 10000 -> nothing end")).toBe("true");
    await bridge.reload({ routes: [], groups: [ORDERS] });
    await expect.poll(nodes, SOON).toEqual(["bridge@127.0.0.1"]);
    await a.eval("hd(pg:get_members(pg, orders)) ! bye");
    await expect.poll(() => b.eval("length(isthmus_probe:collected(one))"), SOON).toBe("2");
  });

  it("ends at the limits, says so once, and the rest is not harmed", async () => {
    const { a, b } = await twoClusters();
    const warnings: unknown[] = [];
    const bridge = await clusters.bridge(["a", "b"], {
      groups: [{ from: "a", to: "b", groups: ["*"], maxMembers: 12, maxMembersPerGroup: 5 }],
      logger: {
        debug: () => undefined,
        info: () => undefined,
        error: () => undefined,
        warn: (fields, message) => message.includes("left out") && void warnings.push(fields),
      },
    });
    await b.eval(
      "Many = [isthmus_probe:collect() || _ <- lists:seq(1, 8)], [pg:join(pg, G, Many) || G <- [g1, g2, g3]]",
    );
    await expect
      .poll(() => bridge.status().groups, SOON)
      .toMatchObject([{ shared: 3, members: 12, leftOut: 12 }]);
    const sizes = () => Promise.all(["g1", "g2", "g3"].map((group) => size(a, group)));
    await expect.poll(sizes, SOON).toEqual([5, 5, 2]);
    expect(warnings).toEqual([
      { cluster: "a", to: "b", scope: "pg", leftOut: 3, maxMembers: 12, maxMembersPerGroup: 5 },
    ]);
    await b.eval("[exit(P, kill) || P <- Many]");
    await expect.poll(sizes, SOON).toEqual([0, 0, 0]);
    await b.eval("pg:join(pg, g1, isthmus_probe:collect())");
    await expect.poll(sizes, SOON).toEqual([1, 0, 0]);
  });
});

eachOtp(
  "a group with numbers that OTP 23 cannot read",
  ({ otp }) => {
    it("is shown to such a node that comes later in a form that it can read", async () => {
      const { a, b } = await twoClusters(otp);
      await clusters.bridge(["a", "b"], { groups: [ORDERS] });
      // numbers beyond those of OTP 23, which drops the connection over them
      await b.eval("(fun F(0) -> ok; F(N) -> spawn(fun() -> ok end), F(N - 1) end)(40000)", {
        timeoutMs: 60_000,
      });
      await b.eval("P = isthmus_probe:collect(), pg:join(pg, orders, P)");
      await expect.poll(() => size(a, "orders"), SOON).toBe(1);
      expect((await others(a, "orders"))[0]!.id).toBeGreaterThan(32_767);
      const old = await clusters.beam("a", 23);
      await startScope(old);
      expect(await old.eval("net_adm:ping('bridge@127.0.0.1')")).toBe("pong");
      await expect.poll(() => size(old, "orders"), SOON).toBe(1);
      await expect.poll(() => size(a, "orders"), SOON).toBe(1);
      for (const beam of [old, a]) await beam.eval("hd(pg:get_members(pg, orders)) ! hello");
      await expect.poll(() => b.eval("isthmus_probe:collected(P)"), SOON).toBe("[hello,hello]");
      await b.eval("exit(P, kill)");
      for (const beam of [old, a]) await expect.poll(() => size(beam, "orders"), SOON).toBe(0);
    });
  },
  [27, 29],
);

describe("a thousand groups", () => {
  it("are seen with all their members, and all go", async () => {
    const { a, b } = await twoClusters();
    const bridge = await clusters.bridge(["a", "b"], {
      groups: [{ from: "a", to: "b", groups: ["{room,*}"] }],
    });
    await b.eval(
      "Many = [isthmus_probe:collect() || _ <- lists:seq(1, 100)], [pg:join(pg, {room, N}, lists:sublist(Many, 1 + N rem 90, 10)) || N <- lists:seq(1, 1000)], ok",
      { timeoutMs: 60_000 },
    );
    await expect
      .poll(() => bridge.status().groups, { ...SOON, timeout: 60_000 })
      .toMatchObject([{ shared: 1000, members: 10_000, leftOut: 0 }]);
    const total = () =>
      a.eval(
        "{length(pg:which_groups(pg)), lists:sum([length(pg:get_members(pg, G)) || G <- pg:which_groups(pg)])}",
      );
    await expect.poll(total, { ...SOON, timeout: 60_000 }).toBe("{1000,10000}");
    // a node that comes later is told of all at once
    const late = await clusters.beam("a");
    await startScope(late);
    await bridge.node("a").connect(late.node);
    await expect
      .poll(() => late.eval("length(pg:which_groups(pg))"), { ...SOON, timeout: 60_000 })
      .toBe("1000");
    await b.eval("[exit(P, kill) || P <- Many], ok");
    await expect.poll(total, { ...SOON, timeout: 60_000 }).toBe("{0,0}");
    expect(bridge.status().groups).toMatchObject([{ shared: 0, members: 0 }]);
  });
});
