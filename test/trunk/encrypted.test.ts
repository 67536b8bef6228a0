import { describe, expect, it } from "vitest";
import { makeCertificates, type SiteCertificate } from "./certificates.ts";
import { startConnectProxy } from "./connect-proxy.ts";
import type { South } from "./sites.ts";
import { ending, startNorth, startSouth } from "./sites.ts";

const [host, north, south, west] = makeCertificates("127.0.0.1", "north", "south", "west") as [
  SiteCertificate,
  SiteCertificate,
  SiteCertificate,
  SiteCertificate,
];
const [foreign] = makeCertificates("north") as [SiteCertificate];

const wss = ({ listener }: South): string => `wss://127.0.0.1:${listener.port}/trunk`;
const plain = ({ cert, key }: SiteCertificate): { cert: string; key: string } => ({ cert, key });

/** Both carry something, or neither is ever up. */
async function works(site: ReturnType<typeof startNorth>, far: South): Promise<void> {
  await Promise.all(
    [site, far].map(({ ledger, link }) => ledger.until(() => link.state === "up", "never up")),
  );
  site.ledger.send(site.link, "c", 100_000);
  far.ledger.send(far.link, "c", 100_000);
  await Promise.all([site.ledger.caughtUp(far.ledger), far.ledger.caughtUp(site.ledger)]);
  expect([site.ledger.faults, far.ledger.faults]).toEqual([[], []]);
}

/** Connects, and says why it did not work. */
async function failure(
  way: Parameters<typeof startNorth>[0],
  dial: Parameters<typeof startNorth>[1] = {},
): Promise<string> {
  const reasons: string[] = [];
  const log = (fields: Readonly<Record<string, unknown>>): void => {
    reasons.push(`${fields["code"]} ${fields["reason"]}`);
  };
  const site = startNorth(way, { ...dial, logger: { debug: log, info: log, warn: log, error: log } });
  await expect.poll(() => reasons.length).toBeGreaterThan(0);
  expect(site.link.state).toBe("down");
  return reasons[0]!;
}

describe("a trunk over TLS", () => {
  it("with the secret", async () => {
    const far = await startSouth({}, { tls: plain(host) });
    await works(startNorth({ url: wss(far), tls: { ca: host.ca } }), far);
  });

  it("not to a host whose certificate is another's, or signed by a stranger", async () => {
    const wrong = await startSouth({}, { tls: plain(west) });
    expect(await failure({ url: wss(wrong), tls: { ca: host.ca } })).toContain("TRUNK_UNREACHABLE");
    const right = await startSouth({}, { tls: plain(host) });
    expect(await failure({ url: wss(right), tls: { ca: foreign.ca } })).toContain("TRUNK_UNREACHABLE");
    expect(await failure({ url: wss(right) })).toContain("TRUNK_UNREACHABLE");
    expect(right.ledger.events).toEqual([]);
  });

  it("with certificates of the sites in place of a secret", async () => {
    const far = await startSouth({ secret: undefined, certificate: true } as object, { tls: south });
    const way = { url: wss(far), tls: { ...north, site: "south" } };
    await works(startNorth(way, { secret: undefined, certificate: true } as object), far);
  });

  it("with both", async () => {
    const far = await startSouth({ certificate: true }, { tls: south });
    await works(startNorth({ url: wss(far), tls: { ...north, site: "south" } }, { certificate: true }), far);
  });

  it("not with a certificate of another site, of a stranger, or with none", async () => {
    const far = await startSouth({ secret: undefined, certificate: true } as object, { tls: south });
    const known = { secret: undefined, certificate: true } as object;
    expect(await failure({ url: wss(far), tls: { ...west, site: "south" } }, known)).toContain(
      "TRUNK_AUTHENTICATION",
    );
    expect(
      await failure({ url: wss(far), tls: { ...plain(foreign), ca: south.ca, site: "south" } }, known),
    ).toMatch(/TRUNK_UNREACHABLE|TRUNK_BROKEN/);
    expect(await failure({ url: wss(far), tls: { ca: south.ca, site: "south" } }, known)).toMatch(
      /TRUNK_UNREACHABLE|TRUNK_BROKEN/,
    );
    expect(await failure({ url: wss(far), tls: { ...north, site: "west" } }, known)).toContain(
      "not that of site west",
    );
    expect(far.ledger.events).toEqual([]);
  });

  it("not without TLS, where a certificate is asked for", async () => {
    const far = await startSouth({ certificate: true });
    expect(await failure({ port: far.listener.port })).toContain("TRUNK_AUTHENTICATION");
  });
});

describe("a trunk through an HTTP proxy", () => {
  it.each(["ws", "wss"] as const)("%s, by an option or by the environment", async (protocol) => {
    const far = await startSouth({}, protocol === "ws" ? {} : { tls: plain(host) });
    const proxy = ending(await startConnectProxy({ credentials: "user:pass word" }), (one) => one.close());
    const address = `http://user:pass%20word@127.0.0.1:${proxy.port}`;
    const way = { url: `${protocol}://127.0.0.1:${far.listener.port}/trunk`, tls: { ca: host.ca } };
    const first = startNorth({ ...way, proxy: address });
    await works(first, far);
    first.link.close();
    const variable = protocol === "ws" ? "HTTP_PROXY" : "HTTPS_PROXY";
    await far.ledger.until(() => far.link.state === "down", "never lost");
    await works(startNorth({ ...way, environment: { [variable]: address } }), far);
    expect(proxy.targets).toEqual(Array(2).fill(`127.0.0.1:${far.listener.port}`));
  });

  it("that is reached over TLS itself", async () => {
    const far = await startSouth({}, { tls: plain(host) });
    const proxy = ending(await startConnectProxy({ tls: host }), (one) => one.close());
    const way = { url: wss(far), tls: { ca: host.ca }, proxy: `https://127.0.0.1:${proxy.port}` };
    // the proxy's certificate is checked as well
    expect(await failure(way)).toContain("TRUNK_UNREACHABLE The proxy https://127.0.0.1");
    await works(startNorth({ ...way, proxyCa: host.ca }), far);
  });

  it("NO_PROXY goes past it", async () => {
    const far = await startSouth();
    const environment = { http_proxy: "127.0.0.1:1", no_proxy: "example.org, 127.0.0.1" };
    await works(startNorth({ port: far.listener.port, environment }), far);
  });

  it("a proxy that refuses is named, its password is not", async () => {
    const far = await startSouth();
    const proxy = ending(await startConnectProxy({ credentials: "user:right" }), (one) => one.close());
    const way = { port: far.listener.port, proxy: `http://user:wrong-password@127.0.0.1:${proxy.port}` };
    const reason = await failure(way);
    expect(reason).toContain(`The proxy http://127.0.0.1:${proxy.port} does not connect to`);
    expect(reason).toContain("407");
    expect(reason).not.toContain("wrong-password");
    expect(await failure({ port: far.listener.port, proxy: "http://127.0.0.1:1" })).toContain("ECONNREFUSED");
  });
});
