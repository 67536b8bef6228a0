import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { BridgeStatus } from "../bridge.ts";
import type { TrunkState, TrunkStatus } from "../trunk/link.ts";
import type { Readiness } from "./readiness.ts";
import type { DaemonStatus } from "./status.ts";

const STATES: readonly DaemonStatus["state"][] = ["starting", "running", "standby", "stopping"];

const TRUNK_STATES: readonly TrunkState[] = ["down", "up", "suspended"];

/**
 * The metrics of a bridge in the text format of Prometheus. They are read from its status when somebody asks; nothing is
 * counted for them on the way of a message.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter<string>>();
  readonly #gauges = new Map<string, Gauge<string>>();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics as they are now. */
  async collect(status: DaemonStatus, { ready }: Readiness): Promise<string> {
    for (const metric of [...this.#counters.values(), ...this.#gauges.values()]) metric.reset();
    const { version, state, availability, bridge } = status;
    this.#gauge("isthmus_build_info", "The version that runs.", 1, { version });
    this.#gauge("isthmus_ready", "Whether /readyz says so.", Number(ready));
    for (const one of STATES)
      this.#gauge("isthmus_state", "1 for the state that it is in.", Number(one === state), { state: one });
    if (availability !== undefined) {
      const { activations, losses } = availability;
      this.#counter("isthmus_activations_total", "Times that it has become the active bridge.", activations);
      this.#counter("isthmus_lease_losses_total", "Times that it has lost the lease.", losses);
    }
    if (bridge !== undefined) this.#bridge(bridge);
    return this.#registry.metrics();
  }

  /** Forgets them. */
  close(): void {
    this.#registry.clear();
  }

  #bridge(bridge: BridgeStatus): void {
    this.#clusters(bridge);
    for (const { rule, allowed, refused } of bridge.rules) {
      const help = "What a rule of the policy has decided since the policy was loaded.";
      this.#counter("isthmus_rule_decisions_total", help, allowed, { rule, decision: "allowed" });
      this.#counter("isthmus_rule_decisions_total", help, refused, { rule, decision: "refused" });
    }
    this.#counter("isthmus_refused_total", "What was not carried.", bridge.refused);
    this.#counter(
      "isthmus_would_be_refused_total",
      "What was carried only because of policy_mode: log.",
      bridge.wouldBeRefused,
    );
    this.#gauge("isthmus_relations", "Links, monitors and calls that go across.", bridge.relations);
    this.#groups(bridge);
    this.#mirrors(bridge);
    for (const site of bridge.sites) this.#trunk(site);
  }

  #mirrors({ mirrors }: BridgeStatus): void {
    const counts = new Map<string, { labels: Record<string, string>; up: number; down: number }>();
    for (const { from, to, port } of mirrors) {
      const key = JSON.stringify([from, to]);
      const count = counts.get(key) ?? { labels: { from, to }, up: 0, down: 0 };
      counts.set(key, count);
      if (port === undefined) count.down++;
      else count.up++;
    }
    for (const { labels, up, down } of counts.values()) {
      this.#gauge("isthmus_mirrors", "Nodes that appear in another cluster.", up, labels);
      this.#gauge("isthmus_mirrors_failed", "Nodes that should, and cannot be started there.", down, labels);
    }
  }

  #groups({ groups }: BridgeStatus): void {
    groups.forEach(({ from, to, scope, form, shared, members, leftOut }, i) => {
      const labels = { entry: String(i), from, to, scope, form };
      this.#gauge("isthmus_groups", "Process groups that are shown to another cluster.", shared, labels);
      this.#gauge("isthmus_group_members", "Members of these groups.", members, labels);
      this.#counter("isthmus_group_members_left_out_total", "Members over a limit.", leftOut, labels);
    });
  }

  #trunk(trunk: TrunkStatus): void {
    const { peer, state, denied, resumptions, losses, outgoingBytes, incomingBytes, counters } = trunk;
    const labels = { site: peer };
    for (const one of TRUNK_STATES)
      this.#gauge("isthmus_trunk_state", "1 for the state of the trunk.", Number(one === state), {
        ...labels,
        state: one,
      });
    const forbidden = "Pairs of clusters, one way each, that the trunk's server does not let through.";
    this.#gauge("isthmus_trunk_denied", forbidden, denied.length, labels);
    const again = "Times that a session was taken up again after the connection was gone.";
    this.#counter("isthmus_trunk_resumptions_total", again, resumptions, labels);
    this.#counter("isthmus_trunk_losses_total", "Sessions that were lost.", losses, labels);
    const held = "Bytes that wait to be sent or acknowledged, or to be taken here.";
    this.#gauge("isthmus_trunk_queued_bytes", held, outgoingBytes, { ...labels, direction: "out" });
    this.#gauge("isthmus_trunk_queued_bytes", held, incomingBytes, { ...labels, direction: "in" });
    if (counters === undefined) return;
    const bytes = "Bytes of the present session.";
    this.#counter("isthmus_trunk_bytes_total", bytes, counters.bytesSent, { ...labels, direction: "out" });
    this.#counter("isthmus_trunk_bytes_total", bytes, counters.bytesReceived, { ...labels, direction: "in" });
    this.#counter(
      "isthmus_trunk_resent_total",
      "Frames of the present session that were sent once more.",
      counters.resent,
      labels,
    );
  }

  #clusters({ clusters }: BridgeStatus): void {
    for (const {
      id: cluster,
      port,
      registered,
      connected,
      identities,
      carried,
      streamed,
      undeliverable,
      topologies,
    } of clusters) {
      const hidden = connected.filter((node) => node.hidden).length;
      const help = "Nodes of the cluster that are connected to the bridge.";
      this.#gauge("isthmus_cluster_connections", help, connected.length - hidden, {
        cluster,
        kind: "visible",
      });
      this.#gauge("isthmus_cluster_connections", help, hidden, { cluster, kind: "hidden" });
      // who listens nowhere, as in a cluster of another site, is not to be found by epmd
      if (port !== undefined)
        this.#gauge("isthmus_cluster_registered", "Whether epmd has the bridge's name.", Number(registered), {
          cluster,
        });
      this.#gauge(
        "isthmus_cluster_identities",
        "Incarnations of nodes of other clusters that the cluster was told of.",
        identities,
        { cluster },
      );
      this.#counter(
        "isthmus_cluster_carried_total",
        "Signals carried from the cluster into others.",
        carried,
        { cluster },
      );
      this.#counter(
        "isthmus_cluster_streamed_total",
        "Long messages among these that went on while they came.",
        streamed,
        { cluster },
      );
      this.#counter(
        "isthmus_cluster_undeliverable_total",
        "Signals for the cluster whose node was not connected.",
        undeliverable,
        { cluster },
      );
      for (const { topology, nodes, discoveryError, answeredMs } of topologies) {
        const labels = { cluster, topology };
        const up = nodes.filter(({ state }) => state === "connected").length;
        const wanted = "Nodes that discovery names, by whether they are connected.";
        this.#gauge("isthmus_discovery_nodes", wanted, up, { ...labels, connected: "true" });
        this.#gauge("isthmus_discovery_nodes", wanted, nodes.length - up, { ...labels, connected: "false" });
        this.#gauge(
          "isthmus_discovery_failed",
          "Whether the last discovery failed.",
          Number(discoveryError !== undefined),
          labels,
        );
        if (answeredMs !== undefined)
          this.#gauge("isthmus_discovery_age_seconds", "Since the last answer.", answeredMs / 1000, labels);
      }
    }
  }

  #gauge(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): void {
    let gauge = this.#gauges.get(name);
    if (gauge === undefined) {
      gauge = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#gauges.set(name, gauge);
    }
    gauge.set(labels, value);
  }

  #counter(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#counters.set(name, counter);
    }
    counter.inc(labels, value);
  }
}
