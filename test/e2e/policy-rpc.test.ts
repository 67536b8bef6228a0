import type { BridgeOptions } from "@isthmus/bridge";
import { afterEach, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const RULES: BridgeOptions["policy"] = [
  { action: "deny", rpc: ["lists:seq/3"] },
  {
    id: "functions",
    action: "allow",
    from: ["a"],
    to: ["b"],
    rpc: [
      "lists:*",
      "erlang:self/0",
      "erlang:node/0",
      "erlang:error/1",
      "erlang:throw/1",
      "io:format/1",
      "timer:sleep/1",
    ],
    nodes: ["b1@127.0.0.1", "b2@127.0.0.1"],
  },
  {
    action: "allow",
    from: ["a"],
    to: ["b"],
    rpc: ["timer:sleep/1"],
    operations: ["spawn"],
    nodes: ["b1@127.0.0.1"],
  },
];

describe.each([
  [25, 25],
  [29, 27],
  [27, 29],
  [23, 25],
] as const)("functions of another cluster that the policy lists: OTP %i calls OTP %i", (otpA, otpB) => {
  let clusters: TwoClusters;
  afterEach(() => clusters?.stop());

  const start = async (bridge: Partial<BridgeOptions> = {}) => {
    clusters = await startTwoClusters({ otpA, otpB, routes: [], bridge: { policy: RULES, ...bridge } });
  };
  const near = (code: string) => clusters.a.eval(code, { timeoutMs: 15_000 });

  it("erpc and rpc run them and get results, errors and pids", async () => {
    await start();
    expect(await near(`rpc:call(${BRIDGE}, lists, reverse, [[1,2,3]])`)).toBe("[3,2,1]");
    expect(await near(`rpc:call(${BRIDGE}, erlang, node, [])`)).toBe("'b1@127.0.0.1'");
    expect(await near(`erpc:call(${BRIDGE}, lists, nth, [2, [a, self(), c]]) =:= self()`)).toBe("true");
    expect(await near(`P = erpc:call(${BRIDGE}, erlang, self, []), node(P)`)).toBe(BRIDGE);
    expect(await near(`catch erpc:call(${BRIDGE}, erlang, throw, [ball])`)).toBe("ball");
    expect(
      await near(`try erpc:call(${BRIDGE}, erlang, error, [why]) catch error:{exception, R, _} -> R end`),
    ).toBe("why");
    expect(await near(`rpc:multicall([${BRIDGE}], lists, sum, [[1,2,3]])`)).toBe("{[6],[]}");
    expect(await near(`erpc:multicall([${BRIDGE}], lists, max, [[1,2,3]])`)).toBe("[{ok,3}]");
    expect(await near(`K = rpc:async_call(${BRIDGE}, lists, last, [[1,2]]), rpc:yield(K)`)).toBe("2");
    expect(await near(`erpc:call(${BRIDGE}, io, format, ["printed~n"])`)).toBe("ok");
    expect(await near(`rpc:cast(${BRIDGE}, lists, seq, [1, 2])`)).toBe("true");
    expect(
      await near(
        `erpc:call(${BRIDGE}, lists, duplicate, [100000, <<"0123456789">>]) =:= lists:duplicate(100000, <<"0123456789">>)`,
      ),
    ).toBe("true");
    await until(() => clusters.bridge.status().relations === 0, "nothing is left");
    expect(clusters.b.output).not.toContain("printed");
    expect(clusters.a.output).not.toContain("printed");
  });

  it("so does rex, for those who use it", async () => {
    await start();
    expect(
      await near(`gen_server:call({rex, ${BRIDGE}}, {call, lists, reverse, [[1,2]], group_leader()})`),
    ).toBe("[2,1]");
    expect(await near(`rpc:block_call(${BRIDGE}, lists, reverse, [[1,2]])`)).toBe("[2,1]");
    expect(
      await near(`{rex, ${BRIDGE}} ! {self(), {call, lists, reverse, [[1,2,3]], group_leader()}},
        receive M -> M after 5000 -> nothing end`),
    ).toBe("{rex,[3,2,1]}");
    expect(
      await near(`gen_server:call({rex, ${BRIDGE}}, {call, io, format, ["printed"], group_leader()})`),
    ).toBe("ok");
    await until(() => clusters.bridge.status().relations === 0, "nothing is left");
  });

  it("a spawned process may be linked and monitored from the beginning", async () => {
    await start();
    expect(
      await near(`{P, R} = spawn_monitor(${BRIDGE}, timer, sleep, [50]),
        receive {'DOWN', R, process, P, Why} -> Why after 5000 -> nothing end`),
    ).toBe("normal");
    expect(
      await near(`process_flag(trap_exit, true), P2 = spawn_link(${BRIDGE}, timer, sleep, [notime]),
        receive {'EXIT', P2, {Why2, _}} -> Why2 after 5000 -> nothing end`),
    ).toMatch(/timeout_value|function_clause|badarg/);
    await near(`P3 = spawn_link(${BRIDGE}, timer, sleep, [infinity])`);
    await until(() => clusters.bridge.status().relations === 1, "the link is there");
    await clusters.b.kill();
    expect(await near("receive {'EXIT', P3, Why3} -> Why3 after 10000 -> nothing end")).toBe("noconnection");
    await until(() => clusters.bridge.status().relations === 0, "nothing is left");
  });

  it("a call that is under way when its node is lost ends, and the next goes to the next node", async () => {
    await start();
    await near(`S = self(), spawn(fun() -> S ! {erpc, catch erpc:call(${BRIDGE}, timer, sleep, [60000])} end),
      spawn(fun() -> S ! {rex, catch gen_server:call({rex, ${BRIDGE}}, {call, timer, sleep, [60000], S}, infinity)} end)`);
    await until(() => clusters.bridge.status().relations >= 2, "both are under way");
    await clusters.add("b", "b2");
    await until(() => clusters.bridge.status().clusters[1]!.connected.length === 2, "there is another node");
    await clusters.b.kill();
    expect(await near("receive {erpc, E} -> E after 10000 -> nothing end")).toContain("noconnection");
    expect(await near("receive {rex, X} -> X after 10000 -> nothing end")).toContain("nodedown");
    expect(await near(`rpc:call(${BRIDGE}, erlang, node, [])`)).toBe("'b2@127.0.0.1'");
  });

  it("everything else is not there, however it is wrapped", async () => {
    await start();
    await clusters.b.eval("application:unset_env(kernel, owned)");
    const own = "[kernel, owned, yes]";
    for (const attempt of [
      `rpc:call(${BRIDGE}, application, set_env, ${own})`,
      `rpc:call(${BRIDGE}, erlang, apply, [application, set_env, ${own}])`,
      `rpc:call(${BRIDGE}, rpc, call, [node(), application, set_env, ${own}])`,
      `rpc:call(${BRIDGE}, erpc, execute_call, [make_ref(), application, set_env, ${own}])`,
      `rpc:call(${BRIDGE}, lists, foreach, [fun(X) -> application:set_env(kernel, owned, X) end, [yes]])`,
      `rpc:call(${BRIDGE}, lists, foreach, [fun os:cmd/1, ["id"]])`,
      `rpc:call(${BRIDGE}, lists, seq, [1, 2, 3])`,
      `erpc:call(${BRIDGE}, fun() -> application:set_env(kernel, owned, yes) end)`,
      `spawn(${BRIDGE}, lists, reverse, [[]])`,
      `spawn(${BRIDGE}, erpc, execute_call, [make_ref(), application, set_env, ${own}])`,
      `gen_server:call({rex, ${BRIDGE}}, {call, application, set_env, ${own}, self()})`,
      `gen_server:call({rex, ${BRIDGE}}, {call, erlang, apply, [application, set_env, ${own}], self()})`,
      `gen_server:call({rex, ${BRIDGE}}, {call, lists, foreach, [fun(X) -> application:set_env(kernel, owned, X) end, [yes]], self()})`,
      `{rex, ${BRIDGE}} ! {self(), {call, application, set_env, ${own}, self()}}`,
      `gen_server:cast({rex, ${BRIDGE}}, {cast, application, set_env, ${own}, self()})`,
    ]) {
      const before = clusters.bridge.status().refused;
      await near(`catch (${attempt})`);
      await until(() => clusters.bridge.status().refused > before, `${attempt} is refused`);
      await near(`rpc:call(${BRIDGE}, lists, reverse, [[]])`);
      expect(await clusters.b.eval("application:get_env(kernel, owned)"), attempt).toBe("undefined");
    }
    // the other cluster may run nothing
    expect(await clusters.b.eval(`rpc:call(${BRIDGE}, lists, reverse, [[]])`)).toMatch(
      /^\{badrpc,\{'EXIT',\{undef,/,
    );
  });

  it("limits hold for calls, too", async () => {
    await start({
      policy: [
        {
          action: "allow",
          from: ["a"],
          to: ["b"],
          rpc: ["lists:reverse/1"],
          nodes: ["b1@127.0.0.1"],
          maxBytes: 500,
        },
      ],
    });
    expect(await near(`erpc:call(${BRIDGE}, lists, reverse, [[1]])`)).toBe("[1]");
    expect(await near(`catch erpc:call(${BRIDGE}, lists, reverse, [lists:duplicate(1000, a)])`)).toContain(
      "system_limit",
    );
    expect(
      await near(`catch rpc:block_call(${BRIDGE}, lists, reverse, [lists:duplicate(1000, a)])`),
    ).toContain("system_limit");
  });
});
