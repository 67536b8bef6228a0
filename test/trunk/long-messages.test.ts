// Long messages between two sites: they go on over the trunk while they come, and neither bridge keeps them.
import { afterEach, describe, expect, it } from "vitest";
import { arriveAsSent, LONG_TERMS, ORDERS_PROCESS, same } from "../e2e/orders-process.ts";
import type { OtpRelease } from "../support/peers.ts";
import {
  BRIDGE,
  Ends,
  startTwoBridges,
  type TwoBridges,
  type TwoBridgesOptions,
  until,
} from "./two-bridges.ts";

const MIB = 1024 * 1024;
const ORDERS = `{orders, ${BRIDGE}}`;

describe("long messages between sites", () => {
  const ends = new Ends();
  afterEach(() => ends.run());
  let two: TwoBridges;

  const near = (code: string): Promise<string> => two.shop.beam.eval(code, { timeoutMs: 60_000 });
  const far = (code: string): Promise<string> => two.billing.beam.eval(code, { timeoutMs: 60_000 });

  const start = async (longMessageBytes?: number, options: TwoBridgesOptions = {}): Promise<void> => {
    const limits = longMessageBytes === undefined ? {} : { longMessageBytes };
    two = await startTwoBridges(ends, {
      ...options,
      north: { limits, ...options.north },
      south: { limits, ...options.south },
    });
    for (const { beam } of [two.shop, two.billing]) {
      await beam.eval("unregister(orders)");
      await beam.eval(ORDERS_PROCESS);
    }
  };
  /** Long messages of processes of `shop` that went on while they came: out of the one bridge, and of the other. */
  const streamed = (): number[] =>
    [two.north, two.south].map(
      (bridge) => bridge.status().clusters.find(({ id }) => id === "shop")!.streamed,
    );
  const onlyBridge = (): Promise<void> =>
    until(
      async () => (await far("nodes(hidden)")) === `[${BRIDGE}]`,
      "no other connection of the bridge is left",
    );

  it.each([
    [25, 27],
    [23, 29],
  ] satisfies [OtpRelease, OtpRelease][])(
    "arrive as they were sent, from OTP %i to %i",
    async (otpShop, otpBilling) => {
      await start(256 * 1024, { otpShop, otpBilling });
      await arriveAsSent(near, ORDERS, () =>
        expect(streamed()).toEqual([LONG_TERMS.length, LONG_TERMS.length]),
      );
      await onlyBridge();
    },
  );

  it("keep their place among the messages of their sender, in both directions at once", async () => {
    await start(128 * 1024);
    const send = (first: number): string => `spawn_monitor(fun() -> [case N rem 10 of
        0 -> ${ORDERS} ! {N, binary:copy(<<1>>, 130 * 1024 + N * 97)};
        5 -> ${ORDERS} ! {N, binary:copy(<<1>>, ${2 * MIB})};
        _ -> ${ORDERS} ! N end || N <- lists:seq(${first}, ${first} + 99)] end)`;
    const all = `[${[1000, 2000, 3000].map(send).join(", ")}], ok`;
    await Promise.all([near(all), far(all)]);
    for (const { beam } of [two.shop, two.billing]) {
      await until(
        async () => (await beam.eval("gen_server:call(orders, size, infinity)")) === "300",
        "all of them are there",
        60_000,
      );
      const order =
        await beam.eval(`Seen = [case One of {N, _} -> N; N -> N end || One <- gen_server:call(orders, seen, infinity)],
        [lists:seq(F, F + 99) =:= [N || N <- Seen, N >= F, N < F + 100] || F <- [1000, 2000, 3000]]`);
      expect(order).toBe("[true,true,true]");
    }
    expect(streamed()[0]).toBeGreaterThan(0);
  });

  it("do not stay in the memory of either bridge", async () => {
    await start();
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
    expect(answer).toBe(`[${BRIDGE}]`);
    expect(streamed()).toEqual([1, 1]);
    expect(peak).toBeGreaterThan(0);
    // both bridges are in this process
    expect(peak).toBeLessThan(128 * MIB);
  });

  it("arrive though the wire is cut again and again", async () => {
    await start(256 * 1024);
    two.proxy.budget = () => MIB + Math.floor(Math.random() * 8 * MIB);
    two.proxy.cutAll();
    for (let i = 0; i < 5; i++) expect(await near(same(ORDERS, `rand:bytes(${30 * MIB})`))).toBe("true");
    expect(two.proxy.cuts).toBeGreaterThan(10);
    expect(streamed()).toEqual([5, 5]);
  });

  it("leave nothing behind when their sender's node dies in the middle", async () => {
    await start(256 * 1024);
    const binaries = async (): Promise<number> =>
      Number(await far("erlang:garbage_collect(whereis(orders)), erlang:memory(binary)"));
    const before = await binaries();
    await near(
      `spawn(fun() -> (fun More() -> ${ORDERS} ! {0, binary:copy(<<1>>, ${100 * MIB})}, More() end)() end), ok`,
    );
    await until(async () => (await far("length(nodes(hidden))")) === "2", "one is on its way");
    await two.shop.beam.kill();
    await onlyBridge();
    await until(async () => (await binaries()) < before + 10 * MIB, "what had come of it is forgotten");
    // the way between the bridges is free again
    expect(two.north.status().clusters.find(({ id }) => id === "billing")!.connected).toHaveLength(1);
  });

  it("end the call with noconnection when the other bridge ends in the middle", async () => {
    await start(256 * 1024);
    await near(
      `Self = self(), spawn(fun() -> Self ! {ended, catch [gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${100 * MIB})}, infinity) || _ <- lists:seq(1, 100)]} end), ok`,
    );
    await until(async () => (await far("length(nodes(hidden))")) === "2", "one is on its way");
    await two.south.close();
    expect(await near("receive {ended, {'EXIT', {Why, _}}} -> Why after 30000 -> nothing end")).toBe(
      `{nodedown,${BRIDGE}}`,
    );
    await two.startSouth();
    await two.joined();
    expect(await near(`is_integer(gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${MIB})}))`)).toBe(
      "true",
    );
  });

  it("are refused by either site, however late that is found out: the caller is told, and nothing arrives", async () => {
    await start(256 * 1024, {
      south: {
        policy: [{ action: "allow", from: ["shop"], names: ["orders"], maxBytes: 20 * MIB }],
      },
    });
    const call = (what: string): string =>
      `(fun({'EXIT', {Why, _}}) -> Why; (Got) -> Got end)(catch gen_server:call(${ORDERS}, {look, ${what}}, infinity))`;
    const fun = `(fun() -> {ok, Tokens, _} = erl_scan:string("fun() -> 1 end."), {ok, Parsed} = erl_parse:parse_exprs(Tokens), {value, F, _} = erl_eval:exprs(Parsed, []), F end)()`;
    expect(await near(call(`{binary:copy(<<1>>, ${3 * MIB}), ${fun}}`))).toBe("noproc");
    expect(await near(call(`binary:copy(<<1>>, ${30 * MIB})`))).toBe("system_limit");
    expect(await near(`gen_server:call(${ORDERS}, size)`)).toBe("0");
    await onlyBridge();
    expect(await near(`is_integer(${call(`binary:copy(<<1>>, ${3 * MIB})`)})`)).toBe("true");
  });

  it("are gathered at the other site for a node that takes no further connection, and for one that is gone", async () => {
    await start(256 * 1024);
    await far("net_kernel:allow(['bridge@127.0.0.1'])");
    const call = `catch is_integer(gen_server:call(${ORDERS}, {look, binary:copy(<<1>>, ${5 * MIB})}))`;
    expect(await near(call)).toBe("true");
    expect(await near(call)).toBe("true");
    expect(streamed()).toEqual([2, 0]);
    await two.billing.beam.kill();
    await until(
      () => two.south.status().clusters.find(({ id }) => id === "billing")!.connected.length === 0,
      "the bridge has noticed",
    );
    expect(await near(`{'EXIT', {Why, _}} = (${call}), Why`)).toMatch(/noproc|nodedown/);
  });
});
