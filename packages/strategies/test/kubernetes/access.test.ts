import dns from "node:dns";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { ApiServer } from "./api-server.ts";
import { endpoints } from "./objects.ts";
import { passing, type Run, until, workbench } from "./workbench.ts";

// many connections with TLS, perhaps on a busy machine
vi.setConfig({ testTimeout: 20_000 });
const bench = workbench();

type Lookup = (error: null, addresses: readonly { address: string; family: number }[]) => void;

async function answered(run: Run): Promise<Run["last"]> {
  await until(() => run.last !== undefined);
  return run.last;
}

async function shop(identity?: Parameters<typeof ApiServer.start>[0]): Promise<ApiServer> {
  const api = await bench().api(identity);
  api.put(endpoints("shop", [{ ip: "10.0.0.1" }]));
  return api;
}

/** Everything that someone may read later. */
function said(run: Run): string {
  const details = (error: unknown): unknown =>
    error instanceof Error ? { ...error, message: error.message, cause: details(error.cause) } : error;
  const reports = run.reports.map((report) => (report.ok ? report : details(report.error)));
  const lines = run.logger.lines.map(({ message, fields }) => ({
    message,
    ...fields,
    err: details(fields["err"]),
  }));
  return JSON.stringify([reports, lines]);
}

describe("the token", () => {
  it("is read for every request, so that a new one is used", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    const run = bench().start(api, { account });
    await until(() => api.watching === 1);
    account.write("token", "second-token\n");
    api.tokens.add("second-token");
    api.tokens.delete("first-token");
    api.endWatches();
    await passing(run.clock, 100, () => api.watching === 1);
    expect(api.watches.at(-1)?.authorization).toBe("Bearer second-token");
    expect(run.reports.every(({ ok }) => ok)).toBe(true);
  });

  it("that is refused is read once more, at once", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    api.tokens.clear();
    api.intercept = () => {
      if (api.seen.length === 1) account.write("token", "second-token");
      if (api.seen.length === 2) api.tokens.add("second-token");
      return false;
    };
    const run = bench().start(api, { account });
    expect(await answered(run)).toEqual(["shop@10.0.0.1"]);
    expect(api.lists.map(({ authorization }) => authorization)).toEqual([
      "Bearer first-token",
      "Bearer second-token",
    ]);
  });

  it("that stays refused is a failure after two requests, which does not show it", async () => {
    const api = await shop();
    api.tokens.clear();
    const run = bench().start(api);
    expect(await answered(run)).toBe("DISCOVERY_FAILED");
    expect(run.reports[0]).toMatchObject({ error: { context: { status: 401 } } });
    expect(api.seen).toHaveLength(2);
    expect(said(run)).not.toContain("first-token");
  });

  it.each([
    ["missing", undefined],
    ["empty", " \n"],
  ])("that is %s is a failure, and nothing is asked", async (_title, content) => {
    const api = await shop();
    const account = bench().serviceAccount();
    if (content === undefined) account.remove("token");
    else account.write("token", content);
    const run = bench().start(api, { account });
    expect(await answered(run)).toBe("DISCOVERY_FAILED");
    expect(run.reports[0]).toMatchObject({ error: { context: { file: join(account.folder, "token") } } });
    expect(api.seen).toEqual([]);
    account.write("token", "first-token");
    await passing(run.clock, 1000, () => run.last?.[0] === "shop@10.0.0.1");
  });

  it("that cannot be a header is a failure, which does not show it", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    account.write("token", "first\u0000-tok\u00e9n\nx: y");
    const run = bench().start(api, { account });
    expect(await answered(run)).toMatch(/FAILED/);
    expect(api.seen).toEqual([]);
    expect(said(run)).not.toContain("-tok");
  });

  it("may be in another file", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    account.remove("token");
    const tokenFile = bench().certificates.file("my-token", "first-token");
    expect(await answered(bench().start(api, { account, tokenFile }))).toEqual(["shop@10.0.0.1"]);
  });
});

describe("the API's certificate", () => {
  it("of an authority that is not the cluster's is refused, and the token is not sent", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    account.write("ca.crt", bench().certificates.authority("someone-else").cert);
    const run = bench().start(api, { account });
    expect(await answered(run)).toBe("HTTP_FAILED");
    expect(api.seen).toEqual([]);
    // the authority has been replaced
    account.write("ca.crt", bench().authority.cert);
    await passing(run.clock, 1000, () => run.last?.[0] === "shop@10.0.0.1");
  });

  it("that it made itself is refused, unless that very one is trusted", async () => {
    const self = bench().certificates.authority("self-signed");
    const api = await shop(self);
    const account = bench().serviceAccount();
    account.remove("ca.crt");
    expect(await answered(bench().start(api, { account }))).toBe("HTTP_FAILED");
    expect(api.seen).toEqual([]);
  });

  it("for another host is refused", async () => {
    const { certificates, authority } = bench();
    const api = await shop(certificates.certificate("elsewhere", authority, "DNS:elsewhere.example"));
    expect(await answered(bench().start(api))).toBe("HTTP_FAILED");
    expect(api.seen).toEqual([]);
  });

  it("that has run out is refused", async () => {
    const { certificates, authority } = bench();
    const api = await shop(certificates.certificate("old", authority, "IP:127.0.0.1", -1));
    expect(await answered(bench().start(api))).toBe("HTTP_FAILED");
    expect(api.seen).toEqual([]);
  });

  it.each(["kubernetes.default.svc", "kubernetes.default.svc.", "kubernetes.default.svc.cluster.local."])(
    "is for %s, whose name may be complete",
    async (host) => {
      const api = await shop();
      const asked = vi
        .spyOn(dns, "lookup")
        .mockImplementation(((_host: string, _options: object, done: Lookup) =>
          process.nextTick(done, null, [{ address: "127.0.0.1", family: 4 }])) as never);
      try {
        expect(await answered(bench().start(api, { master: `${host}:${api.port}` }))).toEqual([
          "shop@10.0.0.1",
        ]);
        expect(asked.mock.calls[0]?.[0]).toBe(host.endsWith(".") ? host : `${host}.cluster.local`);
      } finally {
        asked.mockRestore();
      }
    },
  );

  it("does not matter when that is asked for", async () => {
    const api = await shop(bench().certificates.authority("whoever"));
    const run = bench().start(api, { insecureSkipTlsVerify: true });
    expect(await answered(run)).toEqual(["shop@10.0.0.1"]);
  });

  it("that is no certificate at all is a failure", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    account.write("ca.crt", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    expect(await answered(bench().start(api, { account }))).toMatch(/FAILED/);
    expect(api.seen).toEqual([]);
  });
});

describe("outside of a cluster", () => {
  it("a certificate of our own is enough", async () => {
    const { certificates, authority, identity } = bench();
    const ours = certificates.certificate("admin", authority, "DNS:admin");
    const api = await shop({ ...identity, ca: authority.cert });
    const account = bench().serviceAccount();
    for (const file of ["token", "ca.crt", "namespace"] as const) account.remove(file);
    const files = { caFile: authority.certFile, certFile: ours.certFile, keyFile: ours.keyFile };
    const run = bench().start(api, { account, ...files, namespace: "default" });
    expect(await answered(run)).toEqual(["shop@10.0.0.1"]);
    expect(api.seen[0]?.authorization).toBeUndefined();
  });

  it("plain HTTP gets no token, nor anything else of ours", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const proxy = createServer(({ headers }, answer) => {
      seen.push(headers);
      answer.end(JSON.stringify({ kind: "EndpointsList", metadata: {}, items: [] }));
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const { port } = proxy.address() as AddressInfo;
    const run = bench().start(await shop(), { master: `http://127.0.0.1:${port}` });
    expect(await answered(run)).toEqual([]);
    await run.strategy.stop();
    expect(seen.length).toBeGreaterThan(0);
    for (const headers of seen) expect(headers).not.toHaveProperty("authorization");
    proxy.close();
    await once(proxy, "close");
  });

  it("files that are missing are named", async () => {
    const api = await shop();
    const caFile = join(bench().certificates.folder, "missing.pem");
    const run = bench().start(api, { caFile });
    expect(await answered(run)).toBe("DISCOVERY_FAILED");
    expect(run.reports[0]).toMatchObject({ error: { context: { file: caFile } } });
  });

  it("the namespace must be said", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    account.remove("namespace");
    const run = bench().start(api, { account });
    expect(await answered(run)).toBe("DISCOVERY_FAILED");
    expect(api.seen).toEqual([]);
    expect(await answered(bench().start(api, { account, namespace: "default" }))).toEqual(["shop@10.0.0.1"]);
  });

  it("a namespace file with a path in it is not one", async () => {
    const api = await shop();
    const account = bench().serviceAccount();
    writeFileSync(join(account.folder, "namespace"), "../../secrets");
    expect(await answered(bench().start(api, { account }))).toBe("DISCOVERY_FAILED");
    expect(api.seen).toEqual([]);
  });
});
