import { staticResolver } from "@isthmus/epmd-client";
import type { Logger } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bridge, type BridgeOptions, type ReloadOptions, startBridge } from "../src/index.ts";

const own = (node: string) =>
  ({ node, cookie: "biscuit", listen: { host: "127.0.0.1" }, epmd: false }) as const;
const BEFORE: ReloadOptions = {
  routes: [{ from: "shop", to: "billing", name: "orders", nodes: ["billing1@127.0.0.1"] }],
  groups: [{ from: "shop", to: "billing", scope: "chat", groups: ["*"] }],
};
const OPTIONS: BridgeOptions = {
  ...BEFORE,
  clusters: {
    shop: own("bridge@127.0.0.1"),
    billing: { ...own("billing_bridge@127.0.0.1"), hosts: ["billing2@127.0.0.1"] },
  },
};
const AFTER: ReloadOptions = {
  routes: [{ from: "billing", to: "shop", name: "stock", nodes: ["shop1@127.0.0.1"] }],
  mirrors: [{ from: "shop", to: "billing" }],
  groups: [{ from: "billing", to: "shop", scope: "rooms", groups: ["*"] }],
  policyMode: "log",
  hosts: { billing: ["billing3@127.0.0.1"] },
};

let bridge: Bridge;
beforeEach(async () => {
  bridge = await startBridge(OPTIONS);
  await dialled([], ["billing2@127.0.0.1", "billing1@127.0.0.1"]);
});
afterEach(() => bridge.close());

/** What a reload replaces. */
function rules() {
  const { routes, groups, mirrors, policyMode } = bridge.status();
  return { routes, groups, mirrors, policyMode, nodes: nodes() };
}

/** The nodes that each cluster is to be connected to. */
const nodes = (): string[][] =>
  bridge
    .status()
    .clusters.map(({ topologies }) => topologies.flatMap(({ nodes: all }) => all.map((one) => one.node)));

/** Resolves when these are they: a topology takes a turn to hear of them. */
const dialled = (shop: readonly string[], billing: readonly string[]) =>
  expect.poll(nodes, { interval: 5 }).toEqual([shop, billing]);

const hasScope = (name: string): boolean[] =>
  ["shop", "billing"].map((id) => bridge.node(id).processes.whereis(name) !== undefined);

it("says which cluster it cannot be in, and which one the log is about", async () => {
  const lines: { readonly [field: string]: unknown }[] = [];
  const note: Logger["info"] = (fields, message) => void lines.push({ ...fields, message });
  const taken = bridge.node("billing").port!;
  const clusters = {
    shop: { ...own("bridge2@127.0.0.1"), hosts: ["shop1@127.0.0.1"], resolver: staticResolver({}) },
    billing: { ...own("bridge2@127.0.0.1"), listen: { host: "127.0.0.1", port: taken } },
  };
  const logger = { debug: note, info: note, warn: note, error: note };
  await expect(startBridge({ clusters, routes: [], logger })).rejects.toMatchObject({
    code: "LISTEN_FAILED",
    message: expect.stringMatching(
      /^The bridge cannot start its node in cluster billing: Nothing can listen on/,
    ),
    context: { cluster: "billing" },
  });
  const second = await startBridge({
    clusters: { ...clusters, billing: own("bridge2@127.0.0.1") },
    routes: [],
    logger,
  });
  try {
    await expect
      .poll(() => lines.find(({ message }) => String(message).startsWith("cannot connect")))
      .toMatchObject({ cluster: "shop", node: "shop1@127.0.0.1" });
  } finally {
    await second.close();
  }
});

describe("a reload", () => {
  it("takes everything over", async () => {
    await bridge.reload(AFTER);
    expect(rules()).toMatchObject({
      routes: AFTER.routes,
      groups: [{ from: "billing", to: "shop", scope: "rooms" }],
      policyMode: "log",
    });
    await dialled(["shop1@127.0.0.1"], ["billing3@127.0.0.1"]);
    expect([hasScope("chat"), hasScope("rooms")]).toEqual([
      [false, false],
      [true, true],
    ]);
  });

  it("keeps the nodes that an earlier one listed when it lists none", async () => {
    await bridge.reload({ ...AFTER, hosts: { billing: ["billing3@127.0.0.1"], shop: ["shop2@127.0.0.1"] } });
    await bridge.reload({ routes: [], hosts: { shop: [] } });
    await dialled([], ["billing3@127.0.0.1"]);
  });

  it.each<[string, string, Partial<ReloadOptions>]>([
    ["a route to nowhere", "BRIDGE_OPTIONS_INVALID", { routes: [{ from: "shop", to: "crm", name: "x" }] }],
    [
      "a route to what is no node",
      "BRIDGE_OPTIONS_INVALID",
      { routes: [{ from: "shop", to: "billing", name: "x", nodes: ["billing1"] }] },
    ],
    ["a mirror of itself", "BRIDGE_OPTIONS_INVALID", { mirrors: [{ from: "shop", to: "shop" }] }],
    ["a host that is no node", "BRIDGE_OPTIONS_INVALID", { hosts: { shop: ["shop1"] } }],
    [
      "the name of a process as a scope",
      "NAME_TAKEN",
      {
        groups: [
          { from: "shop", to: "billing", scope: "chat", groups: ["{room,*}"] },
          { from: "shop", to: "billing", scope: "rooms", groups: ["*"] },
          { from: "shop", to: "billing", scope: "orders", groups: ["*"] },
        ],
      },
    ],
  ])("with %s changes nothing at all", async (_what, code, wrong) => {
    const node = bridge.node("billing");
    node.processes.register("orders", node.spawn());
    const before = rules();
    await expect(bridge.reload({ ...AFTER, ...wrong })).rejects.toMatchObject({ code });
    expect(rules()).toEqual(before);
    expect([hasScope("chat"), hasScope("rooms")]).toEqual([
      [true, true],
      [false, false],
    ]);
    await bridge.reload(AFTER);
    expect(rules().routes).toEqual(AFTER.routes);
  });
});
