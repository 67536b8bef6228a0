import { loadStrategy } from "@isthmus/strategies";
import { kubernetesDnssrv } from "@isthmus/strategies/kubernetes-dnssrv";
import { afterEach, expect, it, vi } from "vitest";
import { strategyCompliance } from "../compliance.ts";
import { run } from "../dns/context.ts";
import { answerTo, NameServer, type Script } from "../dns/name-server.ts";

let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const end of ends) await end();
  ends = [];
});

const servers = ({ address }: NameServer) => [`${address.host}:${address.port}`];

/** The SRV records of a headless service with two pods, as CoreDNS gives them: one for each port too. */
const statefulSet =
  (service: string): Script =>
  (query) => {
    if (query.name !== service || query.type !== "SRV") return [answerTo(query, { flags: 3 })];
    const answers = ["shop-0", "shop-1"].flatMap((pod) =>
      [4369, 9100].map((port) => ({
        type: "SRV" as const,
        name: query.name,
        ttl: 5,
        data: { target: `${pod}.${service}`, port, priority: 0, weight: 25 },
      })),
    );
    return [answerTo(query, { answers })];
  };

strategyCompliance("kubernetes-dnssrv", {
  source: async () => {
    const service = "shop.orders.svc.cluster.local";
    const started = await NameServer.start(statefulSet(service));
    return {
      nodes: [`web@shop-0.${service}`, `web@shop-1.${service}`],
      make: () =>
        kubernetesDnssrv({
          service: "shop",
          namespace: "orders",
          applicationName: "web",
          servers: servers(started),
        }),
      fail: () => {
        started.script = (query) => [answerTo(query, { flags: 2 })];
      },
      close: () => started.stop(),
    };
  },
  badOptions: {
    "a missing namespace": () => kubernetesDnssrv.from({ service: "shop", application_name: "web" }),
    "a service that is no name": () =>
      kubernetesDnssrv.from({ service: "a b", namespace: "n", application_name: "web" }),
    "a whole that is too long": () =>
      kubernetesDnssrv.from({
        service: "shop",
        namespace: "n",
        application_name: "web",
        cluster_domain: Array.from({ length: 6 }, () => "x".repeat(40)).join("."),
      }),
  },
});

it.each([
  ["CLUSTER_DOMAIN of the environment", "corp.test.", {}, "shop.orders.svc.corp.test"],
  ["cluster.local when that is empty", "", {}, "shop.orders.svc.cluster.local"],
  ["the option before the environment", "corp.test", { cluster_domain: "b.test" }, "shop.orders.svc.b.test"],
])("the domain is %s", async (_, environment, options, service) => {
  vi.stubEnv("CLUSTER_DOMAIN", environment);
  const started = await NameServer.start(statefulSet(service));
  ends.push(() => started.stop());
  const factory = await loadStrategy("Cluster.Strategy.Kubernetes.DNSSRV");
  const poll = run(
    factory.from({
      service: "shop",
      namespace: "orders",
      application_name: "web",
      servers: servers(started),
      ...options,
    }),
  );
  ends.push(() => poll.stop());
  await poll.next();
  expect(poll.last).toEqual([`web@shop-0.${service}`, `web@shop-1.${service}`]);
});

it("takes a function that gives targets", async () => {
  const resolver = () => ["shop-0.test"];
  const poll = run(
    kubernetesDnssrv({ service: "shop", namespace: "orders", applicationName: "web", resolver }),
  );
  ends.push(() => poll.stop());
  await poll.next();
  expect(poll.last).toEqual(["web@shop-0.test"]);
});
