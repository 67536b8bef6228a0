import { readFileSync } from "node:fs";
import { Cookie } from "@isthmus/dist-handshake";
import { parseNodeName } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { type FormConfig, parseFormConfig } from "../../src/form/config.ts";
import { keysAt } from "../../src/form/schema.ts";
import { refusalOf } from "../config/support.ts";

const parse = (text: string, env: Readonly<Record<string, string>> = {}): Promise<FormConfig> =>
  parseFormConfig(text, { file: "isthmus.yaml", env, readCookieFile: () => Cookie.of("from_file") });

const MINIMAL = `
node: { name: app@10.0.0.5, cookie: c }
topologies:
  main: { strategy: epmd, config: { hosts: [app@10.0.0.6] } }
`;

/** The messages about a file, each with its place. */
const problems = (text: string, env: Readonly<Record<string, string>> = {}): Promise<string> =>
  refusalOf(parse(text, env));

describe("the configuration of isthmus form", () => {
  it("has defaults that do no harm", async () => {
    const { node, topologies, log, shutdown } = await parse(MINIMAL, { ERL_EPMD_PORT: "5000" });
    expect(node).toMatchObject({ name: "app@10.0.0.5", as: "isthmus-form-app@10.0.0.5" });
    expect(topologies["main"]).toMatchObject({
      strategyName: "epmd",
      removal: "never",
      compat: false,
      guard: {},
    });
    expect({ log, shutdown }).toEqual({
      log: { level: "info", format: "auto" },
      shutdown: { drainSeconds: 5 },
    });
  });

  it("makes a new strategy each time: one can be started only once", async () => {
    const { strategy } = (await parse(MINIMAL)).topologies["main"]!;
    expect(strategy()).not.toBe(strategy());
  });

  it("takes everything a topology can have", async () => {
    const { topologies } = await parse(`
node: { name: app@10.0.0.5, cookie: { file: cookie } }
topologies:
  main:
    strategy: Cluster.Strategy.Epmd
    config: { hosts: [app@10.0.0.6] }
    removal: { grace_ms: "30000" }
    guard: { minimum_nodes: 2, maximum_removal_fraction: 0.5, confirmations: 4, confirm_ms: 10000 }
    compat: true
    connect: [MyApp.Nodes, join, [gently]]
    disconnect: [MyApp.Nodes, leave]
    list_nodes: [erlang, nodes, [visible]]
`);
    expect(topologies["main"]).toMatchObject({
      removal: { graceMs: 30_000 },
      guard: { minimumNodes: 2, maximumRemovalFraction: 0.5, confirmations: 4, confirmMs: 10_000 },
      compat: true,
      connect: ["MyApp.Nodes", "join", ["gently"]],
      disconnect: ["MyApp.Nodes", "leave"],
      listNodes: ["erlang", "nodes", ["visible"]],
    });
  });

  it("finds the node at a static port, without epmd", async () => {
    const { node } = await parse(MINIMAL.replace("cookie: c", "cookie: c, port: 9100, host: 127.0.0.1"));
    expect(await node.resolver(parseNodeName(node.name), {})).toMatchObject({
      host: "127.0.0.1",
      port: 9100,
    });
  });

  it.each([
    ["node: { name: app, cookie: c }", "isthmus.yaml:1:15: node.name is not a node name"],
    ["node: { nam: app@h, cookie: c }", 'node.nam is not a key of this place. Did you mean "name"?'],
    ["node: { name: app@h }", "node lacks the key cookie"],
    ["node: { name: app@h, cookie: c, as: app@h }", "node.as is the name of the local node"],
    ["node: { name: app@h, cookie: c, port: 1, epmd: { port: 1 } }", "keep one of them"],
  ])("tells what is wrong with %s", async (node, message) => {
    expect(await problems(`${node}\n${MINIMAL.slice(MINIMAL.indexOf("topologies"))}`)).toContain(message);
  });

  it.each([
    ["{}", "topologies has no topology"],
    ["{ a: { config: {} } }", "topologies.a lacks the key strategy"],
    ["{ a: { strategy: kubernets } }", "Did you mean kubernetes"],
    [
      "{ a: { strategy: epmd, config: { host: [x@h] } } }",
      "2:46: topologies.a.config.host is not right. host is not an option of epmd",
    ],
    ["{ a: { strategy: epmd } }", "topologies.a is not right. The strategy epmd needs hosts"],
    [
      "{ a: { strategy: epmd, config: { hosts: [x@h] }, removal: later } }",
      "topologies.a.removal must be never",
    ],
    ["{ a: { strategy: epmd, config: { hosts: [x@h] }, connect: 1 } }", "must be [module, function]"],
    [
      "{ a: { strategy: epmd, config: { hosts: [x@h] }, guard: { minimum: 1 } } }",
      "guard.minimum is not a key",
    ],
    ["[]", "topologies must be a map"],
  ])("tells what is wrong with topologies: %s", async (topologies, message) => {
    expect(await problems(`node: { name: app@h, cookie: c }\ntopologies: ${topologies}`)).toContain(message);
  });

  it("finds all problems at once, and shows no secret", async () => {
    const message = await problems(`
node: { name: "\${NODE}", cookie: my_biscuit, tick_time: often }
topologies:
  a: { strategy: gosip, config: { secret: my_secret } }
  b: { strategy: epmd, config: { hosts: ["\${PEER}"], passwort: my_password } }
`);
    expect(message).toContain("has 4 problems");
    for (const said of ["variable NODE", "node.tick_time", "topologies.a.strategy", "variable PEER"])
      expect(message).toContain(said);
    expect(message).not.toMatch(/my_(biscuit|secret|password)/);
  });
});

describe("docs/form.md", () => {
  const page = readFileSync(new URL("../../docs/form.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => block!);
  const configurations = blocks.filter((block) => /^topologies:/m.test(block) && /^node:/m.test(block));

  it.each(configurations.map((block, i) => [i + 1, block] as const))(
    "has a valid example: %i",
    async (_, block) => {
      const config = await parse(block, {
        RELEASE_NODE: "app@10.0.0.5",
        RELEASE_COOKIE: "c",
        POD_IP: "10.0.0.5",
      });
      expect(Object.keys(config.topologies).length).toBeGreaterThan(0);
    },
  );

  it.each([
    [["node"], "node"],
    [["topologies", "x"], "topologies"],
    [["topologies", "x", "guard"], "guard"],
    [["log"], "log"],
    [["shutdown"], "shutdown"],
  ])("explains every key of %j", (place, prefix) => {
    expect(configurations.length).toBeGreaterThan(0);
    for (const key of keysAt(place)!) {
      if (key === "guard") continue;
      const written = prefix === "topologies" ? key : `${prefix}.${key}`;
      expect(page, written).toMatch(new RegExp(`^\\| \`${written.replaceAll(".", "\\.")}[\`.]`, "m"));
    }
  });
});
