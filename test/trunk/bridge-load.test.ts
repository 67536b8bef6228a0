import { startBridge } from "@isthmus/bridge";
import { afterEach, describe, expect, it } from "vitest";
import { webSocket } from "../../packages/bridge/src/trunk/ws-client.ts";
import { freePort } from "../support/epmd.ts";
import { SECRET } from "./sites.ts";
import {
  BRIDGE,
  bothWays,
  Ends,
  joined,
  startCluster,
  startSite,
  startTwoBridges,
  until,
} from "./two-bridges.ts";

const MIB = 1024 * 1024;
const ends = new Ends();
afterEach(() => ends.run());

describe("much on a trunk", () => {
  it("a message of 110 MiB arrives whole, and the bridges hold it a bounded number of times", {
    timeout: 120_000,
  }, async () => {
    const two = await startTwoBridges(ends);
    const bytes = 110 * MIB;
    await two.billing.beam.eval(`spawn(fun() -> register(large, self()), receive {large, From, B} -> From ! {byte_size(B), erlang:crc32(B)} end end),
      register(taker, spawn(fun Loop() -> receive {'$gen_call', {P, T}, B} -> P ! {T, {byte_size(B), erlang:crc32(B)}}, Loop() end end))`);
    await two.south.reload({
      routes: [
        ...bothWays(two.billing, "shop"),
        { from: "shop", to: "billing", name: "taker", nodes: [two.billing.beam.node] },
      ],
    });
    await two.north.reload({
      routes: [...bothWays(two.shop, "billing"), { from: "shop", to: "billing", name: "taker" }],
    });
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = ends.add(
      setInterval(() => {
        peak = Math.max(peak, process.memoryUsage().rss);
      }, 5),
      (timer) => clearInterval(timer),
    );
    expect(
      await two.shop.beam.eval(
        `B = binary:copy(crypto:strong_rand_bytes(1024), ${bytes / 1024}),
         {byte_size(B), erlang:crc32(B)} =:= gen_server:call({taker, ${BRIDGE}}, B, 60000)`,
        { timeoutMs: 90_000 },
      ),
    ).toBe("true");
    clearInterval(watch);
    process.stdout.write(
      `two bridges in one process: ${Math.round((peak - before) / MIB)} MiB at most for 110 MiB\n`,
    );
    // both bridges are in this process: each has it once as it comes, once as it goes, and what is not collected yet
    expect(peak - before).toBeLessThan(8 * bytes);
    for (const { outgoingBytes, incomingBytes } of two.trunks())
      expect(outgoingBytes + incomingBytes).toBeLessThan(MIB);
  });

  it("a cluster that does not read holds up those who send to it, and nobody else on the same trunk", {
    timeout: 120_000,
  }, async () => {
    const [shop, billing, stock] = await Promise.all([
      startCluster(ends, "shop", { count: 2 }),
      startCluster(ends, "billing"),
      startCluster(ends, "stock"),
    ]);
    const port = await freePort();
    const south = ends.add(
      await startBridge({
        clusters: {
          billing: billing.options,
          stock: stock.options,
          shop_of_billing: { site: "north", joins: "billing", as: "shop" },
          shop_of_stock: { site: "north", joins: "stock", as: "shop" },
        },
        routes: [
          { from: "shop_of_billing", to: "billing", name: "sink", nodes: [billing.beam.node] },
          { from: "shop_of_stock", to: "stock", name: "orders", nodes: [stock.beam.node] },
        ],
        trunk: { site: "south", listen: { host: "127.0.0.1", port }, sites: { north: { secret: SECRET } } },
      }),
      (bridge) => bridge.close(),
    );
    const open = [webSocket({ url: `ws://127.0.0.1:${port}/trunk`, environment: {} })];
    const north = await startSite(
      ends,
      shop,
      { billing: "south", stock: "south" },
      { site: "north", sites: { south: { secret: SECRET, open } } },
      {
        routes: [
          { from: "shop", to: "billing", name: "sink" },
          { from: "shop", to: "stock", name: "orders" },
        ],
      },
    );
    await joined(north, south);
    const [flooding, calling] = shop.nodes as [(typeof shop.nodes)[0], (typeof shop.nodes)[0]];
    await billing.beam.pause();
    const before = process.memoryUsage().rss;
    const COUNT = 400;
    await flooding.eval(
      `spawn(fun() -> [{sink, ${BRIDGE}} ! {N, binary:copy(<<N:32>>, 256 * 1024)} || N <- lists:seq(1, ${COUNT})] end)`,
    );
    const held = (): number => north.status().sites[0]!.outgoingBytes;
    await until(() => held() > MIB, "the channel is full");
    const answers = await calling.eval(
      `lists:usort([gen_server:call({orders, ${BRIDGE}}, {add, N, 1}) - N || N <- lists:seq(1, 2000)])`,
      { timeoutMs: 60_000 },
    );
    expect(answers).toBe("[1]");
    expect(held()).toBeLessThan(8 * MIB);
    expect(south.status().sites[0]!.incomingBytes).toBeLessThan(2 * MIB);
    // 400 MiB are on their way
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * MIB);
    billing.beam.resume();
    expect(
      await billing.beam.eval(
        `[N || {N, B} <- isthmus_probe:collected(sink, ${COUNT}, 60000), B =:= binary:copy(<<N:32>>, 256 * 1024)] =:= lists:seq(1, ${COUNT})`,
        { timeoutMs: 90_000 },
      ),
    ).toBe("true");
  });
});
