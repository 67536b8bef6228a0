import { type Bridge, type BridgeOptions, startBridge } from "@isthmus/bridge";
import { afterEach, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { until } from "./two-clusters.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of stops.splice(0).reverse()) await end();
});

/** A cluster that shares nothing with the others. */
interface Cluster {
  readonly epmd: Epmd;
  readonly cookie: string;
  add(name: string, otp?: 25 | 27 | 29): Promise<Beam>;
  /** A bridge's place in it. */
  place(name: string, hosts: readonly string[]): BridgeOptions["clusters"][string];
}

async function startCluster(id: string): Promise<Cluster> {
  const epmd = await startEpmd();
  stops.push(() => epmd.stop());
  const cookie = `cookie_of_${id}`;
  return {
    epmd,
    cookie,
    async add(name, otp = 25) {
      const beam = await startBeam({ name: `${name}@127.0.0.1`, cookie, epmdPort: epmd.port, otp });
      stops.push(() => beam.stop());
      await beam.eval("isthmus_probe:orders(orders)");
      return beam;
    },
    place: (name, hosts) => ({
      node: `${name}@127.0.0.1`,
      cookie,
      listen: { host: "127.0.0.1" },
      epmd: { host: "127.0.0.1", port: epmd.port },
      hosts: hosts.map((host) => `${host}@127.0.0.1`),
    }),
  };
}

async function start(options: BridgeOptions): Promise<Bridge> {
  const bridge = await startBridge(options);
  stops.push(() => bridge.close());
  await until(
    () => bridge.status().clusters.every(({ connected }) => connected.length > 0),
    "the bridge is connected",
  );
  return bridge;
}

const at = (name: string) => [`${name}@127.0.0.1`];
const orders = (bridge: string) => `{orders, '${bridge}@127.0.0.1'}`;
const relations = (...bridges: readonly Bridge[]) =>
  bridges.reduce((sum, bridge) => sum + bridge.status().relations, 0);

describe("bridges in a chain: A - br1 - B - br2 - C", () => {
  const startChain = async (more: Partial<BridgeOptions> = {}) => {
    const [a, b, c] = [await startCluster("a"), await startCluster("b"), await startCluster("c")];
    const [a1, b1, c1] = await Promise.all([a.add("n1", 27), b.add("n1", 25), c.add("n1", 29)]);
    const options: BridgeOptions = {
      clusters: { a: a.place("br1", ["n1"]), b: b.place("br1", ["n1"]) },
      routes: [
        { from: "a", to: "b", name: "orders", nodes: at("n1") },
        { from: "b", to: "a", name: "orders", nodes: at("n1") },
      ],
      ...more,
    };
    const br1 = await start(options);
    const br2 = await start({
      clusters: { b: b.place("br2", ["n1"]), c: c.place("br2", ["n1"]) },
      routes: [
        { from: "c", to: "b", name: "orders", nodes: at("n1") },
        // a name of A, through both
        { from: "c", to: "b", name: "orders", as: "far_orders", nodes: at("br1") },
      ],
      policy: [
        {
          action: "allow",
          from: ["c"],
          to: ["b"],
          rpc: ["erlang:node/0", "timer:sleep/1"],
          operations: ["call", "spawn"],
          nodes: at("br1"),
        },
      ],
    });
    return { a1, b1, c1, br1, br2, options };
  };

  it("a process of C calls, watches and links one of A by pid, and is called back", async () => {
    const { a1, b1, c1, br1, br2 } = await startChain();
    // B has the pid from A, and gives it to C
    await b1.eval(`{P, _} = gen_server:call(${orders("br1")}, whoami), node(P)`);
    await c1.eval(`${orders("br2")} ! {me, self()}`);
    await until(
      async () => (await b1.eval("length(gen_server:call(orders, infos))")) === "1",
      "the message has come",
    );
    await b1.eval("[C] = [X || {me, X} <- gen_server:call(orders, infos)], C ! {pid, P}");
    expect(await c1.eval("receive {pid, P} -> node(P) after 5000 -> nothing end")).toBe("'br2@127.0.0.1'");
    expect(await c1.eval("gen_server:call(P, {add, 20, 22})")).toBe("42");
    expect(await c1.eval("{self(), P} =:= gen_server:call(P, {echo, {self(), P}})")).toBe("true");
    expect(await c1.eval("element(2, gen_server:call(P, whoami))")).toBe("'n1@127.0.0.1'");
    expect(
      await c1.eval(`process_flag(trap_exit, true), W = gen_server:call(P, {spawn_worker}), M = erlang:monitor(process, W), link(W),
        W ! {stop, why},
        receive {'DOWN', M, process, W, R1} -> R1 after 5000 -> nothing end`),
    ).toBe("why");
    expect(await c1.eval("receive {'EXIT', W, R2} -> R2 after 5000 -> nothing end")).toBe("why");
    expect(
      await c1.eval(`V = gen_server:call(P, {spawn_worker}), link(V), unlink(V), M2 = erlang:monitor(process, V), erlang:demonitor(M2, [flush]),
        V ! {stop, x}, receive X -> X after 300 -> nothing end`),
    ).toBe("nothing");
    await until(() => relations(br1, br2) === 0, "nothing is left");

    // what is watched across two bridges ends when the far node does
    await c1.eval("N = erlang:monitor(process, P), link(P)");
    await until(() => relations(br1, br2) >= 4, "both bridges know of it");
    await a1.kill();
    expect(await c1.eval("receive {'DOWN', N, process, P, R3} -> R3 after 10000 -> nothing end")).toBe(
      "noconnection",
    );
    expect(await c1.eval("receive {'EXIT', P, R4} -> R4 after 10000 -> nothing end")).toBe("noconnection");
    await until(() => relations(br1, br2) === 0, "nothing is left");
  });

  it("long messages go on through both bridges while they come, and back", async () => {
    const { c1, br1, br2 } = await startChain();
    const call = `gen_server:call({far_orders, 'br2@127.0.0.1'}, {echo, {Bin, self()}}) =:= {Bin, self()}`;
    expect(await c1.eval(`Bin = crypto:strong_rand_bytes(20 bsl 20), ${call}`, { timeoutMs: 60_000 })).toBe(
      "true",
    );
    const streamed = (bridge: Bridge): number[] => bridge.status().clusters.map((one) => one.streamed);
    // of what comes from each of its clusters
    expect(streamed(br1)).toEqual([1, 1]);
    expect(streamed(br2)).toEqual([1, 1]);
  });

  it("names and functions of A are there for C, when both bridges let them", async () => {
    const { c1, br1, br2 } = await startChain({
      policy: [
        {
          action: "allow",
          from: ["b"],
          to: ["a"],
          rpc: ["erlang:node/0", "timer:sleep/1"],
          operations: ["call", "spawn"],
          nodes: at("n1"),
        },
      ],
    });
    const far = "{far_orders, 'br2@127.0.0.1'}";
    expect(await c1.eval(`gen_server:call(${far}, {add, 1, 2})`)).toBe("3");
    expect(
      await c1.eval(`M = erlang:monitor(process, ${far}), gen_server:cast(${far}, {stop, done}),
        receive {'DOWN', M, process, Whom, Why} -> {Whom, Why} after 5000 -> nothing end`),
    ).toBe(`{${far.replace(" ", "")},done}`);
    expect(await c1.eval("rpc:call('br2@127.0.0.1', erlang, node, [])")).toBe("'n1@127.0.0.1'");
    expect(await c1.eval("rpc:call('br2@127.0.0.1', os, cmd, [\"id\"])")).toMatch(/undef/);
    expect(
      await c1.eval(`{S, R} = spawn_monitor('br2@127.0.0.1', timer, sleep, [10]),
        receive {'DOWN', R, process, S, Why2} -> Why2 after 5000 -> nothing end`),
    ).toBe("normal");
    await until(() => relations(br1, br2) === 0, "nothing is left");
  });

  it("the end of the first bridge is noconnection for C; afterwards the old pids are dead", async () => {
    const { b1, c1, br1, options } = await startChain();
    await b1.eval(`{P, _} = gen_server:call(${orders("br1")}, whoami)`);
    await c1.eval(`${orders("br2")} ! {me, self()}`);
    await until(
      async () => (await b1.eval("length(gen_server:call(orders, infos))")) === "1",
      "the message has come",
    );
    await b1.eval("[C] = [X || {me, X} <- gen_server:call(orders, infos)], C ! {pid, P}");
    await c1.eval("receive {pid, P} -> M = erlang:monitor(process, P) after 5000 -> nothing end");
    expect(await c1.eval("gen_server:call(P, {add, 1, 1})")).toBe("2");
    await br1.close();
    expect(await c1.eval("receive {'DOWN', M, process, P, R} -> R after 10000 -> nothing end")).toBe(
      "noconnection",
    );
    expect(await c1.eval("catch gen_server:call(P, {add, 1, 1})")).toMatch(/nodedown|noconnection/);
    const again = await start(options);
    await until(
      async () => (await c1.eval("catch gen_server:call(P, {add, 1, 1})")).includes("noproc"),
      "the bridge that is back is asked",
    );
    await b1.eval(`{P2, _} = gen_server:call(${orders("br1")}, whoami), C ! {pid, P2}`);
    expect(
      await c1.eval(
        "receive {pid, P2} -> {P2 =/= P, gen_server:call(P2, {add, 2, 2})} after 5000 -> nothing end",
      ),
    ).toBe("{true,4}");
    await until(() => relations(again) === 0, "nothing is left");
  });
});

describe("one bridge with several clusters", () => {
  it("a pid of A that B hands to C is one process for all; nodes of one name are told apart", async () => {
    const [a, b, c] = [await startCluster("a"), await startCluster("b"), await startCluster("c")];
    // the same node name three times
    const [a1, b1, c1] = await Promise.all([a.add("n1"), b.add("n1"), c.add("n1")]);
    const bridge = await start({
      clusters: { a: a.place("br", ["n1"]), b: b.place("br", ["n1"]), c: c.place("br", ["n1"]) },
      routes: [
        { from: "b", to: "a", name: "orders", nodes: at("n1") },
        { from: "b", to: "c", name: "orders", as: "orders_of_c", nodes: at("n1") },
        { from: "c", to: "a", name: "orders", nodes: at("n1") },
      ],
    });
    const ofC = "{orders_of_c, 'br@127.0.0.1'}";
    await b1.eval(
      `{PA, _} = gen_server:call(${orders("br")}, whoami), {PC, _} = gen_server:call(${ofC}, whoami)`,
    );
    expect(await b1.eval("{node(PA), node(PC), PA =:= PC}")).toBe("{'br@127.0.0.1','br@127.0.0.1',false}");
    await b1.eval(`${ofC} ! {have, PA}`);
    await until(
      async () => (await c1.eval("length(gen_server:call(orders, infos))")) === "1",
      "the pid has come",
    );
    expect(
      await c1.eval(`[P] = [X || {have, X} <- gen_server:call(orders, infos)],
        {Same, _} = gen_server:call(${orders("br")}, whoami), {Same =:= P, gen_server:call(P, {add, 1, 1})}`),
    ).toBe("{true,2}");
    expect(
      await c1.eval(`W = gen_server:call(P, {spawn_worker}), M = erlang:monitor(process, W), W ! {stop, why},
        receive {'DOWN', M, process, W, R} -> R after 5000 -> nothing end`),
    ).toBe("why");
    // what comes home is itself, however far it was
    expect(await b1.eval(`gen_server:call(${ofC}, {echo, {self(), PA}}) =:= {self(), PA}`)).toBe("true");
    await b1.eval(`gen_server:cast(${ofC}, {forward, PA, {mine, PA}})`);
    await until(async () => (await a1.eval("gen_server:call(orders, infos)")).includes("mine"), "it is back");
    expect(await a1.eval("[whereis(orders)] =:= [X || {mine, X} <- gen_server:call(orders, infos)]")).toBe(
      "true",
    );
    // no route joins A and B in the direction of names
    expect(await a1.eval(`catch gen_server:call(${orders("br")}, whoami)`)).toContain("noproc");
    await until(() => relations(bridge) === 0, "nothing is left");
  });

  it("a node that is in two clusters of the bridge is two nodes for it, and reaches itself across", async () => {
    const a = await startCluster("a");
    const n1 = await a.add("n1");
    await start({
      // the same BEAM, twice: the bridge has a name of its own for each
      clusters: { one: a.place("br_one", ["n1"]), two: a.place("br_two", ["n1"]) },
      routes: [{ from: "one", to: "two", name: "orders", nodes: at("n1") }],
    });
    expect(
      await n1.eval(
        `{P, _} = gen_server:call(${orders("br_one")}, whoami), {node(P), P =:= whereis(orders), gen_server:call(P, {add, 2, 2})}`,
      ),
    ).toBe("{'br_one@127.0.0.1',false,4}");
    expect(await n1.eval(`gen_server:call(${orders("br_one")}, {echo, self()}) =:= self()`)).toBe("true");
    expect(
      await n1.eval(`M = erlang:monitor(process, P), gen_server:cast(P, {stop, done}),
        receive {'DOWN', M, process, P, Why} -> Why after 5000 -> nothing end`),
    ).toBe("done");
  });
});
