import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { nodeHooks } from "@isthmus/bridge";
import { type HiddenNode, startNode } from "@isthmus/core";
import { staticResolver } from "@isthmus/epmd-client";
import {
  type Cluster,
  type ClusterHooks,
  type Strategy,
  type StrategyContext,
  startCluster,
} from "@isthmus/strategies";
import { type Clock, systemClock } from "@isthmus/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OwnedProcess } from "../support/owned-process.ts";

const MANY = 1000;
const CHURN = 100;
const NODES = Array.from({ length: MANY + CHURN }, (_, n) => `app${n}@127.0.0.1`);

let peers: OwnedProcess;
let node: HiddenNode;
let cluster: Cluster;
let control: number;
let context: StrategyContext;
const counted = { lists: 0, dials: 0, rounds: 0 };
const ROUND_MS = 500;

/** The system's clock, which counts the rounds of the topology. */
const clock: Clock = {
  now: () => systemClock.now(),
  after: (ms, run) =>
    systemClock.after(ms, () => {
      if (ms === ROUND_MS) counted.rounds++;
      run();
    }),
};

const say = (from: number, to: number): void => context.report({ ok: true, nodes: NODES.slice(from, to) });
const strategy: Strategy = {
  start: (to) => {
    context = to;
  },
  stop: async () => undefined,
};

beforeAll(async () => {
  const program = fileURLToPath(new URL("fake-peers.mjs", import.meta.url));
  peers = await OwnedProcess.start(
    "fake peers",
    process.execPath,
    [program, String(NODES.length), "biscuit"],
    {},
  );
  await until(() => peers.output.includes("\n"), "the peers listen");
  const { control: port, ports } = JSON.parse(peers.output) as { control: number; ports: number[] };
  control = port;
  node = await startNode({
    name: "js@127.0.0.1",
    cookie: "biscuit",
    listen: false,
    epmd: false,
    resolver: staticResolver(
      Object.fromEntries(NODES.map((name, n) => [name, { port: ports[n] as number }])),
    ),
  });
  const hooks = nodeHooks(node);
  const counting: ClusterHooks = {
    ...hooks,
    connect: (name, signal) => {
      counted.dials++;
      return hooks.connect(name, signal);
    },
    listNodes: () => {
      counted.lists++;
      return hooks.listNodes();
    },
  };
  cluster = await startCluster({
    hooks: counting,
    intervalMs: ROUND_MS,
    clock,
    topologies: { big: { strategy } },
  });
  await until(() => context !== undefined, "the strategy is started");
});
afterAll(async () => {
  await cluster?.stop();
  await node?.close();
  await peers?.stop();
});

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Tells the peers something. @returns how many of them have one connection, and how many any */
async function tell(line: string): Promise<{ one: number; any: number }> {
  const socket = connect(control, "127.0.0.1");
  socket.setEncoding("utf8").write(`${line}\n`);
  const [answer] = (await once(socket, "data")) as [string];
  socket.destroy();
  return JSON.parse(answer) as { one: number; any: number };
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const allConnected = (): boolean => {
  const [topology] = cluster.status().topologies;
  return topology!.nodes.length === MANY && topology!.nodes.every(({ state }) => state === "connected");
};

/** Nothing here says how long anything may take; the numbers are printed, to be compared by people. */
describe("a thousand nodes and one hidden node", () => {
  it("are connected, once each", async () => {
    const before = process.memoryUsage();
    const start = performance.now();
    say(0, MANY);
    await until(allConnected, "all are connected");
    const took = performance.now() - start;
    const after = process.memoryUsage();
    print(
      `connected ${MANY} nodes in ${Math.round(took)} ms; memory grew by ${megabytes(after.rss - before.rss)} (heap ${megabytes(after.heapUsed - before.heapUsed)})`,
    );
    expect(await tell("connected")).toEqual({ one: MANY, any: MANY });
    expect(counted.dials).toBe(MANY);
    expect(node.nodes().length).toBe(MANY);
  });

  it("cost one look at the list in each round while nothing happens", async () => {
    counted.dials = 0;
    counted.lists = 0;
    counted.rounds = 0;
    const cpu = process.cpuUsage();
    const start = performance.now();
    await until(() => counted.rounds >= 6, "there were some rounds");
    const { user, system } = process.cpuUsage(cpu);
    const took = performance.now() - start;
    const share = ((user + system) / 1000 / took) * 100;
    print(
      `at rest: ${share.toFixed(1)} % of one CPU with a round each ${ROUND_MS} ms, for ${Math.round(took)} ms`,
    );
    expect(counted.dials).toBe(0);
    expect(counted.lists).toBe(counted.rounds);
  });

  it("become others by a tenth", async () => {
    const start = performance.now();
    say(CHURN, MANY + CHURN);
    await until(allConnected, "the new ones are connected");
    await until(async () => (await tell("connected")).any === MANY, "the old ones are let go");
    print(`replaced ${CHURN} of ${MANY} nodes in ${Math.round(performance.now() - start)} ms`);
    expect(counted.dials).toBe(CHURN);
    expect((await tell("connected")).one).toBe(MANY);
    expect(new Set(cluster.status().connected)).toEqual(new Set(NODES.slice(CHURN)));
  });

  it("are connected again when a tenth of them drop us", async () => {
    counted.dials = 0;
    let lost = 0;
    cluster.on((event) => {
      if (event.type === "nodedown") lost++;
    });
    const start = performance.now();
    await tell(`drop ${CHURN} ${2 * CHURN}`);
    await until(() => lost === CHURN && allConnected(), "all are back");
    print(`reconnected ${CHURN} of ${MANY} nodes in ${Math.round(performance.now() - start)} ms`);
    expect(counted.dials).toBe(CHURN);
    expect((await tell("connected")).one).toBe(MANY);
  });
});
