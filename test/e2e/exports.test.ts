import type { RouteOptions } from "@isthmus/bridge";
import { afterEach, describe, expect, it } from "vitest";
import type { Beam } from "../support/beam.ts";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

let clusters: TwoClusters;
afterEach(() => clusters?.stop());

const near = (code: string) => clusters.a.eval(code, { timeoutMs: 20_000 });
const who = (name: string) => near(`catch element(2, gen_server:call({${name}, ${BRIDGE}}, whoami))`);

async function start(
  route: Omit<RouteOptions, "from" | "to">,
  names: readonly string[] = ["orders"],
): Promise<Beam> {
  clusters = await startTwoClusters({
    otpA: 25,
    otpB: 25,
    routes: [{ from: "a", to: "b", ...route }],
  });
  const b2 = await clusters.add("b", "b2");
  for (const beam of [clusters.b, b2])
    for (const name of names) await beam.eval(`isthmus_probe:orders(${name})`);
  await clusters.bridge.node("b").connect("b2@127.0.0.1");
  return b2;
}

/** Nodes of cluster "b" that the bridge is connected to. */
const connected = (count: number) =>
  until(
    () => clusters.bridge.status().clusters[1]!.connected.length === count,
    `cluster b has ${count} nodes`,
  );

describe("routes to nodes that fit a pattern", () => {
  it("first_up: the calls go on when a node is lost, and to one that has come since", async () => {
    const b2 = await start({ name: "orders", nodes: ["b*@127.0.0.1"] });
    expect([await who("orders"), await who("orders")]).toEqual(["'b1@127.0.0.1'", "'b1@127.0.0.1'"]);
    await clusters.b.kill();
    await connected(1);
    expect(await who("orders")).toBe("'b2@127.0.0.1'");
    const b3 = await clusters.add("b", "b3");
    await b3.eval("isthmus_probe:orders(orders)");
    await clusters.bridge.node("b").connect("b3@127.0.0.1");
    expect(await who("orders")).toBe("'b2@127.0.0.1'");
    await b2.kill();
    await connected(1);
    expect(await who("orders")).toBe("'b3@127.0.0.1'");
    await b3.kill();
    await connected(0);
    // nothing fits, and nobody waits
    expect(await who("orders")).toContain("nodedown");
    expect(await near(`{orders, ${BRIDGE}} ! hello`)).toBe("hello");
  });

  it("round_robin: the calls are spread, each stays with its node, and they go on when one is lost", async () => {
    await start({ name: "orders", nodes: ["b*"], balance: "round_robin" });
    const seen = await near(
      `[element(2, gen_server:call({orders, ${BRIDGE}}, whoami)) || _ <- lists:seq(1, 20)]`,
    );
    for (const node of ["b1", "b2"]) expect(seen.split(`${node}@`).length - 1).toBeGreaterThanOrEqual(8);
    // while it monitors the name, all of a caller goes to one node
    expect(
      await near(`R = erlang:monitor(process, {orders, ${BRIDGE}}),
        Same = lists:usort([element(2, gen_server:call({orders, ${BRIDGE}}, whoami)) || _ <- lists:seq(1, 20)]),
        erlang:demonitor(R), length(Same)`),
    ).toBe("1");
    await clusters.b.kill();
    await connected(1);
    expect(
      await near(
        `lists:usort([element(2, gen_server:call({orders, ${BRIDGE}}, whoami)) || _ <- lists:seq(1, 10)])`,
      ),
    ).toBe("['b2@127.0.0.1']");
    await until(() => clusters.bridge.status().relations === 0, "nothing is left");
  });

  it("names that are written out are dialled, also among patterns", async () => {
    const b2 = await start({ name: "orders", nodes: ["b1@127.0.0.1", "c*"] });
    expect(await who("orders")).toBe("'b1@127.0.0.1'");
    await clusters.b.kill();
    await connected(1);
    expect(await who("orders")).toContain("nodedown");
    expect(await b2.eval("is_pid(whereis(orders))")).toBe("true");
  });
});

describe("routes of names that fit a pattern", () => {
  it("each name is its own, under the other name; OTP's are not meant", async () => {
    await start({ name: "shop_*", as: "far_*", nodes: ["b1@127.0.0.1"] }, [
      "shop_orders",
      "shop_carts",
      "secrets",
    ]);
    expect(await who("far_orders")).toBe("'b1@127.0.0.1'");
    expect(
      await near(
        `{P, _} = gen_server:call({far_orders, ${BRIDGE}}, whoami), {Q, _} = gen_server:call({far_carts, ${BRIDGE}}, whoami), P =/= Q`,
      ),
    ).toBe("true");
    expect(await near(`catch gen_server:call({far_missing, ${BRIDGE}}, whoami)`)).toContain("noproc");
    for (const name of ["shop_orders", "secrets", "far_", "orders"])
      expect(await near(`catch gen_server:call({${name}, ${BRIDGE}}, whoami)`), name).toContain("noproc");
    expect(
      await near(`M = erlang:monitor(process, {far_carts, ${BRIDGE}}), gen_server:cast({far_carts, ${BRIDGE}}, {stop, done}),
        receive {'DOWN', M, process, Whom, Why} -> {Whom, Why} after 5000 -> nothing end`),
    ).toBe(`{{far_carts,${BRIDGE}},done}`);
    await until(() => clusters.bridge.status().relations === 0, "nothing is left");
  });

  it("all names, but not OTP's, nor the bridge's own", async () => {
    await start({ name: "*", nodes: ["b*"] }, ["orders", "carts"]);
    expect(await who("orders")).toBe("'b1@127.0.0.1'");
    expect(await who("carts")).toBe("'b1@127.0.0.1'");
    await clusters.b.eval("application:unset_env(kernel, owned)");
    const own = "[kernel, owned, yes]";
    await near(`catch gen_server:call({rex, ${BRIDGE}}, {call, application, set_env, ${own}, self()}, 500)`);
    await near(`{init, ${BRIDGE}} ! {stop, stop}, {code_server, ${BRIDGE}} ! {code_call, self(), x}`);
    expect(await near(`net_adm:ping(${BRIDGE})`)).toBe("pong");
    expect(await near(`rpc:call(${BRIDGE}, application, set_env, ${own})`)).toMatch(/undef/);
    expect(await clusters.b.eval("application:get_env(kernel, owned)")).toBe("undefined");
    expect(await who("orders")).toBe("'b1@127.0.0.1'");
  });
});
