import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Lease } from "../../packages/bridge/src/trunk/lease.ts";
import { consulLease } from "../../packages/bridge/src/trunk/lease-consul.ts";
import { postgresLease } from "../../packages/bridge/src/trunk/lease-postgres.ts";
import { type Consul, startConsul } from "../support/consul.ts";
import { type Postgres, startPostgres } from "../support/postgres.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { ending } from "./sites.ts";

/** Two that want one lease, each by a way of its own to the service; and a watch that two never hold it. */
class Rivals {
  readonly first: Lease;
  readonly second: Lease;
  readonly ways: readonly [CuttingProxy, CuttingProxy];
  readonly faults: string[] = [];
  readonly lost: string[] = [];

  constructor(ways: readonly [CuttingProxy, CuttingProxy], make: (port: number) => Lease) {
    this.ways = ways;
    this.first = make(ways[0].port);
    this.second = make(ways[1].port);
    this.first.onLost(({ code }) => this.lost.push(`first ${code}`));
    this.second.onLost(({ code }) => this.lost.push(`second ${code}`));
    const watch = setInterval(() => this.check(), 2);
    ending(watch, () => clearInterval(watch));
    ending(this, () => Promise.all([this.first.release(), this.second.release()]));
  }

  check(): void {
    if (this.first.held && this.second.held) this.faults.push("two holders");
  }

  /** The second gets it after `happens` to the first, which holds it. @returns after how many milliseconds */
  async takeover(happens: () => unknown): Promise<number> {
    expect(this.first.held).toBe(true);
    const waiting = this.second.acquire();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const began = performance.now();
    await happens();
    await waiting;
    this.check();
    expect([this.first.held, this.second.held]).toEqual([false, true]);
    expect(this.faults).toEqual([]);
    return performance.now() - began;
  }
}

async function rivals(port: number, make: (port: number) => Lease): Promise<Rivals> {
  const ways = [await startCuttingProxy(port), await startCuttingProxy(port)] as const;
  for (const way of ways) ending(way, (one) => one.close());
  return new Rivals(ways, make);
}

const print = (what: string, ms: number): void =>
  void process.stdout.write(`takeover, ${what}: ${(ms / 1000).toFixed(2)} s\n`);

describe("a lease in PostgreSQL, two contenders", () => {
  const ttlMs = 3_000;
  let server: Postgres;
  let names = 0;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.remove());

  const start = (): Promise<Rivals> => {
    const { user, password, database } = server;
    const name = `isthmus/test ${++names}`;
    return rivals(server.port, (port) =>
      postgresLease({
        name,
        ttlMs,
        retryMs: 200,
        database: { host: "127.0.0.1", port, user, password, database },
      }),
    );
  };

  it("given back: the other has it at once", async () => {
    const pair = await start();
    await pair.first.acquire();
    const ms = await pair.takeover(() => pair.first.release());
    print("PostgreSQL, given back", ms);
    expect(pair.lost).toEqual([]);
  });

  it("connection cut: the holder knows at once, the other waits for the time to live", async () => {
    const pair = await start();
    await pair.first.acquire();
    print("PostgreSQL, connection cut", await pair.takeover(() => pair.ways[0].cutAll()));
    expect(pair.lost).toEqual(["first LEASE_LOST"]);
  });

  it("holder cut off silently: it stops itself, the server forgets it, then the other has it", async () => {
    const pair = await start();
    await pair.first.acquire();
    print("PostgreSQL, holder cut off", await pair.takeover(() => pair.ways[0].stall()));
    expect(pair.lost).toEqual(["first LEASE_LOST"]);
  });

  it("the server drops the lock without the holder hearing of it: still never two", async () => {
    const pair = await start();
    await pair.first.acquire();
    const ms = await pair.takeover(async () => {
      pair.ways[0].stall();
      await server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
      );
    });
    print("PostgreSQL, lock dropped by the server", ms);
  });

  it("the server restarts: the lock is lost and found again", async () => {
    const pair = await start();
    await pair.first.acquire();
    await server.stop();
    await expect.poll(() => pair.lost).toEqual(["first LEASE_LOST"]);
    expect(pair.first.held).toBe(false);
    const again = pair.first.acquire();
    await server.start();
    await again;
    expect(pair.first.held).toBe(true);
    await pair.first.renew();
  });
});

describe("a lease in Consul, two contenders", () => {
  const ttlMs = 10_000;
  let consul: Consul;
  beforeAll(async () => {
    consul = await startConsul();
  });
  afterAll(() => consul?.stop());

  const start = async (name: string): Promise<Rivals> => {
    const token = await consul.tokenWith(
      'session_prefix "" { policy = "write" } key_prefix "isthmus/lease/" { policy = "write" }',
    );
    const port = Number(new URL(consul.url).port);
    return rivals(port, (way) => consulLease({ name, ttlMs, token, url: `http://127.0.0.1:${way}` }));
  };

  it("given back: the other has it at the next attempt", async () => {
    const pair = await start("a b/c");
    await pair.first.acquire();
    print("Consul, given back", await pair.takeover(() => pair.first.release()));
    expect(pair.lost).toEqual([]);
  });

  it("holder cut off silently: it stops itself, then Consul gives it to the other", {
    timeout: 120_000,
  }, async () => {
    const pair = await start("cut-off");
    await pair.first.acquire();
    print("Consul, holder cut off", await pair.takeover(() => pair.ways[0].stall()));
    expect(pair.lost).toEqual(["first LEASE_LOST"]);
  });

  it("a session that is destroyed, a key that is deleted: the holder hears of it at its next renewal", async () => {
    const pair = await start("deleted");
    await pair.first.acquire();
    const [entry] = (await consul.request("GET", "/kv/isthmus/lease/deleted")) as { Session: string }[];
    await consul.request("PUT", `/session/destroy/${entry!.Session}`);
    await expect(pair.first.renew()).rejects.toMatchObject({ code: "LEASE_LOST" });
    expect(pair.lost).toEqual(["first LEASE_LOST"]);
  });

  it("a token without rights is named as the fault, and not shown", async () => {
    const lines: string[] = [];
    const log = (fields: object): void => void lines.push(JSON.stringify(fields));
    const lease = consulLease({
      ...{ name: "denied", url: consul.url, token: "00000000-1111-2222-3333-444444444444" },
      logger: { debug: log, info: log, warn: log, error: log },
    });
    const controller = new AbortController();
    const waiting = lease.acquire(controller.signal);
    await expect.poll(() => lines.join("")).toContain("Check the token");
    expect(lines.join("")).not.toContain("444444444444");
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});
