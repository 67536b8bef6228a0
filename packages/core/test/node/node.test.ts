import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { staticResolver } from "@isthmus/epmd-client";
import { atom, tuple } from "@isthmus/etf";
import { afterEach, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { type HiddenNode, type NodeEvent, startNode } from "../../src/node/node.ts";
import type { NodeOptions } from "../../src/node/options.ts";

const nodes: HiddenNode[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.close();
});

const ports = new Map<string, { host: string; port: number }>();

/** A node without epmd, that finds the others of this file. */
async function start(name: string, options: Partial<NodeOptions> = {}): Promise<HiddenNode> {
  const resolver: NodeOptions["resolver"] = (wanted, how) =>
    staticResolver(Object.fromEntries(ports))(wanted, how);
  const node = await startNode({
    name,
    cookie: "oats",
    listen: { host: "127.0.0.1" },
    epmd: false,
    resolver,
    ...options,
  });
  if (node.port !== undefined) ports.set(name, { host: "127.0.0.1", port: node.port });
  nodes.push(node);
  return node;
}

it("several nodes live in one process, and talk to each other", async () => {
  const names = ["a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"];
  for (const name of names)
    (await start(name)).serve("echo", { call: (request) => tuple(atom(name), request) });
  const answers = await Promise.all(
    nodes.flatMap((node) => names.map((name) => node.call({ name: "echo", node: name }, 7))),
  );
  expect(answers).toEqual(names.flatMap(() => names.map((name) => tuple(atom(name), 7))));
});

it("gives events as an async iterator, until it is aborted or the node is closed", async () => {
  const a = await start("a@127.0.0.1");
  const b = await start("b@127.0.0.1");
  const owner = new AbortController();
  const seen: NodeEvent[] = [];
  const aborted = (async () => {
    for await (const event of a.events({ signal: owner.signal })) {
      seen.push(event);
      if (event.type === "down") owner.abort();
    }
  })();
  const closed = (async () => {
    const types: string[] = [];
    for await (const { type } of b.events()) types.push(type);
    return types;
  })();
  await a.connect(b.name);
  a.disconnect(b.name);
  await aborted;
  expect(seen.map(({ type, node }) => `${type} ${node}`)).toEqual(["up b@127.0.0.1", "down b@127.0.0.1"]);
  await b.close();
  expect((await closed)[0]).toBe("up");
});

it("tells diagnostics_channel what happens to connections", async () => {
  const told: unknown[] = [];
  const listen = (message: unknown, name: string | symbol): void => {
    const { node, peer } = message as { node: string; peer: string };
    told.push(`${String(name)} ${node} ${peer}`);
  };
  const channels = [
    "isthmus.node.up",
    "isthmus.node.down",
    "isthmus.node.connect_failed",
    "isthmus.node.accept_failed",
  ];
  for (const channel of channels) subscribe(channel, listen);
  try {
    const a = await start("a@127.0.0.1");
    const b = await start("b@127.0.0.1");
    const stranger = await start("s@127.0.0.1", { cookie: "other" });
    await a.connect(b.name);
    await expect(stranger.connect(b.name)).rejects.toThrow();
    a.disconnect(b.name);
    await expect.poll(() => told.length).toBe(6);
  } finally {
    for (const channel of channels) unsubscribe(channel, listen);
  }
  expect(told.sort()).toEqual([
    "isthmus.node.accept_failed b@127.0.0.1 s@127.0.0.1",
    "isthmus.node.connect_failed s@127.0.0.1 b@127.0.0.1",
    "isthmus.node.down a@127.0.0.1 b@127.0.0.1",
    "isthmus.node.down b@127.0.0.1 a@127.0.0.1",
    "isthmus.node.up a@127.0.0.1 b@127.0.0.1",
    "isthmus.node.up b@127.0.0.1 a@127.0.0.1",
  ]);
});

it("warns when the event loop was held up, and not otherwise", async () => {
  const clock = new FakeClock();
  const warnings: unknown[] = [];
  const logger = {
    debug: () => {},
    info: () => {},
    error: () => {},
    warn: (fields: object) => void warnings.push(fields),
  };
  await start("a@127.0.0.1", { clock, logger: logger as never, listen: false });
  clock.advance(15_000);
  clock.advance(15_999);
  expect(warnings).toEqual([]);
  clock.advance(17_500);
  expect(warnings).toEqual([{ node: "a@127.0.0.1", lateMs: 2500 }]);
});

it("makes a sender wait while a peer does not read, and no longer", async () => {
  const a = await start("a@127.0.0.1");
  const b = await start("b@127.0.0.1");
  const got: number[] = [];
  b.spawn({ name: "sink", onMessage: (message) => void got.push((message as Uint8Array).length) });
  await a.connect(b.name);
  await a.writable(b.name);
  await a.writable("nobody@127.0.0.1");
  const fromA = b.connection(atom(a.name))!;
  fromA.pause();
  const chunk = Buffer.alloc(256 * 1024);
  let sent = 0;
  while (a.connection(atom(b.name))!.blocked === false) {
    a.send({ name: "sink", node: b.name }, chunk);
    sent++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  let free = false;
  const waiting = a.writable(b.name).then(() => {
    free = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(free).toBe(false);
  fromA.resume();
  await waiting;
  await expect.poll(() => got.length).toBe(sent);
});

it("no sender waits for a connection that is gone", async () => {
  const a = await start("a@127.0.0.1");
  const b = await start("b@127.0.0.1");
  await a.connect(b.name);
  b.connection(atom(a.name))!.pause();
  while (a.connection(atom(b.name))!.blocked === false) {
    a.send({ name: "sink", node: b.name }, Buffer.alloc(256 * 1024));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const waiting = a.writable(b.name);
  a.disconnect(b.name);
  await waiting;
});

it("drains: what was sent arrives before the end", async () => {
  const a = await start("a@127.0.0.1");
  const b = await start("b@127.0.0.1");
  let bytes = 0;
  b.spawn({
    name: "sink",
    onMessage: (message) => {
      bytes += (message as Uint8Array).length;
    },
  });
  await a.connect(b.name);
  for (let i = 0; i < 40; i++) a.send({ name: "sink", node: b.name }, Buffer.alloc(300_000));
  await a.drain();
  await expect.poll(() => bytes).toBe(40 * 300_000);
});

it("an attempt begun while a replaced connection is being reported lost gets the new one", async () => {
  const b = await start("b@127.0.0.1");
  const first = await start("a@127.0.0.1");
  await first.connect(b.name);
  const found: (string | undefined)[] = [];
  b.onNodeEvent((event) => {
    if (event.type !== "down" || found.length > 0) return;
    found.push("asked");
    b.whenConnected(atom(event.node), (connection) => found.push(connection?.peer.text));
  });
  // the same name anew: the old connection gives way
  const again = await start("a@127.0.0.1");
  first.disconnect(b.name);
  await again.connect(b.name);
  await expect.poll(() => found).toEqual(["asked", "a@127.0.0.1"]);
});

it.each([
  [{ tickTimeSeconds: 0 }, /tickTimeSeconds must be between 1 and 86400, not 0/],
  [{ tickIntensity: 3 }, /tickIntensity must be a whole number from 4 to 1000, not 3/],
])("refuses %j", async (options, message) => {
  await expect(start("a@127.0.0.1", options)).rejects.toMatchObject({
    code: "OPTION_INVALID",
    message: expect.stringMatching(message),
  });
});
