import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Bridge, phoenixPubSub } from "@isthmus/bridge";
import { SIGNAL } from "@isthmus/core/channel";
import { Pid } from "@isthmus/etf";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Beam } from "../support/beam.ts";
import { Clusters, SOON } from "./clusters.ts";

const NAME = "'Elixir.Shop.PubSub'";
const PUBSUB = "'Elixir.Phoenix.PubSub'";
const BOTH = [
  phoenixPubSub({ from: "shop", to: "billing", name: "Shop.PubSub" }),
  phoenixPubSub({ from: "billing", to: "shop", name: "Elixir.Shop.PubSub" }),
];

describe("applications with a Phoenix.PubSub of the same name in two clusters", () => {
  let elixir: string;
  let clusters: Clusters;
  let shop: [Beam, Beam];
  let billing: [Beam, Beam];
  let bridge: Bridge;

  beforeAll(() => {
    const code = "IO.write(:code.lib_dir(:elixir, :ebin))";
    elixir = execFileSync("elixir", ["-e", code], { encoding: "utf8" });
  });
  afterEach(async () => {
    try {
      expect(await clusters.reports()).toEqual({});
    } finally {
      await clusters.stop();
    }
  });

  /** A node with the application, and one subscriber of the topic "news". */
  async function node(cluster: string, poolSize: number): Promise<Beam> {
    const beam = await clusters.beam(cluster, 25, ["-pa", elixir]);
    const file = fileURLToPath(new URL("elixir/pubsub.exs", import.meta.url));
    await beam.eval(
      `application:ensure_all_started(elixir), 'Elixir.Code':eval_file(<<"${file}">>), ${PUBSUB}:start(${NAME}, ${poolSize}),
      isthmus_probe:collect(news), isthmus_probe:run(whereis(news), fun() -> ${PUBSUB}:subscribe(${NAME}, <<"news">>) end), ok`,
      { timeoutMs: 30_000 },
    );
    return beam;
  }
  async function start(shopPool: number, billingPool: number): Promise<void> {
    clusters = new Clusters();
    const nodes = await Promise.all([
      node("shop", shopPool),
      node("shop", shopPool),
      node("billing", billingPool),
      node("billing", billingPool),
    ]);
    shop = [nodes[0], nodes[1]];
    billing = [nodes[2], nodes[3]];
    for (const [one, other] of [shop, billing])
      expect(await one.eval(`net_adm:ping('${other.node}')`)).toBe("pong");
    bridge = await clusters.bridge(["shop", "billing"], { groups: BOTH });
    // the bridge knows the pools of all nodes
    await expect
      .poll(() => bridge.status().groups, SOON)
      .toMatchObject([{ members: 2 * billingPool }, { members: 2 * shopPool }]);
    // two of its own cluster, and the bridge
    for (const beam of nodes) await expect.poll(() => members(beam, "Adapter"), SOON).toBe(3);
  }
  const members = async (beam: Beam, worker: string) =>
    Number(await beam.eval(`length(pg:get_members(${PUBSUB}, 'Elixir.Shop.PubSub.${worker}'))`));
  const heard = () =>
    Promise.all([...shop, ...billing].map((beam) => beam.eval("isthmus_probe:collected(news)")));
  const broadcast = (on: Beam, message: string) =>
    on.eval(`${PUBSUB}:broadcast(${NAME}, <<"news">>, ${message}), ok`);

  it("all hear a broadcast once, and it crosses once", async () => {
    await start(1, 1);
    const sends = vi.spyOn(bridge.router("shop"), "route");
    await broadcast(shop[0], "{sold,1}");
    await expect.poll(heard, SOON).toEqual(Array(4).fill("[{sold,1}]"));
    expect(
      sends.mock.calls.filter(([, { kind, to }]) => kind === SIGNAL.SEND && to instanceof Pid).length,
    ).toBe(1);
    await broadcast(billing[1], "{paid,1}");
    await expect.poll(heard, SOON).toEqual(Array(4).fill("[{sold,1},{paid,1}]"));
  });

  it("who broadcasts from itself hears nothing of it; local ones stay; direct ones go to the other cluster only", async () => {
    await start(1, 1);
    const run = (beam: Beam, call: string) =>
      beam.eval(`isthmus_probe:run(whereis(news), fun() -> ${PUBSUB}:${call} end), ok`);
    await run(shop[0], `broadcast_from(${NAME}, self(), <<"news">>, mine)`);
    await run(shop[0], `local_broadcast(${NAME}, <<"news">>, here)`);
    await run(shop[0], `direct_broadcast('bridge@127.0.0.1', ${NAME}, <<"news">>, there)`);
    // whatever came back would come before this
    await expect.poll(heard, SOON).toEqual(["[here]", "[mine]", "[mine,there]", "[mine,there]"]);
    await run(billing[0], `broadcast_from(${NAME}, self(), <<"news">>, back)`);
    await expect
      .poll(heard, SOON)
      .toEqual(["[here,back]", "[mine,back]", "[mine,there]", "[mine,there,back]"]);
    await broadcast(shop[0], "last");
    await expect
      .poll(heard, SOON)
      .toEqual(["[here,back,last]", "[mine,back,last]", "[mine,there,last]", "[mine,there,back,last]"]);
  });

  it("pools of any size hear what their part of a pool is sent, and messages keep their order", async () => {
    await start(3, 3);
    for (const worker of ["Adapter_2", "Adapter_3"])
      await expect.poll(() => members(shop[0], worker), SOON).toBe(3);
    await shop[0].eval(
      `Self = self(), Pids = [spawn(fun() -> [${PUBSUB}:broadcast(${NAME}, <<"news">>, {S, N}) || N <- lists:seq(1, 50)], Self ! sent end) || S <- lists:seq(1, 8)], [receive sent -> ok end || _ <- Pids], ok`,
    );
    for (const beam of [...shop, ...billing]) {
      await expect.poll(() => beam.eval("length(isthmus_probe:collected(news))"), SOON).toBe("400");
      expect(
        await beam.eval(
          "[[N || {S, N} <- isthmus_probe:collected(news), S =:= Sender] =:= lists:seq(1, 50) || Sender <- lists:seq(1, 8)]",
        ),
      ).toBe(`[${Array(8).fill("true").join()}]`);
    }
  });

  it("a node that goes, and the bridge, take nothing else along", async () => {
    await start(1, 1);
    await billing[1].kill();
    await broadcast(shop[0], "one");
    await expect.poll(() => billing[0].eval("isthmus_probe:collected(news)"), SOON).toBe("[one]");
    await bridge.close();
    for (const beam of [...shop, billing[0]])
      await expect.poll(() => members(beam, "Adapter"), SOON).toBeLessThan(3);
    await broadcast(shop[0], "two");
    await expect.poll(() => shop[1].eval("isthmus_probe:collected(news)"), SOON).toBe("[one,two]");
    bridge = await clusters.bridge(["shop", "billing"], { groups: BOTH });
    await expect.poll(() => members(shop[0], "Adapter"), SOON).toBe(3);
    await broadcast(shop[0], "three");
    await expect.poll(() => billing[0].eval("isthmus_probe:collected(news)"), SOON).toBe("[one,three]");
    expect(await shop[0].eval("isthmus_probe:collected(news)")).toBe("[one,two,three]");
  });
});
