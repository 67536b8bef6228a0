import { describe, expect, it } from "vitest";
import { describeConfig } from "../../src/cli/describe.ts";
import { type BridgeConfig, parseConfig } from "../../src/config/config.ts";
import { changedParts } from "../../src/config/fixed-parts.ts";
import type { OwnClusterOptions } from "../../src/options.ts";
import { ownCluster, refusalOf } from "./support.ts";

const parse = (discovery: string, env: Readonly<Record<string, string>> = {}): Promise<BridgeConfig> =>
  parseConfig(
    `clusters:
  shop: { node: bridge@10.0.0.5, cookie: a, discovery: ${discovery} }
  billing: { node: billing_bridge@10.0.0.5, cookie: b }
`,
    { file: "isthmus.yaml", env },
  );

const problems = (discovery: string, env: Readonly<Record<string, string>> = {}): Promise<string> =>
  refusalOf(parse(discovery, env));

async function shop(
  discovery: string,
  env: Readonly<Record<string, string>> = {},
): Promise<OwnClusterOptions> {
  return ownCluster((await parse(discovery, env)).clusters, "shop");
}

describe("discovery", () => {
  it("may be one strategy, with hosts besides", async () => {
    const { hosts, discovery = {} } = await shop(
      `{ strategy: dns-poll, config: { query: "\${NAME}", node_basename: shop }, hosts: [a@10.0.0.1],
         removal: { grace_ms: 1000 }, guard: { minimum_nodes: 2 }, compat: true }`,
      { NAME: "shop.example" },
    );
    expect(hosts).toEqual(["a@10.0.0.1"]);
    expect(discovery["discovery"]).toMatchObject({
      removal: { graceMs: 1000 },
      guard: { minimumNodes: 2 },
      compat: true,
    });
  });

  it("makes a strategy anew whenever the bridge starts, for one can be started only once", async () => {
    const { discovery = {} } = await shop("{ strategy: epmd, config: { hosts: [a@10.0.0.1] } }");
    const make = discovery["discovery"]!.strategy as () => unknown;
    expect(make()).not.toBe(make());
  });

  it("may be several strategies by name, as libcluster calls them, too", async () => {
    const config = await parse(`
      { topologies: { gossip: { strategy: Cluster.Strategy.Gossip, config: { secret: s3cret } }, fixed: { strategy: epmd, config: { hosts: [a@10.0.0.1] } } } }`);
    expect(config.strategies.get("shop")).toEqual(
      new Map([
        ["gossip", "Cluster.Strategy.Gossip"],
        ["fixed", "epmd"],
      ]),
    );
    expect(describeConfig(config)).toContain(
      "  dials        what Cluster.Strategy.Gossip finds (gossip), what epmd finds (fixed)\n",
    );
  });

  it("as a list of hosts needs no strategy", async () => {
    for (const form of ["{ hosts: [a@10.0.0.1] }", "{ strategy: epmd, hosts: [a@10.0.0.1] }"])
      expect(await shop(form)).toMatchObject({ hosts: ["a@10.0.0.1"], discovery: {} });
  });

  it("needs a restart to change, all but hosts", async () => {
    const before = (await parse("{ strategy: epmd, config: { hosts: [a@10.0.0.1] }, hosts: [b@10.0.0.1] }"))
      .fixed;
    const hosts = (await parse("{ strategy: epmd, config: { hosts: [a@10.0.0.1] } }")).fixed;
    const config = (await parse("{ strategy: epmd, config: { hosts: [c@10.0.0.1] } }")).fixed;
    expect(changedParts(before, hosts)).toEqual([]);
    expect(changedParts(before, config)).toEqual(["clusters.shop.discovery"]);
  });

  it.each([
    ["{ strategy: gosip }", "clusters.shop.discovery.strategy is unknown"],
    ["{ strategy: gosip }", "Did you mean gossip"],
    [
      "{ strategy: dns-poll, config: { nodebasename: x } }",
      "clusters.shop.discovery.config.nodebasename is not right",
    ],
    ["{ config: { query: x } }", "clusters.shop.discovery.config is of a strategy, and none is given"],
    ["{ removal: never }", "clusters.shop.discovery.removal is of a strategy, and none is given"],
    ["{ topologies: { a: { config: {} } } }", "clusters.shop.discovery.topologies.a lacks the key strategy"],
    ["{ topologies: { hosts: { strategy: gossip } } }", "is a name that is taken"],
    [
      "{ topologies: { a: { strategy: gossip, guard: { confirmatons: 2 } } } }",
      'topologies.a.guard.confirmatons is not a key of this place. Did you mean "confirmations"?',
    ],
    [
      '{ strategy: gossip, config: { secret: "${SECRET}" } }',
      "clusters.shop.discovery.config.secret needs the environment variable SECRET",
    ],
  ])("says what is wrong with %s", async (discovery, message) => {
    expect(await problems(discovery)).toContain(message);
  });

  it("never shows what is in config", async () => {
    const message = await problems("{ strategy: gossip, config: { secret: s3cret, port: many } }");
    expect(message).toContain("clusters.shop.discovery.config.port is not right");
    expect(message).not.toContain("s3cret");
  });
});
