import { nodeHooks } from "@isthmus/bridge";
import { startNode } from "@isthmus/core";
import { epmdResolver, type NodeResolver } from "@isthmus/epmd-client";
import { startTopology, type TopologyEvent } from "@isthmus/strategies";
import { kubernetes } from "@isthmus/strategies/kubernetes";
import { describe, expect, it } from "vitest";
import { slice } from "../../packages/strategies/test/kubernetes/objects.ts";
import { until, workbench } from "../../packages/strategies/test/kubernetes/workbench.ts";
import { type Beam, startBeam } from "../support/beam.ts";
import { startEpmd } from "../support/epmd.ts";

const bench = workbench();
const COOKIE = "biscuit";

/** Nodes in pods: all have one name, each an address and an epmd of its own, as pods do. */
class Pods {
  readonly #epmds = new Map<string, number>();

  async start(address: string): Promise<Beam> {
    const epmd = await startEpmd();
    this.#epmds.set(address, epmd.port);
    return startBeam({ name: `shop@${address}`, cookie: COOKIE, epmdPort: epmd.port });
  }

  /** Asks the epmd of the pod; here all of them listen on one interface. */
  readonly resolver: NodeResolver = (node, options) => {
    const port = this.#epmds.get(node.host);
    if (port === undefined) throw new Error(`There is no pod at ${node.host}.`);
    return epmdResolver({ host: "127.0.0.1", port })(node, options);
  };
}

describe("pods that a Kubernetes API tells of", () => {
  it("are connected when they come, disconnected when they go, and kept while the API is away", async () => {
    const api = await bench().api();
    const pods = new Pods();
    const [first, second] = await Promise.all([pods.start("127.0.0.2"), pods.start("127.0.0.3")]);
    await using node = await startNode({
      name: "bridge@127.0.0.1",
      cookie: COOKIE,
      listen: { host: "127.0.0.1" },
      epmd: false,
      resolver: pods.resolver,
    });
    await using topology = startTopology({
      name: "shop",
      hooks: nodeHooks(node),
      removal: "immediately",
      strategy: kubernetes({
        nodeBasename: "shop",
        selector: "app=shop",
        ipLookupMode: "endpoint_slices",
        master: api.url,
        serviceAccountPath: bench().serviceAccount().folder,
      }),
    });
    const events: TopologyEvent[] = [];
    topology.on((event) => events.push(event));
    const seen = (type: TopologyEvent["type"], name?: string): boolean =>
      events.some(
        (event) => event.type === type && (name === undefined || ("node" in event && event.node === name)),
      );
    const hiddenOf = (beam: Beam): Promise<string> => beam.eval("nodes(hidden)");

    await until(() => api.watching === 1);
    expect(node.nodes()).toEqual([]);

    api.put(slice("shop-x7k2p", [{ ip: "127.0.0.2" }, { ip: "127.0.0.3", ready: false }]));
    await until(() => seen("connected", "shop@127.0.0.2"));
    // the far side knows it a little later
    await expect.poll(() => hiddenOf(first)).toBe("['bridge@127.0.0.1']");
    expect(await hiddenOf(second)).toBe("[]");

    api.put(slice("shop-x7k2p", [{ ip: "127.0.0.2" }, { ip: "127.0.0.3" }]));
    await until(() => seen("connected", "shop@127.0.0.3"));
    await expect.poll(() => hiddenOf(second)).toBe("['bridge@127.0.0.1']");

    api.put(slice("shop-x7k2p", [{ ip: "127.0.0.3" }]));
    await until(() => seen("disconnected", "shop@127.0.0.2"));
    expect(node.nodes().map((connected) => connected.node)).toEqual(["shop@127.0.0.3"]);
    await expect.poll(() => hiddenOf(first)).toBe("[]");

    await api.stop();
    await until(() => seen("discovery_failed"));
    expect(topology.status().nodes).toMatchObject([{ node: "shop@127.0.0.3", state: "connected" }]);
    expect(await hiddenOf(second)).toBe("['bridge@127.0.0.1']");
  });
});
