import type { Bridge, GroupOptions, TrunkOptions } from "@isthmus/bridge";
import { SIGNAL } from "@isthmus/core/channel";
import { Pid } from "@isthmus/etf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { webSocket } from "../../packages/bridge/src/trunk/ws-client.ts";
import type { Beam } from "../support/beam.ts";
import { freePort } from "../support/epmd.ts";
import { type CuttingProxy, startCuttingProxy } from "../trunk/cutting-proxy.ts";
import { broadcast, Clusters, got, member, SOON, size, startScope } from "./clusters.ts";

const SECRET = "a secret that all the sites have";
const backoff = { firstMs: 2, maxMs: 100 };

/** Each site has one cluster, of the same name. */
const entries = (here: string, others: readonly string[], form: "members" | "fan_out"): GroupOptions[] =>
  others.flatMap((other) => [
    { from: here, to: other, groups: ["*"], form },
    { from: other, to: here, groups: ["*"], form },
  ]);

describe.each(["members", "fan_out"] as const)(
  "groups of clusters of other sites, of the form %s",
  (form) => {
    let clusters: Clusters;
    let beams: Record<string, Beam>;
    let proxies: CuttingProxy[];

    beforeEach(() => {
      clusters = new Clusters();
      proxies = [];
      beams = {};
    });
    afterEach(async () => {
      try {
        expect(await clusters.reports()).toEqual({});
      } finally {
        await clusters.stop();
        for (const proxy of proxies) await proxy.close();
      }
    });

    /** The bridge of a site, which listens at `port` and connects to those of `to`. */
    async function site(
      name: string,
      others: readonly string[],
      port: number,
      to: Readonly<Record<string, number>>,
      groups = entries(name, others, form),
    ): Promise<Bridge> {
      const sites = others.map((other) => {
        const at = to[other];
        const open =
          at === undefined ? [] : [webSocket({ url: `ws://127.0.0.1:${at}/trunk`, environment: {} })];
        return [other, { secret: SECRET, backoff, ...(at === undefined ? {} : { open }) }] as const;
      });
      const trunk: TrunkOptions = {
        site: name,
        listen: { host: "127.0.0.1", port },
        sites: Object.fromEntries(sites),
      };
      const far = Object.fromEntries(others.map((other) => [other, { site: other }]));
      return clusters.bridge([name], { groups, trunk }, { name: `bridge_${name}`, far });
    }
    async function start(...names: string[]): Promise<void> {
      for (const name of names) {
        beams[name] = await clusters.beam(name);
        await startScope(beams[name]);
      }
    }
    const sizes = (group: string) => Promise.all(Object.values(beams).map((beam) => size(beam, group)));

    /** @param port of the trunk */
    async function northAndSouth(port: number): Promise<[north: Bridge, south: Bridge]> {
      await start("north", "south");
      const proxy = await startCuttingProxy(port);
      proxies.push(proxy);
      const south = await site("south", ["north"], port, {});
      const north = await site("north", ["south"], await freePort(), { south: proxy.port });
      return [north, south];
    }

    it("are seen on the other side, and a broadcast crosses as the form has it", async () => {
      const [, south] = await northAndSouth(await freePort());
      for (const name of ["one", "two", "three"]) await member(beams["south"]!, name, "room");
      await member(beams["north"]!, "mine", "room");
      await expect.poll(() => sizes("room"), SOON).toEqual(form === "members" ? [4, 4] : [2, 4]);
      const route = vi.spyOn(south.router("north"), "route");
      await broadcast(beams["north"]!, "room", "{hello,self()}");
      const texts = () => Promise.all(["one", "two", "three"].map((name) => got(beams["south"]!, name)));
      await expect
        .poll(async () => (await texts()).every((text) => /^\[\{hello,<[^,]*>\}\]$/.test(text)), SOON)
        .toBe(true);
      const sends = route.mock.calls.filter(([, { kind, to }]) => kind === SIGNAL.SEND && to instanceof Pid);
      expect(sends.length).toBe(form === "members" ? 3 : 1);
      // nothing came back
      expect(await got(beams["north"]!, "mine")).toBe("[]");
      await beams["south"]!.eval("[{hello, From}] = isthmus_probe:collected(one), From ! answer");
      expect(await beams["north"]!.eval("receive answer -> got after 10000 -> nothing end")).toBe("got");
      await beams["south"]!.eval("[exit(whereis(P), kill) || P <- [one, two, three]]");
      await expect.poll(() => sizes("room"), SOON).toEqual([1, 1]);
    });

    it("stay while the trunk is cut and comes back, and nothing is lost or doubled", async () => {
      await northAndSouth(await freePort());
      await member(beams["south"]!, "one", "room");
      await expect.poll(() => sizes("room"), SOON).toEqual([1, 1]);
      for (let i = 1; i <= 5; i++) {
        await beams["north"]!.eval(`hd(pg:get_members(pg, room)) ! ${i}`);
        proxies[0]!.cutAll();
        await beams["north"]!.eval(`hd(pg:get_members(pg, room)) ! {cut,${i}}`);
      }
      const all = [1, 2, 3, 4, 5].flatMap((i) => [String(i), `{cut,${i}}`]);
      await expect.poll(() => got(beams["south"]!, "one"), SOON).toBe(`[${all.join()}]`);
      await beams["south"]!.eval("exit(whereis(one), kill)");
      await expect.poll(() => sizes("room"), SOON).toEqual([0, 0]);
    });

    it("go with the bridge of their site, and are there again with the next one", async () => {
      const port = await freePort();
      const [, south] = await northAndSouth(port);
      await member(beams["south"]!, "one", "room");
      await expect.poll(() => sizes("room"), SOON).toEqual([1, 1]);
      await south.close();
      await expect.poll(() => sizes("room"), SOON).toEqual([0, 1]);
      await site("south", ["north"], port, {});
      await expect.poll(() => sizes("room"), SOON).toEqual([1, 1]);
      await broadcast(beams["north"]!, "room", "again");
      await expect.poll(() => got(beams["south"]!, "one"), SOON).toBe("[again]");
    });

    it("of three that are all joined are seen once in each other", async () => {
      const names = ["a", "b", "c"];
      await start(...names);
      const ports = await Promise.all(names.map(() => freePort()));
      for (const [i, name] of names.entries()) {
        const others = names.filter((other) => other !== name);
        // each connects to those before it
        const to = Object.fromEntries(names.slice(0, i).map((other, j) => [other, ports[j]!]));
        await site(name, others, ports[i]!, to);
      }
      for (let round = 0; round < 2; round++) {
        for (const [i, name] of names.entries()) {
          await member(beams[name]!, "here", `{g,${i}}`);
          await expect.poll(() => sizes(`{g,${i}}`), SOON).toEqual([1, 1, 1]);
        }
        for (const [i, name] of names.entries()) {
          expect(await sizes(`{g,${i}}`)).toEqual([1, 1, 1]);
          await broadcast(beams[names[(i + 1) % 3]!]!, `{g,${i}}`, "once");
          await expect.poll(() => got(beams[name]!, "here"), SOON).toBe("[once]");
          await beams[name]!.eval("exit(whereis(here), kill)");
          await expect.poll(() => sizes(`{g,${i}}`), SOON).toEqual([0, 0, 0]);
        }
      }
    });
  },
);
