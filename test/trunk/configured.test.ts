// The command as a user runs it, with configurations in which ways are encrypted and services ask who one is.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BridgeCommands, type RunningBridge } from "../e2e/bridge-command.ts";
import { freePort } from "../support/epmd.ts";
import { type Nats, type NatsTls, startNats } from "../support/nats.ts";
import { startPostgres } from "../support/postgres.ts";
import { makeCertificates, type SiteCertificate } from "./certificates.ts";
import { SECRET } from "./sites.ts";
import { BRIDGE, Ends, type RealCluster, startCluster, until } from "./two-bridges.ts";

let ends: Ends;
let commands: BridgeCommands;
beforeEach(() => {
  ends = new Ends();
  commands = ends.add(new BridgeCommands(), (one) => one.stop());
});
afterEach(() => ends.run());

/** Writes PEM to files beside the configurations: NAME.pem, NAME.key, NAME.ca. */
function writeCertificate(name: string, { cert, key, ca }: SiteCertificate): void {
  commands.write(`${name}.pem`, cert);
  commands.write(`${name}.key`, key);
  commands.write(`${name}.ca`, ca);
}

const own = ({ name, epmd, beam }: RealCluster): string => `clusters:
  ${name}:
    node: bridge@127.0.0.1
    cookie: cookie_of_${name}
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmd.port}, embedded: never }
    discovery: { hosts: [${beam.node}] }
`;
const COMMON = `admin: { listen: { port: 0 } }
shutdown: { drain_seconds: 0 }
`;

/** What the callers of two clusters get of `orders` of the other. */
async function ask(...callers: readonly RealCluster[]): Promise<string[]> {
  const call = `catch element(2, gen_server:call({orders, ${BRIDGE}}, whoami, 10000))`;
  return Promise.all(callers.map(({ beam }) => beam.eval(call)));
}

describe("sites whose trunk is written in files", () => {
  let shop: RealCluster;
  let billing: RealCluster;
  beforeEach(async () => {
    [shop, billing] = await Promise.all([startCluster(ends, "shop"), startCluster(ends, "billing")]);
    commands.write("secret", SECRET);
  });

  /** Starts site south, which has `billing`, and then north; each with these lines below `trunk`. */
  async function start(south: string, north: string): Promise<[RunningBridge, RunningBridge]> {
    const site = (name: string, here: RealCluster, far: string, peer: string, trunk: string): string =>
      `${own(here)}  ${far}: { site: ${peer} }
routes:
  - { from: ${far}, to: ${here.name}, name: orders, node: ${here.beam.node} }
  - { from: ${here.name}, to: ${far}, name: orders }
trunk:
  site: ${name}
${trunk}${COMMON}`;
    return [
      await commands.run("south.yaml", site("south", billing, "shop", "north", south)),
      await commands.run("north.yaml", site("north", shop, "billing", "south", north)),
    ];
  }

  /** They are joined, and what is secret is not in what they print. */
  async function joined(...bridges: readonly RunningBridge[]): Promise<void> {
    await Promise.all(bridges.map((bridge) => bridge.ready()));
    expect(await ask(shop, billing)).toEqual(["'billing1@127.0.0.1'", "'shop1@127.0.0.1'"]);
    for (const { output } of bridges) {
      expect(output).not.toContain(SECRET);
      expect(output).not.toContain(PASSWORD);
      expect(output).not.toContain('"level":"error"');
    }
  }

  /** North says why it does not get through, and nothing does. */
  async function refused(north: RunningBridge, why: RegExp): Promise<void> {
    await until(() => why.test(north.output), `${why} is said`).catch((error: Error) => {
      throw new Error(`${error.message}: ${north.output}`);
    });
    expect(north.output).not.toMatch(/"msg":"trunk up"/);
    expect((await ask(shop))[0]).toContain("nodedown");
  }

  /** South listens with the certificate `host`; north trusts the authority `ca`. */
  async function startOverTls(ca: string): Promise<[RunningBridge, RunningBridge]> {
    const port = await freePort();
    return start(
      `  listen: { host: 127.0.0.1, port: ${port}, tls: { certificate: host.pem, key: host.key } }
  sites:
    north: { secret: { file: secret } }
`,
      `  sites:
    south:
      connect: wss://127.0.0.1:${port}/trunk
      proxy: false
      secret: { file: secret }
      tls: { ca: ${ca} }
`,
    );
  }

  it("wss://, an authority of one's own, and a secret", async () => {
    const [host] = makeCertificates("127.0.0.1") as [SiteCertificate];
    writeCertificate("host", host);
    await joined(...(await startOverTls("host.ca")));
  });

  it("wss:// to a listener whose certificate another authority has signed: not at all", async () => {
    const [host] = makeCertificates("127.0.0.1") as [SiteCertificate];
    const [stranger] = makeCertificates("127.0.0.1") as [SiteCertificate];
    writeCertificate("host", host);
    writeCertificate("stranger", stranger);
    const [, north] = await startOverTls("stranger.ca");
    await refused(north, /TRUNK_UNREACHABLE/);
  });

  /** Both sites know each other by certificates alone; north shows that of `shown`. */
  async function startMutual(shown: string): Promise<[RunningBridge, RunningBridge]> {
    const port = await freePort();
    const names = ["north", "south", "west"] as const;
    for (const [i, one] of makeCertificates(...names).entries()) writeCertificate(names[i]!, one);
    return start(
      `  listen:
    host: 127.0.0.1
    port: ${port}
    tls: { certificate: south.pem, key: south.key, ca: south.ca }
  sites:
    north: { certificate: true }
`,
      `  sites:
    south:
      connect: wss://127.0.0.1:${port}/trunk
      proxy: false
      certificate: true
      tls: { certificate: ${shown}.pem, key: ${shown}.key, ca: north.ca }
`,
    );
  }

  it("wss:// with certificates on both sides, and no secret", async () => {
    await joined(...(await startMutual("north")));
  });

  it("wss:// with the certificate of another site: not at all", async () => {
    const [, north] = await startMutual("west");
    await refused(north, /TRUNK_AUTHENTICATION/);
  });

  const PASSWORD = "the password of these tests";

  /** Both call at the same NATS system. */
  async function startOverNats(
    server: Nats,
    how: { readonly password?: string; readonly tls?: string; readonly host?: string } = {},
  ): Promise<[RunningBridge, RunningBridge]> {
    commands.write("password", PASSWORD);
    commands.write("given", how.password ?? PASSWORD);
    const url = `nats://${how.host ?? "localhost"}:${server.port}`;
    const nats = (password: string): string => `  nats:
    servers: ["${url}"]
    user: isthmus
    password: { file: ${password} }
${how.tls === undefined ? "" : `    tls: ${how.tls}\n`}`;
    return start(
      `${nats("password")}  sites:
    north: { secret: { file: secret } }
`,
      `${nats("given")}  sites:
    south: { connect: "${url}", secret: { file: secret } }
`,
    );
  }

  const startServer = async (tls?: NatsTls): Promise<Nats> =>
    ends.add(
      await startNats({
        users: [{ user: "isthmus", password: PASSWORD, publish: ["isthmus.>"], subscribe: ["isthmus.>"] }],
        ...(tls === undefined ? {} : { tls }),
      }),
      (one) => one.stop(),
    );

  it("NATS with a user and a password", async () => {
    await joined(...(await startOverNats(await startServer())));
  });

  it("NATS with another password: not at all", async () => {
    const [, north] = await startOverNats(await startServer(), { password: "another password" });
    await refused(north, /TRUNK_UNREACHABLE.*[Aa]uthorization/);
    expect(north.output).not.toContain("another password");
  });

  it.each(["localhost", "127.0.0.1"])("NATS at %s over TLS, with certificates on both sides", async (at) => {
    const [host, client] = makeCertificates(at, "bridges") as [SiteCertificate, SiteCertificate];
    writeCertificate("client", client);
    const server = await startServer({ cert: host.cert, key: host.key, ca: host.ca });
    await joined(
      ...(await startOverNats(server, {
        tls: "{ ca: client.ca, certificate: client.pem, key: client.key }",
        host: at,
      })),
    );
  });

  it("NATS over TLS with a server whose certificate is for another host: not at all", async () => {
    const [host] = makeCertificates("localhost") as [SiteCertificate];
    writeCertificate("host", host);
    const server = await startServer({ cert: host.cert, key: host.key });
    const [, north] = await startOverNats(server, { tls: "{ ca: host.ca }", host: "127.0.0.1" });
    await refused(north, /TRUNK_UNREACHABLE.*127\.0\.0\.1/);
  });

  it("NATS over TLS with a server that another authority has signed: not at all", async () => {
    const [host] = makeCertificates("localhost") as [SiteCertificate];
    const [stranger] = makeCertificates("localhost") as [SiteCertificate];
    writeCertificate("stranger", stranger);
    const server = await startServer({ cert: host.cert, key: host.key });
    const [, north] = await startOverNats(server, { tls: "{ ca: stranger.ca }" });
    await refused(north, /TRUNK_UNREACHABLE.*certificate/);
  });
});

describe("a lease in a PostgreSQL that speaks TLS", () => {
  const start = async (ca: "right" | "stranger") => {
    const [host] = makeCertificates("127.0.0.1") as [SiteCertificate];
    const [stranger] = makeCertificates("127.0.0.1") as [SiteCertificate];
    const server = ends.add(await startPostgres({ tls: host }), (one) => one.remove());
    const [shop, billing] = await Promise.all([startCluster(ends, "shop"), startCluster(ends, "billing")]);
    commands.write("right.ca", host.ca);
    commands.write("stranger.ca", stranger.ca);
    commands.write("password", server.password);
    const bridge = await commands.run(
      "isthmus.yaml",
      `${own(shop)}${own(billing).replace("clusters:\n", "")}routes:
  - { from: shop, to: billing, name: orders, node: ${billing.beam.node} }
high_availability:
  lease: postgres
  name: shop-billing
  ttl_seconds: 3
  database:
    host: 127.0.0.1
    port: ${server.port}
    user: ${server.user}
    database: ${server.database}
    password: { file: password }
    ca: ${ca}.ca
${COMMON}`,
    );
    return { server, shop, bridge };
  };

  it("is held over an encrypted connection", async () => {
    const { server, shop, bridge } = await start("right");
    await bridge.ready();
    await until(async () => (await ask(shop))[0] === "'billing1@127.0.0.1'", "calls go across");
    expect(
      await server.query(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'isthmus lease'",
      ),
    ).toEqual([{ ssl: true }]);
    expect(bridge.output).not.toContain(server.password);
  });

  it("is not asked for when another authority has signed the server's certificate", async () => {
    const { server, bridge } = await start("stranger");
    await until(() => /certificate/.test(bridge.output), "the log says why");
    expect(bridge.output).not.toContain("has the lease");
    expect(
      await server.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'isthmus lease'"),
    ).toEqual([]);
  });
});
