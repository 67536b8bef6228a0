import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { changedParts } from "../../src/config/fixed-parts.ts";
import { type Daemon, startDaemon } from "../../src/daemon.ts";

const CLUSTER = (node: string, cookie: string, more = "") =>
  `{ node: ${node}@127.0.0.1, cookie: ${cookie}, listen: { host: 127.0.0.1 }, epmd: { register: false }${more} }`;
const BASE = `clusters:
  shop: ${CLUSTER("bridge", "biscuit")}
  billing: ${CLUSTER("billing_bridge", "cracker")}
`;

let folder: string;
let file: string;
let daemon: Daemon | undefined;
let lines: { readonly message: string; readonly [field: string]: unknown }[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-reload-"));
  file = join(folder, "isthmus.yaml");
  lines = [];
});
afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Timers of the watch run when the test says so. */
const due: (() => void)[] = [];

async function start(text: string): Promise<Daemon> {
  writeFileSync(file, text);
  const note = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    lines.push({ ...fields, message });
  };
  due.length = 0;
  daemon = await startDaemon(await loadConfig(file), {
    logger: { debug: () => undefined, info: note, warn: note, error: note },
    clock: {
      now: systemClock.now,
      after: (ms, run) => {
        if (ms !== 1000) return systemClock.after(ms, run);
        due.push(run);
        return { cancel: () => void due.splice(due.indexOf(run) >>> 0, 1) };
      },
    },
  });
  return daemon;
}

const ROUTE = "{ from: shop, to: billing, name: orders, node: billing1@127.0.0.1 }";

describe("a running bridge", () => {
  it("takes routes, rules and nodes over when it is told to, and keeps what it is in its clusters", async () => {
    const { reload, status } = bound(await start(BASE));
    const before = status().clusters.map(({ node, port }) => ({ node, port }));
    const more = BASE.replace("cracker", "cracker, discovery: { hosts: [billing2@127.0.0.1] }");
    writeFileSync(
      file,
      `${more}routes:\n  - ${ROUTE}\npolicy:\n  - { action: deny, from: shop, names: orders, operations: cast }\npolicy_mode: log\n`,
    );
    expect(await reload()).toBe(true);
    expect(status()).toMatchObject({ routes: [{ name: "orders" }], policyMode: "log" });
    expect(status().clusters.map(({ node, port }) => ({ node, port }))).toEqual(before);
    expect(lines.at(-2)).toMatchObject({ message: "the configuration is taken over", routes: 1, rules: 1 });
    expect(lines.at(-1)).toMatchObject({ message: "what the policy refuses is carried, and logged" });
  });

  it("takes mirrors and groups over", async () => {
    const { reload, status } = bound(await start(BASE));
    writeFileSync(
      file,
      `${BASE}mirrors: [{ from: shop, to: billing }]\ngroups: [{ from: shop, to: billing, groups: "{room,*}" }]\n`,
    );
    expect(await reload()).toBe(true);
    expect(status().groups).toMatchObject([{ from: "shop", groups: ["{room,*}"], form: "members" }]);
    expect(lines.at(-1)).toMatchObject({ message: "the configuration is taken over", mirrors: 1, groups: 1 });
    writeFileSync(file, BASE);
    expect(await reload()).toBe(true);
    expect(status().groups).toEqual([]);
  });

  it("serves its state while it runs", async () => {
    const daemon = await start(`${BASE}admin: { listen: { port: 0 } }\n`);
    const response = await fetch(`http://127.0.0.1:${daemon.adminPort}/status`);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ state: "running", bridge: { clusters: [{ id: "shop" }, {}] } });
    expect(text).not.toMatch(/biscuit|cracker/);
    expect((await fetch(`http://127.0.0.1:${daemon.adminPort}/readyz`)).status).toBe(503);
    await daemon.stop();
    await expect(fetch(`http://127.0.0.1:${daemon.adminPort}/livez`)).rejects.toThrow();
  });

  it("needs a restart for another administration, other bounds, another trunk", async () => {
    const { reload } = bound(await start(BASE));
    writeFileSync(
      file,
      `${BASE}admin: { listen: { port: 0 } }\nlimits: { max_relations: 5 }\ntrunk: { site: a, sites: { b: { connect: ws://b, secret: 0123456789abcdef0 } } }\n`,
    );
    expect(await reload()).toBe(false);
    expect(lines.at(-1)).toMatchObject({ restart_needed: ["limits", "admin", "trunk"] });
    expect(JSON.stringify(lines)).not.toContain("0123456789abcdef0");
  });

  it("keeps all as it is when the new configuration is wrong, and says what is wrong", async () => {
    const { reload, status } = bound(await start(`${BASE}routes:\n  - ${ROUTE}\n`));
    writeFileSync(file, `${BASE}routes:\n  - { from: shop, to: biling, name: x, node: b@127.0.0.1 }\n`);
    expect(await reload()).toBe(false);
    expect(status().routes).toMatchObject([{ name: "orders" }]);
    const said = lines.at(-1)!;
    expect(said).toMatchObject({ code: "CONFIG_INVALID" });
    expect(said["reason"]).toContain("routes[0].to names no cluster");
    rmSync(file);
    expect(await reload()).toBe(false);
    expect(lines.at(-1)).toMatchObject({ code: "CONFIG_UNREADABLE" });
    expect(JSON.stringify(lines)).not.toMatch(/biscuit|cracker/);
  });

  it("goes on, can be reloaded and stopped, whatever goes wrong in a reload", async () => {
    writeFileSync(file, BASE);
    const config = await loadConfig(file);
    const wrong = new TypeError("a fault of the program");
    const loads = [() => Promise.reject(wrong), () => Promise.resolve(config)];
    const note = (fields: object, message: string): void => void lines.push({ ...fields, message });
    daemon = await startDaemon(config, {
      logger: { debug: () => undefined, info: note, warn: note, error: note },
      load: () => loads.shift()!(),
    });
    expect(await daemon.reload()).toBe(false);
    expect(lines.at(-1)).toMatchObject({ err: wrong });
    expect(await daemon.reload()).toBe(true);
    await daemon.stop();
    expect(daemon.status().bridge).toBeUndefined();
  });

  it("keeps all as it is when a scope of groups is a process of OTP, which the bridge has itself", async () => {
    const { reload, status } = bound(await start(BASE));
    writeFileSync(
      file,
      `${BASE}routes:\n  - ${ROUTE}\ngroups: [{ from: shop, to: billing, groups: orders, scope: rex }]\n`,
    );
    expect(await reload()).toBe(false);
    expect(status()).toMatchObject({ routes: [], groups: [] });
  });

  it("names what needs a restart, and takes nothing over then", async () => {
    const { reload, status } = bound(await start(BASE));
    writeFileSync(
      file,
      `${BASE.replace("biscuit", "shortbread").replace("billing_bridge", "other_bridge")}routes:\n  - ${ROUTE}\nlog: { level: warn }\n`,
    );
    expect(await reload()).toBe(false);
    expect(status().routes).toEqual([]);
    expect(lines.at(-1)).toMatchObject({
      restart_needed: ["log", "clusters.shop.cookie", "clusters.billing.node"],
    });
    expect(JSON.stringify(lines)).not.toContain("shortbread");
    writeFileSync(file, `${BASE}  audit: ${CLUSTER("audit_bridge", "wafer")}\n`);
    expect(await reload()).toBe(false);
    expect(lines.at(-1)).toMatchObject({ restart_needed: ["clusters.audit"] });
  });

  it("reads it at SIGHUP, one reading after the other", async () => {
    const { status } = bound(await start(BASE));
    writeFileSync(file, `${BASE}routes:\n  - ${ROUTE}\n`);
    process.emit("SIGHUP");
    process.emit("SIGHUP");
    await daemon!.reload();
    expect(status().routes.length).toBe(1);
    expect(lines.filter(({ message }) => message === "the configuration is taken over").length).toBe(3);
  });

  it("watches the file if it is told to, and not otherwise", async () => {
    const first = await start(BASE);
    expect(due).toEqual([]);
    await daemon!.stop();
    const watched = `${BASE}watch_config: true\n`;
    const again = bound(await start(watched));
    const look = async (): Promise<void> => {
      for (const run of due.splice(0)) run();
      await new Promise((resolve) => setImmediate(resolve));
    };
    await look();
    expect(lines.some(({ message }) => message === "the configuration is taken over")).toBe(false);
    rmSync(file);
    await look();
    writeFileSync(file, `${watched}routes:\n  - ${ROUTE}\n`);
    await look();
    await expect.poll(() => again.status().routes.length).toBe(1);
    writeFileSync(file, BASE);
    await look();
    await expect.poll(() => again.status().routes.length).toBe(0);
    await expect.poll(() => due).toEqual([]);
    expect(first.status().bridge).toBeUndefined();
  });

  it("does not listen to SIGHUP any more when it has ended", async () => {
    const before = process.listenerCount("SIGHUP");
    await start(BASE);
    expect(process.listenerCount("SIGHUP")).toBe(before + 1);
    await daemon!.stop();
    expect(process.listenerCount("SIGHUP")).toBe(before);
    expect(await daemon!.reload()).toBe(false);
  });
});

it("parts are compared by what they say, not by how they are written", async () => {
  writeFileSync(file, BASE);
  const { fixed } = await loadConfig(file);
  writeFileSync(file, `log: {}\n${BASE.replaceAll("{ host: 127.0.0.1 }", "{ 'host': '127.0.0.1' }")}`);
  expect(changedParts(fixed, (await loadConfig(file)).fixed)).toEqual([]);
});

function bound(running: Daemon) {
  return { reload: () => running.reload(), status: () => running.status().bridge! };
}
