import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { inspect } from "node:util";
import { Cookie } from "@isthmus/dist-handshake";
import { isIsthmusError, parseNodeName } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { type BridgeConfig, type ParseConfigOptions, parseConfig } from "../../src/config/config.ts";
import type { ConfigProblem } from "../../src/config/problem.ts";
import { ownCluster } from "./support.ts";

const SMALL = `clusters:
  shop:
    node: bridge@10.0.0.5
    cookie: abc
    discovery: { hosts: [shop1@10.0.0.11] }
  billing:
    node: billing_bridge@10.0.0.5
    cookie: def
routes:
  - { from: shop, to: billing, name: orders, node: billing1@10.0.1.21 }
`;

function parse(text: string, options: Partial<ParseConfigOptions> = {}): Promise<BridgeConfig> {
  return parseConfig(text, { file: "isthmus.yaml", env: {}, ...options });
}

/** The problems of a text, as `line:column key: message`, and the whole message. */
async function problemsOf(
  text: string,
  options: Partial<ParseConfigOptions> = {},
): Promise<{ problems: string[]; message: string }> {
  try {
    await parse(text, options);
  } catch (error) {
    if (!isIsthmusError(error) || error.code !== "CONFIG_INVALID") throw error;
    expect(error.context["file"]).toBe("isthmus.yaml");
    const problems = error.context["problems"] as ConfigProblem[];
    return {
      problems: problems.map(({ line, column, key, message }) => `${line}:${column} ${key}: ${message}`),
      message: error.message,
    };
  }
  throw new Error("The configuration was taken.");
}

/** {@link SMALL} with one thing replaced. */
function small(from: string, to: string): string {
  expect(SMALL).toContain(from);
  return SMALL.replace(from, () => to);
}

describe("a configuration", () => {
  it("needs little", async () => {
    const { clusters, file, fixed, strategies, addresses, ...rest } = await parse(SMALL);
    expect(file).toBe(resolve("isthmus.yaml"));
    expect(fixed.size).toBeGreaterThan(0);
    expect(strategies.get("shop")).toEqual(new Map());
    expect(addresses).toEqual(new Map());
    expect(rest).toEqual({
      mirrors: [],
      groups: [],
      limits: {},
      policy: [],
      policyMode: "enforce",
      watch: false,
      routes: [{ from: "shop", to: "billing", name: "orders", nodes: ["billing1@10.0.1.21"] }],
      log: { level: "info", format: "auto" },
      shutdown: { drainSeconds: 5 },
    });
    expect(Object.keys(clusters)).toEqual(["shop", "billing"]);
    expect(clusters["shop"]).toMatchObject({
      node: "bridge@10.0.0.5",
      listen: { port: 0 },
      epmd: { host: "127.0.0.1", port: 4369 },
      embeddedEpmd: "auto",
      hosts: ["shop1@10.0.0.11"],
    });
    expect(ownCluster(clusters, "shop").listen).not.toHaveProperty("host");
    expect(clusters["shop"]).not.toHaveProperty("tickTimeSeconds");
    expect(ownCluster(clusters, "shop").cookie).toBeInstanceOf(Cookie);
    expect(ownCluster(clusters, "billing").hosts).toEqual([]);
  });

  it("may say everything", async () => {
    const config = await parse(`
clusters:
  shop:
    node: bridge@hosta
    cookie: abc
    listen: { host: 0.0.0.0, port: 9100 }
    epmd: { host: epmd.example, port: 4370, embedded: never, register: true }
    discovery: { strategy: Cluster.Strategy.Epmd, hosts: [shop1@hosta, shop2@hostb], ports: { shop3@hostc: 9000 } }
    tick_time: 15
  billing:
    node: bridge@hosta
    cookie: def
    epmd: { register: false, port: 4371 }
routes:
  - { from: shop, to: billing, name: orders, as: billing_orders, nodes: [b1@hostb, b2@hostb], balance: round_robin }
  - { from: billing, to: shop, name: orders, node: shop1@hosta, balance: first_up }
log: { level: debug, format: json }
shutdown: { drain_seconds: 0 }
`);
    expect(config.clusters["shop"]).toMatchObject({
      node: "bridge@hosta",
      listen: { host: "0.0.0.0", port: 9100 },
      epmd: { host: "epmd.example", port: 4370 },
      embeddedEpmd: "never",
      hosts: ["shop1@hosta", "shop2@hostb"],
      tickTimeSeconds: 15,
    });
    expect(ownCluster(config.clusters, "billing").epmd).toBe(false);
    expect(config.routes).toEqual([
      {
        from: "shop",
        to: "billing",
        name: "orders",
        as: "billing_orders",
        nodes: ["b1@hostb", "b2@hostb"],
        balance: "round_robin",
      },
      { from: "billing", to: "shop", name: "orders", nodes: ["shop1@hosta"], balance: "first_up" },
    ]);
    expect(config.log).toEqual({ level: "debug", format: "json" });
    expect(config.shutdown).toEqual({ drainSeconds: 0 });
  });

  it("may have rules, with one text wherever there is a list", async () => {
    const { policy, policyMode, watch } = await parse(`${SMALL}
policy:
  - { id: first, action: deny, from: shop, from_nodes: ["shop1@*"], to_nodes: b*, names: orders, operations: cast }
  - { action: allow, pid: true, operations: [exit, send], funs: true, audit: true }
  - { action: allow, from: [shop], to: billing, rpc: "orders:lookup/1", nodes: billing1@10.0.1.21, balance: round_robin }
  - { action: allow, names: ["*"], max_bytes: "1000", rate: { per_second: 10 } }
  - { action: deny }
policy_mode: log
watch_config: true
`);
    expect({ policyMode, watch }).toEqual({ policyMode: "log", watch: true });
    expect(policy).toEqual([
      {
        id: "first",
        action: "deny",
        from: ["shop"],
        fromNodes: ["shop1@*"],
        toNodes: ["b*"],
        names: ["orders"],
        operations: ["cast"],
      },
      { action: "allow", pid: true, operations: ["exit", "send"], funs: true, audit: true },
      {
        action: "allow",
        from: ["shop"],
        to: ["billing"],
        rpc: ["orders:lookup/1"],
        nodes: ["billing1@10.0.1.21"],
        balance: "round_robin",
      },
      { action: "allow", names: ["*"], maxBytes: 1000, rate: { perSecond: 10, burst: 10 } },
      { action: "deny" },
    ]);
  });

  it.each([
    ["{ action: maybe }", "policy[0].action: must be allow or deny."],
    ["{ names: x }", "policy[0]: lacks the key action."],
    ["{ action: deny, name: x }", 'policy[0].name: is not a key of this place. Did you mean "names"?'],
    ["{ action: deny, operations: [call, cal] }", "policy[0].operations[1]: must be send, call"],
    ["{ action: deny, operations: [] }", "policy[0].operations: must name at least one."],
    ["{ action: deny, from: shp }", 'policy[0].from: names no cluster of this file; did you mean "shop"?'],
    ["{ action: deny, to: [billing, nobody] }", "policy[0].to[1]: names no cluster of this file;"],
    ["{ action: deny, pid: false }", "policy[0].pid: must be true, or not there."],
    [
      "{ action: deny, names: x, pid: true }",
      "policy[0].pid: and names are both given; make two rules of it.",
    ],
    ["{ action: allow }", "policy[0]: lacks what it allows: names, groups, pid or rpc."],
    ["{ action: deny, max_bytes: 5 }", "policy[0].max_bytes: has no meaning where nothing is allowed"],
    ["{ action: allow, names: x, nodes: a@10.0.0.1 }", "policy[0].nodes: is for rules about rpc;"],
    ["{ action: allow, to: billing, rpc: 'm:f/1' }", "policy[0]: lacks the key nodes: which nodes run"],
    ["{ action: allow, rpc: 'm:f/1', nodes: a@10.0.0.1 }", "policy[0]: must have one cluster in to"],
    ["{ action: deny, rpc: 'm' }", "policy[0].rpc: must be module:function/arity"],
    [
      "{ action: allow, to: billing, rpc: ['m:f/1', 'erlang:apply/3'], nodes: a@10.0.0.1 }",
      "policy[0].rpc[1]: would let everything be run: erlang:apply calls whatever it is given.",
    ],
    [
      "{ action: allow, pid: true, rate: { per_second: 0 } }",
      "policy[0].rate.per_second: must be messages a second",
    ],
    ["{ action: allow, pid: true, rate: { burst: 5 } }", "policy[0].rate: lacks the key per_second."],
    ["{ id: a, action: deny }\n  - { id: a, action: deny }", "policy[1].id: is the id of policy[0] too"],
    ["deny", "policy[0]: must be a map: keys with values."],
  ])("says what is wrong with the rule %s", async (rule, expected) => {
    const { problems } = await problemsOf(`${SMALL}policy:\n  - ${rule}\n`);
    expect(problems.map((problem) => problem.replace(/^\d+:\d+ /, "")).join("\n")).toContain(expected);
    expect(problems.length).toBe(1);
  });

  it("knows static ports, and asks epmd for the others on the port of the cluster", async () => {
    const { clusters } = await parse(
      small("{ hosts: [shop1@10.0.0.11] }", "{ ports: { shop1@127.0.0.1: 9000 } }\n    epmd: { port: 1 }"),
    );
    const resolve = ownCluster(clusters, "shop").resolver!;
    await expect(resolve(parseNodeName("shop1@127.0.0.1"), {})).resolves.toMatchObject({
      host: "127.0.0.1",
      port: 9000,
    });
    await expect(resolve(parseNodeName("shop2@127.0.0.1"), {})).rejects.toMatchObject({
      code: "EPMD_UNREACHABLE",
      context: { port: 1 },
    });
  });

  it("does not start an epmd here when the epmd is elsewhere, unless told", async () => {
    const at = async (epmd: string) => {
      const { clusters } = await parse(small("cookie: abc", `cookie: abc\n    epmd: ${epmd}`));
      return ownCluster(clusters, "shop").embeddedEpmd;
    };
    expect(await at("{ host: 10.0.0.9 }")).toBe("never");
    expect(await at("{ host: localhost }")).toBe("auto");
    expect(await at("{ host: 10.0.0.9, embedded: always }")).toBe("always");
  });

  it("takes epmd's port from ERL_EPMD_PORT where it has none", async () => {
    const { clusters } = await parse(SMALL, { env: { ERL_EPMD_PORT: "4400" } });
    expect(ownCluster(clusters, "shop").epmd).toEqual({ host: "127.0.0.1", port: 4400 });
    expect((await problemsOf(SMALL, { env: { ERL_EPMD_PORT: "zero" } })).problems).toEqual([
      expect.stringMatching(/^1:1 : .*ERL_EPMD_PORT.*"zero"/),
    ]);
  });

  it("takes two routes of one name when they are exported to different clusters or under different names", async () => {
    const more = `${SMALL}  - { from: billing, to: shop, name: orders, node: s@10.0.0.1 }
  - { from: shop, to: billing, name: orders, as: other, node: s@10.0.0.1 }\n`;
    expect((await parse(more)).routes.length).toBe(3);
  });

  it("never shows a cookie when it is printed", async () => {
    const config = await parse(SMALL.replace("abc", "c0ffee"));
    expect(inspect(config, { depth: 10, showHidden: true }) + JSON.stringify(config)).not.toContain("c0ffee");
  });
});

describe("the environment", () => {
  it("is put into every text, not into keys", async () => {
    const env = { HOST: "10.0.0.5", COOKIE: "a$b{c}${HOST}", PORT: "4380", WHO: "orders" };
    const { clusters, routes } = await parse(
      `clusters:
  shop: { node: "bridge@\${HOST}", cookie: "\${COOKIE}", epmd: { port: "\${PORT}", register: "\${REGISTER:-true}" } }
  billing:
    node: \${NAME:-bridge}@\${HOST}
    cookie: pre-\${COOKIE}-post
routes: [{ from: shop, to: billing, name: "\${WHO}-\${WHO}", node: "x@\${HOST}" }]
`,
      { env },
    );
    expect(clusters["shop"]).toMatchObject({ node: "bridge@10.0.0.5", epmd: { port: 4380 } });
    expect(ownCluster(clusters, "billing").node).toBe("bridge@10.0.0.5");
    expect(routes[0]).toMatchObject({ name: "orders-orders", nodes: ["x@10.0.0.5"] });
    // what comes in is not looked at again
    expect(sameCookie(ownCluster(clusters, "shop").cookie, Cookie.of("a$b{c}${HOST}"))).toBe(true);
    expect(sameCookie(ownCluster(clusters, "billing").cookie, Cookie.of("pre-a$b{c}${HOST}-post"))).toBe(
      true,
    );
  });

  it("may have defaults, which count for empty variables too", async () => {
    const level = async (env: Record<string, string>) =>
      (await parse(`${SMALL}log: { level: "\${LEVEL:-warn}" }`, { env })).log.level;
    const levels = [await level({}), await level({ LEVEL: "" }), await level({ LEVEL: "error" })];
    expect(levels).toEqual(["warn", "warn", "error"]);
  });

  it("is left out by $${", async () => {
    const { clusters } = await parse(small("abc", '"$${HOME}$$"'), { env: { HOME: "/root" } });
    expect(sameCookie(ownCluster(clusters, "shop").cookie, Cookie.of("${HOME}$$"))).toBe(true);
  });

  it("that lacks something is told with all else that is wrong", async () => {
    const text = small("cookie: abc", "cookie: ${SHOP_COOKIE}")
      .replace("bridge@10.0.0.5", "bridge@${HOST}")
      .replace("[shop1@10.0.0.11]", '["shop1@${OTHER}", shop2]');
    expect((await problemsOf(text)).problems).toEqual([
      "3:11 clusters.shop.node: needs the environment variable HOST, which is not set. Set it, or write ${HOST:-default}.",
      "4:13 clusters.shop.cookie: needs the environment variable SHOP_COOKIE, which is not set. Set it, or write ${SHOP_COOKIE:-default}.",
      "5:26 clusters.shop.discovery.hosts[0]: needs the environment variable OTHER, which is not set. Set it, or write ${OTHER:-default}.",
      "5:44 clusters.shop.discovery.hosts[1]: is not a node name: it has no '@'. Write it as name@host.",
    ]);
  });

  it.each(["${}", "${1A}", "${A-b}", "${A", "x${ A }"])("is not guessed from %s", async (text) => {
    expect((await problemsOf(small("abc", JSON.stringify(text)), { env: { A: "x" } })).problems).toEqual([
      '4:13 clusters.shop.cookie: has a "${" without a variable: write ${NAME} or ${NAME:-default}, and $${ for the characters themselves.',
    ]);
  });
});

describe("problems", () => {
  const cases: [what: string, text: string, ...problems: string[]][] = [
    ["an empty file", "", "1:1 : The file lacks the key clusters."],
    ["a list", "- a", "1:1 : The file must be a map: keys with values."],
    [
      "a cluster too few",
      small(/ {2}billing:[\s\S]*cookie: def\n/.exec(SMALL)![0], "").replace(/routes:[\s\S]*/, ""),
      "1:1 clusters: must have at least two clusters: the bridge is between them.",
    ],
    ["clusters as a list", "clusters: [shop, billing]", "1:11 clusters: must be a map of names to clusters."],
    [
      "a misspelt key",
      small("cookie: abc", "cokie: abc"),
      "2:3 clusters.shop: lacks the key cookie.",
      '4:5 clusters.shop.cokie: is not a key of this place. Did you mean "cookie"?',
    ],
    [
      "a key far from all others",
      small("cookie: abc", "cookie: abc\n    colour: red"),
      "5:5 clusters.shop.colour: is not a key of this place. There are: node, cookie, listen, epmd, tls, discovery, tick_time, narrow.",
    ],
    [
      "a misspelt key at the top",
      `${SMALL}rotues: []`,
      '11:1 rotues: is not a key of this place. Did you mean "routes"?',
    ],
    [
      "a misspelt key deep within",
      small("{ hosts: [", "{ strategy: epmd, host: ["),
      '5:34 clusters.shop.discovery.host: is not a key of this place. Did you mean "hosts"?',
    ],
    [
      "a misspelt key of a route",
      small("name: orders", "nmae: orders"),
      "10:5 routes[0]: lacks the key name.",
      '10:32 routes[0].nmae: is not a key of this place. Did you mean "name"?',
    ],
    [
      "a name without host",
      small("bridge@10.0.0.5", "bridge"),
      "3:11 clusters.shop.node: is not a node name: it has no '@'. Write it as name@host.",
    ],
    [
      "a name that is a number",
      small("node: bridge@10.0.0.5", "node: 5"),
      "3:11 clusters.shop.node: must be a node name: name@host.",
    ],
    [
      "nothing where something must be",
      small("node: bridge@10.0.0.5", "node:"),
      "3:10 clusters.shop.node: must be a node name: name@host.",
    ],
    [
      "a cookie that is a number",
      small("abc", "0123"),
      "4:13 clusters.shop.cookie: must be the cookie as text (in quotes when it is a number), { file: PATH }, or { home: true }.",
    ],
    ["an empty cookie", small("abc", '""'), "4:13 clusters.shop.cookie: is empty."],
    [
      "a cookie with a line end",
      small("abc", "|\n      abc"),
      "4:13 clusters.shop.cookie: has a line end or another control character; give one line of text.",
    ],
    [
      "a cookie that is too long",
      small("abc", "a".repeat(256)),
      "4:13 clusters.shop.cookie: is longer than 255 characters.",
    ],
    [
      "a cookie outside Latin-1",
      small("abc", "łódź"),
      "4:13 clusters.shop.cookie: is of no use. The cookie cannot be used: it has a character outside Latin-1.",
    ],
    [
      "a misspelt way to a cookie",
      small("abc", "{ flie: x }"),
      "4:5 clusters.shop.cookie: lacks the key file.",
      '4:15 clusters.shop.cookie.flie: is not a key of this place. Did you mean "file"?',
    ],
    [
      "home: false",
      small("abc", "{ home: false }"),
      "4:21 clusters.shop.cookie.home: must be true: the cookie in the home folder.",
    ],
    [
      "a port out of range",
      small("cookie: abc", "cookie: abc\n    listen: { port: 65536 }"),
      "5:21 clusters.shop.listen.port: must be a port, 0 to 65535.",
    ],
    [
      "epmd on port 0",
      small("cookie: abc", "cookie: abc\n    epmd: { port: 0 }"),
      "5:19 clusters.shop.epmd.port: must be a port, 1 to 65535.",
    ],
    [
      "a port in words",
      small("cookie: abc", "cookie: abc\n    epmd: { port: many }"),
      "5:19 clusters.shop.epmd.port: must be a port, 1 to 65535.",
    ],
    [
      "a fraction",
      small("cookie: abc", "cookie: abc\n    tick_time: 1.5"),
      "5:16 clusters.shop.tick_time: must be seconds, 1 to 86400.",
    ],
    [
      "a word that is none of those",
      small("cookie: abc", "cookie: abc\n    epmd: { embedded: perhaps }"),
      "5:23 clusters.shop.epmd.embedded: must be auto, always or never.",
    ],
    [
      "neither true nor false",
      small("cookie: abc", "cookie: abc\n    epmd: { register: maybe }"),
      "5:23 clusters.shop.epmd.register: must be true or false.",
    ],
    [
      "an epmd that is not used",
      small("cookie: abc", "cookie: abc\n    epmd: { register: false, embedded: always }"),
      "5:40 clusters.shop.epmd.embedded: starts an epmd that register: false does not use; keep one of them.",
    ],
    [
      "one host that is no list",
      small("[shop1@10.0.0.11]", "shop1@10.0.0.11"),
      "5:25 clusters.shop.discovery.hosts: must be a list of node names.",
    ],
    [
      "a host twice",
      small("[shop1@10.0.0.11]", "[a@10.0.0.11, b@10.0.0.11, a@10.0.0.11]"),
      "5:52 clusters.shop.discovery.hosts[2]: is in this list already; take one out.",
    ],
    [
      "the bridge as its own peer",
      small("[shop1@10.0.0.11]", "[bridge@10.0.0.5]"),
      "5:26 clusters.shop.discovery.hosts[0]: is the bridge's own name in shop; name another node.",
    ],
    [
      "short names among long ones",
      small("[shop1@10.0.0.11]", "[shop1@host]"),
      "5:26 clusters.shop.discovery.hosts[0]: is a short name, but the bridge has a long one in shop (bridge@10.0.0.5); all nodes of a cluster have the same kind.",
    ],
    [
      "long names among short ones",
      small("bridge@10.0.0.5", "bridge@host"),
      "5:26 clusters.shop.discovery.hosts[0]: is a long name, but the bridge has a short one in shop (bridge@host); all nodes of a cluster have the same kind.",
    ],
    [
      "a short target in a cluster of long names",
      small("billing1@10.0.1.21", "billing1@host"),
      "10:52 routes[0].node: is a short name, but the bridge has a long one in billing (billing_bridge@10.0.0.5); all nodes of a cluster have the same kind.",
    ],
    [
      "a static port of nobody",
      small("{ hosts: [shop1@10.0.0.11] }", "{ ports: { shop1: 9000 } }"),
      "5:27 clusters.shop.discovery.ports.shop1: is not a node name: write it as name@host.",
    ],
    [
      "a static port of the wrong kind",
      small("{ hosts: [shop1@10.0.0.11] }", "{ ports: { shop1@h: 9000 } }"),
      "5:27 clusters.shop.discovery.ports.shop1@h: is a short name, but the bridge has a long one in shop (bridge@10.0.0.5); all nodes of a cluster have the same kind.",
    ],
    [
      "one identity in one epmd",
      small("billing_bridge", "bridge"),
      "7:11 clusters.billing.node: registers bridge with the epmd at 127.0.0.1:4369, and so does shop: one of them needs another name, or another epmd.port.",
    ],
    [
      "one port for two",
      small("cookie: abc", "cookie: abc\n    listen: { host: 10.0.0.5, port: 9100 }").replace(
        "cookie: def",
        "cookie: def\n    listen: { port: 9100 }",
      ),
      "10:21 clusters.billing.listen.port: is the port of shop too; give each its own, or 0 for any.",
    ],
    [
      "a name that no cluster can have",
      small("  shop:", "  __proto__:").replace("from: shop", "from: billing").replace("to: billing", "to: x"),
      "2:3 clusters.__proto__: cannot be the name of a cluster: a letter, then letters, digits, _, - and dots.",
      "10:26 routes[0].to: names no cluster of this file; There are: __proto__, billing.",
    ],
    [
      "a route from nowhere",
      small("from: shop", "from: shpo"),
      '10:13 routes[0].from: names no cluster of this file; did you mean "shop"? There are: shop, billing.',
    ],
    [
      "a route to nowhere",
      small("to: billing", "to: warehouse"),
      "10:23 routes[0].to: names no cluster of this file; There are: shop, billing.",
    ],
    [
      "a route to where it comes from",
      small(
        "to: billing, name: orders, node: billing1@10.0.1.21",
        "to: shop, name: orders, node: s@10.0.0.1",
      ),
      "10:23 routes[0].to: is the cluster that the route comes from; a route leads into another one.",
    ],
    [
      "a route without a node",
      small(", node: billing1@10.0.1.21", ""),
      "10:5 routes[0]: lacks the key node (or nodes, for several): where the process is.",
    ],
    [
      "a route with no nodes",
      small("node: billing1@10.0.1.21", "nodes: []"),
      "10:53 routes[0].nodes: must name at least one node.",
    ],
    [
      "node and nodes",
      small("node: billing1@10.0.1.21", "node: a@10.0.0.1, nodes: [b@10.0.0.1]"),
      "10:46 routes[0].node: and nodes are both given; keep one of them.",
    ],
    [
      "an unknown balance",
      small("billing1@10.0.1.21", "billing1@10.0.1.21, balance: random"),
      "10:81 routes[0].balance: must be first_up or round_robin.",
    ],
    [
      "a name exported twice",
      `${SMALL}  - { from: shop, to: billing, name: x, as: orders, node: b@10.0.0.1 }`,
      "11:45 routes[1].as: exports orders to shop a second time: routes[0] does that. Give one of them another name with as, or put all nodes in one route.",
    ],
    [
      "the bridge's own name",
      small("name: orders", "name: net_kernel"),
      "10:38 routes[0].name: is a name that the bridge's own node has; export it under another one with as.",
    ],
    [
      "a name that no atom can have",
      small("orders", "o".repeat(256)),
      "10:38 routes[0].name: is longer than 255 characters.",
    ],
    [
      "a route that is a word",
      small("{ from: shop, to: billing, name: orders, node: billing1@10.0.1.21 }", "orders"),
      "10:5 routes[0]: must be a map: keys with values.",
    ],
    [
      "routes that are no list",
      SMALL.replace(/routes:[\s\S]*/, "routes: none"),
      "9:9 routes: must be a list of routes.",
    ],
    [
      "an unknown level",
      `${SMALL}log: { level: loud }`,
      "11:15 log.level: must be debug, info, warn, error or silent.",
    ],
    ["a map that is a number", `${SMALL}shutdown: 5`, "11:11 shutdown: must be a map: keys with values."],
    [
      "a time without end",
      `${SMALL}shutdown: { drain_seconds: 100000 }`,
      "11:28 shutdown.drain_seconds: must be seconds, 0 to 3600.",
    ],
    [
      "a key given twice",
      small("cookie: abc", "cookie: abc\n    cookie: xyz"),
      "5:5 cookie: is given twice in this place; keep one.",
    ],
    ["a tab", small("    cookie: abc", "\tcookie: abc"), "4:1 : a tab cannot indent YAML; use spaces."],
    [
      "another indent",
      small("    cookie: abc", "   cookie: abc"),
      "4:1 : this is not indented as its neighbours are.",
    ],
    [
      "a quote that is not closed",
      small("abc", '"abc'),
      '11:1 : something is missing: the ":" after a key, or the end of a quote, bracket or brace.',
    ],
    [
      "a brace that is not closed",
      `${SMALL}log: { level: info`,
      '11:19 : something is missing: the ":" after a key, or the end of a quote, bracket or brace.',
    ],
    [
      "a second colon",
      small("abc", "abc: def"),
      '4:13 : a second ":" stands in this line; put a value that has ": " in quotes.',
    ],
    [
      "a character that begins no text",
      small("abc", "@abc"),
      "4:13 : a plain text cannot begin with this character; put it in quotes.",
    ],
    [
      "an unquoted variable in a flow map",
      small("cookie: abc", "cookie: abc\n    epmd: { port: ${PORT} }"),
      '5:20 : between { } or [ ] a variable must be in quotes: "${NAME}".',
    ],
    [
      "an alias to nowhere",
      small("abc", "*shared"),
      "4:13 : this refers to an anchor (&name) that is not there. Put a text that begins with * in quotes.",
    ],
    [
      "two documents",
      `${SMALL}---\na: 1\n`,
      '11:1 : the file has several documents (separated by "---"); keep one.',
    ],
  ];
  it.each(cases)("are found: %s", async (_what, text, ...expected) => {
    expect((await problemsOf(text)).problems).toEqual(expected);
  });

  it("are told all at once, in the order of the file, each with its line and a caret", async () => {
    const text = small("cookie: abc", "cookei: abc")
      .replace("name: orders", "nam: orders")
      .replace("@10.0.0.11", "");
    expect((await problemsOf(text)).message).toBe(`isthmus.yaml has 5 problems:

isthmus.yaml:2:3: clusters.shop lacks the key cookie.
  2 |   shop:
    |   ^

isthmus.yaml:4:5: clusters.shop.cookei is not a key of this place. Did you mean "cookie"?
  4 |     cookei: ***
    |     ^

isthmus.yaml:5:26: clusters.shop.discovery.hosts[0] is not a node name: it has no '@'. Write it as name@host.
  5 |     discovery: { hosts: [shop1] }
    |                          ^

isthmus.yaml:10:5: routes[0] lacks the key name.
  10 |   - { from: shop, to: billing, nam: ***, node: billing1@10.0.1.21 }
     |     ^

isthmus.yaml:10:32: routes[0].nam is not a key of this place. Did you mean "name"?
  10 |   - { from: shop, to: billing, nam: ***, node: billing1@10.0.1.21 }
     |                                ^`);
  });

  it("stop at aliases that are nested beyond measure", async () => {
    const levels = Array.from({ length: 20 }, (_, i) => `  - &a${i + 1} [${`*a${i}, `.repeat(9)}*a${i}]`);
    expect((await problemsOf(`x:\n  - &a0 [1]\n${levels.join("\n")}\n`)).problems).toEqual([
      "1:1 : Aliases (*name) are nested beyond measure in this file; write the values out.",
    ]);
  });

  it("keep the caret in its place behind a value that is covered up", async () => {
    const flow = "{ node: a@h, cookie: a-long-s3cret-word, tick_time: 0 }";
    const { message } = await problemsOf(`clusters:\n  x: ${flow}\n  y: { node: b@h, cookie: z }\n`);
    expect(message).toContain(
      `  2 |   x: { node: a@h, cookie: ***, tick_time: 0 }\n    |                                           ^`,
    );
  });

  it.each([
    ["a plain cookie", "clusters:\n  x: { node: bad, cookie: s3cret }"],
    ["behind a misspelt key", "clusters:\n  x:\n    cokie: s3cret"],
    ["behind a quoted key", 'clusters:\n  x:\n    "cokie": "s3cret"'],
    ["a default", "clusters:\n  x:\n    cookie: ${COOKIE:-s3cret}${OTHER}"],
    ["a list", "clusters:\n  x:\n    cookie: [s3cret, s3cret]"],
    ["a block", "clusters:\n  x:\n    cookie: |\n      s3cret\n      s3cret"],
    ["a folded block", "clusters:\n  x:\n    cookie: >-\n      s3cret\n    node: 1"],
    ["given twice", "clusters:\n  x:\n    cookie: s3cret\n    cookie: s3cret"],
    ["with a second colon", "clusters:\n  x:\n    cookie: s3cret: more"],
    ["with a quote that is not closed", 'clusters:\n  x:\n    cookie: "s3cret\n'],
    ["with a bad escape", 'clusters:\n  x:\n    cookie: "\\s3cret"'],
    ["an alias", "clusters:\n  x:\n    cookie: *s3cret"],
    ["a tag", "clusters:\n  x:\n    cookie: !s3cret s3cret"],
    ["in the wrong place", "s3cret"],
    ["in a list", "- s3cret"],
    ["after a tab", "clusters:\n  x:\n\tcookie: s3cret"],
    ["too long", `clusters:\n  x:\n    cookie: ${"s3cret".repeat(50)}`],
    ["outside Latin-1", "clusters:\n  x:\n    cookie: s3cretł"],
    ["a number", "clusters:\n  x:\n    cookie: 53"],
  ])("never show a secret: %s", async (_what, text) => {
    const { message, problems } = await problemsOf(
      text.includes(": 53") ? text.replace("53", "530017") : text,
    );
    expect(message + JSON.stringify(problems)).not.toMatch(/s3cret|530017/);
  });
});

/** Whether two cookies are one, by the only thing that shows them: their digest. */
function sameCookie(one: unknown, other: Cookie): boolean {
  const digestOf = (cookie: Cookie): string => {
    const hash = createHash("sha256");
    cookie.addTo(hash);
    return hash.digest("hex");
  };
  return digestOf(one as Cookie) === digestOf(other);
}
