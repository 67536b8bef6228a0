import type { Bridge, GroupOptions } from "@isthmus/bridge";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Beam } from "../support/beam.ts";
import { broadcast, Clusters, got, member, SOON, size, startScope } from "./clusters.ts";

describe.each(["members", "fan_out"] as const)("bridges that meet, of the form %s", (form) => {
  const between = (...ids: readonly string[]): GroupOptions[] =>
    ids.flatMap((from) => ids.filter((to) => to !== from).map((to) => ({ from, to, groups: ["*"], form })));
  let clusters: Clusters;
  let beams: Beam[];
  let bridges: Bridge[];

  beforeEach(() => {
    clusters = new Clusters();
    bridges = [];
  });
  afterEach(async () => {
    try {
      expect(await clusters.reports()).toEqual({});
    } finally {
      await clusters.stop();
    }
  });

  async function start(...ids: string[]): Promise<void> {
    beams = await Promise.all(ids.map((id) => clusters.beam(id)));
    await Promise.all(beams.map((beam) => startScope(beam)));
  }
  const sizes = (group: string) => Promise.all(beams.map((beam) => size(beam, group)));
  const standins = () =>
    bridges.map((bridge) => bridge.status().clusters.map(({ identities }) => identities));

  /** Members come and go in one cluster after the other; `expected` are the sizes with one member in each. */
  async function churn(expected: readonly (readonly number[])[]): Promise<void> {
    let first: unknown;
    for (let round = 0; round < 3; round++) {
      for (const [i, beam] of beams.entries()) {
        await member(beam, "here", `{g,${i}}`);
        await expect.poll(() => sizes(`{g,${i}}`), SOON).toEqual(expected[i]);
      }
      for (const [i, beam] of beams.entries()) {
        // all see all at the same time, and still no more than that
        expect(await sizes(`{g,${i}}`)).toEqual(expected[i]);
        await beam.eval("exit(whereis(here), kill)");
        await expect.poll(() => sizes(`{g,${i}}`), SOON).toEqual(beams.map(() => 0));
      }
      first ??= standins();
      expect(standins()).toEqual(first);
    }
  }

  it("two between the same two clusters show each member once each, and nothing comes back", async () => {
    await start("a", "b");
    for (const [name, other] of [
      ["x", "y"],
      ["y", "x"],
    ] as const)
      bridges.push(
        await clusters.bridge(["a", "b"], { groups: between("a", "b") }, { name, meets: [other] }),
      );
    await expect
      .poll(() => bridges[0]!.status().clusters.map(({ connected }) => connected.length), SOON)
      .toEqual([2, 2]);
    await churn([
      [1, 2],
      [2, 1],
    ]);
    await member(beams[1]!, "m", "room");
    await expect.poll(() => sizes("room"), SOON).toEqual([2, 1]);
    await broadcast(beams[0]!, "room", "twice");
    await expect.poll(() => got(beams[1]!, "m"), SOON).toBe("[twice,twice]");
    // one that is not there any more leaves the other's
    await bridges[1]!.close();
    await expect.poll(() => sizes("room"), SOON).toEqual([1, 1]);
    await broadcast(beams[0]!, "room", "once");
    await expect.poll(() => got(beams[1]!, "m"), SOON).toBe("[twice,twice,once]");
  });

  it("a ring of three shows each member once in each other cluster", async () => {
    await start("a", "b", "c");
    for (const [name, one, two, meets] of [
      ["ab", "a", "b", ["bc", "ca"]],
      ["bc", "b", "c", ["ab", "ca"]],
      ["ca", "c", "a", ["ab", "bc"]],
    ] as const) {
      bridges.push(await clusters.bridge([one, two], { groups: between(one, two) }, { name, meets }));
    }
    await expect
      .poll(
        () => bridges.map((bridge) => bridge.status().clusters.map(({ connected }) => connected.length)),
        SOON,
      )
      .toEqual([
        [2, 2],
        [2, 2],
        [2, 2],
      ]);
    await churn([
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ]);
  });

  it("a ring of bridges that do not know each other shows no more", async () => {
    await start("a", "b", "c");
    for (const [name, one, two] of [
      ["ab", "a", "b"],
      ["bc", "b", "c"],
      ["ca", "c", "a"],
    ] as const)
      bridges.push(await clusters.bridge([one, two], { groups: between(one, two) }, { name }));
    await churn([
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ]);
  });

  it("one in three clusters shows each member once, and each of them gets a message once", async () => {
    await start("a", "b", "c");
    const groups = between("a", "b", "c");
    bridges.push(await clusters.bridge(["a", "b", "c"], { groups }));
    await churn([
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ]);
    for (const beam of beams) await member(beam, "m", "room");
    await expect.poll(() => sizes("room"), SOON).toEqual([3, 3, 3]);
    for (const [i, beam] of beams.entries()) await broadcast(beam, "room", `{from,${i}}`);
    const all = () =>
      Promise.all(beams.map(async (beam) => await beam.eval("lists:sort(isthmus_probe:collected(m))")));
    await expect
      .poll(all, SOON)
      .toEqual(["[{from,1},{from,2}]", "[{from,0},{from,2}]", "[{from,0},{from,1}]"]);
  });

  it("a chain shows members to the next cluster, not to the one after", async () => {
    await start("a", "b", "c");
    bridges.push(
      await clusters.bridge(["a", "b"], { groups: between("a", "b") }, { name: "ab", meets: ["bc"] }),
    );
    bridges.push(
      await clusters.bridge(["b", "c"], { groups: between("b", "c") }, { name: "bc", meets: ["ab"] }),
    );
    await churn([
      [1, 1, 0],
      [1, 1, 1],
      [0, 1, 1],
    ]);
  });
});
