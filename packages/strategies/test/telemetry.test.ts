import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { epmd } from "@isthmus/strategies";
import { IsthmusError } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { type Cluster, startCluster } from "../src/cluster/cluster.ts";
import type { TopologySpecification } from "../src/cluster/specification.ts";
import { publish, TELEMETRY_CHANNELS } from "../src/telemetry.ts";
import { FakeCluster, FakeStrategy, recordingLogger, settled } from "./support/fake-cluster.ts";

let told: [string, unknown][];
const hear = (message: unknown, name: string | symbol): void => {
  told.push([String(name), message]);
};
let hooks: FakeCluster;
let clock: FakeClock;
let cluster: Cluster | undefined;
beforeEach(() => {
  told = [];
  hooks = new FakeCluster();
  clock = new FakeClock();
  for (const name of Object.values(TELEMETRY_CHANNELS)) subscribe(name, hear);
});
afterEach(async () => {
  await cluster?.stop();
  for (const name of Object.values(TELEMETRY_CHANNELS)) unsubscribe(name, hear);
});

async function start(topologies: Readonly<Record<string, TopologySpecification>>): Promise<void> {
  cluster = await startCluster({ hooks, topologies, clock, logger: recordingLogger() });
  await settled();
}
const names = () => told.map(([name]) => name);

describe("telemetry", () => {
  it("tells of attempts with how long they took, and for whom", async () => {
    await start({
      one: { strategy: epmd({ hosts: ["a@h", "b@h"] }) },
      two: { strategy: epmd({ hosts: ["b@h"] }) },
    });
    told = [];
    clock.advance(40);
    hooks.attempts[1]!.succeed();
    const error = new IsthmusError("EPMD_UNREACHABLE", "No epmd.");
    hooks.attempts[0]!.fail(error);
    await settled();
    expect(told).toEqual([
      ["isthmus:node:up", { node: "b@h" }],
      ["isthmus:connect_node:ok", { node: "b@h", topologies: ["one", "two"], durationMs: 40 }],
      ["isthmus:connect_node:error", { node: "a@h", topologies: ["one"], reason: "unreachable", error }],
    ]);
  });

  it("has libcluster's word for a node that is not distributed", async () => {
    await start({ one: { strategy: epmd({ hosts: ["a@h"] }) } });
    hooks.last.fail(new IsthmusError("CONNECT_IGNORED", "Not distributed."));
    await settled();
    expect(told.at(-1)).toMatchObject(["isthmus:connect_node:error", { reason: "not_part_of_network" }]);
  });

  it("tells nothing of an attempt when the other side has dialled", async () => {
    hooks.connected.add("a@h");
    await start({ one: { strategy: epmd({ hosts: ["a@h"] }) } });
    expect(names()).toEqual(["isthmus:discovery:ok"]);
  });

  it("tells of disconnects, and of those that fail", async () => {
    const strategy = new FakeStrategy(["a@h", "b@h"]);
    const failing = {
      self: hooks.self,
      connect: (node: string, signal: AbortSignal) => hooks.connect(node, signal),
      disconnect: (node: string) =>
        node === "a@h" ? Promise.reject(new Error("busy")) : hooks.disconnect(node),
      listNodes: () => hooks.listNodes(),
    };
    await start({ one: { strategy, hooks: failing } });
    for (const attempt of hooks.attempts) attempt.succeed();
    await settled();
    told = [];
    strategy.report({ ok: true, nodes: ["c@h"] });
    await settled();
    expect(told.slice(1)).toMatchObject([
      [
        "isthmus:disconnect_node:error",
        { node: "a@h", topologies: ["one"], error: { code: "DISCONNECT_FAILED" } },
      ],
      ["isthmus:disconnect_node:ok", { node: "b@h", topologies: ["one"], durationMs: 0 }],
      ["isthmus:node:down", { node: "b@h" }],
    ]);
  });

  it("tells of every answer and every failure of discovery", async () => {
    const strategy = new FakeStrategy(["a@h", "b@h"]);
    await start({ one: { strategy } });
    const error = new IsthmusError("DISCOVERY_FAILED", "Down.");
    strategy.report({ ok: false, error });
    expect(told).toEqual([
      ["isthmus:discovery:ok", { topology: "one", nodes: 2 }],
      ["isthmus:discovery:error", { topology: "one", error }],
    ]);
  });

  it("makes nothing when nobody listens", () => {
    unsubscribe(TELEMETRY_CHANNELS.nodeUp, hear);
    publish("nodeUp", () => {
      throw new Error("made for nobody");
    });
    expect(told).toEqual([]);
  });
});
