import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const ORDERS = `{orders, ${BRIDGE}}`;

describe("when something goes away", () => {
  let clusters: TwoClusters;

  beforeEach(async () => {
    clusters = await startTwoClusters({ otpA: 25, otpB: 25 });
    await clusters.b.eval("isthmus_probe:orders(orders)");
  });
  afterEach(() => clusters?.stop());

  const near = (code: string, options?: { timeoutMs: number }) => clusters.a.eval(code, options);
  const connected = (cluster: string, count: number) =>
    until(
      () => clusters.bridge.status().clusters.find(({ id }) => id === cluster)?.connected.length === count,
      `cluster ${cluster} has ${count} nodes`,
    );

  it("the death of the far node gives noconnection to monitors, links and calls, and nothing is left behind", async () => {
    await near(`process_flag(trap_exit, true),
      W = gen_server:call(${ORDERS}, {spawn_worker}), L = gen_server:call(${ORDERS}, {spawn_worker}),
      M = erlang:monitor(process, W), N = erlang:monitor(process, ${ORDERS}), link(L), Self = self(),
      spawn(fun() -> Self ! {call, catch gen_server:call(${ORDERS}, never, infinity)} end)`);
    await until(() => clusters.bridge.status().relations >= 4, "everything has gone across");
    await clusters.b.kill();
    expect(await near("receive {'DOWN', M, process, W, R1} -> R1 after 10000 -> nothing end")).toBe(
      "noconnection",
    );
    expect(await near("receive {'DOWN', N, process, X2, R2} -> {X2, R2} after 10000 -> nothing end")).toBe(
      `{{orders,${BRIDGE}},noconnection}`,
    );
    expect(await near("receive {'EXIT', L, R3} -> R3 after 10000 -> nothing end")).toBe("noconnection");
    expect(await near("receive {call, {'EXIT', {R4, _}}} -> R4 after 10000 -> nothing end")).toBe(
      `{nodedown,${BRIDGE}}`,
    );
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
    // the bridge itself never went away
    expect(await near("nodes(hidden)")).toBe(`[${BRIDGE}]`);
  });

  it("a call while the far node is down ends at once with an error, and works again when it is back", async () => {
    await clusters.b.kill();
    await connected("b", 0);
    expect(await near(`catch gen_server:call(${ORDERS}, {add, 1, 2})`, { timeoutMs: 20_000 })).toContain(
      "nodedown",
    );
    const back = await clusters.add("b", "b1");
    await back.eval("isthmus_probe:orders(orders)");
    await connected("b", 1);
    expect(await near(`gen_server:call(${ORDERS}, {add, 1, 2})`)).toBe("3");
  });

  it("processes of an earlier incarnation are dead: noproc, and no connection is dropped over them", async () => {
    await near(`process_flag(trap_exit, true), Old = gen_server:call(${ORDERS}, {spawn_worker})`);
    await clusters.b.kill();
    await connected("b", 0);
    const back = await clusters.add("b", "b1");
    await back.eval("isthmus_probe:orders(orders)");
    await connected("b", 1);
    expect(
      await near(
        "MO = erlang:monitor(process, Old), receive {'DOWN', MO, process, Old, W1} -> W1 after 5000 -> nothing end",
      ),
    ).toBe("noproc");
    expect(await near("link(Old), receive {'EXIT', Old, W2} -> W2 after 5000 -> nothing end")).toBe("noproc");
    expect(await near("exit(Old, kill), unlink(Old), Old ! hello")).toBe("hello");
    expect(await near(`gen_server:call(${ORDERS}, {add, 2, 2})`)).toBe("4");
    expect(clusters.bridge.status().clusters.map(({ connected: nodes }) => nodes.length)).toEqual([1, 1]);
  });

  it("the death of the watching node takes its monitors and links back on the far side", async () => {
    await near(`W5 = gen_server:call(${ORDERS}, {spawn_worker}), link(W5), erlang:monitor(process, W5)`);
    const worker = await clusters.b.eval(
      "[P || P <- processes(), {monitored_by, [_|_]} <- [process_info(P, monitored_by)], node(hd(element(2, process_info(P, monitored_by)))) =/= node()]",
    );
    expect(worker).toMatch(/^\[<0\.\d+\.\d+>\]$/);
    const pid = worker.slice(1, -1);
    await clusters.a.kill();
    // it was linked to a process that is gone now, and does not trap exits
    await until(
      async () => (await clusters.b.eval(`is_process_alive(list_to_pid("${pid}"))`)) === "false",
      "the linked process has ended",
    );
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("the end of the bridge is noconnection for both sides; after its restart old pids are dead, not somebody else", async () => {
    await near(
      `process_flag(trap_exit, true), W6 = gen_server:call(${ORDERS}, {spawn_worker}), M6 = erlang:monitor(process, W6)`,
    );
    await clusters.restartBridge();
    expect(await near("receive {'DOWN', M6, process, W6, R6} -> R6 after 10000 -> nothing end")).toBe(
      "noconnection",
    );
    expect(await near(`gen_server:call(${ORDERS}, {add, 3, 4})`)).toBe("7");
    expect(
      await near(
        "M7 = erlang:monitor(process, W6), receive {'DOWN', M7, process, W6, R7} -> R7 after 10000 -> nothing end",
      ),
    ).toBe("noproc");
    expect(await near("catch gen_server:call(W6, {add, 1, 1})")).toContain("noproc");
    expect(await near(`W8 = gen_server:call(${ORDERS}, {spawn_worker}), W8 =/= W6`)).toBe("true");
  });

  it("a far node that does not read holds up its senders, not the bridge's memory, and loses nothing", async () => {
    const count = 3000;
    await clusters.stop();
    clusters = await startTwoClusters({
      otpA: 25,
      otpB: 25,
      routes: [{ from: "a", to: "b", name: "slow", nodes: ["b1@127.0.0.1"] }],
    });
    await clusters.b.eval("isthmus_probe:collect(slow)");
    await near(`{slow, ${BRIDGE}} ! first`);
    await until(
      async () => (await clusters.b.eval("length(isthmus_probe:collected(slow))")) === "1",
      "the way is open",
    );
    await clusters.b.pause();
    const before = process.memoryUsage().rss;
    // 3000 messages of 64 KiB are 190 MB: more than any buffer on the way
    await near(
      `Bin = binary:copy(<<1>>, 65536), Pid9 = spawn(fun() -> [{slow, ${BRIDGE}} ! {N, Bin} || N <- lists:seq(1, ${count})] end), ok`,
    );
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const grown = process.memoryUsage().rss - before;
    clusters.b.resume();
    await until(
      async () =>
        (await clusters.b.eval("length(isthmus_probe:collected(slow))", { timeoutMs: 30_000 })) ===
        String(count + 1),
      "every message has come",
      60_000,
    );
    expect(
      await clusters.b.eval(`[N || {N, _} <- isthmus_probe:collected(slow)] =:= lists:seq(1, ${count})`, {
        timeoutMs: 30_000,
      }),
    ).toBe("true");
    expect(grown).toBeLessThan(100 * 1024 * 1024);
  });
});

describe("several target nodes", () => {
  let clusters: TwoClusters;
  afterEach(() => clusters?.stop());

  const start = async (balance: "first_up" | "round_robin") => {
    clusters = await startTwoClusters({
      otpA: 25,
      otpB: 25,
      routes: [
        {
          from: "a",
          to: "b",
          name: "orders",
          as: "shop_orders",
          nodes: ["b1@127.0.0.1", "b2@127.0.0.1"],
          balance,
        },
      ],
    });
    const b2 = await clusters.add("b", "b2");
    await Promise.all([
      clusters.b.eval("isthmus_probe:orders(orders)"),
      b2.eval("isthmus_probe:orders(orders)"),
    ]);
    return b2;
  };
  const who = () =>
    clusters.a.eval(`element(2, gen_server:call({shop_orders, ${BRIDGE}}, whoami))`, { timeoutMs: 20_000 });

  it("first_up uses the first, and the next when that is gone", async () => {
    await start("first_up");
    expect([await who(), await who()]).toEqual(["'b1@127.0.0.1'", "'b1@127.0.0.1'"]);
    await clusters.b.kill();
    await until(async () => (await who().catch(() => "")) === "'b2@127.0.0.1'", "the second answers");
  });

  it("round_robin takes turns among those that are up, and a call stays with its node", async () => {
    await start("round_robin");
    await clusters.bridge.node("b").connect("b2@127.0.0.1");
    const seen = [await who(), await who(), await who(), await who()];
    expect(new Set(seen)).toEqual(new Set(["'b1@127.0.0.1'", "'b2@127.0.0.1'"]));
    expect(
      await clusters.a.eval(
        `[4 = gen_server:call({shop_orders, ${BRIDGE}}, {add, 2, 2}) || _ <- lists:seq(1, 50)], ok`,
      ),
    ).toBe("ok");
  });
});
