import { defineStrategy, epmd, option, type Strategy, type StrategyContext } from "@isthmus/strategies";
import { IsthmusError } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../src/cluster/cluster.ts";
import type { TopologySpecification } from "../src/cluster/specification.ts";
import type { ClusterEvent } from "../src/events.ts";
import { FakeCluster, FakeStrategy, recordingLogger, settled } from "./support/fake-cluster.ts";

let clock: FakeClock;
let hooks: FakeCluster;
let events: ClusterEvent[];
let logger: ReturnType<typeof recordingLogger>;
let clusters: Cluster[];

beforeEach(() => {
  clock = new FakeClock();
  hooks = new FakeCluster();
  events = [];
  logger = recordingLogger();
  clusters = [];
});
afterEach(async () => {
  for (const cluster of clusters) await cluster.stop();
  expect(clock.pending, "timers left behind").toBe(0);
  expect(hooks.subscribers, "listeners left behind").toBe(0);
});

async function start(
  topologies: Readonly<Record<string, TopologySpecification>>,
  options: Partial<ClusterOptions> = {},
): Promise<Cluster> {
  const cluster = await startCluster({ hooks, topologies, logger, clock, random: () => 0.5, ...options });
  clusters.push(cluster);
  cluster.on((event) => events.push(event));
  await settled();
  return cluster;
}

/** Lets every attempt succeed. */
async function connectAll(): Promise<void> {
  for (const attempt of hooks.attempts) attempt.succeed();
  await settled();
}

const types = () =>
  events.map((event) =>
    [event.type, "topology" in event ? event.topology : "", "node" in event ? event.node : ""]
      .filter((word) => word !== "")
      .join(" "),
  );
const dialled = () => hooks.attempts.map(({ node }) => node);
const names = (cluster: Cluster) => cluster.status().topologies.map(({ topology }) => topology);

describe("a cluster of several topologies", () => {
  it("dials a node that two of them name once, and tells both", async () => {
    const cluster = await start({
      one: { strategy: epmd({ hosts: ["a@h", "b@h"] }) },
      two: { strategy: epmd({ hosts: ["b@h", "c@h", hooks.self] }) },
    });
    expect(dialled()).toEqual(["a@h", "b@h", "c@h"]);
    await connectAll();
    expect(types()).toEqual([
      "nodes one",
      "nodes two",
      "nodeup a@h",
      "connected one a@h",
      "nodeup b@h",
      "connected one b@h",
      "connected two b@h",
      "nodeup c@h",
      "connected two c@h",
    ]);
    expect(cluster.status()).toMatchObject({
      self: hooks.self,
      draining: false,
      connected: ["a@h", "b@h", "c@h"],
      topologies: [
        { topology: "one" },
        { topology: "two", nodes: [{ node: "b@h", state: "connected" }, {}] },
      ],
    });
  });

  it("disconnects a node when the last of them lets go of it", async () => {
    const [one, two] = [new FakeStrategy(["a@h", "b@h"]), new FakeStrategy(["b@h", "c@h"])];
    await start({ one: { strategy: one }, two: { strategy: two } });
    await connectAll();
    one.report({ ok: true, nodes: ["a@h"] });
    await settled();
    expect(hooks.disconnected).toEqual([]);
    hooks.lose("b@h");
    clock.advance(0);
    expect(dialled().slice(3), "two still wants it").toEqual(["b@h"]);
    hooks.attempts[3]!.succeed();
    await settled();
    two.report({ ok: true, nodes: ["c@h"] });
    await settled();
    expect(hooks.disconnected).toEqual(["b@h"]);
  });

  it("goes by the rule of whoever is last, and keeps what one keeps in its time of grace", async () => {
    const [one, two] = [new FakeStrategy(["a@h", "b@h"]), new FakeStrategy(["a@h", "b@h"])];
    await start({ one: { strategy: one, removal: { graceMs: 60_000 } }, two: { strategy: two } });
    await connectAll();
    one.report({ ok: true, nodes: ["a@h"] });
    two.report({ ok: true, nodes: ["a@h"] });
    await settled();
    expect(hooks.disconnected).toEqual([]);
    clock.advance(60_000);
    expect(hooks.disconnected).toEqual(["b@h"]);
  });

  it("tells a topology that comes later what is connected already", async () => {
    const cluster = await start({ one: { strategy: epmd({ hosts: ["a@h"] }) } });
    await connectAll();
    events.length = 0;
    await cluster.add("two", { strategy: epmd({ hosts: ["a@h"] }) });
    await settled();
    expect(types()).toEqual(["topology_added two", "nodes two", "connected two a@h"]);
    expect(dialled()).toEqual(["a@h"]);
  });

  it("bounds the attempts of all topologies together", async () => {
    const hosts = (name: string) => Array.from({ length: 50 }, (_, n) => `${name}${n}@h`);
    await start({
      one: { strategy: epmd({ hosts: hosts("a") }) },
      two: { strategy: epmd({ hosts: hosts("b") }) },
    });
    expect(hooks.attempts.length).toBe(64);
    hooks.attempts[0]!.fail(new IsthmusError("NO_CONNECTION", "No."));
    hooks.attempts[1]!.succeed();
    await settled();
    expect(hooks.attempts.length).toBe(66);
  });

  it("sees nodes that no topology wants", async () => {
    const cluster = await start({});
    hooks.connected.add("guest@h");
    clock.advance(5000);
    hooks.lose("guest@h", new IsthmusError("TICK_TIMEOUT", "Silent."));
    expect(events).toMatchObject([
      { type: "nodeup", node: "guest@h" },
      { type: "nodedown", node: "guest@h", reason: { code: "TICK_TIMEOUT" } },
    ]);
    expect(cluster.status().connected).toEqual([]);
  });
});

describe("topologies that change at run time", () => {
  it("are added and removed", async () => {
    const cluster = await start({ one: { strategy: epmd({ hosts: ["a@h"] }) } });
    const two = new FakeStrategy(["b@h"]);
    await cluster.add("two", { strategy: two });
    await settled();
    await connectAll();
    await cluster.remove("two");
    expect(two.calls).toEqual(["start", "stop"]);
    expect(hooks.disconnected).toEqual(["b@h"]);
    expect(names(cluster)).toEqual(["one"]);
    await cluster.add("two", { strategy: epmd({ hosts: ["b@h"] }) });
    expect(names(cluster)).toEqual(["one", "two"]);
  });

  it("keep their nodes when they are replaced, until the new strategy has answered", async () => {
    const [before, after] = [new FakeStrategy(["a@h", "b@h"]), new FakeStrategy()];
    const cluster = await start({ shop: { strategy: before } });
    await connectAll();
    await cluster.replace("shop", { strategy: after, removal: "never" });
    await settled();
    before.report({ ok: true, nodes: [] });
    expect(cluster.status().topologies[0]!.nodes.length).toBe(2);
    after.report({ ok: true, nodes: ["b@h", "c@h"] });
    await settled();
    expect(before.calls).toEqual(["start", "stop"]);
    expect(hooks.disconnected, "the new rule").toEqual([]);
    expect(types().slice(-2)).toEqual(["topology_replaced shop", "nodes shop"]);
    expect(dialled()).toEqual(["a@h", "b@h", "c@h"]);
  });

  it("stay as they are when the replacement is wrong", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const cluster = await start({ shop: { strategy } });
    await expect(cluster.replace("shop", { strategy: "nowhere" })).rejects.toMatchObject({
      code: "STRATEGY_UNKNOWN",
    });
    strategy.report({ ok: true, nodes: ["a@h", "b@h"] });
    expect(cluster.status().topologies[0]!.nodes.length).toBe(2);
  });

  it("move to other hooks", async () => {
    const cluster = await start({ shop: { strategy: epmd({ hosts: ["a@h"] }) } });
    await connectAll();
    const other = new FakeCluster();
    await cluster.replace("shop", { strategy: epmd({ hosts: ["a@h"] }), hooks: other });
    await settled();
    expect(hooks.disconnected).toEqual(["a@h"]);
    expect(other.attempts.map(({ node }) => node)).toEqual(["a@h"]);
    await cluster.remove("shop");
    expect(other.subscribers, "hooks that nobody uses are let go").toBe(0);
  });

  it("have names: one each, and those that there are", async () => {
    const strategy = () => epmd({ hosts: [] });
    const cluster = await start({ one: { strategy } });
    const adding = cluster.add("two", { strategy });
    await expect(cluster.add("two", { strategy })).rejects.toMatchObject({ code: "TOPOLOGY_EXISTS" });
    await adding;
    await expect(cluster.add("one", { strategy })).rejects.toMatchObject({ code: "TOPOLOGY_EXISTS" });
    await expect(cluster.replace("three", { strategy })).rejects.toMatchObject({
      code: "TOPOLOGY_UNKNOWN",
      message: "There is no topology three. There are one, two.",
    });
    await expect(cluster.remove("three")).rejects.toMatchObject({ code: "TOPOLOGY_UNKNOWN" });
    await cluster.stop();
    await expect(cluster.add("three", { strategy })).rejects.toMatchObject({ code: "CLUSTER_STOPPED" });
  });

  it("are not started when the cluster was stopped meanwhile", async () => {
    const cluster = await start({});
    const strategy = new FakeStrategy(["a@h"]);
    const adding = cluster.add("late", { strategy: async () => strategy });
    await cluster.stop();
    await expect(adding).rejects.toMatchObject({ code: "CLUSTER_STOPPED" });
    expect(strategy.calls).toEqual([]);
  });
});

describe("refresh, drain and stop of a cluster", () => {
  it("refresh asks every strategy and tries every node", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const cluster = await start({ one: { strategy } });
    hooks.last.fail(new IsthmusError("NO_CONNECTION", "No."));
    await settled();
    cluster.refresh();
    expect(strategy.calls).toEqual(["start", "refresh"]);
    expect(dialled()).toEqual(["a@h", "a@h"]);
  });

  it("drain dials nobody any more, whatever is added", async () => {
    const strategy = new FakeStrategy(["a@h"]);
    const cluster = await start({ one: { strategy } });
    await connectAll();
    cluster.drain();
    cluster.drain();
    const late = new FakeStrategy(["b@h"]);
    await cluster.add("two", { strategy: late });
    await cluster.add("three", { strategy: epmd({ hosts: ["c@h"] }), hooks: hooks });
    await settled();
    hooks.lose("a@h");
    await cluster.remove("one");
    clock.advance(60_000);
    expect([strategy.calls, late.calls]).toEqual([
      ["start", "drain", "stop"],
      ["start", "drain"],
    ]);
    expect(dialled()).toEqual(["a@h"]);
    expect(hooks.disconnected).toEqual([]);
    expect(cluster.status().draining).toBe(true);
    expect(types().filter((type) => type === "draining").length).toBe(1);
  });

  it("stop ends everything and leaves connections", async () => {
    const strategy = new FakeStrategy(["a@h", "b@h"]);
    const cluster = await start({ one: { strategy, removal: { graceMs: 1000 } } });
    await connectAll();
    strategy.report({ ok: true, nodes: ["a@h"] });
    await cluster.remove("one");
    const stream = cluster.events();
    await cluster.stop();
    await cluster[Symbol.asyncDispose]();
    cluster.refresh();
    cluster.drain();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(clock.pending).toBe(0);
    expect(hooks.connected).toEqual(new Set(["a@h", "b@h"]));
  });
});

describe("events of a cluster", () => {
  it("come as a stream, which may begin with what is connected", async () => {
    const cluster = await start({ one: { strategy: epmd({ hosts: ["a@h"] }) } });
    await connectAll();
    const stream = cluster.events({ snapshot: true });
    hooks.lose("a@h");
    const seen: unknown[] = [];
    for await (const event of stream) {
      seen.push(event);
      if (seen.length === 3) break;
    }
    expect(seen).toMatchObject([
      { type: "nodeup", node: "a@h" },
      { type: "nodedown", node: "a@h", reason: undefined },
      { type: "disconnected", topology: "one", node: "a@h" },
    ]);
  });
});

describe("the specification of a topology", () => {
  const shop = defineStrategy({
    name: "shop",
    options: { nodes: option.list(option.text()), token: option.optional(option.text({ secret: true })) },
    create: ({ nodes }): Strategy => new FakeStrategy(nodes),
  });

  it.each<[string, TopologySpecification]>([
    ["a factory with its options", { strategy: shop, config: { nodes: ["a@h"] } }],
    ["a function", { strategy: () => new FakeStrategy(["a@h"]) }],
    ["a function that takes its time", { strategy: async () => new FakeStrategy(["a@h"]) }],
    ["a strategy", { strategy: new FakeStrategy(["a@h"]) }],
    [
      "what a file has",
      {
        strategy: shop,
        config: { nodes: "a@h" },
        removal: { grace_ms: "1000" },
        guard: { minimum_nodes: "2", maximum_removal_fraction: "0.5", confirm_ms: 10 },
        compat: "false",
        child_spec: { restart: ":transient", shutdown: 5000 },
      } as unknown as TopologySpecification,
    ],
  ])("may have %s", async (_what, specification) => {
    await start({ one: specification });
    expect(dialled()).toEqual(["a@h"]);
  });

  it.each([
    [{ strategy: "nowhere" }, "STRATEGY_UNKNOWN", /no strategy "nowhere"/],
    [{}, "STRATEGY_OPTIONS_INVALID", /The strategy the topology one needs strategy|needs strategy/],
    [
      { strategy: 7 },
      "STRATEGY_OPTIONS_INVALID",
      /strategy of the topology one must be the name of a strategy/,
    ],
    [{ strategy: shop, confg: {} }, "STRATEGY_OPTIONS_INVALID", /confg .* Did you mean config\?/],
    [{ strategy: shop, config: { node: [] } }, "STRATEGY_OPTIONS_INVALID", /node is not an option of shop/],
    [{ strategy: shop, removal: "later" }, "STRATEGY_OPTIONS_INVALID", /removal of the topology one/],
    [{ strategy: shop, guard: { minimum: 1 } }, "STRATEGY_OPTIONS_INVALID", /guard of the topology one/],
    [{ strategy: () => shop({ nodes: [] }), config: { nodes: [] } }, "STRATEGY_OPTIONS_INVALID", /config of/],
    [{ strategy: shop, connect: ["net_kernel"] }, "STRATEGY_OPTIONS_INVALID", /connect of the topology one/],
    [
      { strategy: shop, connect: [":net_kernel", ":connect_node", []] },
      "STRATEGY_OPTIONS_INVALID",
      /names functions of a BEAM. Say which with beam/,
    ],
    ["a string", "STRATEGY_OPTIONS_INVALID", /must be a map/],
  ])("is refused when it is %j, and then nothing is started", async (specification, code, message) => {
    const good = new FakeStrategy(["a@h"]);
    const topologies = { good: { strategy: good }, one: specification as unknown as TopologySpecification };
    await expect(start(topologies)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(good.calls).toEqual([]);
  });

  it("never shows what the strategy was configured with", async () => {
    const topologies = { one: { strategy: shop, config: "token=hunter2" as unknown as { nodes: string } } };
    await expect(start(topologies)).rejects.not.toThrow(/hunter2/);
  });
});

describe("a strategy that fails at its start", () => {
  class Flaky implements Strategy {
    static made = 0;
    readonly number = ++Flaky.made;
    async start(context: StrategyContext): Promise<void> {
      if (this.number < 3) throw new Error("not yet");
      context.report({ ok: true, nodes: ["a@h"] });
    }
    async stop(): Promise<void> {}
  }

  it("is made anew after a while", async () => {
    Flaky.made = 0;
    const cluster = await start({ one: { strategy: () => new Flaky() } });
    expect(cluster.status().topologies[0]!.discoveryError).toBe("STRATEGY_FAILED");
    clock.advance(750);
    await settled();
    clock.advance(1499);
    await settled();
    expect(Flaky.made).toBe(2);
    clock.advance(1);
    await settled();
    expect(dialled()).toEqual(["a@h"]);
    expect(cluster.status().topologies[0]!.discoveryError).toBeUndefined();
  });

  it("is left alone where that is wanted, and at the end", async () => {
    Flaky.made = 0;
    await start({ one: { strategy: () => new Flaky(), restart: "temporary" } });
    clock.advance(60_000);
    await settled();
    expect(Flaky.made).toBe(1);
    const cluster = await start({ one: { strategy: () => new Flaky() } });
    await cluster.stop();
    clock.advance(60_000);
    await settled();
    expect(Flaky.made).toBe(2);
  });
});
