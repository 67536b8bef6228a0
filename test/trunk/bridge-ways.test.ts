import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import type { SiteOptions } from "../../packages/bridge/src/sites/options.ts";
import { natsDialer } from "../../packages/bridge/src/trunk/nats-dialer.ts";
import { webSocket } from "../../packages/bridge/src/trunk/ws-client.ts";
import { freePort } from "../support/epmd.ts";
import { startNats } from "../support/nats.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { makeCertificates, type SiteCertificate } from "./certificates.ts";
import { SECRET } from "./sites.ts";
import { BRIDGE, Ends, joined, type RealCluster, startCluster, startSite, until } from "./two-bridges.ts";

// the command as a user runs it: built
const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

const ends = new Ends();
afterEach(() => ends.run());

/** What a caller at `from` gets of its call to the far cluster's `orders`, and where that is. */
const whoami = async (from: RealCluster): Promise<string> =>
  from.beam.eval(`element(2, gen_server:call({orders, ${BRIDGE}}, whoami))`);

describe("sites joined in other ways", () => {
  it("WebSocket over TLS, known to each other by certificates", async () => {
    const [north, south] = makeCertificates("north", "south") as [SiteCertificate, SiteCertificate];
    const [shop, billing] = await Promise.all([startCluster(ends, "shop"), startCluster(ends, "billing")]);
    const port = await freePort();
    const known: SiteOptions = { certificate: true };
    const second = await startSite(
      ends,
      billing,
      { shop: "north" },
      { site: "south", listen: { host: "127.0.0.1", port, tls: south }, sites: { north: known } },
    );
    const url = `wss://127.0.0.1:${port}/trunk`;
    const open = [webSocket({ url, tls: { ...north, site: "south" }, environment: {} })];
    const first = await startSite(
      ends,
      shop,
      { billing: "south" },
      { site: "north", sites: { south: { ...known, open } } },
    );
    await joined(first, second);
    expect(await whoami(shop)).toBe("'billing1@127.0.0.1'");
    expect(await whoami(billing)).toBe("'shop1@127.0.0.1'");
  });

  it("three sites over one NATS system, each with each, though the server comes last and is started anew", {
    timeout: 120_000,
  }, async () => {
    const names = ["shop", "billing", "stock"] as const;
    const clusters = await Promise.all(names.map((name) => startCluster(ends, name)));
    const server = ends.add(await startNats({ token: "a token" }), (one) => one.stop());
    await server.kill();
    const nats = { servers: server.url, token: "a token", backoff: { firstMs: 20, maxMs: 200 } };
    const bridges = await Promise.all(
      clusters.map((own, i) => {
        const site = `site of ${own.name}`;
        // of each pair the later one calls the earlier
        const others = names.filter((name) => name !== own.name);
        const sites = others.map((name): [string, SiteOptions] => {
          const peer = `site of ${name}`;
          const open = names.indexOf(name) < i ? [natsDialer({ ...nats, site, peer })] : [];
          const limits = { silenceMs: 2000, keepAliveMs: 500 };
          return [peer, { secret: SECRET, open, limits, backoff: nats.backoff }];
        });
        return startSite(
          ends,
          own,
          Object.fromEntries(others.map((name) => [name, `site of ${name}`])),
          { site, nats, sites: Object.fromEntries(sites) },
          {
            routes: others.flatMap((name) => [
              { from: own.name, to: name, name: "orders", as: name },
              { from: name, to: own.name, name: "orders", nodes: [own.beam.node] },
            ]),
          },
        );
      }),
    );
    await server.start();
    await joined(...bridges);
    const ask = async (): Promise<void> => {
      for (const own of clusters) {
        for (const name of names.filter((other) => other !== own.name)) {
          expect(await own.beam.eval(`element(2, gen_server:call({${name}, ${BRIDGE}}, whoami))`)).toBe(
            `'${name}1@127.0.0.1'`,
          );
        }
      }
    };
    await ask();
    await server.kill();
    const trunks = () => bridges.flatMap((bridge) => bridge.status().sites);
    await until(() => trunks().every(({ state }) => state === "suspended"), "the end was noticed");
    await server.start();
    await until(() => trunks().every(({ state }) => state === "up"), "they are joined again");
    await ask();
    for (const { losses } of trunks()) expect(losses).toBe(0);
  });
});

describe("two commands, from their configurations", () => {
  it("join their sites; SIGTERM tells the other site at once", async () => {
    const [shop, billing] = await Promise.all([startCluster(ends, "shop"), startCluster(ends, "billing")]);
    const port = await freePort();
    const folder = ends.add(mkdtempSync(join(tmpdir(), "isthmus-sites-")), (path) =>
      rmSync(path, { recursive: true, force: true }),
    );
    writeFileSync(join(folder, "secret"), SECRET, { mode: 0o400 });
    const run = async (name: string, own: RealCluster, rest: string): Promise<OwnedProcess> => {
      const file = join(folder, `${name}.yaml`);
      const text = `clusters:
  ${own.name}:
    node: bridge@127.0.0.1
    cookie: cookie_of_${own.name}
    listen: { host: 127.0.0.1 }
    epmd: { port: ${own.epmd.port} }
    discovery: { strategy: epmd, hosts: [${own.beam.node}] }
${rest}`;
      writeFileSync(file, text, { mode: 0o400 });
      const args = [command, "run", file, "--log-format", "json"];
      return ends.add(await OwnedProcess.start(name, process.execPath, args, {}), (one) => one.kill());
    };
    const south = await run(
      "south",
      billing,
      `  shop: { site: north }
routes:
  - { from: shop, to: billing, name: orders, nodes: [${billing.beam.node}] }
trunk:
  site: south
  listen: { host: 127.0.0.1, port: ${port} }
  sites:
    north: { secret: { file: secret }, limits: { grace_ms: 60000 } }
shutdown: { drain_seconds: 0 }
`,
    );
    const north = await run(
      "north",
      shop,
      `  billing: { site: south }
routes:
  - { from: shop, to: billing, name: orders }
trunk:
  site: north
  sites:
    south: { connect: "ws://127.0.0.1:${port}/trunk", proxy: false, secret: { file: secret } }
shutdown: { drain_seconds: 0 }
`,
    );
    const call = `catch gen_server:call({orders, ${BRIDGE}}, {add, 1, 2})`;
    await until(
      async () => (await shop.beam.eval(call)) === "3",
      `calls go across. ${north.output} ${south.output}`,
    );
    await shop.beam.eval(`M = erlang:monitor(process, {orders, ${BRIDGE}})`);
    await shop.beam.eval(`gen_server:call({orders, ${BRIDGE}}, notes)`);
    await south.stop();
    expect(await shop.beam.eval("receive {'DOWN', M, process, _, R} -> R after 8000 -> nothing end")).toBe(
      "noconnection",
    );
    await north.stop();
    for (const { output } of [north, south]) {
      expect(output).not.toContain(SECRET);
      expect(output).not.toContain('"level":"error"');
    }
  });
});

describe("what does not fit", () => {
  it("a pair that the other site does not have: both say so, other pairs work", async () => {
    const lines = { north: [] as string[], south: [] as string[] };
    const logger = (site: "north" | "south") => {
      const log = (fields: object, message: string): void =>
        void lines[site].push(`${message} ${JSON.stringify(fields)}`);
      return { debug: log, info: log, warn: log, error: log };
    };
    const [shop, billing] = await Promise.all([startCluster(ends, "shop"), startCluster(ends, "billing")]);
    const port = await freePort();
    const known: SiteOptions = { secret: SECRET };
    const second = await startSite(
      ends,
      billing,
      { shop: "north" },
      { site: "south", listen: { host: "127.0.0.1", port }, sites: { north: known } },
      { logger: logger("south") },
    );
    const open = [webSocket({ url: `ws://127.0.0.1:${port}/trunk`, environment: {} })];
    const first = await startSite(
      ends,
      shop,
      { billing: "south", stock: "south" },
      { site: "north", sites: { south: { ...known, open } } },
      {
        logger: logger("north"),
        routes: [
          { from: "shop", to: "billing", name: "orders" },
          { from: "shop", to: "stock", name: "orders", as: "stock_orders" },
        ],
      },
    );
    const state = (id: string) => first.status().clusters.find((cluster) => cluster.id === id)!;
    await until(() => state("billing").connected.length === 1, "the pair is joined");
    await until(() => lines.north.join("\n").includes("FAR_CLUSTER_REFUSED"), "north says so");
    await until(() => lines.south.join("\n").includes("FAR_CLUSTER_REFUSED"), "south says so");
    expect(lines.north.join("\n")).toContain(
      "Site south has no cluster stock that is joined with shop of site north",
    );
    expect(state("stock").connected).toEqual([]);
    expect(await shop.beam.eval(`element(2, gen_server:call({orders, ${BRIDGE}}, whoami))`)).toBe(
      "'billing1@127.0.0.1'",
    );
    expect(second.status().sites[0]!.state).toBe("up");
  });
});
