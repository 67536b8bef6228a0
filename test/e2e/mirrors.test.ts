import { execFileSync } from "node:child_process";
import { type BridgeOptions, startBridge } from "@isthmus/bridge";
import { silentLogger } from "@isthmus/wire";
import { afterEach, describe, expect, it } from "vitest";
import type { Beam } from "../support/beam.ts";
import { freePort } from "../support/epmd.ts";
import { ORDERS_PROCESS } from "./orders-process.ts";
import { startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const B1 = "'b1@127.0.0.1'";
const ORDERS = `{orders, ${B1}}`;

const RULES: BridgeOptions["policy"] = [
  { action: "allow", from: ["a"], to: ["b"], names: ["orders"] },
  {
    action: "allow",
    from: ["a"],
    to: ["b"],
    rpc: ["erlang:self/0", "erlang:node/0", "lists:reverse/1", "pg:get_members/2", "timer:sleep/1"],
    operations: ["call", "cast", "spawn"],
  },
];

/** Nodes of "b" appear in "a". */
const MIRRORS: Partial<BridgeOptions> = { mirrors: [{ from: "a", to: "b" }], policy: RULES };

let clusters: TwoClusters;
afterEach(() => clusters?.stop());

const near = (code: string) => clusters.a.eval(code, { timeoutMs: 15_000 });
const mirrors = () => clusters.bridge.status().mirrors;
const mirrored = (count: number) =>
  until(
    () => mirrors().filter(({ port }) => port !== undefined).length === count,
    `there are ${count} mirrors`,
  );

async function start(
  otpA: 23 | 25 | 27 | 29,
  otpB: 23 | 25 | 27 | 29,
  bridge = MIRRORS,
  count = bridge.mirrors?.length ?? 0,
): Promise<void> {
  clusters = await startTwoClusters({ otpA, otpB, routes: [], bridge });
  await clusters.b.eval("isthmus_probe:orders(orders)");
  await mirrored(count);
}

describe.each([
  [25, 25],
  [27, 29],
  [29, 25],
  [23, 27],
] as const)("a node of another cluster that is mirrored: OTP %i sees OTP %i", (otpA, otpB) => {
  it("is there: it answers pings, and its processes answer calls by name", async () => {
    await start(otpA, otpB);
    expect(await near(`net_adm:ping(${B1})`)).toBe("pong");
    expect(await near("nodes(hidden) -- ['bridge@127.0.0.1']")).toBe(`[${B1}]`);
    expect(await near("nodes()")).toBe("[]");
    expect(await near(`gen_server:call(${ORDERS}, {add, 20, 22})`)).toBe("42");
    expect(await near(`gen_server:call(${ORDERS}, {echo, {self(), node()}}) =:= {self(), node()}`)).toBe(
      "true",
    );
    await near(`gen_server:cast(${ORDERS}, {note, here}), ${ORDERS} ! info`);
    await until(
      async () => (await clusters.b.eval("gen_server:call(orders, infos)")).includes("info"),
      "the message has come",
    );
  });

  it("its processes have its name, and can be called, watched and linked", async () => {
    await start(otpA, otpB);
    expect(await near(`{P, N} = gen_server:call(${ORDERS}, whoami), {node(P), N}`)).toBe(`{${B1},${B1}}`);
    expect(await near("gen_server:call(P, {add, 1, 2})")).toBe("3");
    expect(await near(`gen_server:call(${ORDERS}, {echo, P}) =:= P`)).toBe("true");
    // what a BEAM makes of its text has the node's creation: the mirror's is the processes' own
    expect(await near("list_to_pid(pid_to_list(P)) =:= P")).toBe("true");
    expect(
      await near(`W = gen_server:call(${ORDERS}, {spawn_worker}), R = erlang:monitor(process, W), W ! {stop, why},
        receive {'DOWN', R, process, W, Why} -> {node(W), Why} after 5000 -> nothing end`),
    ).toBe(`{${B1},why}`);
    expect(
      await near(`process_flag(trap_exit, true), L = gen_server:call(${ORDERS}, {spawn_worker}), link(L), L ! {stop, linked},
        receive {'EXIT', L, Why2} -> Why2 after 5000 -> nothing end`),
    ).toBe("linked");
    expect(
      await near(`M = erlang:monitor(process, ${ORDERS}), gen_server:cast(${ORDERS}, {stop, by_name}),
        receive {'DOWN', M, process, Whom, Why3} -> {Whom, Why3} after 5000 -> nothing end`),
    ).toBe(`{${ORDERS.replace(" ", "")},by_name}`);
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("runs the functions that are allowed, and no others", async () => {
    await start(otpA, otpB);
    expect(await near(`rpc:call(${B1}, lists, reverse, [[1,2,3]])`)).toBe("[3,2,1]");
    expect(await near(`rpc:call(${B1}, erlang, node, [])`)).toBe(B1);
    expect(await near(`node(rpc:call(${B1}, erlang, self, []))`)).toBe(B1);
    expect(await near(`gen_server:call({rex, ${B1}}, {call, erlang, node, [], self()})`)).toBe(B1);
    expect(await near(`rpc:call(${B1}, os, cmd, ["id"])`)).toMatch(/^\{badrpc,\{'EXIT',\{undef,/);
    expect(
      await near(`{S, SR} = spawn_monitor(${B1}, timer, sleep, [1]),
        receive {'DOWN', SR, process, S, Why} -> {node(S), Why} after 5000 -> nothing end`),
    ).toBe(`{${B1},normal}`);
    await clusters.b.eval("{ok, _} = pg:start(pg), ok = pg:join(members, whereis(orders))");
    expect(
      await near(
        `[G] = erpc:call(${B1}, pg, get_members, [pg, members]), {node(G), gen_server:call(G, {add, 3, 4})}`,
      ),
    ).toBe(`{${B1},7}`);
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("what no rule allows looks as if it did not exist, and the log says of which mirror", async () => {
    await start(otpA, otpB);
    await clusters.b.eval("isthmus_probe:orders(secrets)");
    const before = clusters.bridge.status().refused;
    expect(await near(`catch gen_server:call({secrets, ${B1}}, {add, 1, 1})`)).toMatch(/^\{'EXIT',\{noproc,/);
    await near(`{secrets, ${B1}} ! hello`);
    await near(`gen_server:cast({net_kernel, ${B1}}, x), {init, ${B1}} ! {stop, stop}`);
    await until(() => clusters.bridge.status().refused >= before + 2, "the refusals are counted");
    expect(await near(`gen_server:call(${ORDERS}, {add, 2, 2})`)).toBe("4");
    // the other cluster sees nothing of this one
    expect(await clusters.b.eval("net_adm:ping('a1@127.0.0.1')")).toBe("pang");
  });

  it("comes and goes with the node, which is told to those who watch it", async () => {
    await start(otpA, otpB);
    await near("net_kernel:monitor_nodes(true, [{node_type, all}])");
    expect(await near(`net_adm:ping(${B1})`)).toBe("pong");
    expect(await near("receive {nodeup, Up, _} -> Up after 5000 -> nothing end")).toBe(B1);
    await near(`process_flag(trap_exit, true), P = element(1, gen_server:call(${ORDERS}, whoami)), link(P),
      M1 = erlang:monitor(process, P), M2 = erlang:monitor(process, ${ORDERS}), erlang:monitor_node(${B1}, true)`);
    await clusters.b.kill();
    expect(await near("receive {nodedown, Down, _} -> Down after 10000 -> nothing end")).toBe(B1);
    expect(await near(`receive {nodedown, ${B1}} -> yes after 10000 -> nothing end`)).toBe("yes");
    expect(await near("receive {'DOWN', M1, process, P, Y1} -> Y1 after 10000 -> nothing end")).toBe(
      "noconnection",
    );
    expect(await near("receive {'DOWN', M2, process, _, Y2} -> Y2 after 10000 -> nothing end")).toBe(
      "noconnection",
    );
    expect(await near("receive {'EXIT', P, Y3} -> Y3 after 10000 -> nothing end")).toBe("noconnection");
    expect(await near(`net_adm:ping(${B1})`)).toBe("pang");
    expect(mirrors()).toEqual([]);
    const back = await clusters.add("b", "b1");
    await back.eval("isthmus_probe:orders(orders)");
    await mirrored(1);
    expect(await near(`gen_server:call(${ORDERS}, {add, 3, 3})`)).toBe("6");
    expect(
      await near(
        "M4 = erlang:monitor(process, P), receive {'DOWN', M4, process, P, Y4} -> Y4 after 5000 -> nothing end",
      ),
    ).toBe("noproc");
    expect(await near(`element(1, gen_server:call(${ORDERS}, whoami)) =/= P`)).toBe("true");
  });
});

describe("mirrors", () => {
  it("both ways: each side sees the other's nodes by their names, and no mirror is mirrored", async () => {
    await start(25, 25, {
      mirrors: [
        { from: "a", to: "b" },
        { from: "b", to: "a" },
      ],
      policy: RULES,
    });
    expect(await near(`{P, _} = gen_server:call(${ORDERS}, whoami), node(P)`)).toBe(B1);
    await near(`${ORDERS} ! {me, self()}, link(P), M = erlang:monitor(process, P)`);
    const asked = "[Q] = [X || {me, X} <- gen_server:call(orders, infos)]";
    await until(
      async () => (await clusters.b.eval("length(gen_server:call(orders, infos))")) === "1",
      "the message has come",
    );
    expect(await clusters.b.eval(`${asked}, {node(Q), node(Q) =:= node()}`)).toBe("{'a1@127.0.0.1',false}");
    expect(await clusters.b.eval("net_adm:ping('a1@127.0.0.1')")).toBe("pong");
    await clusters.b.eval("Q ! {hello, self()}");
    expect(await near("receive {hello, From} -> node(From) after 5000 -> nothing end")).toBe(B1);
    expect(await near("unlink(P), erlang:demonitor(M), gen_server:call(P, {add, 1, 1})")).toBe("2");
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
    expect(mirrors().map(({ name, of }) => [name, of])).toEqual([
      ["b1@127.0.0.1", "b1@127.0.0.1"],
      ["a1@127.0.0.1", "a1@127.0.0.1"],
    ]);
    for (const { connected } of clusters.bridge.status().clusters) expect(connected).toHaveLength(1);
  });

  it("messages between two processes stay in order", async () => {
    await start(25, 27);
    await near(`${ORDERS} ! {me, self()}`);
    await until(
      async () => (await clusters.b.eval("length(gen_server:call(orders, infos))")) === "1",
      "the message has come",
    );
    await clusters.b.eval(
      "[Q] = [X || {me, X} <- gen_server:call(orders, infos)], [Q ! {n, N} || N <- lists:seq(1, 5000)], ok",
    );
    expect(
      await near(
        "[receive {n, N} -> N after 5000 -> nothing end || _ <- lists:seq(1, 5000)] =:= lists:seq(1, 5000)",
      ),
    ).toBe("true");
  });

  it("messages stay in order also when a reload adds the mirror of who sends them", async () => {
    const routes = [{ from: "b", to: "a", name: "collector", nodes: ["a1@127.0.0.1"] }];
    clusters = await startTwoClusters({ otpA: 25, otpB: 25, routes });
    await near("register(collector, self())");
    // many large ones, and then small ones until there are enough
    await clusters.b.eval(`To = {collector, 'bridge@127.0.0.1'}, Part = binary:copy(<<1>>, 100000),
      register(sender, spawn(fun() -> [To ! {I, Part} || I <- lists:seq(1, 600)],
        (fun More(I) -> To ! {I, <<>>}, receive enough -> To ! {last, I} after 1 -> More(I + 1) end end)(601) end))`);
    await until(
      () => clusters.bridge.status().clusters.some(({ carried }) => carried > 50),
      "some have gone the old way",
    );
    await clusters.bridge.reload({ routes, mirrors: [{ from: "a", to: "b" }] });
    await mirrored(1);
    await until(
      async () => (await near("nodes(hidden) -- ['bridge@127.0.0.1']")) === `[${B1}]`,
      "some have gone over the mirror's connection",
    );
    await clusters.b.eval("sender ! enough");
    expect(
      await near(`(fun Take(N) -> receive {last, L} -> L =:= N - 1; {N, _} -> Take(N + 1); {Other, _} -> {N, Other}
        after 10000 -> {missing, N} end end)(1)`),
    ).toBe("true");
  });

  it("an answer comes before the end of who gave it, also when it was asked by the name of a route", async () => {
    const bridge = "'bridge@127.0.0.1'";
    await start(25, 25);
    await clusters.bridge.reload({
      routes: [{ from: "a", to: "b", name: "once_*", nodes: ["b1@127.0.0.1"] }],
      mirrors: [{ from: "a", to: "b" }],
    });
    const name = 'list_to_atom("once_" ++ integer_to_list(N))';
    await clusters.b.eval(
      `[register(${name}, spawn(fun() -> receive {'$gen_call', From, _} -> gen_server:reply(From, done) end end)) || N <- lists:seq(1, 200)], ok`,
    );
    expect(
      await near(`lists:usort([catch gen_server:call({${name}, ${bridge}}, x) || N <- lists:seq(1, 199)])`),
    ).toBe("[done]");
    expect(
      await near(`M = erlang:monitor(process, {once_200, ${bridge}}), gen_server:call({once_200, ${bridge}}, x),
        receive {'DOWN', M, process, Whom, Why} -> {Whom, Why} after 5000 -> nothing end`),
    ).toBe(`{{once_200,${B1}},normal}`);
  });

  it("the end of what is watched and linked under the bridge's name is told, though the mirror was never used", async () => {
    const bridge = "'bridge@127.0.0.1'";
    const routes = [{ from: "a", to: "b", name: "orders", nodes: ["b1@127.0.0.1"] }];
    await start(25, 25, { mirrors: [], routes });
    await near(
      `process_flag(trap_exit, true), {P, _} = gen_server:call({orders, ${bridge}}, whoami), link(P), Self = self(),
      spawn(fun() -> Self ! {answer, catch gen_server:call({orders, ${bridge}}, never, infinity)} end)`,
    );
    await until(() => clusters.bridge.status().relations >= 2, "link and call have gone across");
    await clusters.bridge.reload({ routes, mirrors: [{ from: "a", to: "b" }] });
    await mirrored(1);
    await clusters.b.eval("exit(whereis(orders), kill)");
    expect(await near("receive {'EXIT', P, R1} -> R1 after 5000 -> nothing end")).toBe("killed");
    expect(await near("receive {answer, {'EXIT', {R2, _}}} -> R2 after 5000 -> nothing end")).toBe("killed");
  });

  it.each([
    [25, 25],
    [23, 27],
  ] as const)(
    "what a function made has the name of whoever was asked, and links of it hold: OTP %i, OTP %i",
    async (otpA, otpB) => {
      await start(otpA, otpB, {
        mirrors: [{ from: "a", to: "b" }],
        policy: [
          { action: "allow", from: ["a"], to: ["b"], names: ["orders"] },
          {
            action: "allow",
            from: ["a"],
            to: ["b"],
            rpc: ["timer:sleep/1"],
            operations: ["spawn"],
            nodes: ["b1@127.0.0.1"],
          },
          {
            action: "allow",
            from: ["a"],
            to: ["b"],
            pid: true,
            operations: ["exit", "send", "monitor", "link"],
          },
        ],
      });
      // later processes of OTP 27 have numbers that OTP 23 cannot read
      await clusters.b.eval("[spawn(fun() -> ok end) || _ <- lists:seq(1, 40000)], ok");
      await near("process_flag(trap_exit, true)");
      for (const [i, asked] of ["'bridge@127.0.0.1'", B1].entries()) {
        const made = `spawn_link(${asked}, timer, sleep, [infinity])`;
        expect(
          await near(
            `L${i} = ${made}, K${i} = ${made}, {P${i}, M${i}} = spawn_monitor(${asked}, timer, sleep, [infinity]),
          [exit(X, stopped) || X <- [L${i}, P${i}]], {[node(X) || X <- [L${i}, K${i}, P${i}]],
            receive {'EXIT', L${i}, R1${i}} -> R1${i} after 5000 -> nothing end,
            receive {'DOWN', M${i}, process, P${i}, R2${i}} -> R2${i} after 5000 -> nothing end}`,
          ),
        ).toBe(`{[${asked},${asked},${asked}],stopped,stopped}`);
        // the far side takes it for its own, by whatever name
        await near(`${ORDERS} ! {made, K${i}}, unlink(K${i})`);
      }
      await until(
        async () => (await clusters.b.eval("length(gen_server:call(orders, infos))")) === "2",
        "the messages have come",
      );
      expect(
        await clusters.b.eval("[is_process_alive(K) || {made, K} <- gen_server:call(orders, infos)]"),
      ).toBe("[true,true]");
      await until(() => clusters.bridge.status().relations === 0, "no relation is left");
      for (const { connected } of clusters.bridge.status().clusters) expect(connected).toHaveLength(1);
    },
  );

  it("processes with numbers that OTP 23 cannot read are there, under the bridge's name", async () => {
    await start(23, 27);
    await clusters.b.eval("[spawn(fun() -> ok end) || _ <- lists:seq(1, 40000)], ok");
    expect(
      await near(`process_flag(trap_exit, true), W = gen_server:call(${ORDERS}, {spawn_worker}), M = erlang:monitor(process, W),
        V = gen_server:call(${ORDERS}, {spawn_worker}), link(V), W ! {stop, one}, V ! {stop, two},
        {node(W), receive {'DOWN', M, process, W, R1} -> R1 after 5000 -> nothing end,
          receive {'EXIT', V, R2} -> R2 after 5000 -> nothing end}`),
    ).toBe("{'bridge@127.0.0.1',one,two}");
    // and they can link and watch themselves
    await near(
      `Self = self(), Me = spawn(fun() -> receive stop -> exit(stopped) end end), ${ORDERS} ! {me, Me, Self}`,
    );
    await until(
      async () => (await clusters.b.eval("gen_server:call(orders, infos)")).includes("{me,"),
      "the message has come",
    );
    await clusters.b.eval(`[{Me, To}] = [{P, T} || {me, P, T} <- gen_server:call(orders, infos)],
      spawn(fun() -> process_flag(trap_exit, true), link(Me), M = erlang:monitor(process, Me), To ! ready,
        receive {'DOWN', M, process, Me, R1} -> receive {'EXIT', Me, R2} -> To ! {ended, R1, R2} end end end), ok`);
    expect(await near("receive ready -> Me ! stop after 5000 -> nothing end")).toBe("stop");
    expect(await near("receive {ended, A, B} -> {A, B} after 5000 -> nothing end")).toBe("{stopped,stopped}");
    expect(await near(`net_adm:ping(${B1})`)).toBe("pong");
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
    for (const { connected } of clusters.bridge.status().clusters) expect(connected).toHaveLength(1);
  });

  it("come and go with a reload; pids keep their meaning", async () => {
    await start(25, 25, { mirrors: [], policy: RULES });
    const routes = [{ from: "a", to: "b", name: "orders", nodes: ["b1@127.0.0.1"] }];
    await clusters.bridge.reload({ routes, policy: RULES });
    const bridge = "'bridge@127.0.0.1'";
    expect(await near(`{P, _} = gen_server:call({orders, ${bridge}}, whoami), node(P)`)).toBe(bridge);
    expect(await near(`net_adm:ping(${B1})`)).toBe("pang");
    await near("M = erlang:monitor(process, P)");

    await clusters.bridge.reload({ routes, policy: RULES, mirrors: [{ from: "a", to: "b" }] });
    await mirrored(1);
    expect(await near(`{P2, _} = gen_server:call(${ORDERS}, whoami), {node(P2), P2 =:= P}`)).toBe(
      `{${B1},false}`,
    );
    expect(await near("{gen_server:call(P, {add, 1, 1}), gen_server:call(P2, {add, 2, 2})}")).toBe("{2,4}");
    // both mean the same process: there it is itself
    await near(`${ORDERS} ! {both, P, P2}`);
    await until(
      async () => (await clusters.b.eval("gen_server:call(orders, infos)")).includes("both"),
      "the message has come",
    );
    expect(
      await clusters.b.eval(
        "[{X, Y}] = [{X, Y} || {both, X, Y} <- gen_server:call(orders, infos)], X =:= whereis(orders) andalso Y =:= X",
      ),
    ).toBe("true");

    await clusters.bridge.reload({ routes, policy: RULES });
    expect(mirrors()).toEqual([]);
    await until(async () => (await near(`net_adm:ping(${B1})`)) === "pang", "the mirror is gone");
    expect(await near(`{P3, _} = gen_server:call({orders, ${bridge}}, whoami), P3 =:= P`)).toBe("true");
    await near("gen_server:cast(P, {stop, normal})");
    expect(await near("receive {'DOWN', M, process, P, Why} -> Why after 5000 -> nothing end")).toBe(
      "normal",
    );
  });

  it("have the names and ports that are given, and no more of them than may be", async () => {
    const first = await freePort();
    const logged: unknown[] = [];
    const logger = { ...silentLogger, error: (fields: object) => void logged.push(fields) };
    const bridge = {
      mirrors: [
        {
          from: "a",
          to: "b",
          nodes: ["b*"],
          as: "far-{name}@127.0.0.1",
          ports: { from: first, to: first },
          max: 1,
        },
        { from: "b", to: "a", as: "{name}-b1@127.0.0.1" },
        { from: "b", to: "a", as: "b1@127.0.0.1" },
      ],
      policy: RULES,
      logger,
    };
    await start(25, 25, bridge, 2);
    await clusters.add("b", "b2");
    await clusters.bridge.node("b").connect("b2@127.0.0.1");
    expect(mirrors()).toMatchObject([
      { from: "a", to: "b", name: "far-b1@127.0.0.1", of: "b1@127.0.0.1", port: first },
      { from: "b", to: "a", name: "a1-b1@127.0.0.1", of: "a1@127.0.0.1" },
      { name: "b1@127.0.0.1", of: "a1@127.0.0.1", port: undefined },
    ]);
    expect(await near("gen_server:call({orders, 'far-b1@127.0.0.1'}, {add, 1, 1})")).toBe("2");
    expect(logged).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ code: "MIRROR_NAME_TAKEN", mirror: "b1@127.0.0.1" }),
        expect.objectContaining({ code: "MIRROR_LIMIT", of: "b2@127.0.0.1" }),
      ]),
    );
    // when there is room, the other has its turn
    await clusters.b.kill();
    await until(
      () => mirrors()[0]?.of === "b2@127.0.0.1" && mirrors()[0]?.port === first,
      "the other is mirrored",
    );
    expect(await near("net_adm:ping('far-b2@127.0.0.1')")).toBe("pong");
  });

  it("of Elixir: Node.ping, GenServer.call, Node.monitor", async () => {
    await start(25, 25, {
      mirrors: [{ from: "a", to: "b" }],
      policy: [{ action: "allow", from: ["a"], to: ["b"], names: ["Elixir.Shop.*"] }],
    });
    const ebin = execFileSync("elixir", ["-e", "IO.write(:code.lib_dir(:elixir, :ebin))"], {
      encoding: "utf8",
    });
    const elixir = async (beam: Beam, code: string): Promise<string> =>
      beam.eval(`element(1, 'Elixir.Code':eval_string(<<${JSON.stringify(code)}/utf8>>))`);
    for (const beam of [clusters.a, clusters.b])
      await beam.eval(`code:add_pathz("${ebin}"), {ok, _} = application:ensure_all_started(elixir), ok`);
    await elixir(
      clusters.b,
      `defmodule Shop.Orders do
        use GenServer
        def init(n), do: {:ok, n}
        def handle_call({:add, k}, {from, _}, n), do: {:reply, {n + k, node(from), self()}, n + k}
      end
      {:ok, _} = GenServer.start(Shop.Orders, 40, name: Shop.Orders); :ok`,
    );
    expect(await elixir(clusters.a, 'Node.ping(:"b1@127.0.0.1")')).toBe("pong");
    expect(
      await elixir(
        clusters.a,
        `{sum, from, pid} = GenServer.call({Shop.Orders, :"b1@127.0.0.1"}, {:add, 2})
        {sum, from, node(pid), elem(GenServer.call(pid, {:add, 1}), 0)}`,
      ),
    ).toBe(`{42,'bridge@127.0.0.1',${B1},43}`);
    expect(await elixir(clusters.a, 'Node.monitor(:"b1@127.0.0.1", true)')).toBe("true");
    await clusters.b.kill();
    expect(await near(`receive {nodedown, ${B1}} -> yes after 10000 -> nothing end`)).toBe("yes");
  });

  it("long messages between two nodes that are mirrored to each other go on while they come, in order", async () => {
    await start(25, 27, {
      mirrors: [
        { from: "a", to: "b" },
        { from: "b", to: "a" },
      ],
      policy: [{ action: "allow", names: ["orders"] }],
      limits: { longMessageBytes: 128 * 1024 },
    });
    await clusters.b.eval("unregister(orders)");
    for (const side of [clusters.a, clusters.b]) await side.eval(ORDERS_PROCESS);
    const send = (node: string): string => `[spawn(fun() -> [{orders, ${node}} ! case N rem 3 of
        0 -> {S * 100 + N, binary:copy(<<1>>, 200 * 1024 + N)}; _ -> S * 100 + N end || N <- lists:seq(1, 60)] end) || S <- [1, 2, 3]], ok`;
    await Promise.all([clusters.a.eval(send(B1)), clusters.b.eval(send("'a1@127.0.0.1'"))]);
    for (const side of [clusters.a, clusters.b]) {
      await until(
        async () => (await side.eval("gen_server:call(orders, size, infinity)")) === "180",
        "all of them are there",
        60_000,
      );
      const order =
        await side.eval(`Seen = [case One of {N, _} -> N; N -> N end || One <- gen_server:call(orders, seen)],
        [lists:seq(S * 100 + 1, S * 100 + 60) =:= [N || N <- Seen, N div 100 =:= S] || S <- [1, 2, 3]]`);
      expect(order).toBe("[true,true,true]");
    }
    // those of the one side are gathered while the other side's go on
    const streamed = clusters.bridge.status().clusters.map((one) => one.streamed);
    expect(streamed[0]! + streamed[1]!).toBeGreaterThan(0);
  });

  it("are not for clusters that are not there, nor for a cluster's own nodes", async () => {
    const options = (mirror: object) => ({
      clusters: { a: { node: "x@h", cookie: "c" }, b: { node: "y@h", cookie: "c" } },
      routes: [],
      mirrors: [{ from: "a", to: "b", ...mirror }],
    });
    for (const mirror of [
      { from: "c" },
      { to: "a" },
      { as: "no host" },
      { max: 0 },
      { ports: { from: 9, to: 8 } },
    ])
      await expect(startBridge(options(mirror)), JSON.stringify(mirror)).rejects.toMatchObject({
        code: "BRIDGE_OPTIONS_INVALID",
      });
  });
});
