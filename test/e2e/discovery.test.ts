import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { type Knot, startKnot } from "../support/knot.ts";
import { BridgeCommands } from "./bridge-command.ts";
import { until } from "./two-clusters.ts";

// The bridge finds the nodes of one cluster through a real name server, those of the other in their epmd.
let epmds: Epmd[];
let knot: Knot;
let shop: Beam;
let billing: Beam[];
let bridges: BridgeCommands;
beforeAll(async () => {
  bridges = new BridgeCommands();
  epmds = await Promise.all([startEpmd(), startEpmd()]);
  knot = await startKnot();
  const start = (name: string, i: number): Promise<Beam> =>
    startBeam({
      name: `${name}@127.0.0.1`,
      cookie: "biscuit",
      epmdPort: epmds[i]!.port,
      otp: i === 0 ? 25 : 27,
    });
  [shop, ...billing] = await Promise.all([start("shop", 0), start("billing1", 1), start("billing2", 1)]);
  await Promise.all(billing.map((beam) => beam.eval("isthmus_probe:orders(orders)")));
});
afterAll(async () => {
  await bridges?.stop();
  await Promise.all([shop?.stop(), ...(billing ?? []).map((beam) => beam.stop())]);
  await knot?.stop();
  await Promise.all(epmds?.map((epmd) => epmd.stop()) ?? []);
});

describe("discovery of the bridge", () => {
  it("connects what the strategies find, and lets go what they find no more", async () => {
    const bridge = await bridges.run(
      "discovery.yaml",
      `clusters:
  shop:
    node: bridge@127.0.0.1
    cookie: biscuit
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[0]!.port} }
    discovery:
      strategy: Cluster.Strategy.DNSPoll
      config: { query: shop.beam.test, node_basename: "\${BASENAME}", servers: ["${knot.server}"], polling_interval: 100 }
      removal: { grace_ms: 100 }
      guard: { confirmations: 2 }
  billing:
    node: other_bridge@127.0.0.1
    cookie: biscuit
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[1]!.port} }
    discovery:
      topologies:
        here: { strategy: local-epmd, config: { epmd_port: ${epmds[1]!.port}, polling_interval: 200 } }
routes:
  - { from: shop, to: billing, name: orders, nodes: ["billing*@127.0.0.1"] }
admin: { listen: { port: 0 } }
`,
      { BASENAME: "shop" },
    );
    const found = 'isthmus_discovery_nodes{cluster="billing",topology="here",connected="true"}';
    await until(async () => (await bridge.metric(found)) === 2, "both nodes in epmd are connected").catch(
      (error: unknown) => {
        throw new Error(`${String(error)}: ${bridge.output}`);
      },
    );
    expect((await bridge.get("/readyz")).status).toBe(503);
    await knot.change({ set: ["shop 0 A 127.0.0.1"] });
    await bridge.ready();
    expect(await shop.eval("gen_server:call({orders, 'bridge@127.0.0.1'}, {add, 1, 2})")).toBe("3");
    // a pattern of nodes leads to whichever is there
    await billing[0]!.stop();
    await until(async () => (await bridge.metric(found)) === 1, "one node is gone");
    const [, node] = /\{<[\d.]+>,(.*)\}/.exec(
      await shop.eval("gen_server:call({orders, 'bridge@127.0.0.1'}, whoami)"),
    )!;
    expect(node).toBe("'billing2@127.0.0.1'");
    await knot.change({ unset: ["shop A 127.0.0.1"], set: ["shop 0 A 127.0.0.9"] });
    await until(async () => (await shop.eval("nodes(hidden)")) === "[]", "the bridge has let go").catch(
      (error: unknown) => {
        throw new Error(`${String(error)}: ${bridge.output}`);
      },
    );
    expect((await bridge.get("/status")).text).not.toContain("biscuit");
    bridge.signal("SIGTERM");
    expect(await bridge.ended).toBe(0);
  });
});
