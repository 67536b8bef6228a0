import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Consul, startConsul } from "../support/consul.ts";
import { type Epmd, freePort, startEpmd } from "../support/epmd.ts";
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
    const secret = bridges.write("secret", "s3cret-of-north-and-south\n");
    const north = await bridges.run(
      "north.yaml",
      `clusters:
  shop: ${cluster("shop")}
  billing: { site: south }
routes:
  - { from: shop, to: billing, name: orders }
  - { from: billing, to: shop, name: orders, node: shop1@127.0.0.1 }
trunk:
  site: north
  sites: { south: { connect: "ws://127.0.0.1:${port}/trunk", secret: { file: ${secret} }, limits: { grace_ms: 5000 } } }
${ADMIN}`,
    );
    await until(
      async () =>
        (await north.get("/readyz")).text.includes("there is no session with the bridge of site south"),
      "north waits for south",
    );
    const south = await bridges.run(
      "south.yaml",
      `clusters:
  billing: ${cluster("billing")}
  shop: { site: north }
routes:
  - { from: shop, to: billing, name: orders, node: billing1@127.0.0.1 }
  - { from: billing, to: shop, name: orders }
trunk:
  site: south
  listen: { host: 127.0.0.1, port: ${port} }
  sites: { north: { secret: { file: ${secret} } } }
${ADMIN}`,
    );
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

describe("two bridges with one lease", () => {
  let consul: Consul;
  beforeAll(async () => {
    consul = await startConsul();
  });
  afterAll(() => consul?.stop());

  it("have one that is active, and the other takes over", async () => {
    const file = `clusters:
  shop: ${cluster("shop")}
  billing: ${cluster("billing")}
${ROUTES}${ADMIN}high_availability:
  { lease: consul, name: pair, url: "${consul.url}", token: "\${CONSUL_TOKEN}", ttl_seconds: 10 }
`;
    const env = { CONSUL_TOKEN: consul.token };
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
    expect(status).toMatchObject({ state: "standby", availability: { lease: "consul", activations: 0 } });
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
    expect(first.output + second.output).not.toContain(consul.token);
    await stop(second);
  });
});
