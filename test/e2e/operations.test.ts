import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Consul, startConsul } from "../support/consul.ts";
import { type Epmd, freePort, startEpmd } from "../support/epmd.ts";
import { type Postgres, startPostgres } from "../support/postgres.ts";
import { BridgeCommands, command, type RunningBridge, start } from "./bridge-command.ts";
import { until } from "./two-clusters.ts";

// Commands as a user runs them, and real nodes on both sides.
let bridges: BridgeCommands;
let epmds: Epmd[];
let shop: Beam;
let billing: Beam;
beforeAll(async () => {
  bridges = new BridgeCommands();
  epmds = await Promise.all([startEpmd(), startEpmd()]);
  [shop, billing] = await Promise.all([startShop(), startBilling()]);
  await Promise.all([shop, billing].map((beam) => beam.eval("isthmus_probe:orders(orders)")));
});
afterEach(() => bridges.kill());
afterAll(async () => {
  await bridges?.stop();
  await Promise.all([shop?.stop(), billing?.stop()]);
  await Promise.all(epmds?.map((epmd) => epmd.stop()) ?? []);
});

function startShop(): Promise<Beam> {
  return startBeam({ name: "shop1@127.0.0.1", cookie: "shop_biscuit", epmdPort: epmds[0]!.port, otp: 25 });
}

function startBilling(): Promise<Beam> {
  return startBeam({
    ...{ name: "billing1@127.0.0.1", cookie: "billing_biscuit" },
    epmdPort: epmds[1]!.port,
    otp: 27,
  });
}

/** A cluster of one of the two nodes. */
function cluster(id: "shop" | "billing", node = "bridge"): string {
  return `{ node: ${node}@127.0.0.1, cookie: ${id}_biscuit, listen: { host: 127.0.0.1 }, epmd: { port: ${epmds[id === "shop" ? 0 : 1]!.port} }, discovery: { hosts: [${id}1@127.0.0.1] } }`;
}

/** What the examples take from the environment. */
const environment = () => ({
  SHOP_COOKIE: "shop_biscuit",
  BILLING_COOKIE: "billing_biscuit",
  SHOP_EPMD_PORT: String(epmds[0]!.port),
  BILLING_EPMD_PORT: String(epmds[1]!.port),
  ADMIN_PORT: "0",
});
const example = (name: string): string => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));

const ROUTES = `routes:
  - { from: shop, to: billing, name: orders, node: billing1@127.0.0.1 }
  - { from: billing, to: shop, name: orders, node: shop1@127.0.0.1 }
`;
const ADMIN = "admin: { listen: { port: 0 } }\n";
const CALL = "gen_server:call({orders, 'bridge@127.0.0.1'}, {add, 1, 2})";

async function stop(bridge: RunningBridge): Promise<void> {
  bridge.signal("SIGTERM");
  expect(await bridge.ended).toBe(0);
  expect(bridge.output).not.toMatch(/biscuit|s3cret/);
}

describe("a running bridge", () => {
  it("tells by health, metrics and status that a node goes and comes back", async () => {
    const bridge = await bridges.run(
      "plain.yaml",
      `clusters:\n  shop: ${cluster("shop")}\n  billing: ${cluster("billing")}\n${ROUTES}${ADMIN}`,
    );
    await bridge.ready();
    expect(await shop.eval(CALL)).toBe("3");
    expect(await bridge.metric('isthmus_cluster_carried_total{cluster="shop"}')).toBeGreaterThan(0);
    expect(
      await bridge.metric('isthmus_rule_decisions_total{rule="routes[0]",decision="allowed"}'),
    ).toBeGreaterThan(0);
    await shop.eval("catch gen_server:call({secrets, 'bridge@127.0.0.1'}, x)");
    expect(await bridge.metric("isthmus_refused_total")).toBeGreaterThan(0);
    const shown = start([command, "status", "--url", bridge.url]);
    expect(await shown.ended, shown.output).toBe(0);
    expect(shown.output).toMatch(/running for .*, ready\n/);
    expect(shown.output).toMatch(/cluster shop\n.*registered with epmd\n +connected +shop1@127.0.0.1\n/);

    await billing.kill();
    await until(async () => (await bridge.get("/readyz")).status === 503, "it is not ready");
    expect(JSON.parse((await bridge.get("/readyz")).text).reasons).toEqual([
      { cluster: "billing", reason: "is connected to no node" },
    ]);
    expect((await bridge.get("/livez")).status).toBe(200);
    expect(await bridge.metric('isthmus_cluster_connections{cluster="billing",kind="visible"}')).toBe(0);
    const down = start([command, "status", "--url", bridge.url]);
    expect(await down.ended).toBe(1);
    expect(down.output).toContain("billing: is connected to no node");

    billing = await startBilling();
    await billing.eval("isthmus_probe:orders(orders)");
    await bridge.ready();
    expect(await shop.eval(CALL)).toBe("3");
    await stop(bridge);
    const gone = start([command, "status", "--url", bridge.url]);
    expect(await gone.ended).toBe(1);
    expect(gone.output).toContain("STATUS_UNREACHABLE");
  });

  it("is not ready while its epmd is away", async () => {
    const own = await startEpmd();
    const bridge = await bridges.run(
      "epmd.yaml",
      `clusters:
  shop: ${cluster("shop")
    .replace(/epmd: \{[^}]*\}/, `epmd: { port: ${own.port}, embedded: never }`)
    .replace(/, discovery.*\} \}/, ` }`)}
  billing: ${cluster("billing")}
${ADMIN}`,
    );
    await until(
      async () => (await bridge.metric('isthmus_cluster_registered{cluster="shop"}')) === 1,
      "it is registered",
    );
    await own.stop();
    await until(
      async () => (await bridge.get("/readyz")).text.includes("is not registered with epmd"),
      "it is registered no more",
    );
    await bridge.kill();
  });
});

describe("two bridges, joined by a trunk", () => {
  it("let clusters of two sites call each other, by two files", async () => {
    const port = await freePort();
    const env = {
      ...environment(),
      TRUNK_SECRET: "s3cret-of-north-and-south",
      TRUNK_PORT: String(port),
      SOUTH: `ws://127.0.0.1:${port}/trunk`,
    };
    const north = await bridges.runFile(example("trunk/north.yaml"), env);
    await until(
      async () =>
        (await north.get("/readyz")).text.includes("there is no session with the bridge of site south"),
      "north waits for south",
    );
    const south = await bridges.runFile(example("trunk/south.yaml"), env);
    await Promise.all([north.ready(), south.ready()]);
    expect(await shop.eval(CALL)).toBe("3");
    expect(await billing.eval(CALL)).toBe("3");
    // a pid of the other site is one that can be monitored and spoken to
    const pid = "element(1, gen_server:call({orders, 'bridge@127.0.0.1'}, whoami))";
    expect(await shop.eval(`gen_server:call(${pid}, {echo, over_there})`)).toBe("over_there");
    await shop.eval(`W = gen_server:call({orders, 'bridge@127.0.0.1'}, spawn_worker), monitor(process, W)`);
    expect(await north.metric('isthmus_trunk_state{site="south",state="up"}')).toBe(1);
    expect(await south.metric('isthmus_trunk_bytes_total{site="north",direction="in"}')).toBeGreaterThan(0);
    expect((await north.get("/status")).text + (await south.get("/status")).text).not.toContain("s3cret");
    const shown = start([command, "status", "--url", north.url]);
    expect(await shown.ended, shown.output).toBe(0);
    expect(shown.output).toContain("trunk to south\n  is          up");

    await south.kill();
    expect(
      await shop.eval("receive {'DOWN', _, process, _, R} -> R after 30000 -> nothing end", {
        timeoutMs: 40_000,
      }),
    ).toBe("noconnection");
    expect((await north.get("/readyz")).status).toBe(503);
    await stop(north);
  });
});

describe("groups and mirrored nodes", () => {
  it("are shared as the example says", async () => {
    const bridge = await bridges.runFile(example("groups/isthmus.yaml"), environment());
    await bridge.ready();
    for (const beam of [shop, billing]) await beam.eval("{ok, _} = pg:start(pg), {ok, _} = pg:start(news)");
    await billing.eval(
      "pg:join({invoices, eu}, self()), pg:join(other, self()), pg:join(news, headlines, self())",
    );
    await until(
      async () => (await shop.eval("pg:which_groups()")) === "[{invoices,eu}]",
      "the group is seen",
    );
    expect(await shop.eval("[Pid ! {invoice, 1} || Pid <- pg:get_members({invoices, eu})], ok")).toBe("ok");
    expect(await billing.eval("receive {invoice, N} -> N after 5000 -> nothing end")).toBe("1");
    await until(
      async () => (await shop.eval("length(pg:get_members(news, headlines))")) === "1",
      "the news are seen",
    );
    await shop.eval("[Pid ! {headline, rain} || Pid <- pg:get_members(news, headlines)]");
    expect(await billing.eval("receive {headline, H} -> H after 5000 -> nothing end")).toBe("rain");
    expect(
      await bridge.metric(
        'isthmus_group_members{entry="0",from="shop",to="billing",scope="pg",form="members"}',
      ),
    ).toBe(1);

    const mirror = "{orders, 'billing1_over_there@127.0.0.1'}";
    expect(await shop.eval(`gen_server:call(${mirror}, {add, 1, 2})`)).toBe("3");
    expect(await bridge.metric('isthmus_mirrors{from="shop",to="billing"}')).toBe(1);
    const shown = start([command, "status", "--url", bridge.url]);
    expect(await shown.ended, shown.output).toBe(0);
    expect(shown.output).toContain("billing1_over_there@127.0.0.1 in shop is billing1@127.0.0.1 of billing");
    await stop(bridge);
    await until(async () => (await shop.eval("pg:which_groups()")) === "[]", "the groups are gone with it");
  });
});

describe("two bridges with one lease", () => {
  let consul: Consul;
  let postgres: Postgres;
  beforeAll(async () => {
    [consul, postgres] = await Promise.all([startConsul(), startPostgres()]);
  });
  afterAll(async () => {
    await Promise.all([consul?.stop(), postgres?.remove()]);
  });

  /** The lease, and the variable that its secret is in. */
  const leases = {
    consul: () => [
      `{ lease: consul, name: pair, url: "${consul.url}", token: "\${SECRET}", ttl_seconds: 10 }`,
      consul.token,
    ],
    postgres: () => [
      `{ lease: postgres, name: pair, ttl_seconds: 3, database: { host: ${postgres.host}, port: ${postgres.port}, user: ${postgres.user}, password: "\${SECRET}", database: ${postgres.database} } }`,
      postgres.password,
    ],
  };

  it.each(["consul", "postgres"] as const)(
    "have one that is active, and the other takes over: %s",
    async (lease) => {
      const [availability, secret] = leases[lease]() as [string, string];
      const file = `clusters:
  shop: ${cluster("shop")}
  billing: ${cluster("billing")}
${ROUTES}${ADMIN}high_availability: ${availability}
`;
      const env = { SECRET: secret };
      const first = await bridges.run("first.yaml", file, env);
      await until(
        async () => (await first.metric('isthmus_state{state="running"}')) === 1,
        "the first is active",
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${first.output}`);
      });
      await first.ready();
      const second = await bridges.run("second.yaml", file, env);
      await until(
        async () => (await second.metric('isthmus_state{state="standby"}')) === 1,
        "the second waits",
      );
      expect((await second.get("/readyz")).status).toBe(200);
      const status = JSON.parse((await second.get("/status")).text);
      expect(status).toMatchObject({ state: "standby", availability: { lease, activations: 0 } });
      expect(status).not.toHaveProperty("bridge");
      expect(await shop.eval(CALL)).toBe("3");

      await stop(first);
      await until(
        async () => (await second.metric('isthmus_state{state="running"}')) === 1,
        "the second is active",
      );
      await second.ready();
      expect(await second.metric("isthmus_activations_total")).toBe(1);
      expect(await shop.eval(CALL)).toBe("3");
      expect(await billing.eval(CALL)).toBe("3");
      expect(first.output + second.output).not.toContain(secret);
      // one that waits ends at once
      const third = await bridges.run("third.yaml", file, env);
      await until(
        async () => (await third.metric('isthmus_state{state="standby"}')) === 1,
        "the third waits",
      );
      await stop(third);
      await stop(second);
    },
  );
});
