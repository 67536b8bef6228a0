import { once } from "node:events";
import { connect } from "node:net";
import { silentLogger } from "@isthmus/wire";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Readiness } from "../../src/admin/readiness.ts";
import { type Admin, startAdmin } from "../../src/admin/server.ts";
import type { DaemonStatus } from "../../src/admin/status.ts";
import { showStatus } from "../../src/cli/commands/status.ts";
import { RUNNING } from "./sample.ts";

const READY: Readiness = { ready: true, state: "running", reasons: [] };
const UNREADY: Readiness = {
  ready: false,
  state: "running",
  reasons: [{ cluster: "shop", reason: "is connected to no node" }],
};

let admin: Admin | undefined;
afterEach(async () => {
  vi.restoreAllMocks();
  await admin?.close();
  admin = undefined;
});

async function start(readiness: Readiness = READY, status: DaemonStatus = RUNNING): Promise<string> {
  admin = await startAdmin({
    ...{ host: "127.0.0.1", port: 0, logger: silentLogger },
    status: () => status,
    readiness: () => readiness,
  });
  return `http://127.0.0.1:${admin.port}`;
}

/** What comes back for raw bytes, until the server ends the connection. */
async function raw(text: string): Promise<string> {
  const socket = connect(admin!.port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}

describe("the administration", () => {
  it("lives as long as the process turns, whatever the state of the bridge", async () => {
    const url = await start(UNREADY);
    const response = await fetch(`${url}/livez`);
    expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
  });

  it("is ready or says why not", async () => {
    const url = await start();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    await admin!.close();
    const unready = await fetch(`${await start(UNREADY)}/readyz?verbose`);
    expect(unready.status).toBe(503);
    expect(await unready.json()).toEqual(UNREADY);
  });

  it("tells its whole state as JSON, which nobody keeps", async () => {
    const response = await fetch(`${await start()}/status`);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual(JSON.parse(JSON.stringify(RUNNING)));
  });

  it("answers HEAD as GET, without a body", async () => {
    const url = await start();
    const head = await fetch(`${url}/status`, { method: "HEAD" });
    const get = await fetch(`${url}/status`);
    expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
    expect(await head.text()).toBe("");
    await get.text();
  });

  it("takes nothing else: other methods, other paths, bodies", async () => {
    const url = await start();
    const post = await fetch(`${url}/status`, { method: "POST", body: "x".repeat(100_000) });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const other = await fetch(`${url}/../etc/passwd`);
    expect(other.status).toBe(404);
    expect(await other.text()).toBe("there are /livez, /readyz, /metrics, /status\n");
  });

  it("ends what is no request, and headers without end", async () => {
    await start();
    expect(await raw("nonsense\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(`GET /livez HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  });

  it("says so when it cannot listen", async () => {
    await start();
    await expect(
      startAdmin({
        ...{ host: "127.0.0.1", port: admin!.port, logger: silentLogger },
        status: () => RUNNING,
        readiness: () => READY,
      }),
    ).rejects.toMatchObject({ code: "ADMIN_LISTEN_FAILED", context: { port: admin!.port } });
  });

  it("ends, with what is open, and may be closed again", async () => {
    const url = await start();
    const socket = connect(admin!.port, "127.0.0.1");
    await once(socket, "connect");
    socket.on("error", () => undefined);
    const gone = once(socket, "close");
    await admin!.close();
    await admin!.close();
    await gone;
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });
});

describe("isthmus status", () => {
  const said = async (run: () => Promise<number>): Promise<{ status: number; text: string }> => {
    const lines: string[] = [];
    vi.spyOn(console, "log").mockImplementation((text: string) => void lines.push(text));
    const status = await run();
    return { status, text: lines.join("\n") };
  };

  it("shows the state to people", async () => {
    const url = await start();
    const { status, text } = await said(() => showStatus({ url }));
    expect(status).toBe(0);
    expect(text).toBe(`isthmus 1.2.3, running for 1d 2h, ready
lease berlin (consul)
  active 2 times, lost once, the last time: The lease berlin is lost.
cluster shop
  is          bridge@10.0.0.5, port 9100, registered with epmd
  connected   shop1@10.0.0.11, shop2@10.0.0.12 (hidden)
  carried     1000 signals to others, 2 undeliverable; knows 3 nodes of others
  discovery   hosts failed (DNS_FAILED)
  waits for   shop3@10.0.0.13 (EPMD_UNREACHABLE)
cluster billing
  is          isthmus-shop@north, which listens nowhere
  connected   none
  carried     7 signals to others, 0 undeliverable; knows 0 nodes of others
trunk to south
  is          suspended, wss://south.example/trunk; 512 bytes wait to go, 0 to be taken
  resumed     4 times, lost once
  denied      shop/billing
  last end    The connection has ended. (TRUNK_CLOSED)
between them
  across      12 links, monitors and calls
  refused     5, 6 carried although refused (policy_mode: log)
  routes[0]: 9 allowed, 0 refused
  groups      shop sees 2 of billing (pg, fan_out), 11 members, 1 left out
  mirrors     a1@10.0.0.5 in shop is a1@10.0.2.1 of audit, port 9200
  mirrors     a2@10.0.0.5 in shop is a2@10.0.2.2 of audit, but cannot be started`);
  });

  it("ends with 1 when the bridge is not ready, and says why", async () => {
    const url = await start(UNREADY, { ...RUNNING, availability: undefined, bridge: undefined });
    const { status, text } = await said(() => showStatus({ url }));
    expect({ status, text }).toEqual({
      status: 1,
      text: "isthmus 1.2.3, running for 1d 2h, not ready\n  shop: is connected to no node",
    });
  });

  it("prints JSON for programs", async () => {
    const url = await start(UNREADY);
    const { text } = await said(() => showStatus({ url, json: true }));
    expect(JSON.parse(text)).toMatchObject({ version: "1.2.3", readiness: UNREADY });
  });

  it("does not let a peer steer the terminal", async () => {
    const url = await start({ ...UNREADY, reasons: [{ reason: "\u001b[2J" }] });
    const { text } = await said(() => showStatus({ url }));
    expect(text).not.toContain("\u001b");
    expect(text).toContain("\\u001b[2J");
  });

  it("says so when nobody answers, or somebody else", async () => {
    const url = await start();
    await admin!.close();
    await expect(showStatus({ url })).rejects.toMatchObject({ code: "STATUS_UNREACHABLE" });
    await expect(showStatus({ url: "nonsense" })).rejects.toMatchObject({ code: "STATUS_UNREACHABLE" });
  });
});
