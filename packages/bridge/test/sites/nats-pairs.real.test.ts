import { type Bridge, startBridge } from "@isthmus/bridge";
import { systemClock } from "@isthmus/wire";
import { afterEach, expect, it } from "vitest";
import { BRIDGE, bothWays, Ends, joined, startCluster, until } from "../../../../test/trunk/two-bridges.ts";
import { natsDialer } from "../../src/trunk/nats-dialer.ts";
import { NatsWithRights, type Rights } from "../trunk/nats-rights.ts";

const ends = new Ends();
afterEach(() => ends.run());

const secret = "a secret that both sites have";
/** What is tried again now and then is tried again soon. */
const hurried = { ...systemClock, after: (ms: number, run: () => void) => systemClock.after(ms / 10, run) };

const rights = (site: string, ...not: string[]): Rights => ({
  publish: { allow: [`isthmus.trunk.${site}.>`], deny: not },
  subscribe: { allow: [`isthmus.trunk.*.${site}.>`] },
});

it("NATS permissions are given and taken for each pair of clusters: one fails, the other does not", {
  timeout: 240_000,
}, async () => {
  const both = { north: rights("north"), south: rights("south") };
  const withoutStock = { ...both, north: rights("north", "isthmus.trunk.north.south.data.shop.stock") };
  const nats = ends.add(await NatsWithRights.start(withoutStock), (one) => one.stop());
  const [shop, billing, stock] = await Promise.all([
    startCluster(ends, "shop"),
    startCluster(ends, "billing"),
    startCluster(ends, "stock"),
  ]);
  const lines: string[] = [];
  const log = (fields: object, message: string): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  const as = (name: string) => ({ ...nats.as(name), backoff: { firstMs: 20, maxMs: 200 } });
  const start = async (options: Parameters<typeof startBridge>[0]): Promise<Bridge> =>
    ends.add(await startBridge(options), (one) => one.close());
  const south = await start({
    clusters: {
      billing: billing.options,
      stock: stock.options,
      "shop of billing": { site: "north", as: "shop", joins: "billing" },
      "shop of stock": { site: "north", as: "shop", joins: "stock" },
    },
    routes: [...bothWays(billing, "shop of billing"), ...bothWays(stock, "shop of stock")],
    trunk: { site: "south", nats: as("south"), sites: { north: { secret } } },
  });
  const dialer = natsDialer({ ...as("north"), site: "north", peer: "south", clock: hurried });
  const north = await start({
    clusters: { shop: shop.options, billing: { site: "south" }, stock: { site: "south" } },
    routes: ["billing", "stock"].map((to) => ({ from: "shop", to, name: "orders", as: to })),
    trunk: { site: "north", sites: { south: { secret, open: [dialer] } } },
    logger: { debug: log, info: log, warn: log, error: log },
  });
  const ask = (name: string): Promise<string> =>
    shop.beam.eval(`catch element(2, gen_server:call({${name}, ${BRIDGE}}, whoami, 20000))`);
  const isJoined = (name: string): boolean =>
    north.status().clusters.find(({ id }) => id === name)!.connected.length > 0;

  await until(() => isJoined("billing"), "billing is joined");
  await until(() => lines.join("\n").includes("TRUNK_DENIED"), "the log says why stock is not");
  expect(await ask("billing")).toBe("'billing1@127.0.0.1'");
  expect(isJoined("stock")).toBe(false);

  await nats.change(both);
  await joined(north, south);
  expect(await ask("stock")).toBe("'stock1@127.0.0.1'");

  await shop.beam.eval(
    `M = erlang:monitor(process, {stock, ${BRIDGE}}), N = erlang:monitor(process, {billing, ${BRIDGE}})`,
  );
  expect(await ask("stock")).toBe("'stock1@127.0.0.1'");
  await nats.change(withoutStock);
  // it is noticed with the next message
  expect(await ask("stock")).toMatch(/noconnection|nodedown/);
  expect(await shop.beam.eval("receive {'DOWN', M, process, _, R} -> R after 8000 -> nothing end")).toBe(
    "noconnection",
  );
  expect(await ask("billing")).toBe("'billing1@127.0.0.1'");
  expect(await shop.beam.eval("receive {'DOWN', N, process, _, R2} -> R2 after 0 -> nothing end")).toBe(
    "nothing",
  );

  await nats.change(both);
  await joined(north, south);
  expect(await ask("stock")).toBe("'stock1@127.0.0.1'");
  expect(north.status().sites[0]).toMatchObject({ state: "up", losses: 0, denied: [] });
});
