import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startConsul } from "../support/consul.ts";
import { kubernetesMissing, startKubernetes } from "../support/kubernetes.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { startPostgres } from "../support/postgres.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { BRIDGE, Ends, type RealCluster, startCluster, until } from "./two-bridges.ts";

// the command as a user runs it: built, in a process of its own
const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

/** One of two bridges for the same clusters, each with a way of its own to the service that keeps the lease. */
interface Contender {
  readonly process: OwnedProcess;
  readonly way: CuttingProxy;
}

// each says that it has the lease no more before another one can have it
const isActive = ({ process: { running, output } }: Contender): boolean =>
  running &&
  output.lastIndexOf("has the lease: active") >
    Math.max(output.lastIndexOf("lease lost"), output.lastIndexOf("giving the lease back"));

/** What keeps the lease. */
const SERVICES = [
  ["PostgreSQL", "postgres"],
  ["Consul", "consul"],
  ["Kubernetes", "kubernetes"],
] as const;

for (const [service, lease] of SERVICES) {
  const skip = lease === "kubernetes" && kubernetesMissing;
  describe.skipIf(skip)(`two bridges for one pair of clusters, and a lease in ${service}`, () =>
    standby(service, lease),
  );
}

function standby(service: (typeof SERVICES)[number][0], lease: (typeof SERVICES)[number][1]): void {
  const ends = new Ends();
  let folder: string;
  let shop: RealCluster;
  let billing: RealCluster;
  let target: number;
  let keys: Readonly<Record<string, unknown>>;
  const contenders: Contender[] = [];

  beforeAll(async () => {
    folder = ends.add(mkdtempSync(join(tmpdir(), "isthmus-standby-")), (path) =>
      rmSync(path, { recursive: true, force: true }),
    );
    [shop, billing] = await Promise.all([startCluster(ends, "shop"), startCluster(ends, "billing")]);
    if (lease === "consul") {
      const consul = ends.add(await startConsul(), (one) => one.stop());
      target = Number(new URL(consul.url).port);
      const token = await consul.tokenWith(
        'session_prefix "" { policy = "write" } key_prefix "isthmus/lease/" { policy = "write" }',
      );
      writeFileSync(join(folder, "token"), token, { mode: 0o400 });
      keys = { ttl_seconds: 10, token: { file: "token" } };
    } else if (lease === "kubernetes") {
      const kubernetes = ends.add(await startKubernetes(), (one) => one.remove());
      target = kubernetes.port;
      writeFileSync(join(folder, "token"), kubernetes.token);
      writeFileSync(join(folder, "ca.pem"), kubernetes.ca);
      keys = { ttl_seconds: 3, token_file: "token", ca: "ca.pem", namespace: "default" };
    } else {
      const { user, password, database, port } = ends.add(await startPostgres(), (one) => one.remove());
      target = port;
      writeFileSync(join(folder, "password"), password, { mode: 0o400 });
      keys = {
        ttl_seconds: 3,
        database: { host: "127.0.0.1", user, database, password: { file: "password" } },
      };
    }
    contenders.push(await start(1), await start(2));
    await until(() => contenders.some(isActive), "one is active", 60_000);
    await until(flows, "calls go across");
  }, 120_000);
  afterAll(() => ends.run());

  async function start(number: number): Promise<Contender> {
    const way = ends.add(await startCuttingProxy(target), (one) => one.close());
    const file = join(folder, `isthmus${number}.yaml`);
    const cluster = ({ options }: RealCluster) => {
      if ("site" in options) throw new Error("cannot be");
      const { node, cookie, listen, epmd } = options;
      return { node, cookie, listen, epmd };
    };
    const own =
      lease === "postgres"
        ? { ...keys, database: { ...(keys["database"] as object), port: way.port } }
        : { ...keys, url: `${lease === "consul" ? "http" : "https"}://127.0.0.1:${way.port}` };
    const configuration = {
      clusters: { shop: cluster(shop), billing: cluster(billing) },
      routes: [{ from: "shop", to: "billing", name: "orders", nodes: [billing.beam.node] }],
      shutdown: { drain_seconds: 2 },
      high_availability: { lease, name: "shop-billing", ...own },
    };
    // JSON is YAML
    writeFileSync(file, JSON.stringify(configuration, null, 2), { mode: 0o400 });
    const args = [command, "run", file, "--log-format", "json"];
    const process_ = await OwnedProcess.start(`bridge ${number}`, process.execPath, args, {});
    ends.add(process_, (one) => one.kill());
    return { process: process_, way };
  }

  async function flows(): Promise<boolean> {
    const answer = await shop.beam.eval(`catch gen_server:call({orders, ${BRIDGE}}, {add, 1, 2}, 2000)`);
    return answer === "3";
  }

  /** The one that is active, and the other. */
  function roles(): [Contender, Contender] {
    const [first, second] = contenders as [Contender, Contender];
    expect([isActive(first), isActive(second)].sort()).toEqual([false, true]);
    return isActive(first) ? [first, second] : [second, first];
  }

  /** What happens to the active one makes the other active. @returns when calls go across again */
  async function takeover(what: string, happens: (active: Contender) => unknown): Promise<Contender> {
    const [active, other] = roles();
    const faults: string[] = [];
    const watch = setInterval(() => {
      if (isActive(active) && isActive(other)) faults.push("two are active");
    }, 5);
    try {
      const began = performance.now();
      await happens(active);
      await until(() => isActive(other), "the other is active", 90_000);
      await until(flows, "calls go across");
      process.stdout.write(
        `takeover, ${service}, ${what}: ${((performance.now() - began) / 1000).toFixed(2)} s until calls are answered\n`,
      );
      expect(faults).toEqual([]);
    } finally {
      clearInterval(watch);
    }
    return active;
  }

  it("the active one is told to end: the other goes on", { timeout: 120_000 }, async () => {
    const former = await takeover("active ended by SIGTERM", ({ process: one }) => one.stop());
    contenders[contenders.indexOf(former)] = await start(3);
  });

  it("the active one is killed: the other goes on", { timeout: 120_000 }, async () => {
    const former = await takeover("active killed", ({ process: one }) => one.kill());
    contenders[contenders.indexOf(former)] = await start(4);
  });

  it("the active one is cut off from the lease: it ends what runs, and the other goes on; later it stands by", {
    timeout: 120_000,
  }, async () => {
    const former = await takeover("active cut off from the service", ({ way }) => way.stall());
    expect(former.process.running).toBe(true);
    expect(isActive(former)).toBe(false);
    former.way.down = true;
    expect(former.process.output).toContain("lease lost");
    roles();
  });
}
