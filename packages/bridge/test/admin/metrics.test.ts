import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Metrics } from "../../src/admin/metrics.ts";
import { readiness } from "../../src/admin/readiness.ts";
import type { DaemonStatus } from "../../src/admin/status.ts";
import type { ClusterOptions } from "../../src/options.ts";
import { RUNNING } from "./sample.ts";

const CLUSTERS: Readonly<Record<string, ClusterOptions>> = {
  shop: { node: "bridge@10.0.0.5", cookie: "a" },
  billing: { site: "south" },
};

async function collect(metrics: Metrics, status: DaemonStatus): Promise<string[]> {
  return (await metrics.collect(status, readiness(CLUSTERS, status))).split("\n");
}

describe("the metrics", () => {
  it("say everything that the status says", async () => {
    const metrics = new Metrics();
    const lines = await collect(metrics, RUNNING);
    for (const line of [
      'isthmus_build_info{version="1.2.3"} 1',
      "isthmus_ready 0",
      'isthmus_state{state="running"} 1',
      'isthmus_state{state="standby"} 0',
      "isthmus_activations_total 2",
      "isthmus_lease_losses_total 1",
      'isthmus_cluster_connections{cluster="shop",kind="visible"} 1',
      'isthmus_cluster_connections{cluster="shop",kind="hidden"} 1',
      'isthmus_cluster_connections{cluster="billing",kind="visible"} 0',
      'isthmus_cluster_registered{cluster="shop"} 1',
      'isthmus_cluster_identities{cluster="shop"} 3',
      'isthmus_cluster_carried_total{cluster="shop"} 1000',
      'isthmus_cluster_streamed_total{cluster="shop"} 3',
      'isthmus_cluster_undeliverable_total{cluster="shop"} 2',
      'isthmus_discovery_nodes{cluster="shop",topology="hosts",connected="false"} 1',
      'isthmus_discovery_failed{cluster="shop",topology="hosts"} 1',
      'isthmus_discovery_age_seconds{cluster="shop",topology="hosts"} 1.5',
      'isthmus_rule_decisions_total{rule="routes[0]",decision="allowed"} 9',
      "isthmus_refused_total 5",
      "isthmus_would_be_refused_total 6",
      "isthmus_relations 12",
      'isthmus_groups{entry="0",from="shop",to="billing",scope="pg",form="fan_out"} 2',
      'isthmus_group_members_left_out_total{entry="0",from="shop",to="billing",scope="pg",form="fan_out"} 1',
      'isthmus_mirrors{from="shop",to="audit"} 1',
      'isthmus_mirrors_failed{from="shop",to="audit"} 1',
      'isthmus_trunk_state{site="south",state="suspended"} 1',
      'isthmus_trunk_state{site="south",state="up"} 0',
      'isthmus_trunk_resumptions_total{site="south"} 4',
      'isthmus_trunk_queued_bytes{site="south",direction="out"} 512',
      'isthmus_trunk_bytes_total{site="south",direction="in"} 400',
      'isthmus_trunk_resent_total{site="south"} 5',
    ]) {
      expect(lines).toContain(line);
    }
    expect(lines.some((line) => line.startsWith("nodejs_eventloop_lag_p99_seconds "))).toBe(true);
    expect(lines.some((line) => line.startsWith("process_resident_memory_bytes "))).toBe(true);
    expect(lines.some((line) => line.startsWith('isthmus_cluster_registered{cluster="billing"}'))).toBe(
      false,
    );
    metrics.close();
  });

  it("are what they are now: what is gone is not told any more", async () => {
    const metrics = new Metrics();
    await collect(metrics, RUNNING);
    const { bridge } = RUNNING;
    const again = await collect(metrics, { ...RUNNING, bridge: { ...bridge!, refused: 6 } });
    expect(again).toContain("isthmus_refused_total 6");
    const standby = await collect(metrics, { ...RUNNING, state: "standby", bridge: undefined });
    expect(standby).toContain('isthmus_state{state="standby"} 1');
    expect(standby).toContain("isthmus_ready 1");
    expect(standby.filter((line) => line.includes('cluster="shop"'))).toEqual([]);
    metrics.close();
  });

  it("are all in the documentation, and nothing else is", async () => {
    const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
    const metrics = new Metrics();
    const lines = await collect(metrics, RUNNING);
    const names = lines.flatMap((line) => /^# TYPE (isthmus_\w+) /.exec(line)?.[1] ?? []);
    const told = [...page.matchAll(/^\| `(isthmus_\w+)/gm)].map(([, name]) => name);
    expect([...new Set(told)].sort()).toEqual([...names].sort());
    for (const [, name] of page.matchAll(/\b(isthmus_[a-z_]+)/g)) expect(names).toContain(name);
    metrics.close();
  });
});

describe("readiness", () => {
  const bridge = RUNNING.bridge!;
  const of = (status: Partial<DaemonStatus>, clusters = CLUSTERS) =>
    readiness(clusters, { ...RUNNING, ...status });

  it("needs every cluster registered and connected, and the trunk to those of other sites", () => {
    expect(of({})).toEqual({
      ready: false,
      state: "running",
      reasons: [{ cluster: "billing", reason: "there is no session with the bridge of site south" }],
    });
    const [shop, billing] = bridge.clusters;
    const connected = [{ node: "isthmus@south", hidden: true }];
    expect(of({ bridge: { ...bridge, clusters: [shop!, { ...billing!, connected }] } }).ready).toBe(true);
    const lost = [
      { ...shop!, registered: false, connected: [] },
      { ...billing!, connected },
    ];
    expect(of({ bridge: { ...bridge, clusters: lost } }).reasons).toEqual([
      { cluster: "shop", reason: "is not registered with epmd" },
      { cluster: "shop", reason: "is connected to no node" },
    ]);
    const unregistered = { ...CLUSTERS, shop: { ...CLUSTERS["shop"]!, epmd: false } as ClusterOptions };
    expect(of({ bridge: { ...bridge, clusters: lost } }, unregistered).reasons.length).toBe(1);
  });

  it("is there in standby, and not while it starts or stops", () => {
    expect(of({ state: "standby", bridge: undefined }).ready).toBe(true);
    expect(of({ state: "starting", bridge: undefined }).reasons).toEqual([{ reason: "it is starting" }]);
    expect(of({ state: "stopping" }).ready).toBe(false);
  });
});
