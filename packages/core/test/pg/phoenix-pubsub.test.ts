import { atom, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { startPg } from "../../src/pg/pg-scope.ts";
import { PHOENIX_PUBSUB_SCOPE, type PhoenixPubSub, startPhoenixPubSub } from "../../src/pg/phoenix-pubsub.ts";
import { collector, LEFT, RIGHT, twoNodes } from "../process/network.ts";
import { pgNode, shown } from "./pg-node.ts";

const WORKER = "Elixir.MyApp.PubSub.Adapter";

async function twoServers() {
  const { network, left, right } = twoNodes();
  network.connect(LEFT, RIGHT);
  const [node, other] = [pgNode(left), pgNode(right)];
  const options = { name: "MyApp.PubSub", clock: network.clock, logger: left.logger };
  const servers = [startPhoenixPubSub(node, options), startPhoenixPubSub(other, options)] as const;
  await network.settle();
  return { network, left, right, node, options, pubsub: servers[0], other: servers[1] };
}

function listen(to: PhoenixPubSub, topic: string): string[] {
  const heard: string[] = [];
  to.subscribe(topic, ({ message, dispatcher }) => heard.push(`${shown(message)} ${dispatcher.text}`));
  return heard;
}

describe("a PubSub server", () => {
  it("brings what is broadcast to the subscribers of a topic on all nodes, in order", async () => {
    const { network, pubsub, other } = await twoServers();
    const [here, again, there, elsewhere] = [
      listen(pubsub, "news"),
      listen(pubsub, "news"),
      listen(other, "news"),
      listen(other, "olds"),
    ];
    pubsub.broadcast("news", 1);
    pubsub.broadcast("news", "two", { dispatcher: "Elixir.My" });
    pubsub.directBroadcast(RIGHT, "news", 3);
    expect(here).toEqual([]);
    await network.settle();
    const both = ["1 Elixir.Phoenix.PubSub", '<<"two">> Elixir.My'];
    expect([here, again]).toEqual([both, both]);
    expect(there).toEqual([...both, "3 Elixir.Phoenix.PubSub"]);
    expect(elsewhere).toEqual([]);
    expect([pubsub.nodes(), other.nodes()]).toEqual([[RIGHT], [LEFT]]);
  });

  it("brings nothing to those who have had enough, and goes on when one throws", async () => {
    const { network, left, pubsub, other } = await twoServers();
    const stop = pubsub.subscribe("news", () => {
      throw new Error("broken");
    });
    const heard = listen(pubsub, "news");
    other.broadcast("news", 1);
    await network.settle();
    stop();
    stop();
    other.broadcast("news", 2);
    await network.settle();
    expect(heard.length).toBe(2);
    expect(left.log.map(({ level }) => level)).toEqual(["error"]);
    const again = pubsub.subscribe("other", () => expect.unreachable());
    again();
    const last = listen(pubsub, "other");
    again();
    other.broadcast("other", 3);
    await network.settle();
    expect(last.length).toBe(1);
  });

  it("has a process of the adapter's name in the group of that name, for each of its pool", async () => {
    const { network, right } = await twoServers();
    const third = network.node("third@h", 33);
    const pg = startPg(pgNode(third), { scope: PHOENIX_PUBSUB_SCOPE });
    const pubsub = startPhoenixPubSub(pgNode(third), { name: atom("my_pubsub"), poolSize: 3, pg });
    const names = ["", "_2", "_3"].map((end) => `Elixir.my_pubsub.Adapter${end}`);
    expect(third.table.registered()).toEqual(expect.arrayContaining(names));
    expect(pg.groups()).toEqual(names.map((name) => atom(name)));
    const heard = listen(pubsub, "t");
    const { process } = collector(third);
    const forward = (...parts: Term[]): Term => tuple(atom("forward_to_local"), ...parts);
    for (const name of names) process.send(name, forward("t", 1, atom("Elixir.D")));
    const wrong = [forward("t", 1), forward(1, 1, atom("d")), forward("t", 1, "d"), atom("forward_to_local")];
    for (const message of wrong) process.send(names[0]!, message);
    await network.settle();
    expect(heard).toEqual(["1 Elixir.D", "1 Elixir.D", "1 Elixir.D"]);
    pubsub.close();
    await network.settle();
    expect(pg.groups()).toEqual([]);
    expect(pg.process.alive).toBe(true);
    expect(right.table.whereis(WORKER)).toBeDefined();
  });

  it("that is closed is gone, here and there, and can be started anew", async () => {
    const { network, left, node, options, pubsub, other } = await twoServers();
    expect(() => startPhoenixPubSub(node, options)).toThrow(expect.objectContaining({ code: "NAME_TAKEN" }));
    const heard = listen(pubsub, "news");
    pubsub.close();
    pubsub[Symbol.dispose]();
    for (const act of [
      () => pubsub.subscribe("news", () => undefined),
      () => pubsub.broadcast("news", 1),
      () => pubsub.directBroadcast(RIGHT, "news", 1),
    ]) {
      expect(act).toThrow(expect.objectContaining({ code: "PROCESS_DEAD" }));
    }
    await network.settle();
    expect(other.nodes()).toEqual([]);
    expect(left.table.whereis(WORKER)).toBeUndefined();
    const next = startPhoenixPubSub(node, options);
    await network.settle();
    network.clock.advance(1000);
    await network.settle();
    expect([next.nodes(), other.nodes()]).toEqual([[RIGHT], [LEFT]]);
    other.broadcast("news", 1);
    await network.settle();
    expect(heard).toEqual([]);
  });

  it("needs the name of its scope, and a pool size that can be; nothing stays when it cannot start", async () => {
    const { network, left } = twoNodes();
    const node = pgNode(left);
    const before = left.table.size;
    for (const poolSize of [0, 1.5, 1025]) {
      expect(() => startPhoenixPubSub(node, { name: "P", poolSize })).toThrow(
        expect.objectContaining({ code: "OPTION_INVALID" }),
      );
    }
    const pg = startPg(node, { scope: PHOENIX_PUBSUB_SCOPE, clock: network.clock });
    expect(() => startPhoenixPubSub(node, { name: "P" })).toThrow(
      expect.objectContaining({ code: "NAME_TAKEN" }),
    );
    expect(left.table.size).toBe(before + 1);
    pg.close();
  });
});
