import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { consulLease } from "../../packages/bridge/src/trunk/lease-consul.ts";
import { postgresLease } from "../../packages/bridge/src/trunk/lease-postgres.ts";
import { type Consul, startConsul } from "../support/consul.ts";
import { type Postgres, startPostgres } from "../support/postgres.ts";
import { print, type Rivals, rivals } from "./rivals.ts";

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
