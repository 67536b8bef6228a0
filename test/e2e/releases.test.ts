import { afterEach, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const ORDERS = `{orders, ${BRIDGE}}`;
const ENDS = ["a", "b"] as const;
/** From the one to the other, and back. */
const WAYS = [ENDS, ["b", "a"]] as const;

/** Loads a module whose fun `new(X)` gives a fun with X in it. Those of the shell carry code, which does not cross. */
const FUNS = `{ok, funs_of_test, Code} = compile:forms([
    {attribute, 1, module, funs_of_test}, {attribute, 1, export, [{new, 1}]},
    {function, 1, new, 1, [{clause, 1, [{var, 1, 'X'}], [],
      [{'fun', 1, {clauses, [{clause, 1, [], [], [{var, 1, 'X'}]}]}}]}]}]),
  {module, funs_of_test} = code:load_binary(funs_of_test, "funs_of_test", Code)`;
/** One of each kind; OTP 23 has no aliases. */
const IDENTIFIERS = `P = self(), R = make_ref(), O = hd(erlang:ports()),
  A = case erlang:system_info(otp_release) of "23" -> make_ref(); _ -> apply(erlang, alias, []) end`;

// OTP 27 and 29 share no connection with 23; the bridge speaks to each in its own forms.
describe.each([
  [25, 27],
  [27, 25],
  [27, 29],
  [23, 25],
  [23, 27],
  [29, 23],
] as const)("a cluster of OTP %i and one of OTP %i", (otpA, otpB) => {
  let clusters: TwoClusters;
  afterEach(() => clusters?.stop());

  const start = async () => {
    clusters = await startTwoClusters({
      otpA,
      otpB,
      bridge: { policy: [{ action: "allow", pid: true, operations: ["info"] }] },
    });
    await Promise.all(ENDS.map((end) => clusters[end].eval("isthmus_probe:orders(orders)")));
  };

  it("call, pid, monitor, link and unlink across", async () => {
    await start();
    const near = (code: string) => clusters.a.eval(code);
    expect(await near(`gen_server:call(${ORDERS}, {add, 20, 22})`)).toBe("42");
    expect(
      await near(
        `T = {self(), make_ref(), [x|y], <<5:3>>, 1 bsl 80}, T =:= gen_server:call(${ORDERS}, {echo, T})`,
      ),
    ).toBe("true");
    expect(
      await near(`W = gen_server:call(${ORDERS}, {spawn_worker}), M = erlang:monitor(process, W), W ! {stop, why},
        receive {'DOWN', M, process, W, R} -> R after 5000 -> nothing end`),
    ).toBe("why");
    expect(
      await near(`process_flag(trap_exit, true), W2 = gen_server:call(${ORDERS}, {spawn_worker}), link(W2), unlink(W2), link(W2), W2 ! {stop, again},
        receive {'EXIT', W2, R2} -> R2 after 5000 -> nothing end`),
    ).toBe("again");
    expect(await near(`catch gen_server:call({secrets, ${BRIDGE}}, x)`)).toMatch(/^\{'EXIT',\{noproc,/);
    expect(clusters.bridge.status().clusters.map(({ connected }) => connected.length)).toEqual([1, 1]);
  });

  it("identifiers are the same wherever they stand, and come back as themselves, from both sides", async () => {
    await start();
    for (const [here, there] of WAYS) {
      const near = (code: string) => clusters[here].eval(code);
      // OTP 26 and later do not keep who has made a fun
      const keepsCreators = Math.max(otpA, otpB) < 26 || clusters[here].release > 25;
      await near(`${FUNS}, ${IDENTIFIERS}, X = {P, R, O, A}, F = funs_of_test:new(X),
        T = {X, F, #{P => R, {R, [P]} => #{A => O}, O => [P, R|A]}, [X, [[[{deep, X}]]]|F], [P|O]}`);
      expect(
        await near(`G = gen_server:call(${ORDERS}, {echo, T}), {_, Back, _, _, _} = G,
          {G =:= T, Back() =:= X, erlang:fun_info(Back, pid) =:= erlang:fun_info(F, pid)}`),
      ).toBe(`{true,true,${keepsCreators}}`);
      await near(`gen_server:cast(${ORDERS}, {note, T})`);
      await until(
        async () => (await clusters[there].eval("gen_server:call(orders, notes)")) !== "[]",
        "the message has come",
      );
      expect(
        await clusters[
          there
        ].eval(`[{X0, F0, M0, L0, I0}] = gen_server:call(orders, notes), {P0, R0, O0, A0} = X0,
          [${BRIDGE}] = lists:usort([node(I) || I <- tuple_to_list(X0)]), {env, [X0]} = erlang:fun_info(F0, env),
          {pid, C0} = erlang:fun_info(F0, pid), true = node(C0) =:= ${clusters[there].release < 26 ? BRIDGE : "node()"},
          M0 =:= #{P0 => R0, {R0, [P0]} => #{A0 => O0}, O0 => [P0, R0|A0]} andalso
            L0 =:= [X0, [[[{deep, X0}]]]|F0] andalso I0 =:= [P0|O0]`),
      ).toBe("true");
    }
  });

  it("a seq_trace token names its process, on either side", async () => {
    await start();
    for (const [here, there] of WAYS) {
      // loaded before, or the token would tell of the messages to the code server
      await clusters[
        there
      ].eval(`code:ensure_loaded(seq_trace), register(traced, spawn(fun() -> receive {From, hello} ->
        Seen = seq_trace:get_token(), From ! {answer, x}, orders ! {seen, element(4, Seen) =:= From} end end))`);
      expect(
        await clusters[here].eval(`To = gen_server:call(${ORDERS}, {whereis, traced}),
          Token = isthmus_probe:traced(17, To), {element(2, Token), element(4, Token) =:= To}`),
      ).toBe("{17,true}");
      // said after the answer was given
      await until(
        async () => (await clusters[there].eval("gen_server:call(orders, infos)")) !== "[]",
        "the process has said what it saw",
      );
      expect(await clusters[there].eval("gen_server:call(orders, infos)")).toBe("[{seen,true}]");
    }
  });
});

describe("what a release cannot decode", () => {
  let clusters: TwoClusters;
  afterEach(() => clusters?.stop());

  const RECORD = `binary_to_term(<<131, 67, 1:32, 1:8, 119, 1, "m", 119, 1, "r", 119, 1, "x", 97, 1>>)`;
  // OTP 27 crashes; the others read it
  const FUN = `binary_to_term(<<131, 113, 119, 1, "m", 119, 1, "f", 98, 300:32>>)`;

  it("does not reach it: a caller waits no longer, a DOWN and an EXIT come without it, connections stay", async () => {
    clusters = await startTwoClusters({ otpA: 29, otpB: 27 });
    const near = (code: string) => clusters.a.eval(code);
    await clusters.b.eval("isthmus_probe:orders(orders)");
    await near("isthmus_probe:orders(orders)");
    for (const term of [RECORD, FUN]) {
      expect(await near(`catch gen_server:call(${ORDERS}, {echo, [${term}]})`)).toMatch(
        /^\{'EXIT',\{noproc,/,
      );
      await near(`gen_server:cast(${ORDERS}, {note, ${term}})`);
    }
    expect(await near(`gen_server:call(${ORDERS}, {echo, notes})`)).toBe("notes");
    expect(await clusters.b.eval("gen_server:call(orders, notes)")).toBe("[]");
    // ends of links and monitors, and so the ends of calls, do come
    await clusters.b.eval(`process_flag(trap_exit, true), W = gen_server:call(${ORDERS}, spawn_worker),
      M = monitor(process, W), link(W), gen_server:cast(${ORDERS}, {note, W})`);
    await until(
      async () => (await near("length(gen_server:call(orders, notes))")) === "1",
      "the note has come",
    );
    await near(`[N] = gen_server:call(orders, notes), N ! {stop, ${RECORD}}`);
    expect(
      await clusters.b.eval(`receive {'DOWN', M, process, W, Why} -> receive {'EXIT', W, Why2} -> {Why, Why2}
        after 5000 -> nothing end after 5000 -> nothing end`),
    ).toBe("{refused,refused}");
    expect(clusters.bridge.status().clusters.map(({ connected }) => connected.length)).toEqual([1, 1]);
    expect(clusters.bridge.status().refused).toBeGreaterThanOrEqual(6);
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("reaches another that can", async () => {
    clusters = await startTwoClusters({ otpA: 29, otpB: 29 });
    await clusters.b.eval("isthmus_probe:orders(orders)");
    expect(
      await clusters.a.eval(`T = {self(), ${RECORD}}, T =:= gen_server:call(${ORDERS}, {echo, T})`),
    ).toBe("true");
  });
});
