import type { Discovery } from "@isthmus/strategies";
import { expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import type { ConnectionEvents } from "../../src/postgres/connection.ts";
import { PostgresStrategy, type PostgresStrategyOptions } from "../../src/postgres/postgres-strategy.ts";
import { recordingLogger, settled } from "../support/fake-cluster.ts";

/** A server that the test plays. */
class FakeServer {
  readonly connections: FakeConnection[] = [];
  /** What the next attempts to connect reject with. */
  error: Error | undefined;
  attempts = 0;

  readonly open = async (events: ConnectionEvents): Promise<FakeConnection> => {
    this.attempts++;
    if (this.error !== undefined) throw this.error;
    const connection = new FakeConnection(events);
    this.connections.push(connection);
    return connection;
  };

  get last(): FakeConnection {
    return this.connections.at(-1)!;
  }
}

class FakeConnection {
  readonly events: ConnectionEvents;
  readonly sent: (string | undefined)[] = [];
  /** Whether what is sent comes back, as from a server. */
  echoes = true;
  answers = true;
  ended: "closed" | "destroyed" | undefined;

  constructor(events: ConnectionEvents) {
    this.events = events;
  }

  async send(payload: string | undefined): Promise<void> {
    this.sent.push(payload);
    if (!this.answers) await new Promise<never>(() => undefined);
    if (this.echoes && payload !== undefined) this.events.heard(payload);
  }

  async close(): Promise<void> {
    this.ended ??= "closed";
  }

  destroy(): void {
    this.ended ??= "destroyed";
  }
}

async function start(options: Partial<PostgresStrategyOptions> = {}, compat = false, passive = false) {
  const server = new FakeServer();
  const clock = new FakeClock();
  const reports: Discovery[] = [];
  const logger = recordingLogger();
  const defaults = {
    heartbeatMs: 1000,
    missedHeartbeats: undefined,
    announce: true,
    format: "name",
  } as const;
  const strategy = new PostgresStrategy({ ...defaults, ...options }, server.open, () => 1);
  const abort = new AbortController();
  strategy.start({
    self: "me@h",
    report: (discovery) => void reports.push(discovery),
    logger,
    clock,
    signal: abort.signal,
    compat,
    passive,
  });
  await settled();
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settled();
  };
  return { server, clock, reports, logger, strategy, abort, advance };
}

it("announces itself at once and at every interval", async () => {
  const { server, advance } = await start();
  expect(server.last.sent).toEqual(["me@h"]);
  await advance(999);
  expect(server.last.sent).toHaveLength(1);
  await advance(1);
  await advance(1000);
  expect(server.last.sent).toEqual(["me@h", "me@h", "me@h"]);
});

it("says that there is nobody only when an interval has passed", async () => {
  const { reports, advance } = await start();
  expect(reports).toEqual([]);
  await advance(1000);
  expect(reports).toEqual([{ ok: true, nodes: [] }]);
});

it("names a node when it is heard first, not itself, and not again", async () => {
  const { server, reports } = await start();
  for (const text of ["a@h", "a@h", "me@h", "heartbeat:a@h"]) server.last.events.heard(text);
  expect(reports).toEqual([{ ok: true, nodes: ["a@h"] }]);
});

it("a node is gone after the heartbeats that it may miss, three unless told", async () => {
  const { server, reports, advance } = await start();
  server.last.events.heard("a@h");
  for (let second = 0; second < 3; second++) await advance(1000);
  expect(reports.at(-1)).toEqual({ ok: true, nodes: ["a@h"] });
  await advance(1000);
  expect(reports.at(-1)).toEqual({ ok: true, nodes: [] });
});

it("a node is gone with its goodbye, and back with its next sign", async () => {
  const { server, reports } = await start();
  for (const text of ["a@h", "goodbye:a@h", "goodbye:a@h", "a@h"]) server.last.events.heard(text);
  expect(reports).toEqual([["a@h"], [], ["a@h"]].map((nodes) => ({ ok: true, nodes })));
});

it.each([
  [{ missedHeartbeats: 0 }, false],
  // supabase's nodes stay for ever
  [{}, true],
])("never takes a node for gone with %j, compat %j", async (options, compat) => {
  const { server, reports, advance } = await start(options, compat);
  server.last.events.heard("a@h");
  for (let second = 0; second < 20; second++) await advance(1000);
  expect(reports.at(-1)).toEqual({ ok: true, nodes: ["a@h"] });
});

it("a lost connection is a failure, pauses the expiry, and is made again after growing delays", async () => {
  const { server, reports, advance, clock } = await start();
  server.last.events.heard("a@h");
  const gone = Object.assign(new Error("terminating connection"), { code: "57P01" });
  server.error = Object.assign(new Error(""), { code: "ECONNREFUSED" });
  server.last.events.lost(gone);
  expect(reports.at(-1)).toMatchObject({
    ok: false,
    error: {
      code: "DISCOVERY_FAILED",
      message: "The connection to PostgreSQL is lost: terminating connection.",
      context: { reason: "57P01" },
    },
  });
  for (const delay of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    const before = server.attempts;
    await advance(delay - 1);
    expect(server.attempts).toBe(before);
    await advance(1);
    expect(server.attempts).toBe(before + 1);
    expect(reports.at(-1)).toMatchObject({ error: { message: "PostgreSQL cannot be used: ECONNREFUSED." } });
  }
  server.error = undefined;
  await advance(30_000);
  expect(reports.at(-1)).toEqual({ ok: true, nodes: ["a@h"] });
  expect(clock.pending).toBe(1);
  await advance(1000);
  await advance(1000);
  await advance(1000);
  expect(reports.at(-1)).toEqual({ ok: true, nodes: ["a@h"] });
  await advance(1000);
  expect(reports.at(-1)).toEqual({ ok: true, nodes: [] });
});

it("gives a connection up on which its own announcements do not come back; nobody expires meanwhile", async () => {
  const { server, reports, advance } = await start();
  server.last.events.heard("a@h");
  server.last.echoes = false;
  for (let second = 0; second < 4; second++) await advance(1000);
  expect(reports.at(-1)).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining("PgBouncer") },
  });
  expect(reports.filter(({ ok }) => ok)).toEqual([{ ok: true, nodes: ["a@h"] }]);
  expect(server.connections[0]!.ended).toBe("destroyed");
  await advance(500);
  expect(server.connections).toHaveLength(2);
});

it("when it does not announce itself it asks whether the server is there", async () => {
  const { server, reports, advance } = await start({ announce: false });
  await advance(1000);
  expect(server.last.sent).toEqual([undefined, undefined]);
  server.last.answers = false;
  for (let second = 0; second < 4; second++) await advance(1000);
  expect(server.connections[0]!.sent, "no second question before the first is answered").toHaveLength(3);
  expect(reports.at(-1)).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining("does not answer") },
  });
});

it("announces nobody in a dry run", async () => {
  const { server, advance } = await start({}, false, true);
  await advance(1000);
  expect(server.last.sent).toEqual([undefined, undefined]);
});

it("keeps no more nodes than it has room for, and says so once", async () => {
  const { server, reports, logger } = await start();
  for (let n = 0; n < 4100; n++) server.last.events.heard(`n${n}@h`);
  const last = reports.at(-1)!;
  expect(last.ok && last.nodes.length).toBe(4096);
  expect(logger.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
});

it("refresh announces it, and connects without waiting for the delay", async () => {
  const { server, strategy, advance } = await start();
  strategy.refresh();
  strategy.refresh();
  await settled();
  expect(server.last.sent).toHaveLength(2);
  server.last.events.lost(new Error("gone"));
  strategy.refresh();
  await settled();
  expect(server.connections).toHaveLength(2);
  await advance(500);
  expect(server.connections, "the delay was cancelled").toHaveLength(2);
});

it.each([
  ["heartbeat", ["heartbeat:me@h", "goodbye:me@h"]],
  ["heartbeat_double", ["heartbeat::me@h"]],
  ["name", ["me@h"]],
] as const)("when it is stopped, in the form %s, it sends %j and leaves nothing", async (format, sent) => {
  const { server, strategy, clock, reports } = await start({ format });
  await strategy.stop();
  await strategy.stop();
  expect(server.last).toMatchObject({ sent, ended: "closed" });
  expect(clock.pending).toBe(0);
  server.last.events.heard("late@h");
  expect(reports).toEqual([]);
});

it("draining, it says goodbye once, announces itself no more, and still hears others", async () => {
  const { server, strategy, advance, reports } = await start({ format: "heartbeat" });
  strategy.drain();
  strategy.drain();
  server.last.events.heard("a@h");
  for (let second = 0; second < 5; second++) await advance(1000);
  await strategy.stop();
  expect(server.connections, "the connection is alive").toHaveLength(1);
  const said = server.last.sent.filter((text) => text !== undefined);
  expect(said).toEqual(["heartbeat:me@h", "goodbye:me@h"]);
  expect(server.last.sent).toHaveLength(7);
  expect(reports[0]).toEqual({ ok: true, nodes: ["a@h"] });
});

it("a server that does not take the goodbye holds nobody up", async () => {
  const { server, strategy, clock } = await start({ format: "heartbeat" });
  const { last } = server;
  last.send = () =>
    new Promise((_resolve, reject) => {
      last.destroy = () => reject(new Error("destroyed"));
    });
  const stopped = strategy.stop();
  await settled();
  clock.advance(1000);
  await stopped;
  expect(clock.pending).toBe(0);
});

it("ends when it is aborted, also while it connects", async () => {
  const { server, abort, clock, strategy, reports } = await start();
  server.error = new Error("down");
  server.last.events.lost(new Error("gone"));
  strategy.refresh();
  abort.abort();
  await settled();
  expect(clock.pending).toBe(0);
  expect(reports).toHaveLength(1);
});
