import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { BRIDGE, Ends, startTwoBridges, type TwoBridges, until } from "./two-bridges.ts";

const ORDERS = `{orders, ${BRIDGE}}`;

describe.each([
  [25, 25],
  [27, 25],
] as const)("clusters of two sites, OTP %i and %i", (otpShop, otpBilling) => {
  const ends = new Ends();
  let two: TwoBridges;
  beforeAll(async () => {
    two = await startTwoBridges(ends, {
      ...{ otpShop, otpBilling },
      // everything but exit/2 is allowed without a rule
      north: { policy: [{ action: "allow", pid: true, operations: ["exit"] }] },
      south: { policy: [{ action: "allow", pid: true, operations: ["exit"] }] },
    });
  });
  afterAll(() => ends.run());

  describe.each([
    ["shop", "billing"],
    ["billing", "shop"],
  ] as const)("what a process of %s can do with one of %s", (here, there) => {
    const near = (code: string) => two[here].beam.eval(code);
    const far = (code: string) => two[there].beam.eval(code);

    it("call, cast, send: terms of every kind, large ones, its own pids as themselves", async () => {
      expect(await near(`gen_server:call(${ORDERS}, {add, 20, 22})`)).toBe("42");
      expect(
        await near(`T = [#{a => [1, 2.5, <<5:3>>, 'Atom \\x{e9}', [x|y], 1 bsl 70]}, fun lists:map/2, self(), make_ref(),
          hd(erlang:ports()), binary:copy(<<7>>, 3000000)], T =:= gen_server:call(${ORDERS}, {echo, T})`),
      ).toBe("true");
      await near(`gen_server:cast(${ORDERS}, {note, {cast, ${here}}}), ${ORDERS} ! {info, ${here}}`);
      await until(
        async () => (await far("gen_server:call(orders, infos)")).includes(`{info,${here}}`),
        "the message has come",
      );
      expect(await far("gen_server:call(orders, notes)")).toContain(`{cast,${here}}`);
    });

    it("pids of the far side: node is the bridge, they answer, and they can send back", async () => {
      expect(
        await near(
          `{P, N} = gen_server:call(${ORDERS}, whoami), {node(P), N, gen_server:call(P, {add, 1, 2})}`,
        ),
      ).toBe(`{${BRIDGE},'${there}1@127.0.0.1',3}`);
      await near(`gen_server:cast(${ORDERS}, {forward, self(), {hello, from, far}})`);
      expect(await near("receive M1 -> M1 after 5000 -> nothing end")).toBe("{hello,from,far}");
    });

    it("monitors by pid and by name, and demonitor", async () => {
      expect(
        await near(`W1 = gen_server:call(${ORDERS}, spawn_worker), R1 = erlang:monitor(process, W1), W1 ! {stop, {why, [1]}},
          receive {'DOWN', R1, process, W1, Y1} -> Y1 after 5000 -> nothing end`),
      ).toBe("{why,[1]}");
      expect(
        await near(`R2 = erlang:monitor(process, ${ORDERS}), gen_server:cast(${ORDERS}, {stop, by_name}),
          receive {'DOWN', R2, process, X2, Y2} -> {X2, Y2} after 5000 -> nothing end`),
      ).toBe(`{${ORDERS.replace(" ", "")},by_name}`);
      await far("isthmus_probe:orders(orders)");
      expect(
        await near(`R3 = erlang:monitor(process, {nobody, ${BRIDGE}}),
          receive {'DOWN', R3, process, _, Y3} -> Y3 after 5000 -> nothing end`),
      ).toBe("noproc");
      expect(
        await near(`W4 = gen_server:call(${ORDERS}, spawn_worker), R4 = erlang:monitor(process, W4), erlang:demonitor(R4),
          W4 ! {stop, x}, receive M4 -> M4 after 300 -> nothing end`),
      ).toBe("nothing");
      expect(
        await near(`R5 = erlang:monitor(process, W4),
          receive {'DOWN', R5, process, W4, Y5} -> Y5 after 5000 -> nothing end`),
      ).toBe("noproc");
    });

    it("links, unlink, exit/2", async () => {
      expect(
        await near(`process_flag(trap_exit, true), W6 = gen_server:call(${ORDERS}, spawn_worker), link(W6), W6 ! {stop, linked},
          receive {'EXIT', W6, Y6} -> Y6 after 5000 -> nothing end`),
      ).toBe("linked");
      expect(
        await near(`W7 = gen_server:call(${ORDERS}, spawn_worker), link(W7), unlink(W7), W7 ! {stop, x},
          receive M7 -> M7 after 300 -> nothing end`),
      ).toBe("nothing");
      expect(
        await near(`W8 = gen_server:call(${ORDERS}, spawn_worker), R8 = erlang:monitor(process, W8), exit(W8, kill),
          receive {'DOWN', R8, process, W8, Y8} -> Y8 after 5000 -> nothing end`),
      ).toBe("killed");
      // the end of the near process reaches the far one
      expect(
        await near(`W9 = gen_server:call(${ORDERS}, spawn_worker), R9 = erlang:monitor(process, W9),
          spawn(fun() -> link(W9), exit(together) end), receive {'DOWN', R9, process, W9, Y9} -> Y9 after 5000 -> nothing end`),
      ).toBe("together");
    });

    it("leaves nothing behind", async () => {
      for (const bridge of [two.north, two.south])
        await until(() => bridge.status().relations === 0, "no relation is left");
    });
  });
});

describe("two bridges and a trunk", () => {
  const ends = new Ends();
  afterEach(() => ends.run());

  it("each side refuses by its own policy, and the caller hears of it", async () => {
    const two = await startTwoBridges(ends, {
      // north lets casts of secrets through, south does not; north itself lets nobody call
      north: { policy: [{ action: "deny", from: ["shop"], names: ["orders"], operations: ["call"] }] },
      south: { policy: [{ action: "deny", from: ["shop"], names: ["sink"] }] },
    });
    const near = (code: string) => two.shop.beam.eval(code);
    expect(await near(`catch gen_server:call(${ORDERS}, {add, 1, 2})`)).toContain("noproc");
    expect(two.north.status().refused).toBe(1);
    expect(two.south.status().refused).toBe(0);
    expect(
      await near(`R1 = erlang:monitor(process, {sink, ${BRIDGE}}),
        receive {'DOWN', R1, process, _, Y1} -> Y1 after 5000 -> nothing end`),
    ).toBe("noproc");
    await near(`{sink, ${BRIDGE}} ! refused, gen_server:cast(${ORDERS}, {note, allowed})`);
    await until(
      async () => (await two.billing.beam.eval("gen_server:call(orders, notes)")) === "[allowed]",
      "cast",
    );
    expect(await two.billing.beam.eval("isthmus_probe:collected(sink)")).toBe("[]");
    expect(two.north.status().refused).toBe(1);
    expect(two.south.status().refused).toBe(2);
    // what leaves nothing and what comes in nothing: a process of OTP, and a name that is not routed
    expect(await near(`catch gen_server:call({net_kernel, ${BRIDGE}}, nothing, 1000)`)).not.toContain("ok");
    await near(`{user, ${BRIDGE}} ! nothing`);
  });

  it("functions run across by the rules of both sides", async () => {
    const allow = {
      action: "allow",
      from: ["shop"],
      to: ["billing"],
      rpc: ["erlang:node/0", "erlang:abs/1"],
    } as const;
    const two = await startTwoBridges(ends, {
      north: { policy: [allow] },
      south: { policy: [{ ...allow, rpc: ["erlang:node/0"], nodes: ["billing1@127.0.0.1"] }] },
    });
    const near = (code: string) => two.shop.beam.eval(code);
    expect(await near(`erpc:call(${BRIDGE}, erlang, node, [], 5000)`)).toBe("'billing1@127.0.0.1'");
    expect(await near(`rpc:call(${BRIDGE}, erlang, node, [], 5000)`)).toBe("'billing1@127.0.0.1'");
    // the far side does not let it
    expect(await near(`catch erpc:call(${BRIDGE}, erlang, abs, [-1], 5000)`)).not.toBe("1");
    expect(await near(`catch erpc:call(${BRIDGE}, os, cmd, ["id"], 5000)`)).toContain("EXIT");
    expect([two.north.status().refused, two.south.status().refused]).toEqual([1, 1]);
  });

  it("process groups have their members in both sites", async () => {
    const groups = [
      { from: "shop", to: "billing", groups: ["rooms"] },
      { from: "billing", to: "shop", groups: ["rooms"] },
    ];
    const two = await startTwoBridges(ends, {
      otpShop: 27,
      otpBilling: 25,
      north: { groups },
      south: { groups },
    });
    const sides = [two.shop.beam, two.billing.beam];
    for (const beam of sides)
      await beam.eval("{ok, Scope} = pg:start(pg), unlink(Scope), ok = pg:join(rooms, whereis(sink))");
    for (const beam of sides)
      await until(
        async () => (await beam.eval("length(pg:get_members(rooms))")) === "2",
        "both members are there",
      );
    await two.shop.beam.eval("[P ! {to_all, node()} || P <- pg:get_members(rooms)]");
    for (const beam of sides)
      expect(await beam.eval("isthmus_probe:collected(sink, 1, 5000)")).toBe("[{to_all,'shop1@127.0.0.1'}]");
    await two.billing.beam.eval("ok = pg:leave(rooms, whereis(sink))");
    await until(
      async () => (await two.shop.beam.eval("length(pg:get_members(rooms))")) === "1",
      "it has left",
    );
    // without the trunk the far members are gone
    await two.billing.beam.eval("ok = pg:join(rooms, whereis(sink))");
    await until(
      async () => (await two.shop.beam.eval("length(pg:get_members(rooms))")) === "2",
      "it is back",
    );
    await two.south.close();
    for (const beam of sides)
      await until(
        async () => (await beam.eval("length(pg:get_members(rooms))")) === "1",
        "the far one is gone",
      );
  });

  it("whose wire is cut hundreds of times under load lose, repeat and reorder nothing, and nobody hangs", {
    timeout: 300_000,
  }, async () => {
    const CUTS = 400;
    const limits = { graceMs: 120_000 };
    const two = await startTwoBridges(ends, {
      ...{ otpShop: 27, otpBilling: 25, limits },
      site: { backoff: { firstMs: 2, maxMs: 100 } },
    });
    let state = 20_260_101;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state / 0x7fffffff;
    };
    // sometimes in the middle of the handshake, sometimes after much
    two.proxy.budget = () => Math.floor(random() ** 3 * 300_000);
    two.proxy.cutAll();
    const sides = [two.shop, two.billing] as const;
    for (const { beam } of sides) await beam.eval(LOAD);
    await until(() => two.proxy.cuts >= CUTS, "it was cut often enough", 150_000);
    two.proxy.budget = undefined;
    const done = await Promise.all(
      sides.map(({ beam }) =>
        beam.eval("Finish()", { timeoutMs: 60_000 }).then((text) => text.match(/\d+/g)!.map(Number)),
      ),
    );
    for (const [i, [sent = 0, calls = 0, failures]] of done.entries()) {
      expect(failures).toBe(0);
      expect(calls).toBeGreaterThan(100);
      // all that one has sent is at the other, and nothing else
      const { beam } = sides[1 - i]!;
      expect(
        await beam.eval(
          `[N || {n, N} <- isthmus_probe:collected(sink, ${sent}, 30000)] =:= lists:seq(1, ${sent})`,
          { timeoutMs: 60_000 },
        ),
      ).toBe("true");
    }
    const trunks = two.trunks();
    for (const { losses, resumptions } of trunks) {
      expect(losses).toBe(0);
      expect(resumptions).toBeGreaterThan(CUTS / 4);
    }
    for (const { beam } of sides) expect(await beam.eval("nodes(hidden)")).toBe(`[${BRIDGE}]`);
    process.stdout.write(
      `${two.proxy.cuts} cuts, ${trunks[0].resumptions} resumptions, ${done.map(([sent, calls]) => `${sent} messages and ${calls} calls`).join(", ")}\n`,
    );
  });

  it.each(["north", "south"] as const)(
    "when the bridge of the %s ends the other side hears of it at once, and its successor goes on",
    async (site) => {
      const two = await startTwoBridges(ends);
      const far = site === "north" ? two.billing.beam : two.shop.beam;
      await far.eval(`W = gen_server:call(${ORDERS}, spawn_worker), M = erlang:monitor(process, W)`);
      await until(() => two[site].status().relations > 0, "the monitor is across");
      await two[site].drain(0);
      await two[site].close();
      // the grace time is half a minute
      expect(await far.eval("receive {'DOWN', M, process, W, R} -> R after 8000 -> nothing end")).toBe(
        "noconnection",
      );
      await (site === "north" ? two.startNorth() : two.startSouth());
      await two.joined();
      for (const { beam } of [two.shop, two.billing])
        expect(await beam.eval(`gen_server:call(${ORDERS}, {add, 1, 2})`)).toBe("3");
      // who lived in the former bridge's time is dead to the new one, and nobody else
      expect(
        await far.eval(
          "M2 = erlang:monitor(process, W), receive {'DOWN', M2, process, W, R2} -> R2 after 5000 -> nothing end",
        ),
      ).toBe("noproc");
    },
  );

  it("beyond the grace time everything across ends with noconnection, and then it begins anew", async () => {
    const two = await startTwoBridges(ends, { limits: { graceMs: 400 } });
    const waits = `process_flag(trap_exit, true), W = gen_server:call(${ORDERS}, spawn_worker), L = gen_server:call(${ORDERS}, spawn_worker),
      M = erlang:monitor(process, W), N = erlang:monitor(process, ${ORDERS}), link(L), Self = self(),
      spawn(fun() -> Self ! {call, catch gen_server:call(${ORDERS}, never, infinity)} end)`;
    const sides = [two.shop.beam, two.billing.beam];
    for (const beam of sides) await beam.eval(waits);
    await until(
      () => [two.north, two.south].every((bridge) => bridge.status().relations >= 8),
      "all is across",
    );
    two.proxy.down = true;
    for (const beam of sides) {
      expect(await beam.eval("receive {'DOWN', M, process, W, R1} -> R1 after 10000 -> nothing end")).toBe(
        "noconnection",
      );
      expect(
        await beam.eval("receive {'DOWN', _, process, {orders, _}, R2} -> R2 after 10000 -> nothing end"),
      ).toBe("noconnection");
      expect(await beam.eval("receive {'EXIT', _, R3} -> R3 after 10000 -> nothing end")).toBe(
        "noconnection",
      );
      expect(await beam.eval("receive {call, {'EXIT', {R4, _}}} -> R4 after 10000 -> nothing end")).toContain(
        "nodedown",
      );
      // while there is no trunk: at once
      expect(await beam.eval(`catch gen_server:call(${ORDERS}, {add, 1, 2})`)).toContain("nodedown");
    }
    for (const trunk of two.trunks()) expect(trunk).toMatchObject({ state: "down", losses: 1 });
    for (const bridge of [two.north, two.south])
      await until(() => bridge.status().relations === 0, "no relation is left");
    two.proxy.down = false;
    await two.joined();
    for (const beam of sides) {
      expect(await beam.eval(`gen_server:call(${ORDERS}, {add, 1, 2})`)).toBe("3");
      // the bridge never went away, and old pids mean the same processes
      expect(await beam.eval("nodes(hidden)")).toBe(`[${BRIDGE}]`);
      expect(
        await beam.eval("is_pid(W) andalso begin W ! ping, erlang:demonitor(erlang:monitor(process, W)) end"),
      ).toBe("true");
    }
  });
});

/** Binds Finish, which ends a load of messages and calls: {messages sent, calls answered, calls failed}. */
const LOAD = `
  Send = fun Send(N) ->
    [{sink, ${BRIDGE}} ! {n, N + I} || I <- lists:seq(1, 20)],
    receive {finish, From} -> From ! {sent, N + 20} after 5 -> Send(N + 20) end
  end,
  Call = fun Call(N, Failed) ->
    {Good, Bad} = case catch gen_server:call(${ORDERS}, {add, N, 1}, 60000) of V when V =:= N + 1 -> {1, 0}; _ -> {0, 1} end,
    receive {finish, From} -> From ! {called, N + Good, Failed + Bad} after 2 -> Call(N + Good, Failed + Bad) end
  end,
  Sender = spawn(fun() -> Send(0) end),
  Callers = [spawn(fun() -> Call(0, 0) end) || _ <- lists:seq(1, 10)],
  Finish = fun() ->
    [P ! {finish, self()} || P <- [Sender | Callers]],
    Sent = receive {sent, S} -> S end,
    Called = [receive {called, C, F} -> {C, F} end || _ <- Callers],
    {Sent, lists:sum([C || {C, _} <- Called]), lists:sum([F || {_, F} <- Called])}
  end, ok`;
