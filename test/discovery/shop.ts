import { nodeHooks } from "@isthmus/bridge";
import { type HiddenNode, startNode } from "@isthmus/core";
import { epmdResolver, type NodeResolver } from "@isthmus/epmd-client";
import { type Strategy, startTopology, type Topology, type TopologyEvent } from "@isthmus/strategies";
import { expect } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";

const COOKIE = "shop_cookie";
const patiently = { timeout: 30_000, interval: 20 };

/**
 * Real nodes, each named shop@ADDRESS and with an epmd of its own, as on machines of their own, and our hidden node,
 * which a strategy leads to them.
 */
export class Shop {
  readonly #epmds = new Map<string, Epmd>();
  readonly #beams = new Map<string, Beam>();
  readonly #events: TopologyEvent[] = [];
  #node: HiddenNode | undefined;
  #topology: Topology | undefined;

  /** Starts the node at `address`, or starts it again. All of them really listen on loopback. */
  async open(address: string): Promise<Beam> {
    const epmd = this.#epmds.get(address) ?? (await startEpmd());
    this.#epmds.set(address, epmd);
    const beam = await startBeam({ name: `shop@${address}`, cookie: COOKIE, epmdPort: epmd.port });
    this.#beams.set(address, beam);
    return beam;
  }

  /** Starts our node and the topology. */
  async follow(strategy: Strategy): Promise<void> {
    const resolver: NodeResolver = (node, options) =>
      epmdResolver({ host: "127.0.0.1", port: this.#epmds.get(node.host)!.port })(node, options);
    this.#node = await startNode({
      name: "js@127.0.0.1",
      cookie: COOKIE,
      listen: false,
      epmd: false,
      resolver,
    });
    this.#topology = startTopology({
      name: "shop",
      strategy,
      hooks: nodeHooks(this.#node),
      backoff: { firstMs: 100, maxMs: 500 },
    });
    this.#topology.on((event) => this.#events.push(event));
  }

  /** Waits until exactly these are connected, and know it themselves. */
  async connected(...addresses: string[]): Promise<void> {
    const wanted = addresses.map((address) => `shop@${address}`).sort();
    const nodes = () =>
      this.#node!.nodes()
        .map(({ node }) => node)
        .sort();
    await expect.poll(nodes, patiently).toEqual(wanted);
    for (const [address, beam] of this.#beams) {
      if (!beam.running) continue;
      const known = addresses.includes(address) ? "['js@127.0.0.1']" : "[]";
      await expect.poll(() => beam.eval("nodes(hidden)"), patiently).toBe(known);
    }
  }

  /** Waits for the next event of a type, after those that were waited for before. */
  async event<T extends TopologyEvent["type"]>(type: T): Promise<Extract<TopologyEvent, { type: T }>> {
    const find = () => this.#events.findIndex((event) => event.type === type);
    await expect.poll(find, patiently).toBeGreaterThanOrEqual(0);
    const seen = this.#events.splice(0, find() + 1);
    return seen.at(-1) as Extract<TopologyEvent, { type: T }>;
  }

  get discoveryError(): string | undefined {
    return this.#topology!.status().discoveryError;
  }

  async close(): Promise<void> {
    await this.#topology?.stop();
    await this.#node?.close();
    await Promise.all([...this.#beams.values()].map((beam) => beam.stop()));
    await Promise.all([...this.#epmds.values()].map((epmd) => epmd.stop()));
  }
}
