import { connect, createServer, type Socket } from "node:net";
import type { Discovery } from "@isthmus/strategies";
import { type PostgresOptions, postgres } from "@isthmus/strategies/postgres";
import { systemClock } from "@isthmus/wire";
import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Postgres, startPostgres } from "../../../../test/support/postgres.ts";
import { strategyCompliance } from "../compliance.ts";
import { recordingLogger } from "../support/fake-cluster.ts";

let server: Postgres;
let ends: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  server = await startPostgres();
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
});
afterAll(() => server.remove());

const parts = () => ({
  hostname: server.host,
  port: server.port,
  username: server.user,
  password: server.password,
  database: server.database,
});

/** Starts a strategy as the node `self`. */
function start(self: string, options: Partial<PostgresOptions> = {}) {
  const reports: Discovery[] = [];
  const strategy = postgres({ url: server.url, heartbeatInterval: 400, ...options });
  ends.push(() => strategy.stop());
  const logger = recordingLogger();
  strategy.start({
    self,
    report: (discovery) => void reports.push(discovery),
    logger,
    clock: systemClock,
    signal: new AbortController().signal,
    compat: false,
  });
  const nodes = (): readonly string[] | undefined => {
    const last = reports.findLast((report) => report.ok);
    return last?.ok === true ? [...last.nodes].sort() : undefined;
  };
  return { strategy, reports, nodes, logger, last: () => reports.at(-1) };
}

/** What others hear on `channel`. */
async function listen(channel: string) {
  const heard: string[] = [];
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  client.on("notification", ({ payload }) => heard.push(payload ?? ""));
  await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
  ends.push(() => client.end());
  return heard;
}

const patiently = { timeout: 20_000, interval: 20 };
const say = (text: string, channel = "cluster") => server.query("SELECT pg_notify($1, $2)", [channel, text]);
const ours = "FROM pg_stat_activity WHERE application_name = 'isthmus'";
const backends = async () => (await server.query(`SELECT pid ${ours}`)).length;

it("two strategies hear each other, whatever form the other one speaks", async () => {
  const a = start("a@127.0.0.1");
  const b = start("b@127.0.0.1", { payload: "heartbeat" });
  const c = start("c@127.0.0.1", { payload: "heartbeat_double" });
  await expect.poll(a.nodes, patiently).toEqual(["b@127.0.0.1", "c@127.0.0.1"]);
  await expect.poll(b.nodes, patiently).toEqual(["a@127.0.0.1", "c@127.0.0.1"]);
  await expect.poll(c.nodes, patiently).toEqual(["a@127.0.0.1", "b@127.0.0.1"]);
  expect(a.reports.every(({ ok }) => ok)).toBe(true);
});

it("understands every form, and passes over what is none", async () => {
  const { nodes, reports } = start("a@127.0.0.1", { missedHeartbeats: 0 });
  await expect.poll(nodes, patiently).toEqual([]);
  const texts = ["bare@10.0.0.1", "heartbeat:one@10.0.0.2", "heartbeat::two@10.0.0.3", "o'brien@10.0.0.4"];
  for (const text of ["", "rubbish", "@", "a b@h", `x@${"y".repeat(300)}`, "heartbeat:", ...texts])
    await say(text);
  const all = ["bare@10.0.0.1", "o'brien@10.0.0.4", "one@10.0.0.2", "two@10.0.0.3"];
  await expect.poll(nodes, patiently).toEqual(all);
  await say("goodbye:never@10.0.0.9");
  await say("goodbye:one@10.0.0.2");
  await expect.poll(nodes, patiently).toEqual(all.filter((node) => node !== "one@10.0.0.2"));
  expect(reports.every(({ ok }) => ok)).toBe(true);
});

it.each([
  ["name", "a'b@127.0.0.1", []],
  ["heartbeat", "heartbeat:a'b@127.0.0.1", ["goodbye:a'b@127.0.0.1"]],
  ["heartbeat_double", "heartbeat::a'b@127.0.0.1", []],
] as const)(
  "in the form %s it announces itself again and again, and says goodbye where that is understood",
  async (payload, sign, last) => {
    const heard = await listen("cluster");
    const { strategy } = start("a'b@127.0.0.1", { payload });
    await expect.poll(() => heard.length, patiently).toBeGreaterThan(2);
    await strategy.stop();
    // the others hear it on connections of their own
    await expect.poll(() => heard.filter((text) => text !== sign), patiently).toEqual(last);
    expect(heard.slice(heard.length - last.length)).toEqual(last);
    await expect.poll(backends, patiently).toBe(0);
  },
);

it("without announcing itself it listens, and finds out that the server is there", async () => {
  const heard = await listen("cluster");
  const silent = start("silent@127.0.0.1", { announce: false });
  start("loud@127.0.0.1");
  await expect.poll(silent.nodes, patiently).toEqual(["loud@127.0.0.1"]);
  await expect.poll(() => heard.length, patiently).toBeGreaterThan(8);
  expect(new Set(heard)).toEqual(new Set(["loud@127.0.0.1"]));
  expect(silent.reports.every(({ ok }) => ok)).toBe(true);
});

it("a node that falls silent is gone after the heartbeats that it may miss", async () => {
  const a = start("a@127.0.0.1", { missedHeartbeats: 2 });
  const b = start("b@127.0.0.1");
  await expect.poll(a.nodes, patiently).toEqual(["b@127.0.0.1"]);
  await b.strategy.stop();
  await expect.poll(a.nodes, patiently).toEqual([]);
});

it.each(["shop", "Shop", 'semi;"colon" --', "Kanał"])(
  "a channel %j is one channel for both sides",
  async (channelName) => {
    const a = start("a@127.0.0.1", { channelName, missedHeartbeats: 0 });
    start("b@127.0.0.1", { channelName: "another" });
    await expect.poll(a.nodes, patiently).toEqual([]);
    await say("c@127.0.0.1", channelName);
    await expect.poll(a.nodes, patiently).toEqual(["c@127.0.0.1"]);
  },
);

it("a connection that the server ends is made again; the list stays", async () => {
  const a = start("a@127.0.0.1", { missedHeartbeats: 0 });
  await expect.poll(a.nodes, patiently).toEqual([]);
  await say("b@127.0.0.1");
  await expect.poll(a.nodes, patiently).toEqual(["b@127.0.0.1"]);
  await server.query(`SELECT pg_terminate_backend(pid) ${ours}`);
  await expect
    .poll(() => a.reports.find(({ ok }) => !ok), patiently)
    .toMatchObject({
      error: { code: "DISCOVERY_FAILED", context: { reason: "57P01" } },
    });
  await expect.poll(a.last, patiently).toEqual({ ok: true, nodes: ["b@127.0.0.1"] });
  await say("c@127.0.0.1");
  await expect.poll(a.nodes, patiently).toEqual(["b@127.0.0.1", "c@127.0.0.1"]);
  await expect.poll(backends, patiently).toBe(1);
});

it("while the server is down nobody is taken for gone; when it is back, all goes on", async () => {
  // each of them may be back so much earlier than the other
  const a = start("a@127.0.0.1", { heartbeatInterval: 200, missedHeartbeats: 8 });
  const b = start("b@127.0.0.1", { heartbeatInterval: 200, missedHeartbeats: 8 });
  await expect.poll(a.nodes, patiently).toEqual(["b@127.0.0.1"]);
  await server.stop();
  // so many attempts mean that more time has passed than a node may be silent
  const failures = () => a.reports.filter(({ ok }) => !ok).length;
  await expect.poll(failures, patiently).toBeGreaterThan(3);
  expect(a.nodes()).toEqual(["b@127.0.0.1"]);
  await server.start();
  a.strategy.refresh?.();
  b.strategy.refresh?.();
  await expect.poll(() => a.last()?.ok, patiently).toBe(true);
  await b.strategy.stop();
  await expect.poll(a.nodes, patiently).toEqual([]);
  const lists = a.reports.flatMap((report) => (report.ok ? [report.nodes.length] : []));
  expect(lists.indexOf(0, 1), "never empty but at the end").toBe(lists.length - 1);
});

it("a connection on which nothing arrives any more is given up", async () => {
  const proxy = await startProxy(server.port);
  const a = start("a@127.0.0.1", { url: server.url.replace(`:${server.port}`, `:${proxy.port}`) });
  await expect.poll(a.nodes, patiently).toEqual([]);
  proxy.freeze();
  await expect
    .poll(() => a.reports.find(({ ok }) => !ok), patiently)
    .toMatchObject({
      error: { code: "DISCOVERY_FAILED", message: expect.stringContaining("do not come back") },
    });
  proxy.thaw();
  await expect.poll(() => a.last()?.ok, patiently).toBe(true);
});

it("a wrong password is a failure that does not show it", async () => {
  const { reports, strategy } = start("a@127.0.0.1", {
    url: undefined,
    ...parts(),
    password: "wrong-s3cret",
  });
  await expect.poll(() => reports.length, patiently).toBeGreaterThan(0);
  expect(reports[0]).toMatchObject({
    ok: false,
    error: {
      code: "DISCOVERY_FAILED",
      message: expect.stringContaining("password"),
      context: { reason: "28P01" },
    },
  });
  await strategy.stop();
});

it.each([
  ["keys", () => ({ url: undefined, ...parts() })],
  ["an URL as Ecto writes it", () => ({ url: server.url.replace("postgres:", "ecto:") })],
  [
    "an URL, and the password apart",
    () => ({ url: server.url.replace(`:${server.password}`, ""), password: server.password }),
  ],
] as const)("the database is given by %s", async (_how, options) => {
  const a = start("a@127.0.0.1", options());
  await expect.poll(() => a.reports[0], patiently).toEqual({ ok: true, nodes: [] });
});

strategyCompliance("postgres", {
  secrets: ["s3cret-of-postgres"],
  badOptions: {
    "an URL of something else": () => postgres({ url: "mysql://app:s3cret-of-postgres@h/d" }),
    "no URL": () => postgres({ url: "s3cret-of-postgres" }),
    "an URL and a host": () => postgres({ url: "postgres://h/d", hostname: "h" }),
    "a channel that is too long": () => postgres({ channelName: "ż".repeat(32) }),
    "an unknown form": () => postgres({ payload: "xml" as "name" }),
  },
  async source() {
    const own = await startProxy(server.port);
    const { url } = server;
    const speaker = postgres({ url, heartbeatInterval: 100 });
    speaker.start({
      self: "b@127.0.0.1",
      report: () => undefined,
      logger: recordingLogger(),
      clock: systemClock,
      signal: new AbortController().signal,
      compat: false,
    });
    return {
      nodes: ["b@127.0.0.1"],
      make: () => postgres({ url: url.replace(`:${server.port}`, `:${own.port}`), heartbeatInterval: 300 }),
      fail: () => own.close(),
      async close() {
        await Promise.all([speaker.stop(), own.close()]);
      },
    };
  },
});

/** Stands between a client and the server. */
async function startProxy(target: number) {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from
        .on("error", () => to.destroy())
        .on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (proxy.listening) await new Promise((resolve) => proxy.close(resolve));
  };
  ends.push(close);
  return {
    port: (proxy.address() as { port: number }).port,
    freeze: () => sockets.forEach((socket) => void socket.unpipe()),
    thaw: () => sockets.forEach((socket) => void socket.resume()),
    close,
  };
}
