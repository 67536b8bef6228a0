import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { silentLogger, systemClock } from "@isthmus/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeConfig } from "../../src/cli/describe.ts";
import { type BridgeConfig, parseConfig } from "../../src/config/config.ts";
import { changedParts } from "../../src/config/fixed-parts.ts";
import { refusalOf } from "./support.ts";

const SECRET = "0123456789abcdef-s3cret";
const NORTH = `clusters:
  shop: { node: bridge@10.0.0.5, cookie: a }
  billing: { site: south }
routes: [{ from: shop, to: billing, name: orders }]
`;
const TRUNK = `trunk:
  site: north
  sites:
    south: { connect: "wss://south.example/trunk?token=s3cret", secret: ${SECRET} }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-trunk-"));
  writeFileSync(join(folder, "secret"), `${SECRET}\n`, { mode: 0o400 });
  writeFileSync(join(folder, "open"), `${SECRET}\n`, { mode: 0o644 });
  writeFileSync(join(folder, "long"), `${SECRET}\n${SECRET}\n`, { mode: 0o400 });
  writeFileSync(join(folder, "ca.pem"), "-----BEGIN CERTIFICATE-----\n");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const parse = (text: string): Promise<BridgeConfig> =>
  parseConfig(text, { file: join(folder, "isthmus.yaml"), env: {} });

const problems = (text: string): Promise<string> => refusalOf(parse(text));

describe("a cluster of another site", () => {
  it("runs functions where its own bridge says", async () => {
    const rule = (more: string): string =>
      `${NORTH}${TRUNK}policy: [{ action: allow, to: billing, rpc: 'm:f/1'${more} }]\n`;
    const config = await parse(rule(""));
    expect(config.policy).toEqual([{ action: "allow", to: ["billing"], rpc: ["m:f/1"] }]);
    expect(await problems(rule(", nodes: billing1@10.0.1.1"))).toContain(
      "policy[0].nodes has no meaning for a cluster of another site, whose bridge chooses; take it out.",
    );
  });

  it("joins the only cluster of this one, and needs no nodes", async () => {
    const config = await parse(NORTH + TRUNK);
    expect(config.clusters["billing"]).toEqual({ site: "south" });
    expect(config.routes).toEqual([{ from: "shop", to: "billing", name: "orders" }]);
    expect(config.trunk).toMatchObject({ site: "north", sites: { south: { secret: SECRET } } });
    expect(config.trunk?.sites["south"]?.open?.length).toBe(1);
    const text = describeConfig(config);
    expect(text).toContain(`cluster billing
  is           billing of site south, reached by wss://south.example/trunk
  is joined    with shop
  may use      nothing of the other clusters`);
    expect(text).toContain(`site north
  calls        south at wss://south.example/trunk, which is known by a secret`);
    expect(text).toContain("  may use      orders of billing, where the other bridge says\n");
    expect(text).not.toContain("s3cret");
  });

  const three = (far: string, rest = "") => `clusters:
  shop: { node: bridge@10.0.0.5, cookie: a }
  crm: { node: crm_bridge@10.0.0.5, cookie: a }
  billing: ${far}
${rest}${TRUNK}`;

  it("may have another name there, and joins what is said", async () => {
    const { clusters } = await parse(three("{ site: south, joins: crm, as: invoices }"));
    expect(clusters["billing"]).toEqual({ site: "south", joins: "crm", as: "invoices" });
  });

  it.each([
    ["{ site: sout, joins: crm }", 'clusters.billing.site names no site of this file; did you mean "south"?'],
    ["{ site: south }", "clusters.billing lacks the key joins: which of shop, crm it is joined with."],
    ["{ site: south, joins: billing }", "clusters.billing.joins names no cluster of this site of this file"],
    ["{ site: south, joins: crm, cookie: s3cret }", "There are: site, joins, as."],
  ])("says what is wrong with %s", async (far, message) => {
    const said = await problems(three(far));
    expect(said).toContain(message);
    expect(said).not.toContain("s3cret");
  });

  it("meets only the cluster that it is joined with", async () => {
    const far = "{ site: south, joins: crm }";
    const routes = (route: string) => problems(three(far, `routes: [${route}]\n`));
    expect(await routes("{ from: shop, to: billing, name: a }")).toContain(
      "routes[0].from is not joined with billing, which joins crm",
    );
    expect(await routes("{ from: crm, to: billing, name: a, node: b@10.0.0.1 }")).toContain(
      "routes[0].node has no meaning here: the bridge of billing chooses the node.",
    );
    expect(await problems(three(far, "mirrors: [{ from: crm, to: billing }]\n"))).toContain(
      "mirrors[0].to is a cluster of another site",
    );
  });

  it("needs a trunk, and a cluster of this site", async () => {
    expect(await problems(NORTH)).toContain("clusters.billing.site needs the key trunk in this file");
    expect(await problems(`clusters: { a: { site: south }, b: { site: south } }\n${TRUNK}`)).toContain(
      "clusters must have at least one cluster of this site.",
    );
  });
});

describe("the trunk", () => {
  const trunk = (sites: string, more = "") => `${NORTH}trunk: { site: north, ${more} sites: ${sites} }\n`;

  it("may have several ways, over WebSocket and NATS, and bounds", async () => {
    const { trunk: options, addresses } = await parse(
      trunk(
        `{ south: { connect: [ws://a:1/trunk, "nats://user:s3cret@n:4222", nats://m:4222], proxy: false, secret: { file: secret }, deflate: true,
             limits: { grace_ms: 60000, window_bytes: "2097152" }, tls: { ca: ca.pem, server_name: south.example } } }`,
        "nats: { servers: nats://n:4222, token: { file: open, check_permissions: false } },",
      ),
    );
    const south = options!.sites["south"]!;
    expect(south).toMatchObject({
      secret: SECRET,
      deflate: true,
      limits: { graceMs: 60_000, windowBytes: 2_097_152 },
    });
    // NATS is one way, whatever the number of its servers
    expect(south.open?.length).toBe(2);
    expect(addresses.get("south")).toEqual(["ws://a:1/trunk", "nats://n:4222", "nats://m:4222"]);
    // nobody calls us, so that nobody is listened to
    expect(options).not.toHaveProperty("nats");
  });

  it("listens where others call", async () => {
    const { trunk: options } = await parse(
      trunk(
        `{ south: { secret: ${SECRET} } }`,
        "listen: { host: 10.0.0.5, port: 8443, path: /x, max_connections: 5 }, nats: { servers: [nats://n:4222], user: u, password: s3cret, prefix: a.b },",
      ),
    );
    expect(options).toMatchObject({
      listen: { host: "10.0.0.5", port: 8443, path: "/x", maxConnections: 5 },
      nats: { servers: ["nats://n:4222"], user: "u", password: "s3cret", prefix: "a.b" },
    });
    expect(options!.sites["south"]).not.toHaveProperty("open");
  });

  it.each([
    ["{}", "", "trunk.sites names no site"],
    [`{ north: { secret: ${SECRET}, connect: ws://a } }`, "", "trunk.sites.north is the name of this site"],
    [`{ south: { secret: ${SECRET} } }`, "", "has no connect, and the trunk has no listen"],
    ["{ south: { connect: ws://a } }", "", "A trunk needs a secret, or certificates, or both."],
    [
      "{ south: { connect: ws://a, secret: s3cret } }",
      "",
      "trunk.sites.south.secret is not right. The secret",
    ],
    [
      `{ south: { connect: "http://a/s3cret", secret: ${SECRET} } }`,
      "",
      "trunk.sites.south.connect is not right",
    ],
    [
      `{ south: { connect: [ws://a, s3cret], secret: ${SECRET} } }`,
      "",
      "trunk.sites.south.connect[1] is not right",
    ],
    [
      `{ south: { connect: ws://a, proxy: "ftp://s3cret@p", secret: ${SECRET} } }`,
      "",
      "address of the proxy",
    ],
    ["{ south: { connect: ws://a, secret: { file: none } } }", "", "secret.file is of no use. The file"],
    ["{ south: { connect: ws://a, secret: { file: open } } }", "", "chmod 400"],
    ["{ south: { connect: ws://a, secret: { file: long } } }", "", "must hold one line, and nothing else"],
    [
      `{ south: { connect: ws://a, secret: ${SECRET}, limits: { grace_sm: 1 } } }`,
      "",
      'trunk.sites.south.limits.grace_sm is not a key of this place. Did you mean "grace_ms"?',
    ],
    [
      `{ south: { connect: ws://a, secret: ${SECRET}, limits: { window_bytes: 1 } } }`,
      "",
      "limit windowBytes is 1",
    ],
    [
      `{ south: { secret: ${SECRET} } }`,
      "nats: { servers: s3cret },",
      "trunk.nats.servers[0] must be the address",
    ],
    [
      `{ south: { secret: ${SECRET} } }`,
      "listen: { port: 1, path: x },",
      "trunk.listen.path must begin with",
    ],
    [
      `{ south: { secret: ${SECRET} } }`,
      "listen: { port: 1, tls: { certificate: none, key: none } },",
      "trunk.listen.tls.certificate is of no use. The file",
    ],
  ])("says what is wrong with %s %s, and shows no secret", async (sites, more, message) => {
    const said = await problems(trunk(sites, more));
    expect(said).toContain(message);
    expect(said).not.toContain("s3cret");
  });

  it("needs a restart to change, also when only a file has changed that it names", async () => {
    const text = trunk("{ south: { connect: ws://a, secret: { file: secret } } }");
    const before = (await parse(text)).fixed;
    expect(changedParts(before, (await parse(text)).fixed)).toEqual([]);
    rmSync(join(folder, "secret"));
    writeFileSync(join(folder, "secret"), `${SECRET}-other\n`, { mode: 0o400 });
    expect(changedParts(before, (await parse(text)).fixed)).toEqual(["trunk"]);
    expect(inspect([...before], { depth: 5 })).not.toContain("s3cret");
  });

  it("has no port that another part has", async () => {
    const text = trunk(`{ south: { secret: ${SECRET} } }`, "listen: { port: 4390 },");
    expect(await problems(`${text}admin: { listen: { port: 4390 } }\n`)).toContain(
      "admin.listen.port is the port of the trunk too",
    );
  });
});

describe("high availability", () => {
  const one = (lease: string) =>
    `clusters:
  a: { node: a@10.0.0.5, cookie: x }
  b: { node: b@10.0.0.5, cookie: y }
high_availability: ${lease}
`;

  it.each([
    [
      "consul",
      "{ lease: consul, name: berlin, ttl_seconds: 15, url: http://c:8500, token: { file: open, check_permissions: false } }",
    ],
    [
      "postgres",
      "{ lease: postgres, name: berlin, database: { host: db, port: 5432, user: u, password: s3cret, database: d, ca: ca.pem } }",
    ],
    ["postgres", "{ lease: postgres, name: berlin, database: { url: postgres://u:s3cret@db/d } }"],
    ["kubernetes", "{ lease: kubernetes, name: berlin, ttl_seconds: 15 }"],
    [
      "kubernetes",
      "{ lease: kubernetes, name: berlin, url: https://k:6443, token_file: nowhere, ca: ca.pem, namespace: shop }",
    ],
    ["kubernetes", "{ lease: kubernetes, name: berlin, url: https://k:6443, token: s3cret }"],
  ] as const)("makes a lease of %s", async (lease, text) => {
    const config = await parse(one(text));
    expect(config.availability).toMatchObject({ lease, name: "berlin" });
    expect(config.availability!.open({ logger: silentLogger, clock: systemClock }).held).toBe(false);
    expect(describeConfig(config)).toContain(`while it has the lease berlin (${lease})`);
    expect(inspect(config, { depth: 10 })).not.toContain("s3cret");
  });

  it.each([
    ["{ lease: etcd, name: a }", "high_availability.lease must be consul, postgres or kubernetes."],
    ["{ lease: consul }", "high_availability lacks the key name."],
    ["{ lease: consul, name: a, ttl_seconds: 5 }", "time to live of a lease must be 10000 to 60000 ms"],
    ["{ lease: consul, name: a, url: 's3cret' }", "The address of Consul must be"],
    [
      "{ lease: consul, name: a, database: { password: s3cret } }",
      "high_availability.database has no meaning",
    ],
    ["{ lease: postgres, name: a, token: s3cret }", "high_availability.token has no meaning for postgres"],
    [
      "{ lease: kubernetes, name: a, database: { password: s3cret } }",
      "high_availability.database has no meaning for kubernetes",
    ],
    ["{ lease: consul, name: a, namespace: b }", "high_availability.namespace has no meaning for consul"],
    ["{ lease: kubernetes, name: Berlin }", "The name of a Lease in Kubernetes is made of"],
    ["{ lease: kubernetes, name: a, namespace: B/c }", "The namespace of a lease is not"],
    [
      "{ lease: kubernetes, name: a, url: 'https://u:s3cret@k' }",
      "The address of the Kubernetes API must be",
    ],
    [
      "{ lease: kubernetes, name: a, url: http://k, token: s3cret }",
      "A token is not sent without encryption",
    ],
    ["{ lease: kubernetes, name: a, token: s3cret, token_file: t }", "a token and a file for it"],
  ])("says what is wrong with %s", async (lease, message) => {
    const said = await problems(one(lease));
    expect(said).toContain(message);
    expect(said).not.toContain("s3cret");
  });
});
