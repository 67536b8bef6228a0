import { afterEach, describe, expect, it } from "vitest";
import { arriveAsSent, LONG_TERMS, ORDERS_PROCESS, same } from "./orders-process.ts";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const MIB = 1024 * 1024;
const ORDERS = `{orders, ${BRIDGE}}`;

describe("messages that go on while they come", () => {
  let clusters: TwoClusters;
  const logged: Record<string, unknown>[] = [];

  const start = async (
    otpA: 23 | 25 | 27 | 29,
    otpB: 23 | 25 | 27 | 29,
    longMessageBytes?: number,
  ): Promise<void> => {
    logged.length = 0;
    const note = (context: Record<string, unknown>): void => void logged.push(context);
    clusters = await startTwoClusters({
      ...{ otpA, otpB },
      bridge: {
        limits: longMessageBytes === undefined ? {} : { longMessageBytes },
        logger: { debug: note, info: note, warn: note, error: note },
      },
    });
    await clusters.b.eval(ORDERS_PROCESS);
  };
  afterEach(() => clusters?.stop());

  const near = (code: string): Promise<string> => clusters.a.eval(code, { timeoutMs: 60_000 });
  const carried = (): number => clusters.bridge.status().clusters.find(({ id }) => id === "a")!.streamed;
  const onlyBridge = (): Promise<void> =>
    until(
      async () => (await clusters.b.eval("nodes(hidden)")) === `[${BRIDGE}]`,
      "no other connection of the bridge is left",
    );

  it.each([
    [25, 25],
    [23, 27],
    [29, 23],
    [27, 29],
  ] as const)("arrive as they were sent, from OTP %i to %i", async (otpA, otpB) => {
    await start(otpA, otpB, 256 * 1024);
    await arriveAsSent(near, ORDERS, () => expect(carried()).toBe(LONG_TERMS.length));
    await onlyBridge();
  });

  it("and those that do not arrive, too, however deep or large what is in them is", async () => {
    await start(25, 27);
    expect(await near(same(ORDERS, `1 bsl 4000000`))).toBe("true");
    expect(await near(same(ORDERS, `lists:foldl(fun(_, L) -> [L] end, [], lists:seq(1, 50000))`))).toBe(
      "true",
    );
    expect(await near(same(ORDERS, `lists:duplicate(20000000, [])`))).toBe("true");
    expect(carried()).toBe(1);
    // what the bridge does not take is refused, and nothing else is lost
    const deep = `catch gen_server:call(${ORDERS}, {look, lists:foldl(fun(_, L) -> [L] end, [], lists:seq(1, 1200000))}, infinity)`;
    expect(await near(`(fun({'EXIT', {Why, _}}) -> Why; (Other) -> Other end)(${deep})`)).toBe(
      "system_limit",
    );
    expect(await near(same(ORDERS, `1`))).toBe("true");
    expect(await near("nodes(hidden)")).toBe(`[${BRIDGE}]`);
  });

  it("keep their place among the messages of their sender", async () => {
    await start(25, 27, 128 * 1024);
    const send = (first: number): string => `spawn_monitor(fun() -> [case N rem 10 of
        0 -> ${ORDERS} ! {N, binary:copy(<<1>>, 130 * 1024 + N * 97)};
        5 -> ${ORDERS} ! {N, binary:copy(<<1>>, ${2 * MIB})};
        _ -> ${ORDERS} ! N end || N <- lists:seq(${first}, ${first} + 199)] end)`;
    await near(`[${[1000, 2000, 3000].map(send).join(", ")}], ok`);
    await until(
      async () => (await near(`gen_server:call(${ORDERS}, size, infinity)`)) === "600",
      "all of them are there",
      60_000,
    );
    const order =
      await near(`Seen = [case One of {N, _} -> N; N -> N end || One <- gen_server:call(${ORDERS}, seen, infinity)],
      [lists:seq(F, F + 199) =:= [N || N <- Seen, N >= F, N < F + 200] || F <- [1000, 2000, 3000]]`);
    expect(order).toBe("[true,true,true]");
    expect(carried()).toBe(120);
  });

  it("go both ways at once, from several processes on each side", async () => {
    await start(25, 27, 128 * 1024);
    await clusters.a.eval(ORDERS_PROCESS);
    const send = `[spawn(fun() -> [${ORDERS} ! {S * 100 + N, binary:copy(<<1>>, 200 * 1024)} || N <- lists:seq(1, 30)] end) || S <- [1, 2, 3]], ok`;
    await Promise.all([clusters.a.eval(send), clusters.b.eval(send)]);
    for (const side of [clusters.a, clusters.b]) {
      await until(
        async () => (await side.eval(`gen_server:call(orders, size, infinity)`)) === "90",
        "all of them are there",
        60_000,
      );
      const order = await side.eval(`Seen = [N || {N, _} <- gen_server:call(orders, seen)],
        [lists:seq(S * 100 + 1, S * 100 + 30) =:= [N || N <- Seen, N div 100 =:= S] || S <- [1, 2, 3]]`);
      expect(order).toBe("[true,true,true]");
    }
    await onlyBridge();
  });

  it("do not stay in the memory of the bridge", async () => {
    await start(25, 25);
    let peak = 0;
    const before = process.memoryUsage().arrayBuffers;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }, 5);
    const size = 300 * MIB;
    const answer = await near(
      `gen_server:call(${ORDERS}, {answer_through, binary:copy(<<9>>, ${size}), [self()], tail}, infinity)`,
    );
    clearInterval(watch);
    expect(answer).toBe("['bridge@127.0.0.1']");
    expect(carried()).toBe(1);
    expect(peak).toBeGreaterThan(0);
    expect(peak).toBeLessThan(64 * MIB);
  });

  it("leave nothing behind when their sender's node dies in the middle", async () => {
    await start(25, 25, 256 * 1024);
    const binaries = async (): Promise<number> =>
      Number(await clusters.b.eval("erlang:garbage_collect(whereis(orders)), erlang:memory(binary)"));
    const before = await binaries();
    // a sender that is cut off while its node writes
    await near(
      `spawn(fun() -> (fun More() -> ${ORDERS} ! {0, binary:copy(<<1>>, ${100 * MIB})}, More() end)() end), ok`,
    );
    await until(async () => (await clusters.b.eval("length(nodes(hidden))")) === "2", "one is on its way");
    await clusters.a.kill();
    await onlyBridge();
    await until(async () => (await binaries()) < before + 10 * MIB, "what had come of it is forgotten");
    const back = await clusters.add("a", "a1");
    await until(
      () => clusters.bridge.status().clusters.every(({ connected }) => connected.length === 1),
      "the node is back",
    );
    expect(
      await back.eval(`is_integer(gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${MIB})}))`),
    ).toBe("true");
  });

  it("end the call with noconnection when the node that they are for dies in the middle", async () => {
    await start(25, 25, 256 * 1024);
    await near(
      `Self = self(), spawn(fun() -> Self ! {ended, catch [gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${100 * MIB})}, infinity) || _ <- lists:seq(1, 100)]} end), ok`,
    );
    await until(async () => (await clusters.b.eval("length(nodes(hidden))")) === "2", "one is on its way");
    await clusters.b.kill();
    expect(await near("receive {ended, {'EXIT', {Why, _}}} -> Why after 30000 -> nothing end")).toBe(
      `{nodedown,${BRIDGE}}`,
    );
    expect(await near("nodes(hidden)")).toBe(`[${BRIDGE}]`);
  });

  it("end the call with noconnection when only their own connection is lost", async () => {
    await start(25, 25, 256 * 1024);
    await clusters.b.eval(`spawn(fun() -> (fun Look() -> case nodes(hidden) -- [${BRIDGE}] of
      [Long] -> erlang:disconnect_node(Long);
      [] -> erlang:yield(), Look() end end)() end), ok`);
    const call = `(fun({'EXIT', {Why, _}}) -> Why; (_) -> ok end)(catch gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${60 * MIB})}, infinity))`;
    expect(await near(call)).toBe(`{nodedown,${BRIDGE}}`);
    expect(await near("nodes(hidden)")).toBe(`[${BRIDGE}]`);
    expect(await near(call)).toBe("ok");
    await onlyBridge();
  });

  it("are refused for a fun of erl_eval, however late it comes: the caller is told, and nothing arrives", async () => {
    await start(25, 25, 256 * 1024);
    const fun = `(fun() -> {ok, Tokens, _} = erl_scan:string("fun() -> 1 end."), {ok, Parsed} = erl_parse:parse_exprs(Tokens), {value, F, _} = erl_eval:exprs(Parsed, []), F end)()`;
    const call = `(fun({'EXIT', {Why, _}}) -> Why; (Got) -> Got end)(catch gen_server:call(${ORDERS}, {look, {binary:copy(<<1>>, ${3 * MIB}), ${fun}}}, infinity))`;
    expect(await near(call)).toBe("noproc");
    expect(logged).toContainEqual(expect.objectContaining({ rule: "default:funs" }));
    expect(await near(`gen_server:call(${ORDERS}, size)`)).toBe("0");
    await onlyBridge();
    expect(await near("nodes(hidden)")).toBe(`[${BRIDGE}]`);
  });

  it("are gathered for a node that takes no further connection", async () => {
    await start(25, 25, 256 * 1024);
    await clusters.b.eval("net_kernel:allow(['bridge@127.0.0.1'])");
    const call = `is_integer(gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${5 * MIB})}))`;
    expect(await near(call)).toBe("true");
    expect(await near(call)).toBe("true");
    expect(logged.filter(({ code }) => code === "HANDSHAKE_NOT_ALLOWED")).toHaveLength(1);
  });

  it("wait for a node that stands still, and so does their sender", async () => {
    await start(25, 25, 256 * 1024);
    clusters.b.pause();
    await near(
      `Self = self(), spawn(fun() -> [${ORDERS} ! {N, binary:copy(<<1>>, ${20 * MIB})} || N <- lists:seq(1, 10)], Self ! sent end), ok`,
    );
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(150 * MIB);
    clusters.b.resume();
    expect(await near("receive sent -> sent after 30000 -> nothing end")).toBe("sent");
    await until(
      async () =>
        (await near(`[N || {N, ${20 * MIB}} <- gen_server:call(${ORDERS}, seen, infinity)]`)) ===
        "[1,2,3,4,5,6,7,8,9,10]",
      "all of them are there",
    );
  });
});
