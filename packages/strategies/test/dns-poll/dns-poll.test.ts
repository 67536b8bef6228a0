import { loadStrategy, type Strategy } from "@isthmus/strategies";
import { dnsPoll } from "@isthmus/strategies/dns-poll";
import { afterEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { strategyCompliance } from "../compliance.ts";
import { type Running, run } from "../dns/context.ts";
import { addressesTo, answerTo, NameServer, type Script } from "../dns/name-server.ts";
import { settled } from "../support/fake-cluster.ts";

let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
});

async function server(script: Script): Promise<NameServer> {
  const started = await NameServer.start(script);
  ends.push(() => started.stop());
  return started;
}

function running(strategy: Strategy, options: Parameters<typeof run>[1] = {}): Running {
  const started = run(strategy, options);
  ends.push(() => started.stop());
  return started;
}

const servers = (...started: NameServer[]) => started.map(({ address }) => `${address.host}:${address.port}`);

/** Addresses by type; NODATA for the other type, NXDOMAIN for other names. */
const zone =
  (names: Record<string, { A?: string[]; AAAA?: string[] }>, ttl = 60): Script =>
  (query) => {
    const found = names[query.name];
    if (found === undefined) return [answerTo(query, { flags: 3 })];
    return [addressesTo(query, found[query.type as "A" | "AAAA"] ?? [], ttl)];
  };

const nodes = { "app.test": { A: ["10.0.0.1", "10.0.0.2"], AAAA: ["FD00::1"] } };

strategyCompliance("dns-poll", {
  source: async () => {
    const started = await NameServer.start(zone(nodes));
    return {
      nodes: ["app@10.0.0.1", "app@10.0.0.2", "app@fd00::1"],
      make: () => dnsPoll({ query: ["app.test"], nodeBasename: "app", servers: servers(started) }),
      fail: () => {
        started.script = (query) => [answerTo(query, { flags: 2 })];
      },
      close: () => started.stop(),
    };
  },
  badOptions: {
    "a missing query": () => dnsPoll.from({ node_basename: "app" }),
    "an empty query": () => dnsPoll.from({ query: "", node_basename: "app" }),
    "a query that is no name": () => dnsPoll.from({ query: "a b", node_basename: "app" }),
    "no queries": () => dnsPoll.from({ query: [], node_basename: "app" }),
    "a missing basename": () => dnsPoll.from({ query: "app.test" }),
    "an impossible basename": () => dnsPoll.from({ query: "app.test", node_basename: "a@b" }),
    "a server by name": () => dnsPoll.from({ query: "a.test", node_basename: "app", servers: ["dns.test"] }),
    "no record types": () => dnsPoll.from({ query: "a.test", node_basename: "app", resource_types: [] }),
    "another record type": () =>
      dnsPoll.from({ query: "a.test", node_basename: "app", resource_types: ["mx"] }),
    "a small EDNS size": () => dnsPoll.from({ query: "a.test", node_basename: "app", edns_size: 100 }),
    "an unknown option": () => dnsPoll.from({ query: "a.test", node_basename: "app", polling: 5 }),
  },
});

describe("dns-poll", () => {
  it("is loaded by libcluster's name and takes its options", async () => {
    const factory = await loadStrategy("Cluster.Strategy.DNSPoll");
    expect(factory).toBe(dnsPoll);
    const started = await server(zone(nodes));
    const options = {
      query: "app.test",
      node_basename: "app",
      polling_interval: 5000,
      servers: servers(started),
    };
    const poll = running(factory.from({ ...options, resource_types: [":a"] }));
    await poll.next();
    expect(poll.last).toEqual(["app@10.0.0.1", "app@10.0.0.2"]);
    expect(started.queries.map(({ type }) => type)).toEqual(["A"]);
  });

  it("asks for exactly the name, A and AAAA", async () => {
    const started = await server(zone(nodes));
    const poll = running(dnsPoll({ query: ["app.test"], nodeBasename: "app", servers: servers(started) }));
    await poll.next();
    expect(started.queries.map(({ name, type }) => `${type} ${name}`).sort()).toEqual([
      "A app.test",
      "AAAA app.test",
    ]);
  });

  it("takes several names, each perhaps with its basename, as dns_cluster", async () => {
    const started = await server(zone({ ...nodes, "web.test": { A: ["10.0.0.1", "10.0.0.9"] } }));
    const query = ["app.test", { query: "web.test", basename: "web" }];
    const poll = running(dnsPoll.from({ query, node_basename: "app", servers: servers(started) }));
    await poll.next();
    expect(poll.last).toEqual([
      "app@10.0.0.1",
      "app@10.0.0.2",
      "app@fd00::1",
      "web@10.0.0.1",
      "web@10.0.0.9",
    ]);
  });

  it("asks for SRV records where it is told, and for their targets' addresses", async () => {
    const started = await server((query) => {
      if (query.type !== "SRV") return zone({ "a.test": { A: ["10.0.0.7"] } })(query);
      const data = { target: "a.test", port: 4000, priority: 0, weight: 0 };
      return [answerTo(query, { answers: [{ type: "SRV", name: query.name, ttl: 5, data }] })];
    });
    const poll = running(
      dnsPoll({
        query: ["_app._tcp.test"],
        nodeBasename: "app",
        resourceTypes: ["srv"],
        servers: servers(started),
      }),
    );
    await poll.next();
    expect(poll.last).toEqual(["app@10.0.0.7"]);
  });

  it("reports a failure for a name that is not there, and an empty list where that is valid, or compatible", async () => {
    const started = await server(zone({}));
    const options = { query: ["app.test"], nodeBasename: "app", servers: servers(started) };
    const poll = running(dnsPoll(options));
    expect(await poll.next()).toMatchObject({ ok: false, error: { code: "DISCOVERY_FAILED" } });
    const empty = running(dnsPoll({ ...options, emptyIsValid: true }));
    expect(await empty.next()).toEqual({ ok: true, nodes: [] });
    started.script = (query) => [answerTo(query, { flags: 2 })];
    const compatible = running(dnsPoll(options), { compat: true });
    expect(await compatible.next()).toEqual({ ok: true, nodes: [] });
    expect(compatible.lines.map(({ level }) => level)).toContain("warn");
  });

  it("takes a function in place of a resolver; hosts that no node can have are left out", async () => {
    const resolver = async (name: string) => (name === "app.test" ? ["10.0.0.1", "not a host", "a.b"] : []);
    const poll = running(dnsPoll({ query: "app.test", nodeBasename: "app", resolver }));
    await poll.next();
    expect(poll.last).toEqual(["app@10.0.0.1", "app@a.b"]);
    expect(poll.lines.map(({ fields }) => fields)).toContainEqual({ host: "not a host" });
  });

  it.each([
    ["at the interval", {}, 60, 10_000],
    ["when the TTL is over, if that is sooner", { ttlDriven: true }, 4, 4000],
    ["at the interval, if the TTL is longer", { ttlDriven: true }, 60, 10_000],
    ["no sooner than the shortest TTL that counts", { ttlDriven: true, minTtl: 2500 }, 0, 2500],
  ])("asks again %s", async (_, options, ttl, delay) => {
    const started = await server(zone(nodes, ttl));
    const clock = new FakeClock();
    const poll = running(
      dnsPoll({
        query: ["app.test"],
        nodeBasename: "app",
        servers: servers(started),
        pollingInterval: 10_000,
        ...options,
      }),
      { clock },
    );
    await poll.next();
    await settled();
    expect(started.queries).toHaveLength(2);
    // the interval has a tenth of jitter, a TTL has none
    const jitter = delay === 10_000 ? 1000 : 0;
    clock.advance(delay - jitter - 1);
    await settled();
    expect(poll.reports).toHaveLength(1);
    const again = poll.next();
    clock.advance(2 * jitter + 1);
    await again;
    expect(started.queries).toHaveLength(4);
  });
});
