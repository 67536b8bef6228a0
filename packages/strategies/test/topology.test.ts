import { epmd, startTopology, type TopologyEvent, type TopologyOptions } from "@isthmus/strategies";
import { IsthmusError } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { FakeCluster, FakeStrategy, recordingLogger, settled } from "./support/fake-cluster.ts";

const refused = (code = "NO_CONNECTION") => new IsthmusError(code, `It says ${code}.`);

let clock: FakeClock;
let cluster: FakeCluster;
let events: TopologyEvent[];
let logger: ReturnType<typeof recordingLogger>;
let stops: (() => Promise<void>)[];

beforeEach(() => {
  clock = new FakeClock();
  cluster = new FakeCluster();
  events = [];
  logger = recordingLogger();
  stops = [];
});
afterEach(async () => {
  for (const stop of stops) await stop();
  expect(clock.pending, "timers left behind").toBe(0);
  expect(cluster.subscribers, "listeners left behind").toBe(0);
});

async function start(options: Partial<TopologyOptions> = {}) {
  const topology = startTopology({
    name: "shop",
    strategy: epmd({ hosts: ["a@h", "b@h", cluster.self] }),
    hooks: cluster,
    logger,
    clock,
    random: () => 0.5,
    ...options,
  });
  topology.on((event) => events.push(event));
  stops.push(() => topology.stop());
  await settled();
  return topology;
}

const types = () => events.map((event) => ("node" in event ? `${event.type} ${event.node}` : event.type));
const levels = () => logger.lines.map(({ level, message }) => `${level}: ${message}`);

/** Lets the last attempt fail. */
async function fail(error: unknown = refused()): Promise<void> {
  cluster.last.fail(error);
  await settled();
}

describe("a topology", () => {
  it("dials every node at once, never itself", async () => {
    const topology = await start();
    expect(cluster.attempts.map(({ node }) => node)).toEqual(["a@h", "b@h"]);
    expect(topology.status().nodes.map(({ state }) => state)).toEqual(["connecting", "connecting"]);
    cluster.attempts[1]!.succeed();
    await settled();
    expect(topology.status()).toEqual({
      topology: "shop",
      discoveryError: undefined,
      answeredMs: 0,
      kept: [],
      leaving: [],
      nodes: [
        { node: "a@h", state: "connecting", attempts: 0, error: undefined, retryMs: undefined },
        { node: "b@h", state: "connected", attempts: 0, error: undefined, retryMs: undefined },
      ],
    });
    expect(events[0]).toEqual({
      type: "nodes",
      topology: "shop",
      nodes: ["a@h", "b@h"],
      added: ["a@h", "b@h"],
      removed: [],
    });
    expect(types()).toEqual(["nodes", "connected b@h"]);
  });

  it("does not dial who is connected already", async () => {
    cluster.connected.add("a@h");
    const topology = await start();
    expect(cluster.attempts.map(({ node }) => node)).toEqual(["b@h"]);
    expect(topology.status().nodes[0]!.state).toBe("connected");
    expect(types()).toEqual(["nodes", "connected a@h"]);
  });

  it("tries again after delays that double up to the longest, for each node on its own", async () => {
    const topology = await start({ strategy: epmd({ hosts: ["a@h"] }) });
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 8; attempt++) {
      expect(cluster.attempts.length).toBe(attempt);
      await fail();
      const [node] = topology.status().nodes;
      expect(node).toMatchObject({ state: "waiting", attempts: attempt, error: "NO_CONNECTION" });
      delays.push(node!.retryMs!);
      clock.advance(node!.retryMs! - 1);
      expect(cluster.attempts.length, "not before its time").toBe(attempt);
      clock.advance(1);
    }
    expect(delays).toEqual([375, 750, 1500, 3000, 6000, 11_250, 11_250, 11_250]);
  });

  it("takes other delays, and the chance that it is given", async () => {
    const topology = await start({
      strategy: epmd({ hosts: ["a@h"] }),
      backoff: { firstMs: 100, maxMs: 150 },
      random: () => 0,
    });
    await fail();
    expect(topology.status().nodes[0]!.retryMs).toBe(50);
    clock.advance(50);
    await fail();
    expect(topology.status().nodes[0]!.retryMs).toBe(75);
  });

  it("keeps the round from dialling a node before its backoff is over", async () => {
    await start({ strategy: epmd({ hosts: ["a@h"] }), intervalMs: 10 });
    await fail();
    for (let ms = 0; ms < 374; ms++) clock.advance(1);
    expect(cluster.attempts.length).toBe(1);
    clock.advance(1);
    expect(cluster.attempts.length).toBe(2);
  });

  it("dials at once after a loss, and begins its delays anew", async () => {
    const topology = await start({ strategy: epmd({ hosts: ["a@h"] }) });
    await fail();
    clock.advance(375);
    cluster.last.succeed();
    await settled();
    clock.advance(60_000);
    cluster.lose("a@h");
    expect(types()).toEqual(["nodes", "connect_failed a@h", "connected a@h", "disconnected a@h"]);
    clock.advance(0);
    expect(cluster.attempts.length).toBe(3);
    await fail();
    expect(topology.status().nodes[0]).toMatchObject({ attempts: 1, retryMs: 375 });
  });

  it("finds a loss that nobody told of in the next round", async () => {
    const { self } = cluster;
    await start({
      strategy: epmd({ hosts: ["a@h"] }),
      hooks: {
        self,
        connect: (node, signal) => cluster.connect(node, signal),
        disconnect: (node) => cluster.disconnect(node),
        listNodes: () => cluster.listNodes(),
      },
    });
    cluster.last.succeed();
    await settled();
    cluster.connected.delete("a@h");
    clock.advance(4999);
    expect(types()).toEqual(["nodes", "connected a@h"]);
    clock.advance(1);
    clock.advance(0);
    expect(types()).toEqual(["nodes", "connected a@h", "disconnected a@h"]);
    expect(cluster.attempts.length).toBe(2);
  });

  it("slows down when connections end as soon as they are made", async () => {
    const topology = await start({ strategy: epmd({ hosts: ["a@h"] }) });
    const delays: number[] = [];
    for (let time = 0; time < 6; time++) {
      cluster.last.succeed();
      await settled();
      clock.advance(100);
      cluster.lose("a@h");
      delays.push(topology.status().nodes[0]!.retryMs!);
      clock.advance(topology.status().nodes[0]!.retryMs!);
    }
    expect(delays).toEqual([0, 375, 750, 1500, 3000, 6000]);
    // one that lasted puts an end to that
    cluster.last.succeed();
    await settled();
    clock.advance(15_000);
    cluster.lose("a@h");
    expect(topology.status().nodes[0]!.retryMs).toBe(0);
  });

  it("stops waiting when the node connects to us", async () => {
    const topology = await start({
      strategy: epmd({ hosts: ["a@h"] }),
      backoff: { firstMs: 20_000, maxMs: 20_000 },
    });
    await fail();
    cluster.connected.add("a@h");
    clock.advance(5000);
    expect(topology.status().nodes[0]).toMatchObject({ state: "connected", attempts: 0, error: undefined });
    clock.advance(60_000);
    expect(cluster.attempts.length).toBe(1);
  });

  it("goes on although an attempt never ends, when the node connected to us and left", async () => {
    await start({ strategy: epmd({ hosts: ["a@h"] }) });
    cluster.connected.add("a@h");
    clock.advance(5000);
    clock.advance(60_000);
    cluster.lose("a@h");
    clock.advance(0);
    expect(cluster.attempts.length).toBe(2);
    // the old attempt has no say any more
    cluster.attempts[0]!.fail(refused());
    await settled();
    expect(types()).toEqual(["nodes", "connected a@h", "disconnected a@h"]);
  });

  it("gives errors without a code one, with the cause", async () => {
    await start({ strategy: epmd({ hosts: ["a@h"] }) });
    const cause = new Error("no route to host");
    await fail(cause);
    expect(events.at(-1)).toMatchObject({
      type: "connect_failed",
      attempt: 1,
      retryMs: 375,
      error: { code: "CONNECT_FAILED", cause },
    });
  });

  it("takes a hook that throws for one that rejects", async () => {
    const { self } = cluster;
    const topology = await start({
      strategy: epmd({ hosts: ["a@h"] }),
      hooks: {
        self,
        connect: () => {
          throw refused("NODE_CLOSED");
        },
        disconnect: async () => undefined,
        listNodes: () => [],
      },
    });
    expect(topology.status().nodes[0]).toMatchObject({ state: "waiting", error: "NODE_CLOSED" });
  });
});

describe("the log of a topology", () => {
  it("has one warning for a node that stays away, and then only few lines", async () => {
    await start({ strategy: epmd({ hosts: ["a@h"] }) });
    for (let attempt = 0; attempt < 9; attempt++) {
      await fail();
      clock.advance(15_000);
    }
    cluster.last.succeed();
    await settled();
    expect(levels().filter((line) => !line.startsWith("debug"))).toEqual([
      "warn: cannot connect: It says NO_CONNECTION.",
      "info: still cannot connect: It says NO_CONNECTION.",
      "info: still cannot connect: It says NO_CONNECTION.",
      "info: still cannot connect: It says NO_CONNECTION.",
      "info: connected after failed attempts",
    ]);
    const [, second] = logger.lines;
    expect(second!.fields).toEqual({
      topologies: ["shop"],
      node: "a@h",
      code: "NO_CONNECTION",
      attempts: 2,
      retryMs: 750,
    });
  });

  it("warns again when the reason changes, and when it was connected in between", async () => {
    await start({ strategy: epmd({ hosts: ["a@h"] }) });
    await fail(refused("EPMD_UNREACHABLE"));
    clock.advance(15_000);
    await fail(refused("HANDSHAKE_COOKIE_REJECTED"));
    clock.advance(15_000);
    cluster.last.succeed();
    await settled();
    cluster.lose("a@h");
    clock.advance(0);
    await fail(refused("HANDSHAKE_COOKIE_REJECTED"));
    expect(levels()).toEqual([
      "warn: cannot connect: It says EPMD_UNREACHABLE.",
      "warn: cannot connect: It says HANDSHAKE_COOKIE_REJECTED.",
      "info: connected after failed attempts",
      "debug: connection lost",
      "warn: cannot connect: It says HANDSHAKE_COOKIE_REJECTED.",
    ]);
  });
});

describe("discovery", () => {
  it("that changes makes new nodes dialled and leaves the others", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const topology = await start({ strategy, removal: "never" });
    cluster.last.succeed();
    await settled();
    strategy.report({ ok: true, nodes: ["b@h", "c@h"] });
    expect(cluster.attempts.map(({ node }) => node)).toEqual(["a@h", "b@h", "c@h"]);
    expect(events.at(-1)).toMatchObject({ type: "nodes", added: ["b@h", "c@h"], removed: ["a@h"] });
    expect(topology.status().nodes.map(({ node }) => node)).toEqual(["b@h", "c@h"]);
    expect(cluster.disconnected).toEqual([]);
    // it is not ours any more
    cluster.lose("a@h");
    clock.advance(5000);
    expect(cluster.attempts.length).toBe(3);
  });

  it("that says the same changes nothing", async () => {
    const strategy = new FakeStrategy(["a@h", "b@h"]);
    await start({ strategy });
    strategy.report({ ok: true, nodes: ["b@h", "a@h", "b@h", cluster.self] });
    expect(types()).toEqual(["nodes"]);
    expect(cluster.attempts.length).toBe(2);
  });

  it("that fails leaves the last answer", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const topology = await start({ strategy });
    cluster.last.succeed();
    await settled();
    strategy.report({ ok: false, error: refused("DNS_DOWN") });
    strategy.report({ ok: false, error: refused("DNS_DOWN") });
    expect(topology.status()).toMatchObject({
      discoveryError: "DNS_DOWN",
      nodes: [{ node: "a@h", state: "connected" }],
    });
    expect(cluster.disconnected).toEqual([]);
    strategy.report({ ok: true, nodes: ["a@h"] });
    expect(topology.status().discoveryError).toBeUndefined();
    expect(types()).toEqual(["nodes", "connected a@h", "discovery_failed", "discovery_failed"]);
    expect(levels().slice(1)).toEqual([
      "warn: discovery failed, the last answer stands: It says DNS_DOWN.",
      "debug: discovery failed, the last answer stands: It says DNS_DOWN.",
      "info: discovery works again",
    ]);
  });

  it.each([
    ["throws", () => throwIt()],
    ["rejects", async () => throwIt()],
  ])("whose strategy %s has failed", async (_how, startIt) => {
    const topology = await start({ strategy: { start: startIt, stop: async () => undefined } });
    await settled();
    expect(topology.status().discoveryError).toBe("STRATEGY_FAILED");
    expect(events).toMatchObject([
      { type: "discovery_failed", error: { code: "STRATEGY_FAILED", cause: { message: "broken" } } },
    ]);
  });

  it("disconnects what it no longer names, and nothing else", async () => {
    const strategy = new FakeStrategy(["a@h", "b@h"]);
    await start({ strategy });
    for (const attempt of cluster.attempts) attempt.succeed();
    cluster.connected.add("by-hand@h");
    await settled();
    strategy.report({ ok: true, nodes: ["b@h"] });
    await settled();
    expect(cluster.disconnected).toEqual(["a@h"]);
    expect(types()).toEqual(["nodes", "connected a@h", "connected b@h", "nodes", "disconnected a@h"]);
  });

  it("aborts the attempt for a node that it no longer names", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    await start({ strategy });
    const [attempt] = cluster.attempts;
    strategy.report({ ok: true, nodes: ["b@h"] });
    expect(attempt!.signal.reason).toMatchObject({ code: "CONNECT_ABORTED", context: { node: "a@h" } });
    // a hook that does not heed the signal
    attempt!.succeed();
    await settled();
    expect(cluster.disconnected).toEqual(["a@h"]);
    expect(types()).toEqual(["nodes", "nodes", "disconnected a@h"]);
  });
});

describe("refresh", () => {
  it("asks the strategy and ends all waiting", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const topology = await start({ strategy });
    await fail();
    topology.refresh();
    expect(strategy.calls).toEqual(["start", "refresh"]);
    expect(cluster.attempts.length).toBe(2);
    topology.refresh();
    expect(cluster.attempts.length, "one attempt at a time").toBe(2);
  });
});

describe("stop", () => {
  it("ends discovery, attempts and events, and leaves connections", async () => {
    const strategy = new FakeStrategy(["a@h", "b@h", "c@h"]);
    const topology = await start({ strategy });
    cluster.attempts[0]!.succeed();
    cluster.attempts[1]!.fail(refused());
    await settled();
    const before = events.length;
    await topology.stop();
    await topology.stop();
    expect(strategy.calls).toEqual(["start", "stop"]);
    expect(strategy.context!.signal.aborted).toBe(true);
    expect(cluster.attempts[2]!.signal.reason).toMatchObject({ code: "CONNECT_ABORTED" });
    expect(cluster.connected).toEqual(new Set(["a@h"]));
    cluster.attempts[2]!.fail(refused());
    strategy.report({ ok: true, nodes: ["d@h"] });
    topology.refresh();
    await settled();
    expect(events.length).toBe(before);
    expect(cluster.attempts.length).toBe(3);
  });

  it("before the strategy was started leaves it alone", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const topology = startTopology({ name: "shop", strategy, hooks: cluster, clock });
    await topology[Symbol.asyncDispose]();
    await settled();
    expect(strategy.calls).toEqual([]);
    expect(cluster.attempts).toEqual([]);
  });

  it("survives a strategy that does not stop", async () => {
    const topology = await start({
      strategy: { start: () => undefined, stop: () => Promise.reject(new Error("stuck")) },
    });
    await topology.stop();
    expect(levels()).toEqual(["warn: the discovery strategy did not stop as it should"]);
  });
});

describe("a listener", () => {
  it("that throws harms nobody, and can be taken away", async () => {
    const topology = await start({ strategy: epmd({ hosts: ["a@h"] }) });
    const off = topology.on(() => throwIt());
    cluster.last.succeed();
    await settled();
    expect(levels()).toEqual(["debug: connected", "error: a listener of cluster events threw"]);
    expect(types()).toEqual(["nodes", "connected a@h"]);
    off();
    cluster.lose("a@h");
    expect(levels().length).toBe(3);
  });
});

function throwIt(): never {
  throw new Error("broken");
}
