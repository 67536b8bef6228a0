import { describe, expect, it } from "vitest";
import type { BridgeOptions } from "../../src/options.ts";
import { checkPaired, clusterPairs } from "../../src/sites/pair.ts";

const own = { node: "bridge@h", cookie: "c" };
const trunk = (site: string, ...sites: string[]): NonNullable<BridgeOptions["trunk"]> => ({
  site,
  sites: Object.fromEntries(sites.map((name) => [name, { secret: "x" }])),
});

describe("pairs of clusters", () => {
  it("both sides give the nodes and channels the same names", () => {
    const [north] = clusterPairs({
      clusters: { shop: own, billing: { site: "south" } },
      trunk: trunk("north", "south"),
    });
    const [south] = clusterPairs({
      clusters: { billing: own, other: own, customers: { site: "north", joins: "billing", as: "shop" } },
      trunk: trunk("south", "north"),
    });
    expect(north).toEqual({
      ...{ id: "billing", site: "south", own: "shop", far: "billing" },
      ...{ node: "isthmus-shop@north", peer: "isthmus-billing@south" },
      ...{ outgoing: "shop billing", incoming: "billing shop" },
    });
    expect(south).toMatchObject({ id: "customers", node: north!.peer, peer: north!.node });
    expect(south).toMatchObject({ outgoing: north!.incoming, incoming: north!.outgoing });
  });

  it("names with anything in them stay apart, and are names of nodes", () => {
    const pairs = clusterPairs({
      clusters: {
        "a b": own,
        "a=20b": { site: "ü @x", joins: "a b" },
        "a b.": { site: "ü @x", joins: "a b" },
      },
      trunk: trunk("n/", "ü @x"),
    });
    expect(pairs.map(({ peer }) => peer)).toEqual([
      "isthmus-a=3d20b@=c3=bc=20=40x",
      "isthmus-a=20b.@=c3=bc=20=40x",
    ]);
    expect(pairs[0]!.outgoing).toBe("a=20b a=3d20b");
  });

  it.each<[string, BridgeOptions["clusters"], BridgeOptions["trunk"], RegExp]>([
    ["no trunk", { a: own, b: { site: "s" } }, undefined, /no trunk/],
    ["no way to the site", { a: own, b: { site: "s" } }, trunk("n", "t"), /knows no way/],
    ["two that it may join", { a: own, c: own, b: { site: "s" } }, trunk("n", "s"), /must say which/],
    ["one that is not ours", { a: own, b: { site: "s", joins: "x" } }, trunk("n", "s"), /no cluster of ours/],
    ["the same twice", { a: own, b: { site: "s" }, c: { site: "s", as: "b" } }, trunk("n", "s"), /twice/],
    ["our own site", { a: own, b: { site: "n" } }, trunk("n", "n"), /our own/],
    ["a name too long", { a: own, b: { site: "s", as: "x".repeat(250) } }, trunk("n", "s"), /too long/],
  ])("refused: %s", (_what, clusters, way, message) => {
    expect(() => clusterPairs({ clusters, ...(way === undefined ? {} : { trunk: way }) })).toThrow(message);
  });

  it("nothing leads to a far cluster but from the one that it is joined with", () => {
    const pairs = clusterPairs({
      clusters: { a: own, c: own, b: { site: "s", joins: "a" }, d: { site: "s", joins: "c" } },
      trunk: trunk("n", "s"),
    });
    for (const [from, to] of [
      ["a", "b"],
      ["b", "a"],
      ["a", "c"],
    ] as const)
      expect(() => checkPaired(pairs, "It", from, to)).not.toThrow();
    for (const [from, to] of [
      ["c", "b"],
      ["b", "c"],
      ["b", "d"],
    ] as const)
      expect(() => checkPaired(pairs, "It", from, to)).toThrow(/joined with/);
  });
});
