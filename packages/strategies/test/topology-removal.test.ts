import { startTopology, type Topology, type TopologyEvent, type TopologyOptions } from "@isthmus/strategies";
import { IsthmusError } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { FakeCluster, FakeStrategy, recordingLogger, settled } from "./support/fake-cluster.ts";

let clock: FakeClock;
let cluster: FakeCluster;
let events: TopologyEvent[];
let logger: ReturnType<typeof recordingLogger>;
let strategy: FakeStrategy;
let stops: (() => Promise<void>)[];

beforeEach(() => {
  clock = new FakeClock();
  cluster = new FakeCluster();
  events = [];
  logger = recordingLogger();
  strategy = new FakeStrategy();
  stops = [];
});
afterEach(async () => {
  for (const stop of stops) await stop();
  expect(clock.pending, "timers left behind").toBe(0);
});

/** Starts a topology of nodes that are connected. */
async function start(nodes: readonly string[], options: Partial<TopologyOptions> = {}) {
  const topology = startTopology({
    name: "shop",
    strategy,
    hooks: cluster,
    logger,
    clock,
    random: () => 0.5,
    ...options,
  });
  topology.on((event) => events.push(event));
  stops.push(() => topology.stop());
  await settled();
  await say(nodes);
  for (const attempt of cluster.attempts) attempt.succeed();
  await settled();
  events.length = 0;
  return topology;
}

async function say(nodes: readonly string[]): Promise<void> {
  strategy.report({ ok: true, nodes });
  await settled();
}

const failure = { ok: false, error: new IsthmusError("DISCOVERY_FAILED", "Down.") } as const;
const types = () => events.map((event) => ("node" in event ? `${event.type} ${event.node}` : event.type));

describe("the removal after a time of grace", () => {
  it("keeps the connection, does not dial, and disconnects in the end", async () => {
    const topology = await start(["a@h", "b@h"], { removal: { graceMs: 60_000 } });
    await say(["b@h"]);
    expect(topology.status()).toMatchObject({ nodes: [{ node: "b@h" }], leaving: ["a@h"] });
    clock.advance(59_999);
    expect(cluster.disconnected).toEqual([]);
    clock.advance(1);
    await settled();
    expect(cluster.disconnected).toEqual(["a@h"]);
    expect(types()).toEqual(["nodes", "disconnected a@h"]);
    expect(topology.status().leaving).toEqual([]);
  });

  it("lets go of a node that leaves by itself", async () => {
    await start(["a@h", "b@h"], { removal: { graceMs: 60_000 } });
    await say(["b@h"]);
    cluster.lose("a@h");
    expect(types()).toEqual(["nodes", "disconnected a@h"]);
    clock.advance(60_000);
    await settled();
    expect(cluster.attempts.length, "it is dialled no more").toBe(2);
    expect(cluster.disconnected).toEqual([]);
  });

  it("ends when the node is named again", async () => {
    const topology = await start(["a@h", "b@h"], { removal: { graceMs: 60_000 } });
    await say(["b@h"]);
    clock.advance(30_000);
    await say(["a@h", "b@h"]);
    expect(topology.status().leaving).toEqual([]);
    clock.advance(60_000);
    await settled();
    expect(cluster.disconnected).toEqual([]);
    expect(types(), "it was connected all the time").toEqual(["nodes", "nodes"]);
    cluster.lose("a@h");
    clock.advance(0);
    expect(cluster.last.node).toBe("a@h");
    expect(cluster.attempts.length, "it is dialled again").toBe(3);
  });
});

describe("a removal", () => {
  it.each([
    ["the node is wanted again", () => say(["a@h", "b@h"])],
    ["we drain", async (topology: Topology) => topology.drain()],
    ["all ends", (topology: Topology) => topology.stop()],
  ])("that is given up because %s is no failure", async (_why, end) => {
    let giveUp = (): void => undefined;
    const hooks = {
      self: cluster.self,
      connect: (node: string, signal: AbortSignal) => cluster.connect(node, signal),
      disconnect: () =>
        new Promise<void>((_resolve, reject) => {
          giveUp = () => reject(new Error("given up"));
        }),
      listNodes: () => cluster.listNodes(),
    };
    const topology = await start(["a@h", "b@h"], { hooks });
    await say(["b@h"]);
    await end(topology);
    giveUp();
    await settled();
    expect(logger.lines.filter(({ level }) => level === "warn")).toEqual([]);
    expect(logger.lines.at(-1)).toMatchObject({ level: "debug", fields: { code: "DISCONNECT_FAILED" } });
  });

  it("that fails is tried again in each round until the node is gone", async () => {
    const attempts: string[] = [];
    let stuck = true;
    const hooks = {
      self: cluster.self,
      connect: (node: string, signal: AbortSignal) => cluster.connect(node, signal),
      disconnect: async (node: string) => {
        attempts.push(node);
        if (stuck) throw new Error("busy");
        await cluster.disconnect(node);
      },
      listNodes: () => cluster.listNodes(),
    };
    await start(["a@h", "b@h"], { hooks });
    await say(["b@h"]);
    clock.advance(5000);
    await settled();
    expect(attempts).toEqual(["a@h", "a@h"]);
    expect(logger.lines.filter(({ level }) => level === "warn")[0]).toMatchObject({
      message: "The node a@h could not be disconnected.",
      fields: { topology: "shop", node: "a@h", code: "DISCONNECT_FAILED" },
    });
    stuck = false;
    clock.advance(5000);
    await settled();
    clock.advance(5000);
    await settled();
    expect(attempts).toEqual(["a@h", "a@h", "a@h"]);
    expect(types()).toEqual(["nodes", "disconnected a@h"]);
  });

  it("that fails is forgotten when the node is wanted again", async () => {
    const hooks = {
      self: cluster.self,
      connect: (node: string, signal: AbortSignal) => cluster.connect(node, signal),
      disconnect: () => Promise.reject(new Error("busy")),
      listNodes: () => cluster.listNodes(),
    };
    const topology = await start(["a@h", "b@h"], { hooks });
    await say(["b@h"]);
    await say(["a@h", "b@h"]);
    logger.lines.length = 0;
    clock.advance(5000);
    await settled();
    expect(logger.lines).toEqual([]);
    expect(topology.status().nodes.map(({ state }) => state)).toEqual(["connected", "connected"]);
  });
});

describe("an answer that names suspiciously few nodes", () => {
  it("such as none at all is believed when it has come three times in a row", async () => {
    const topology = await start(["a@h", "b@h"]);
    await say([]);
    await say([]);
    expect(topology.status()).toMatchObject({
      nodes: [{ node: "a@h" }, { node: "b@h" }],
      kept: ["a@h", "b@h"],
    });
    expect(events).toEqual([
      { type: "shrink_held", topology: "shop", nodes: ["a@h", "b@h"], answers: 1 },
      { type: "shrink_held", topology: "shop", nodes: ["a@h", "b@h"], answers: 2 },
    ]);
    expect(cluster.disconnected).toEqual([]);
    await say([]);
    expect(cluster.disconnected).toEqual(["a@h", "b@h"]);
    expect(topology.status()).toMatchObject({ nodes: [], kept: [] });
    expect(logger.lines.filter(({ level }) => level === "warn").length).toBe(1);
  });

  it("is believed when it is the last word for 30 seconds", async () => {
    await start(["a@h"]);
    await say([]);
    clock.advance(29_999);
    expect(cluster.disconnected).toEqual([]);
    clock.advance(1);
    expect(cluster.disconnected).toEqual(["a@h"]);
  });

  it("is forgotten when the nodes are back, or when discovery fails in between", async () => {
    const topology = await start(["a@h"]);
    await say([]);
    await say([]);
    await say(["a@h"]);
    await say([]);
    await say([]);
    strategy.report(failure);
    clock.advance(60_000);
    await say([]);
    await say([]);
    expect(cluster.disconnected).toEqual([]);
    expect(topology.status().kept).toEqual(["a@h"]);
  });

  it("still adds the nodes that are new, and keeps dialling those that are missing", async () => {
    const topology = await start(["a@h", "b@h", "c@h"], { guard: { minimumNodes: 2 } });
    await say(["d@h"]);
    expect(topology.status().nodes.map(({ node }) => node)).toEqual(["d@h", "a@h", "b@h", "c@h"]);
    cluster.lose("a@h");
    clock.advance(0);
    expect(cluster.attempts.slice(-2).map(({ node }) => node)).toEqual(["d@h", "a@h"]);
  });

  it.each([
    ["fewer than there should be at least", { minimumNodes: 3 }, ["a@h", "b@h"]],
    ["a greater part missing than may be", { maximumRemovalFraction: 0.4 }, ["a@h", "b@h"]],
  ])("is one with %s", async (_what, guard, answer) => {
    const topology = await start(["a@h", "b@h", "c@h", "d@h"], { guard });
    await say(answer);
    expect(topology.status().kept).toEqual(["c@h", "d@h"]);
  });

  it("is not one that only adds, nor the first, nor one within the bounds", async () => {
    const topology = await start(["a@h"], { guard: { minimumNodes: 5, maximumRemovalFraction: 0.25 } });
    await say(["a@h", "b@h", "c@h", "d@h", "e@h", "f@h"]);
    await say(["a@h", "b@h", "c@h", "d@h", "e@h"]);
    expect(topology.status()).toMatchObject({ kept: [] });
    expect(topology.status().nodes.length).toBe(5);
    expect(cluster.disconnected).toEqual([]); // f was never connected
  });

  it("is believed at once where that is wanted", async () => {
    await start(["a@h"], { guard: { minimumNodes: 0 } });
    await say([]);
    expect(cluster.disconnected).toEqual(["a@h"]);
  });
});

describe("libcluster's original behaviour", () => {
  it("believes an empty answer at once, and tells the strategy", async () => {
    await start(["a@h"], { compat: true });
    expect(strategy.context!.compat).toBe(true);
    await say([]);
    expect(cluster.disconnected).toEqual(["a@h"]);
  });

  it("tries again after the same delay each time, also after a loss", async () => {
    const topology = await start([], { compat: true });
    await say(["a@h"]);
    for (let attempt = 1; attempt < 5; attempt++) {
      expect(cluster.attempts.length).toBe(attempt);
      cluster.last.fail(new IsthmusError("NO_CONNECTION", "No."));
      await settled();
      expect(topology.status().nodes[0]!.retryMs).toBe(5000);
      clock.advance(5000);
    }
    cluster.last.succeed();
    await settled();
    clock.advance(60_000);
    cluster.lose("a@h");
    expect(topology.status().nodes[0]!.retryMs).toBe(5000);
  });
});

describe("draining", () => {
  it("dials nobody and disconnects nobody, whatever happens", async () => {
    const topology = await start(["a@h", "b@h"]);
    await say(["a@h", "b@h", "c@h", "d@h"]);
    const [c, d] = cluster.attempts.slice(2);
    c!.fail(new IsthmusError("NO_CONNECTION", "No."));
    await settled();
    const attempts = cluster.attempts.length;
    topology.drain();
    expect(strategy.calls).toEqual(["start", "drain"]);
    expect(d!.signal.reason).toMatchObject({ code: "CONNECT_ABORTED" });
    // the peers drop us, one after the other
    cluster.lose("a@h");
    clock.advance(60_000);
    topology.refresh();
    await say(["a@h", "e@h"]);
    clock.advance(60_000);
    expect(cluster.attempts.length).toBe(attempts);
    expect(cluster.disconnected).toEqual([]);
    expect(cluster.connected).toEqual(new Set(["b@h"]));
    expect(topology.status().nodes).toMatchObject([
      { node: "a@h", state: "idle", retryMs: undefined },
      { node: "e@h", state: "idle" },
    ]);
  });

  it("still sees nodes that come and go", async () => {
    const topology = await start(["a@h"]);
    topology.drain();
    cluster.lose("a@h", new IsthmusError("CONNECTION_LOST", "Gone."));
    cluster.connected.add("a@h");
    clock.advance(5000);
    expect(events).toMatchObject([
      { type: "disconnected", node: "a@h", reason: { code: "CONNECTION_LOST" } },
      { type: "connected", node: "a@h" },
    ]);
  });
});
