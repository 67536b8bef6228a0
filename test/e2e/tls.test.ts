import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificates, makeCertificates } from "../interop/certificates.ts";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { BridgeCommands } from "./bridge-command.ts";
import { until } from "./two-clusters.ts";

// Nodes with -proto_dist inet_tls on one side, nodes without on the other, and certificates that both ends check.
const CALL = "gen_server:call({orders, 'bridge@127.0.0.1'}, {add, 1, 2})";

let certificates: Certificates;
let strangers: Certificates;
let epmds: Epmd[];
let secure: Beam;
let plain: Beam;
let bridges: BridgeCommands;
beforeAll(async () => {
  certificates = makeCertificates();
  strangers = makeCertificates();
  bridges = new BridgeCommands();
  epmds = await Promise.all([startEpmd(), startEpmd()]);
  [secure, plain] = await Promise.all([
    startBeam({
      name: "shop1@127.0.0.1",
      cookie: "shop_biscuit",
      epmdPort: epmds[0]!.port,
      otp: 25,
      args: certificates.erl,
    }),
    startBeam({ name: "billing1@127.0.0.1", cookie: "billing_biscuit", epmdPort: epmds[1]!.port, otp: 27 }),
  ]);
  await Promise.all([
    secure.eval("isthmus_probe:orders(orders)"),
    plain.eval("isthmus_probe:orders(orders)"),
  ]);
});
afterAll(async () => {
  await bridges?.stop();
  await Promise.all([secure?.stop(), plain?.stop()]);
  await Promise.all(epmds?.map((epmd) => epmd.stop()) ?? []);
  certificates?.remove();
  strangers?.remove();
});

const config = (tls: string): string => `clusters:
  shop:
    node: bridge@127.0.0.1
    cookie: shop_biscuit
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[0]!.port} }
    discovery: { hosts: [shop1@127.0.0.1] }
    tls: ${tls}
  billing:
    node: bridge@127.0.0.1
    cookie: billing_biscuit
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[1]!.port} }
    discovery: { hosts: [billing1@127.0.0.1] }
routes:
  - { from: shop, to: billing, name: orders, node: billing1@127.0.0.1 }
  - { from: billing, to: shop, name: orders, node: shop1@127.0.0.1 }
limits: { long_message_bytes: 2000000 }
admin: { listen: { port: 0 } }
`;
const files = ({ folder }: Certificates): string =>
  `{ certificate: ${folder}/node.pem, key: ${folder}/node.key, ca: ${folder}/ca.pem }`;

describe("a cluster over TLS", () => {
  it("is linked with one without, both ways, whoever connects", async () => {
    const bridge = await bridges.run("tls.yaml", config(files(certificates)));
    await bridge.ready();
    expect(await secure.eval(CALL)).toBe("3");
    expect(await plain.eval(CALL)).toBe("3");
    // the node connects as well: the bridge shows its certificate and asks for the node's
    await secure.eval("erlang:disconnect_node('bridge@127.0.0.1')");
    expect(await secure.eval("net_kernel:connect_node('bridge@127.0.0.1')")).toBe("true");
    expect(await secure.eval(CALL)).toBe("3");
    // a large message takes many TLS records
    const big = "binary:copy(<<7>>, 3000000)";
    expect(
      await secure.eval(`gen_server:call({orders, 'bridge@127.0.0.1'}, {echo, ${big}}) =:= ${big}`),
    ).toBe("true");
    // and goes on while it comes, both ways
    expect(await bridge.metric('isthmus_cluster_streamed_total{cluster="shop"}')).toBe(1);
    expect(await bridge.metric('isthmus_cluster_streamed_total{cluster="billing"}')).toBe(1);
    bridge.signal("SIGTERM");
    expect(await bridge.ended).toBe(0);
  });

  it("is not joined with certificates of others, and says why", async () => {
    const bridge = await bridges.run("strangers.yaml", config(files(strangers)));
    await until(() => /TLS_CERT_(UNTRUSTED|REJECTED)/.test(bridge.output), "the certificate is refused");
    await until(
      async () =>
        (await bridge.metric('isthmus_cluster_connections{cluster="billing",kind="visible"}')) === 1,
      "the other cluster is connected",
    );
    const { status, text } = await bridge.get("/readyz");
    expect(status).toBe(503);
    expect(JSON.parse(text).reasons).toEqual([{ cluster: "shop", reason: "is connected to no node" }]);
    expect(await secure.eval("nodes(hidden)")).toBe("[]");
    await bridge.kill();
  });

  it("is linked with another one over TLS, whose authority is another", async () => {
    const others = await Promise.all([startEpmd(), startEpmd()]);
    const [a, b] = await Promise.all([
      startBeam({
        ...{ name: "shop1@127.0.0.1", cookie: "shop_biscuit", otp: 23 as const },
        ...{ epmdPort: others[0]!.port, args: certificates.erl },
      }),
      startBeam({
        ...{ name: "billing1@127.0.0.1", cookie: "billing_biscuit", otp: 29 as const },
        ...{ epmdPort: others[1]!.port, args: strangers.erl },
      }),
    ]);
    try {
      for (const beam of [a, b]) await beam.eval("isthmus_probe:orders(orders)");
      const text = config(files(certificates))
        .replace(
          "discovery: { hosts: [billing1@127.0.0.1] }",
          `discovery: { hosts: [billing1@127.0.0.1] }\n    tls: ${files(strangers)}`,
        )
        .replace(String(epmds[0]!.port), String(others[0]!.port))
        .replace(String(epmds[1]!.port), String(others[1]!.port));
      const bridge = await bridges.run("both.yaml", text);
      await bridge.ready();
      expect(await a.eval(CALL)).toBe("3");
      expect(await b.eval(CALL)).toBe("3");
      await bridge.kill();
    } finally {
      await Promise.all([a.stop(), b.stop()]);
      await Promise.all(others.map((epmd) => epmd.stop()));
    }
  });

  it("is not joined without TLS", async () => {
    const bridge = await bridges.run("plain.yaml", config("").replace(/ +tls: \n/, ""));
    await until(() => /"node":"shop1@127.0.0.1".*"code":/.test(bridge.output), "the dial has failed");
    expect((await bridge.get("/readyz")).status).toBe(503);
    expect(await secure.eval("nodes(hidden)")).toBe("[]");
    await bridge.kill();
  });
});
