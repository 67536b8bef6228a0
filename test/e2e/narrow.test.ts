import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Beam } from "../support/beam.ts";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const ORDERS = `{orders, ${BRIDGE}}`;

const FUNCTIONS = ["lists:nth/2", "lists:last/1", "erlang:self/0", "erlang:throw/1"];

/** Whether Term is a pid that OTP 23 cannot read, by its bytes. */
const IS_WIDE = `fun(Pid) -> <<131, 88, 119, L, _:L/binary, Id:32, Serial:32, _:32>> = term_to_binary(Pid),
  Id > 16#7fff orelse Serial > 16#1fff end`;

/** From now on, new processes of the node have wide pids, and so has its evaluator. */
async function makeWide(beam: Beam): Promise<void> {
  await beam.eval("lists:foreach(fun(_) -> spawn(lists, seq, [1, 1]) end, lists:seq(1, 33000))", {
    timeoutMs: 60_000,
  });
  await beam.eval("exit(self(), kill)").catch(() => {});
  expect(await beam.eval(`IsWide = ${IS_WIDE}, IsWide(self())`)).toBe("true");
}

// OTP 23 drops the connection over a pid of more than 15 and 13 bits, and over a reference of more than three words.
describe.each([27, 29] as const)("a cluster of OTP %i with wide pids and one of OTP 23", (otpA) => {
  let clusters: TwoClusters;
  const wide = (code: string) => clusters.a.eval(code);
  const narrow = (code: string) => clusters.b.eval(code);

  beforeAll(async () => {
    clusters = await startTwoClusters({
      otpA,
      otpB: 23,
      bridge: {
        policy: [
          { action: "allow", pid: true, operations: ["exit", "info", "call", "cast", "link", "monitor"] },
          { action: "allow", from: ["a"], to: ["b"], rpc: FUNCTIONS, nodes: ["b1@127.0.0.1"] },
          { action: "allow", from: ["b"], to: ["a"], rpc: FUNCTIONS, nodes: ["a1@127.0.0.1"] },
        ],
      },
    });
    await makeWide(clusters.a);
    await Promise.all([
      wide("isthmus_probe:orders(orders)"),
      clusters.b.eval("isthmus_probe:orders(orders)"),
    ]);
    expect(await wide("IsWide(whereis(orders))")).toBe("true");
  });
  afterAll(async () => {
    // nothing of all this has cost a connection
    const left = clusters?.bridge.status().clusters.map(({ connected }) => connected.length);
    await clusters?.stop();
    expect(left).toEqual([1, 1]);
  });

  it("calls are answered both ways, at once, later and by another process", async () => {
    for (const near of [wide, narrow]) {
      expect(await near(`gen_server:call(${ORDERS}, {add, 20, 22})`)).toBe("42");
      expect(await near(`gen_server:call(${ORDERS}, {later, 20, tomorrow})`)).toBe("tomorrow");
    }
  });

  it("a call that times out leaves nothing behind, and the server lives on", async () => {
    for (const near of [wide, narrow]) {
      expect(await near(`catch gen_server:call(${ORDERS}, {later, 300, late}, 20)`)).toContain("{timeout,");
      expect(await near(`gen_server:call(${ORDERS}, {later, 500, 3})`)).toBe("3");
    }
    // as between nodes of OTP 24 and later, although OTP 23 has sent it to the caller and not to its alias
    expect(await wide("receive Any -> Any after 0 -> nothing end")).toBe("nothing");
    // as between nodes of OTP 23
    expect(await narrow("receive {_, Any} -> Any after 5000 -> nothing end")).toBe("late");
  });

  it("casts and messages reach a wide process, and one of OTP 23", async () => {
    for (const near of [wide, narrow]) {
      await near(`gen_server:cast(${ORDERS}, {forward, self(), {hello, self()}})`);
      expect(await near("Me = self(), receive {hello, Me} -> here after 5000 -> nothing end")).toBe("here");
    }
  });

  it("wide pids, aliases and ports come back as themselves, wherever they stand", async () => {
    expect(
      await wide(`P = self(), Q = spawn(lists, seq, [1, 1]), A = alias(), R = make_ref(), O = hd(erlang:ports()),
        T = {P, [Q, {A, R}|O], #{P => Q, Q => A, A => P, {P, Q} => [P|A]}, [P|Q], fun lists:map/2,
          [{I, P} || I <- lists:seq(1, 300)]},
        T =:= gen_server:call(${ORDERS}, {echo, T})`),
    ).toBe("true");
  });

  it("what stands for them is told apart by OTP 23, and means the same each time", async () => {
    await wide(`Workers = [spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, 50)],
      gen_server:call(${ORDERS}, {forget}), gen_server:cast(${ORDERS}, {note, Workers}),
      gen_server:cast(${ORDERS}, {note, Workers}), gen_server:call(${ORDERS}, notes)`);
    expect(
      await narrow("[N1, N2] = gen_server:call(orders, notes), {N1 =:= N2, length(lists:usort(N1))}"),
    ).toBe("{true,50}");
    expect(await wide(`[W1, W2] = gen_server:call(${ORDERS}, notes), {W1, W2} =:= {Workers, Workers}`)).toBe(
      "true",
    );
  });

  it("a wide server is used by its pid: calls, monitor, link, exit/2", async () => {
    expect(
      await narrow(
        `{P, _} = gen_server:call(${ORDERS}, whoami), {P, 3} =:= {P, gen_server:call(P, {add, 1, 2})}`,
      ),
    ).toBe("true");
    expect(
      await narrow(`W = gen_server:call(${ORDERS}, spawn_worker), M = monitor(process, W), W ! {stop, {why, W}},
        receive {'DOWN', M, process, W, {why, W}} -> down after 5000 -> nothing end`),
    ).toBe("down");
    expect(
      await narrow(`process_flag(trap_exit, true), L = gen_server:call(${ORDERS}, spawn_worker), link(L), unlink(L), link(L),
        L ! {stop, {with, L}}, receive {'EXIT', L, {with, L}} -> exited after 5000 -> nothing end`),
    ).toBe("exited");
    expect(
      await narrow(`K = gen_server:call(${ORDERS}, spawn_worker), KM = monitor(process, K), exit(K, kill),
        receive {'DOWN', KM, process, K, Killed} -> Killed after 5000 -> nothing end`),
    ).toBe("killed");
    expect(
      await narrow(`D = gen_server:call(${ORDERS}, spawn_worker), DM = monitor(process, D), demonitor(DM), D ! {stop, x},
        receive Any -> Any after 200 -> nothing end`),
    ).toBe("nothing");
    expect(
      await narrow(
        `GM = monitor(process, K), receive {'DOWN', GM, process, K, Gone} -> Gone after 5000 -> nothing end`,
      ),
    ).toBe("noproc");
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("a wide process watches, links and ends one of OTP 23", async () => {
    expect(
      await wide(`W = gen_server:call(${ORDERS}, spawn_worker), M = monitor(process, W), W ! {stop, {why, self()}},
        Self = self(), receive {'DOWN', M, process, W, {why, Self}} -> down after 5000 -> nothing end`),
    ).toBe("down");
    expect(
      await wide(`process_flag(trap_exit, true), L = gen_server:call(${ORDERS}, spawn_worker), link(L), unlink(L), link(L),
        L ! {stop, again}, receive {'EXIT', L, again} -> exited after 5000 -> nothing end`),
    ).toBe("exited");
    expect(
      await wide(`D = gen_server:call(${ORDERS}, spawn_worker), DM = monitor(process, D), demonitor(DM), D ! {stop, x},
        receive Any -> Any after 200 -> nothing end`),
    ).toBe("nothing");
    // the exit of a wide process ends the one of OTP 23 that it is linked to
    expect(
      await wide(`V = gen_server:call(${ORDERS}, spawn_worker), VM = monitor(process, V),
        spawn(fun() -> link(V), exit(crashed) end),
        receive {'DOWN', VM, process, V, Crashed} -> Crashed after 5000 -> nothing end`),
    ).toBe("crashed");
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("a fun with wide pids in it comes back as the same fun", async () => {
    // compiled: those of the shell carry code, which does not cross
    await wide(`{ok, funs_of_wide, Code} = compile:forms([
        {attribute, 1, module, funs_of_wide}, {attribute, 1, export, [{new, 1}]},
        {function, 1, new, 1, [{clause, 1, [{var, 1, 'X'}], [], [{'fun', 1, {clauses, [{clause, 1, [], [], [{var, 1, 'X'}]}]}}]}]}]),
      {module, funs_of_wide} = code:load_binary(funs_of_wide, "funs_of_wide", Code)`);
    expect(
      await wide(`X = {self(), alias(), [self()|make_ref()]}, F = funs_of_wide:new(X),
        G = gen_server:call(${ORDERS}, {echo, F}), {G =:= F, G() =:= X, erlang:fun_info(G) =:= erlang:fun_info(F)}`),
    ).toBe("{true,true,true}");
  });

  it("functions run in the other cluster, by erpc and rpc, whatever pids are in arguments and results", async () => {
    for (const near of [wide, narrow]) {
      expect(await near(`Me = self(), erpc:call(${BRIDGE}, lists, nth, [2, [a, {Me}, c]]) =:= {Me}`)).toBe(
        "true",
      );
      expect(await near(`S = erpc:call(${BRIDGE}, erlang, self, []), {is_pid(S), node(S)}`)).toBe(
        `{true,${BRIDGE}}`,
      );
      expect(await near(`rpc:call(${BRIDGE}, lists, last, [[1, {x, Me}]]) =:= {x, Me}`)).toBe("true");
      expect(await near(`catch erpc:call(${BRIDGE}, erlang, throw, [{ball, Me}]) =:= {ball, Me}`)).toMatch(
        /ball|true/,
      );
    }
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });
});

describe("a cluster of OTP 27 and one of OTP 23 that may be shown three wide pids", () => {
  let clusters: TwoClusters;
  const wide = (code: string) => clusters.a.eval(code);
  const narrow = (code: string) => clusters.b.eval(code);

  beforeAll(async () => {
    clusters = await startTwoClusters({
      otpA: 27,
      otpB: 23,
      bridge: {
        limits: { maxNarrowed: 3 },
        policy: [{ action: "allow", pid: true, operations: ["info", "call", "link", "monitor"] }],
      },
    });
    await makeWide(clusters.a);
    await Promise.all([
      wide("isthmus_probe:orders(orders)"),
      clusters.b.eval("isthmus_probe:orders(orders)"),
    ]);
  });
  afterAll(() => clusters?.stop());

  const others = () =>
    wide(`[gen_server:cast(${ORDERS}, {note, spawn(lists, seq, [1, 1])}) || _ <- lists:seq(1, 20)],
      gen_server:call(${ORDERS}, {add, 1, 1})`);

  it("one that made room for others is dead to the 23 node, and never another process", async () => {
    await narrow(`P = gen_server:call(${ORDERS}, spawn_worker)`);
    expect(await narrow("M = monitor(process, P), demonitor(M, [flush])")).toBe("true");
    expect(await others()).toBe("2");
    expect(
      await narrow(
        "M2 = monitor(process, P), receive {'DOWN', M2, process, P, Why} -> Why after 5000 -> nothing end",
      ),
    ).toBe("noproc");
    expect(
      await narrow(
        "process_flag(trap_exit, true), link(P), receive {'EXIT', P, Why2} -> Why2 after 5000 -> nothing end",
      ),
    ).toBe("noproc");
    expect(await narrow("P ! {stop, x}, catch gen_server:call(P, x)")).toMatch(/^\{'EXIT',\{noproc,/);
    expect(await narrow(`gen_server:call(${ORDERS}, {echo, P}) =:= P`)).toBe("true");
  });

  it("one that is linked or monitored is kept, and so is a call that waits", async () => {
    await narrow(`W = gen_server:call(${ORDERS}, spawn_worker), MW = monitor(process, W), link(W)`);
    await others();
    expect(
      await narrow(`W ! {stop, done}, receive {'DOWN', MW, process, W, Why3} -> receive {'EXIT', W, Why4} -> {Why3, Why4}
        after 5000 -> nothing end after 5000 -> nothing end`),
    ).toBe("{done,done}");
    await wide(
      `{_, MC} = spawn_monitor(fun() -> exit({answer, gen_server:call(${ORDERS}, {later, 3000, 42})}) end)`,
    );
    await until(() => clusters.bridge.status().relations === 1, "the call is under way");
    await others();
    expect(
      await wide("receive {'DOWN', MC, process, _, {answer, Answer}} -> Answer after 8000 -> nothing end"),
    ).toBe("42");
  });

  it("when all are kept, what needs another is answered, and connections stay", async () => {
    await narrow(
      `Ws = [gen_server:call(${ORDERS}, spawn_worker) || _ <- lists:seq(1, 2)], [link(X) || X <- Ws]`,
    );
    // the third is the caller's
    await wide(`Caller = spawn(fun() -> gen_server:call(${ORDERS}, never, infinity) end)`);
    await until(() => clusters.bridge.status().relations === 3, "two links and a call");
    expect(await wide(`catch gen_server:call(${ORDERS}, {add, 1, 2})`)).toMatch(/^\{'EXIT',\{noproc,/);
    expect(clusters.bridge.status().clusters.map(({ connected }) => connected.length)).toEqual([1, 1]);
    await wide("exit(Caller, kill)");
    await until(
      async () => (await wide(`catch gen_server:call(${ORDERS}, {add, 1, 2})`)) === "3",
      "there is room again",
    );
  });
});
