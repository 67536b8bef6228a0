import { postgres } from "@isthmus/strategies/postgres";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Postgres, startPostgres } from "../support/postgres.ts";
import { Shop } from "./shop.ts";

const shop = new Shop();
let server: Postgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await shop.close();
  await server.remove();
});

/** The heartbeats of a node, sent by the database itself. @returns a function that ends them */
async function heartbeats(payload: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: server.url });
  client.on("error", () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: string }>("SELECT pg_backend_pid() AS pid");
  const loop = `DO $$ BEGIN LOOP PERFORM pg_notify('cluster', ${client.escapeLiteral(payload)}); COMMIT;
    PERFORM pg_sleep(0.1); END LOOP; END $$`;
  const ended = client.query(loop).then(
    () => undefined,
    () => undefined,
  );
  return async () => {
    await server.query("SELECT pg_terminate_backend($1)", [String(rows[0]!.pid)]);
    await ended;
  };
}

it("nodes are connected while they are heard, go with their silence or goodbye, and stay while the server is away", async () => {
  const [two, three] = ["127.0.0.2", "127.0.0.3"] as const;
  await Promise.all([shop.open(two), shop.open(three)]);
  // in supabase's form, and in firezone's
  await heartbeats(`shop@${two}`);
  const silence = await heartbeats(`heartbeat:shop@${three}`);
  await shop.follow(postgres({ url: server.url, heartbeatInterval: 500, missedHeartbeats: 2 }));
  await shop.connected(two, three);

  await silence();
  await server.query("SELECT pg_notify('cluster', $1)", [`goodbye:shop@${three}`]);
  await shop.connected(two);
  const again = await heartbeats(`heartbeat:shop@${three}`);
  await shop.connected(two, three);
  // without a goodbye it takes a little
  await again();
  await shop.connected(two);

  await server.stop();
  expect(await shop.event("discovery_failed")).toMatchObject({ error: { code: "DISCOVERY_FAILED" } });
  await shop.connected(two);
  await server.start();
  await heartbeats(`shop@${three}`);
  await heartbeats(`heartbeat::shop@${two}`);
  await shop.connected(two, three);
  expect(shop.discoveryError).toBeUndefined();
});
