import { nodeHooks } from "@isthmus/bridge";
import { type HiddenNode, startNode } from "@isthmus/core";
import { atom } from "@isthmus/etf";
import {
  type Cluster,
  type ClusterEvent,
  type ClusterOptions,
  mfaHooks,
  type Strategy,
  type StrategyContext,
  startCluster,
} from "@isthmus/strategies";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { eachOtp, type OtpRelease } from "../support/peers.ts";

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

async function beam(name: string, otp: OtpRelease): Promise<Beam> {
  const started = await startBeam({
    name: `${name}_${otp}@127.0.0.1`,
    cookie: "biscuit",
    epmdPort: mapper.port,
    otp,
    // each connection is ours to make and to end
    args: ["-connect_all", "false"],
  });
  ends.push(() => started.stop());
  return started;
}

async function hidden(otp: OtpRelease): Promise<HiddenNode> {
  const node = await startNode({
    name: `js_${otp}@127.0.0.1`,
    cookie: "biscuit",
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: mapper.port },
  });
  ends.push(() => node.close());
  return node;
}

/** A strategy that names what the test says. */
function told(...first: string[]): Strategy & { say(...nodes: string[]): void } {
  let context: StrategyContext | undefined;
  const say = (...nodes: string[]): void => context?.report({ ok: true, nodes });
  return {
    start: (to) => {
      context = to;
      say(...first);
    },
    stop: async () => undefined,
    say,
  };
}

async function run(options: ClusterOptions): Promise<{ cluster: Cluster; events: ClusterEvent[] }> {
  const cluster = await startCluster({ backoff: { firstMs: 50, maxMs: 200 }, intervalMs: 200, ...options });
  ends.push(() => cluster.stop());
  const events: ClusterEvent[] = [];
  cluster.on((event) => events.push(event));
  return { cluster, events };
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 20_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const has = (events: readonly ClusterEvent[], type: ClusterEvent["type"], node: string) => () =>
  events.some((event) => event.type === type && "node" in event && event.node === node);

describe("the hooks of a hidden node of ours", () => {
  eachOtp("keep real nodes connected", ({ otp }) => {
    it("and let go of those that are not named any more", async () => {
      const [a, b] = await Promise.all([beam("a", otp), beam("b", otp)]);
      const node = await hidden(otp);
      const strategy = told(a.node, b.node, node.name);
      const { cluster, events } = await run({ hooks: nodeHooks(node), topologies: { shop: { strategy } } });
      await until(() => cluster.status().connected.length === 2, "both are connected");
      // the far side knows it a little later
      await expect.poll(() => a.eval("nodes(hidden)")).toBe(`['${node.name}']`);

      strategy.say(a.node);
      await until(async () => (await b.eval("nodes(hidden)")) === "[]", "b is let go");
      expect(cluster.status().connected).toEqual([a.node]);

      await a.kill();
      await until(has(events, "nodedown", a.node), "the loss is told");
      await until(has(events, "connect_failed", a.node), "it is dialled in vain");
      events.length = 0;
      const again = await beam("a", otp);
      await until(has(events, "connected", a.node), "it is back");
      await expect.poll(() => again.eval("nodes(hidden)")).toBe(`['${node.name}']`);
    });

    it("and do not dial back who drops us while we drain", async () => {
      const a = await beam("c", otp);
      const node = await hidden(otp);
      const { cluster, events } = await run({
        hooks: nodeHooks(node),
        topologies: { shop: { strategy: told(a.node) } },
      });
      await until(has(events, "connected", a.node), "it is connected");
      cluster.drain();
      await a.eval(`erlang:disconnect_node('${node.name}')`);
      await until(has(events, "nodedown", a.node), "we were dropped");
      // rounds that would dial
      cluster.refresh();
      cluster.refresh();
      expect(cluster.status().topologies[0]!.nodes).toMatchObject([{ node: a.node, state: "idle" }]);
      expect(node.isConnecting(atom(a.node))).toBe(false);
      // it may still connect to us
      expect(await a.eval(`net_kernel:connect_node('${node.name}')`)).toBe("true");
      await until(() => cluster.status().connected.length === 1, "it is seen");
    });
  });
});

describe("the hooks of a real node", () => {
  eachOtp("make it connect to others", ({ otp }) => {
    it("and know what it is connected to", async () => {
      const [a, b, c] = await Promise.all([beam("d", otp), beam("e", otp), beam("f", otp)]);
      const node = await hidden(otp);
      const hooks = mfaHooks({
        node: a.node,
        rpc: (module, fun, args, options) => node.processes.erpc.call(a.node, module, fun, args, options),
      });
      const strategy = told(a.node, b.node, c.node);
      const { cluster, events } = await run({ hooks, topologies: { shop: { strategy } } });
      await until(async () => (await a.eval("length(nodes())")) === "2", "it is connected to both");
      await until(() => cluster.status().connected.length === 3, "we know, ourselves included");
      expect(new Set(cluster.status().connected)).toEqual(new Set([b.node, c.node, node.name]));

      await b.kill();
      await until(has(events, "nodedown", b.node), "the loss is told");
      await until(has(events, "connect_failed", b.node), "it is tried in vain");
      expect(events.find(({ type }) => type === "connect_failed")).toMatchObject({
        error: { code: "CONNECT_FAILED" },
      });
      await beam("e", otp);
      await until(async () => (await a.eval("length(nodes())")) === "2", "it is back");

      strategy.say(b.node);
      await until(async () => (await a.eval("nodes()")) === `['${b.node}']`, "the other is let go");
      expect(await c.eval("nodes()")).toBe("[]");
    });

    it("with other functions than the usual ones", async () => {
      const [a, b] = await Promise.all([beam("g", otp), beam("h", otp)]);
      const node = await hidden(otp);
      const { cluster } = await run({
        hooks: nodeHooks(node),
        beam: {
          node: a.node,
          rpc: (module, fun, args, options) => node.processes.erpc.call(a.node, module, fun, args, options),
        },
        topologies: {
          shop: {
            strategy: told(b.node),
            connect: [":net_kernel", ":hidden_connect_node"],
            listNodes: [":erlang", ":nodes", [":hidden"]],
          },
        },
      });
      await until(
        () => cluster.status().topologies[0]!.nodes[0]?.state === "connected",
        "it is connected by that function",
      );
      await expect.poll(() => b.eval("nodes(hidden)")).toBe(`['${a.node}']`);
      expect(await b.eval("nodes()")).toBe("[]");
    });
  });
});
