import { readFileSync } from "node:fs";
import { Cookie } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";
import { type BridgeConfig, parseConfig } from "../../src/config/config.ts";
import { CONFIG_ERROR_CODES } from "../../src/config/errors.ts";
import { keysAt } from "../../src/config/schema.ts";
import { OPERATIONS } from "../../src/policy/operation.ts";

const page = readFileSync(new URL("../../../../docs/configuration.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => block!);
const clusters = blocks[0]!.slice(0, blocks[0]!.indexOf("routes:"));
const env = { SHOP_COOKIE: "a", BILLING_COOKIE: "b" };

/** Parses a block of the page; parts are completed by the clusters of the first. */
function parse(block: string): BridgeConfig {
  const text = block.startsWith("clusters:") ? block : clusters + block;
  const read: string[] = [];
  const config = parseConfig(text, {
    file: "/etc/isthmus/isthmus.yaml",
    env,
    readCookieFile: (path) => {
      read.push(path);
      return Cookie.of("c");
    },
  });
  for (const path of read) expect(path).toBe("/etc/isthmus/secrets/billing");
  return config;
}

describe("the documentation of the configuration", () => {
  it("has examples", () => expect(blocks.length).toBeGreaterThanOrEqual(6));

  it.each(blocks.map((block, i) => [i + 1, block] as const))(
    "has an example that is valid: %i",
    (_i, block) => {
      expect(Object.keys(parse(block).clusters)).toEqual(["shop", "billing"]);
    },
  );

  it.each([
    ["clusters", ["clusters", "x"]],
    ["clusters", ["clusters", "x", "listen"]],
    ["clusters", ["clusters", "x", "epmd"]],
    ["clusters", ["clusters", "x", "discovery"]],
    ["clusters", ["clusters", "x", "cookie"]],
    ["routes", ["routes", 0]],
    ["policy", ["policy", 0]],
    ["log", ["log"]],
    ["shutdown", ["shutdown"]],
  ])("explains in %s every key of %j", (chapter, place) => {
    const start = page.indexOf(`\n## ${chapter}\n`);
    const text = page.slice(start, page.indexOf("\n## ", start + 1));
    const nested = place.length === 3 && place[2] !== "cookie";
    for (const key of keysAt(place)!) {
      if (["listen", "epmd", "discovery"].includes(key)) continue;
      const shown =
        place[2] === "cookie" ? `[ {,]${key}: ` : `\\| \`${nested ? `${place[2]}\\.` : ""}${key}\` +\\|`;
      expect(text, key).toMatch(new RegExp(shown));
    }
  });

  it("gives the defaults that hold", () => {
    const { clusters: all, routes, policy, policyMode, watch, log, shutdown } = parse(blocks[0]!);
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
  });

  it("explains every key that stands alone", () => {
    for (const key of keysAt([])!) {
      expect(page).toMatch(
        key.includes("_") ? new RegExp(`\\| \`${key}\` +\\|`) : new RegExp(`\n## ${key}\n`),
      );
    }
  });

  it("names every operation", () => {
    for (const operation of OPERATIONS) expect(page).toContain(`\`${operation}\``);
  });

  it("explains every code", () => {
    for (const code of CONFIG_ERROR_CODES) expect(page).toMatch(new RegExp(`\\| \`${code}\` +\\|`));
  });

  it("shows an error as it is", () => {
    const shown = /```text\n([\s\S]*?)```/.exec(page)![1]!;
    const text = blocks[0]!.replace("    cookie: ${SHOP_COOKIE}", "    cokie: ${SHOP_COOKIE:-x}");
    expect(() => parse(text)).toThrow(expect.objectContaining({ message: expect.stringContaining("4 |") }));
    try {
      parse(text);
    } catch (error) {
      expect((error as Error).message.replaceAll("/etc/isthmus/", "")).toContain(shown.trimEnd());
    }
  });
});

it("the configuration of the example is valid", () => {
  const example = new URL("../../../../examples/two-clusters/isthmus.yaml", import.meta.url);
  const config = parseConfig(readFileSync(example, "utf8"), {
    file: "isthmus.yaml",
    env: { ...env, SHOP_EPMD_PORT: "4501", BILLING_EPMD_PORT: "4502" },
  });
  expect(config.routes.length).toBe(1);
});
