import { nodeHooks, serveClusterEvents } from "@isthmus/bridge";
import { type HiddenNode, startNode } from "@isthmus/core";
import { atom, type Term, tuple } from "@isthmus/etf";
import { type Cluster, epmd, startCluster } from "@isthmus/strategies";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { eachOtp } from "../support/peers.ts";

let mapper: Epmd;
let ends: (() => unknown)[] = [];
beforeAll(async () => {
  mapper = await startEpmd();
});
afterAll(() => mapper.stop());
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

async function hidden(name: string): Promise<HiddenNode> {
  const node = await startNode({
    name: `${name}@127.0.0.1`,
    cookie: "biscuit",
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: mapper.port },
  });
  ends.push(() => node.close());
  return node;
}

async function connect(node: HiddenNode, hosts: readonly string[]): Promise<Cluster> {
  const cluster = await startCluster({
    hooks: nodeHooks(node),
    topologies: { shop: { strategy: epmd({ hosts }) } },
  });
  ends.push(() => cluster.stop());
  const wanted = new Set(hosts);
  for await (const event of cluster.events({ snapshot: true })) {
    if (event.type === "nodeup") wanted.delete(event.node);
    if (wanted.size === 0) break;
  }
  return cluster;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(condition()).toBe(true);
}

eachOtp("the process Cluster.Events of our node", ({ otp, release }) => {
  const start = async (name: string): Promise<Beam> => {
    const beam = await startBeam({
      name: `${name}_${release}@127.0.0.1`,
      cookie: "biscuit",
      epmdPort: mapper.port,
      otp,
    });
    ends.push(() => beam.stop());
    return beam;
  };
  // in a fun, so that the message is not bound to a name for good
  const next = "(fun() -> receive Message -> Message after 8000 -> nothing end end)()";

  it("tells processes of a real node of nodes that come and go, until they unsubscribe", async () => {
    const [a, b] = await Promise.all([start("a"), start("b")]);
    const node = await hidden(`js_${release}`);
    const events = serveClusterEvents(node);
    const cluster = await connect(node, [a.node]);
    await a.eval(`Events = {'Elixir.Cluster.Events', '${node.name}'}, Events ! {subscribe, self()}`);
    await until(() => events.size === 1);

    await cluster.add("more", { strategy: epmd({ hosts: [b.node] }) });
    expect(await a.eval(next)).toBe(`{nodeup,'${b.node}'}`);
    await b.stop();
    expect(await a.eval(next)).toBe(`{nodedown,'${b.node}'}`);

    // a call answers when it is done
    expect(await a.eval("gen_server:call(Events, {unsubscribe, self()})")).toBe("ok");
    expect(events.size).toBe(0);
    expect(await a.eval("gen_server:call(Events, nonsense)")).toBe("{error,refused}");
    expect(await a.eval("Events ! nonsense, gen_server:call(Events, {subscribe, self()})")).toBe("ok");
    expect(events.size).toBe(1);
  });

  it("forgets who ends, and whose node goes, and does not dial it", async () => {
    const [a, b] = await Promise.all([start("c"), start("d")]);
    const node = await hidden(`js_${release}`);
    const events = serveClusterEvents(node);
    const seen: string[] = [];
    node.onNodeEvent(({ type, node: other }) => seen.push(`${type} ${other}`));
    await node.connect(a.node);
    await node.connect(b.node);
    const events_ = `{'Elixir.Cluster.Events', '${node.name}'}`;
    await a.eval(
      `register(worker, spawn(fun() -> receive stop -> ok end end)), ok = gen_server:call(${events_}, {subscribe, whereis(worker)}), ok = gen_server:call(${events_}, {subscribe, {worker, node()}})`,
    );
    expect(events.size).toBe(2);
    expect(await a.eval(`gen_server:call(${events_}, {subscribe, {nobody, 'made_up@127.0.0.1'}})`)).toBe(
      "{error,refused}",
    );
    await a.eval("worker ! stop");
    await until(() => events.size === 0);

    await b.eval(`ok = gen_server:call(${events_}, {subscribe, self()})`);
    await b.kill();
    await until(() => events.size === 0);
    expect(seen).toEqual([`up ${a.node}`, `up ${b.node}`, `down ${b.node}`]);
  });

  it("carries published events both ways", async () => {
    const a = await start("e");
    const node = await hidden(`js_${release}`);
    const events = serveClusterEvents(node);
    const published: Term[] = [];
    events.onPublished(() => {
      throw new Error("a listener that is broken");
    });
    events.onPublished((event) => published.push(event));
    await connect(node, [a.node]);
    // what skycluster has on each node
    await a.eval(
      `Events = {'Elixir.Cluster.Events', '${node.name}'}, register('Elixir.Cluster.Events', self()), ok = gen_server:call(Events, {subscribe, self()})`,
    );
    events.publish(tuple(atom("deployed"), "1.2.0"));
    expect(await a.eval(next)).toBe("{'receive',{deployed,<<\"1.2.0\">>}}");
    await a.eval("Events ! {'receive', {deployed, 7}}, Events ! {publish, {deployed, 8}}");
    expect(await a.eval(next)).toBe("{deployed,7}");
    expect(await a.eval(next)).toBe("{deployed,8}");
    expect(published).toEqual([tuple(atom("deployed"), 7), tuple(atom("deployed"), 8)]);
    events.close();
    events.close();
    expect(await a.eval("catch gen_server:call(Events, {subscribe, self()})")).toMatch(/noproc/);
  });
});
