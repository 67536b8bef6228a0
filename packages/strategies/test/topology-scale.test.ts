import { startTopology } from "@isthmus/strategies";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { FakeCluster, FakeStrategy, settled } from "./support/fake-cluster.ts";

const MANY = 1000;
const nodes = Array.from({ length: MANY }, (_, n) => `app${n}@10.0.${n >> 8}.${n & 255}`);

/** Counts how often all nodes are listed: each time costs as much as there are nodes. */
class CountingCluster extends FakeCluster {
  lists = 0;
  override listNodes(): readonly string[] {
    this.lists++;
    return super.listNodes();
  }
}

let clock: FakeClock;
let cluster: CountingCluster;
let strategy: FakeStrategy;
let stop: (() => Promise<void>) | undefined;
beforeEach(() => {
  clock = new FakeClock();
  cluster = new CountingCluster();
  strategy = new FakeStrategy(nodes);
});
afterEach(() => stop?.());

async function start() {
  const topology = startTopology({ name: "big", strategy, hooks: cluster, clock });
  stop = () => topology.stop();
  await settled();
  let most = 0;
  let answered = 0;
  while (answered < cluster.attempts.length) {
    most = Math.max(most, cluster.attempts.length - answered);
    cluster.attempts[answered++]!.succeed();
    await Promise.resolve();
    await settled();
  }
  return { topology, most };
}

it("dials a thousand nodes, a bounded number at once, and lists the nodes no more often for it", async () => {
  const { topology, most } = await start();
  expect(cluster.attempts.length).toBe(MANY);
  expect(most).toBe(64);
  expect(topology.status().nodes.every(({ state }) => state === "connected")).toBe(true);
  expect(cluster.lists).toBeLessThan(5);
});

it("does not list all nodes for each that is lost, and at rest only once in a round", async () => {
  await start();
  cluster.lists = 0;
  for (const node of nodes) cluster.lose(node);
  clock.advance(0);
  expect(cluster.attempts.length).toBe(MANY + 64);
  expect(cluster.lists).toBe(0);
  clock.advance(5000);
  expect(cluster.lists).toBe(1);
});

it("does not list all nodes for each that changes", async () => {
  await start();
  cluster.lists = 0;
  for (let n = 0; n < 100; n++) strategy.report({ ok: true, nodes: nodes.slice(n) });
  await settled();
  expect(cluster.disconnected.length).toBe(99);
  expect(cluster.lists).toBe(0);
});
