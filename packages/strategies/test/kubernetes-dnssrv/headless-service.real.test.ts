import { kubernetesDns } from "@isthmus/strategies/kubernetes-dns";
import { kubernetesDnssrv } from "@isthmus/strategies/kubernetes-dnssrv";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Knot, startKnot } from "../../../../test/support/knot.ts";
import { type Running, run } from "../dns/context.ts";

// a zone as a cluster's name server has it: a headless service `shop` of a stateful set in the namespace `orders`
let knot: Knot;
beforeAll(async () => {
  knot = await startKnot({
    zone: "cluster.test",
    records: [
      "shop.orders.svc 5 A 10.1.0.1",
      "shop.orders.svc 5 A 10.1.0.2",
      "shop.orders.svc 5 AAAA fd00:1::1",
      "shop.orders.svc 5 SRV 0 50 4369 shop-0.shop.orders.svc",
      "shop.orders.svc 5 SRV 0 50 4369 shop-1.shop.orders.svc",
      "shop-0.shop.orders.svc 5 A 10.1.0.1",
      "shop-1.shop.orders.svc 5 A 10.1.0.2",
      "alias.orders.svc 5 CNAME shop.orders.svc",
    ],
  });
});
afterAll(() => knot?.stop());

let runs: Running[] = [];
afterEach(async () => {
  await Promise.all(runs.map((one) => one.stop()));
  runs = [];
});
function running(strategy: Parameters<typeof run>[0]): Running {
  const started = run(strategy);
  runs.push(started);
  return started;
}

const common = () => ({ servers: [knot.server], pollingInterval: 100 });
const has = (count: number) => (report: { readonly ok: boolean; readonly nodes?: readonly string[] }) =>
  report.ok && report.nodes?.length === count;

describe("a headless service at a real name server", () => {
  it("kubernetes-dns finds its addresses, also through an alias, and IPv6 ones where they are wanted", async () => {
    const service = "shop.orders.svc.cluster.test";
    const four = running(kubernetesDns({ service, applicationName: "web", ...common() }));
    await four.next();
    expect(four.last).toEqual(["web@10.1.0.1", "web@10.1.0.2"]);
    const both = running(
      kubernetesDns({
        service: "alias.orders.svc.cluster.test.",
        applicationName: "web",
        resourceTypes: ["a", "aaaa"],
        ...common(),
      }),
    );
    await both.next();
    expect(both.last).toEqual(["web@10.1.0.1", "web@10.1.0.2", "web@fd00:1::1"]);
  });

  it("kubernetes-dnssrv finds its pods' names, and follows a rollout", async () => {
    const poll = running(
      kubernetesDnssrv({
        service: "shop",
        namespace: "orders",
        applicationName: "web",
        clusterDomain: "cluster.test",
        ...common(),
      }),
    );
    await poll.next();
    const pod = (n: number): string => `web@shop-${n}.shop.orders.svc.cluster.test`;
    expect(poll.last).toEqual([pod(0), pod(1)]);
    await knot.change({ set: ["shop.orders.svc 5 SRV 0 33 4369 shop-2.shop.orders.svc"] });
    await poll.next(has(3));
    expect(poll.last).toEqual([pod(0), pod(1), pod(2)]);
    await knot.change({ unset: ["shop.orders.svc SRV 0 50 4369 shop-0.shop.orders.svc"] });
    await poll.next(has(2));
    expect(poll.last).toEqual([pod(1), pod(2)]);
    // no pod is ready: the name goes away
    await knot.change({ unset: ["shop.orders.svc SRV"] });
    expect(await poll.next(({ ok }) => !ok)).toMatchObject({ error: { context: { reason: "nodata" } } });
  });
});
