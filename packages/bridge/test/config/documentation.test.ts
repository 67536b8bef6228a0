import { readFileSync } from "node:fs";
import { Cookie } from "@isthmus/dist-handshake";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificates, makeCertificates } from "../../../../test/interop/certificates.ts";
import { describeConfig } from "../../src/cli/describe.ts";
import { type BridgeConfig, parseConfig } from "../../src/config/config.ts";
import { CONFIG_ERROR_CODES } from "../../src/config/errors.ts";
import { keysAt } from "../../src/config/schema.ts";
import { OPERATIONS } from "../../src/policy/operation.ts";
import { DEFAULT_ROUTER_LIMITS } from "../../src/routing/context.ts";

const page = readFileSync(new URL("../../../../docs/configuration.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => block!);
const clusters = blocks[0]!.slice(0, blocks[0]!.indexOf("routes:"));
const env = { SHOP_COOKIE: "a", BILLING_COOKIE: "b" };

let certificates: Certificates;
beforeAll(() => {
  certificates = makeCertificates();
});
afterAll(() => certificates.remove());

/** What the files are that the page names. */
function content(path: string): string {
  expect(path).toMatch(/^\/etc\/isthmus\/(secrets|tls)\//);
  if (path.includes("/secrets/")) return "0123456789abcdef0123\n";
  const { ca, key, cert } = certificates.tls.accept;
  return String(path.endsWith("ca.pem") ? ca : path.endsWith(".key") ? key : cert);
}

/** Parses a block of the page; parts are completed by the clusters of the first. */
async function parse(block: string): Promise<BridgeConfig> {
  const text = /^clusters:/m.test(block) ? block : clusters + block;
  return parseConfig(text, {
    file: "/etc/isthmus/isthmus.yaml",
    env,
    readCookieFile: (path) => Cookie.of(content(path).trim()),
    readFile: (path) => Buffer.from(content(path)),
  });
}

const NAMED = ["listen", "epmd", "tls", "discovery", "nats", "sites", "database"];

function chapterOf(name: string): string {
  const start = page.indexOf(`\n## ${name}\n`);
  expect(start).toBeGreaterThan(0);
  return page.slice(start, page.indexOf("\n## ", start + 1));
}

describe("the documentation of the configuration", () => {
  it("has examples", () => expect(blocks.length).toBeGreaterThanOrEqual(14));

  it.each(blocks.map((block, i) => [i + 1, block] as const))(
    "has an example that is valid: %i",
    async (_i, block) => {
      const config = await parse(block);
      expect(Object.keys(config.clusters)).toEqual(["shop", "billing"]);
      expect(describeConfig(config)).not.toMatch(/undefined|\[object/);
    },
  );

  it.each([
    ["clusters", "", ["clusters", "x"]],
    ["clusters", "", ["clusters", "x"], { site: "south" }],
    ["clusters", "listen.", ["clusters", "x", "listen"]],
    ["clusters", "epmd.", ["clusters", "x", "epmd"]],
    ["clusters", "tls.", ["clusters", "x", "tls"]],
    ["clusters", "discovery.", ["clusters", "x", "discovery"]],
    ["routes", "", ["routes", 0]],
    ["mirrors", "", ["mirrors", 0]],
    ["groups", "", ["groups", 0]],
    ["policy", "", ["policy", 0]],
    ["trunk", "", ["trunk"]],
    ["trunk", "listen.", ["trunk", "listen"]],
    ["trunk", "listen.tls.", ["trunk", "listen", "tls"]],
    ["trunk", "nats.", ["trunk", "nats"]],
    ["trunk", "nats.tls.", ["trunk", "nats", "tls"]],
    ["trunk", "sites.NAME.", ["trunk", "sites", "x"]],
    ["trunk", "sites.NAME.tls.", ["trunk", "sites", "x", "tls"]],
    ["high_availability", "", ["high_availability"]],
    ["high_availability", "database.", ["high_availability", "database"]],
    ["admin", "listen.", ["admin", "listen"]],
    ["limits", "", ["limits"]],
    ["log", "", ["log"]],
    ["shutdown", "", ["shutdown"]],
  ] as const)("explains in %s every key %s... of %j", (chapter, prefix, place, given?: unknown) => {
    // maps whose keys have rows of their own; the name of a database is none
    const keys = keysAt(place, given)!.filter(
      (key) => !NAMED.includes(key) || (key === "database" && prefix !== ""),
    );
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      const row = new RegExp(`\\| \`${(prefix + key).replaceAll(".", "\\.")}\` +\\|`);
      expect(chapterOf(chapter), key).toMatch(row);
    }
  });

  it.each([
    ["clusters", ["clusters", "x", "cookie"], (key: string) => new RegExp(`[ {,]${key}: `)],
    ["clusters", ["clusters", "x", "discovery", "removal"], (key: string) => new RegExp(`\\{ ${key}: `)],
    ["clusters", ["clusters", "x", "discovery", "guard"], (key: string) => new RegExp(`[{ ,]${key}[, ]`)],
    [
      "clusters",
      ["clusters", "x", "discovery", "topologies", "x"],
      (key: string) => new RegExp(`\`${key}\``),
    ],
    ["mirrors", ["mirrors", 0, "ports"], (key: string) => new RegExp(`[{ ]${key}: 9`)],
    ["policy", ["policy", 0, "rate"], (key: string) => new RegExp(`${key}: N`)],
    ["trunk", ["trunk", "sites", "x", "limits"], (key: string) => new RegExp(`\`${key}\``)],
    ["trunk", ["trunk", "sites", "x", "secret"], (key: string) => new RegExp(`${key}: `)],
  ] as const)("explains in %s every key of %j", (chapter, place, shown) => {
    for (const key of keysAt(place)!) expect(chapterOf(chapter), key).toMatch(shown(key));
  });

  it("gives the defaults that hold", async () => {
    const { clusters: all, routes, policy, policyMode, watch, log, shutdown } = await parse(blocks[0]!);
    expect({ policy, policyMode, watch }).toEqual({ policy: [], policyMode: "enforce", watch: false });
    expect(all["shop"]).toMatchObject({
      listen: { port: 0 },
      epmd: { host: "127.0.0.1", port: 4369 },
      embeddedEpmd: "auto",
    });
    expect({ log, shutdown }).toEqual({
      log: { level: "info", format: "auto" },
      shutdown: { drainSeconds: 5 },
    });
    expect(routes.length).toBe(1);
    expect((await parse("admin: {}\n")).admin).toEqual({ host: "127.0.0.1", port: 4390 });
    for (const [key, value] of Object.entries(DEFAULT_ROUTER_LIMITS)) {
      const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      expect(chapterOf("limits")).toMatch(new RegExp(`\\| \`${name}\` +\\| \`${value}\` +\\|`));
    }
  });

  it("explains every key that stands alone", () => {
    for (const key of keysAt([])!) expect(page, key).toMatch(new RegExp(`\\| \`${key}\` +\\||\n## ${key}\n`));
  });

  it("names every operation", () => {
    for (const operation of OPERATIONS) expect(page).toContain(`\`${operation}\``);
  });

  it("explains every code", () => {
    for (const code of CONFIG_ERROR_CODES) expect(page).toMatch(new RegExp(`\\| \`${code}\` +\\|`));
  });

  it("shows an error as it is", async () => {
    const shown = /```text\n([\s\S]*?)```/.exec(page)![1]!;
    const text = blocks[0]!.replace("    cookie: ${SHOP_COOKIE}", "    cokie: ${SHOP_COOKIE:-x}");
    const error: unknown = await parse(text).catch((reason: unknown) => reason);
    expect((error as Error).message.replaceAll("/etc/isthmus/", "")).toContain(shown.trimEnd());
  });
});

it.each(["two-clusters/isthmus.yaml", "trunk/north.yaml", "trunk/south.yaml", "groups/isthmus.yaml"])(
  "the example %s is valid",
  async (name) => {
    const example = new URL(`../../../../examples/${name}`, import.meta.url);
    const config = await parseConfig(readFileSync(example, "utf8"), {
      file: "isthmus.yaml",
      env: { ...env, SHOP_EPMD_PORT: "4501", BILLING_EPMD_PORT: "4502", TRUNK_SECRET: "0123456789abcdef" },
    });
    expect(Object.keys(config.clusters).sort()).toEqual(["billing", "shop"]);
  },
);
