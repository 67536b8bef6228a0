import { loadStrategy } from "@isthmus/strategies";
import { kubernetesDns } from "@isthmus/strategies/kubernetes-dns";
import { afterEach, expect, it } from "vitest";
import { strategyCompliance } from "../compliance.ts";
import { type Running, run } from "../dns/context.ts";
import { addressesTo, answerTo, NameServer } from "../dns/name-server.ts";

let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
});

const servers = ({ address }: NameServer) => [`${address.host}:${address.port}`];

function pods(): Promise<NameServer> {
  return NameServer.start((query) => {
    if (query.name !== "shop-nodes.shop.svc") return [answerTo(query, { flags: 3 })];
    return [addressesTo(query, query.type === "A" ? ["10.1.0.1", "10.1.0.2"] : ["fd00:1::1"])];
  });
}

strategyCompliance("kubernetes-dns", {
  source: async () => {
    const started = await pods();
    return {
      nodes: ["shop@10.1.0.1", "shop@10.1.0.2"],
      make: () =>
        kubernetesDns({
          service: "shop-nodes.shop.svc.",
          applicationName: "shop",
          servers: servers(started),
        }),
      fail: () => {
        started.script = (query) => [answerTo(query, { flags: 2 })];
      },
      close: () => started.stop(),
    };
  },
  badOptions: {
    "a missing service": () => kubernetesDns.from({ application_name: "shop" }),
    "a service that is no name": () => kubernetesDns.from({ service: "shop_/", application_name: "shop" }),
    "a missing application name": () => kubernetesDns.from({ service: "shop" }),
    "SRV records": () =>
      kubernetesDns.from({ service: "shop", application_name: "shop", resource_types: ["srv"] }),
  },
});

it("takes libcluster's options, and IPv6 addresses where it is told", async () => {
  const started = await pods();
  ends.push(() => started.stop());
  const factory = await loadStrategy("Elixir.Cluster.Strategy.Kubernetes.DNS");
  expect(factory).toBe(kubernetesDns);
  const poll: Running = run(
    factory.from({
      service: "shop-nodes.shop.svc",
      application_name: "shop",
      polling_interval: "10000",
      resource_types: ["a", "aaaa"],
      servers: servers(started),
    }),
  );
  ends.push(() => poll.stop());
  await poll.next();
  expect(poll.last).toEqual(["shop@10.1.0.1", "shop@10.1.0.2", "shop@fd00:1::1"]);
});

it("keeps the nodes when the service has no more ready pods, unless libcluster's behaviour is wanted", async () => {
  const started = await pods();
  ends.push(() => started.stop());
  const make = () =>
    kubernetesDns({
      service: "shop-nodes.shop.svc.",
      applicationName: "shop",
      servers: servers(started),
      pollingInterval: 100,
    });
  const ours = run(make());
  const original = run(make(), { compat: true });
  ends.push(
    () => ours.stop(),
    () => original.stop(),
  );
  await Promise.all([ours.next(), original.next()]);
  started.script = (query) => [answerTo(query, { flags: 3 })];
  expect(await ours.next(({ ok }) => !ok)).toMatchObject({ error: { context: { reason: "nxdomain" } } });
  await original.next((report) => report.ok && report.nodes.length === 0);
});
