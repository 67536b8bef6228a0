import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import type { IsthmusError } from "@isthmus/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseConfig } from "../../src/config/config.ts";
import type { ConfigProblem } from "../../src/config/problem.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-config-"));
  writeFileSync(join(folder, "billing.cookie"), "crumbs\n", { mode: 0o400 });
  writeFileSync(join(folder, "open.cookie"), "crumbs\n");
  chmodSync(join(folder, "open.cookie"), 0o644);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const parse = (text: string, env: Record<string, string> = {}) =>
  parseConfig(text, { file: join(folder, "isthmus.yaml"), env });

const FINE = `clusters:
  shop:
    node: bridge@10.0.0.5
    cookie: crumbs
    discovery: { hosts: [shop1@10.0.0.11] }
  billing:
    node: bridge@10.0.0.5
    cookie: crumbs
routes:
  - { from: shop, to: billing, name: orders, node: billing1@10.0.1.21 }
`;

function problems(
  text: string,
  env: Record<string, string> = {},
): { found: readonly ConfigProblem[]; message: string } {
  try {
    parse(text, env);
  } catch (error) {
    const { code, context, message } = error as IsthmusError;
    expect(code).toBe("CONFIG_INVALID");
    return { found: context["problems"] as ConfigProblem[], message };
  }
  throw new Error("the configuration was taken");
}

describe("a configuration that is right", () => {
  it("has defaults for what it leaves out", () => {
    const config = parse(FINE);
    expect(config.clusters["shop"]).toMatchObject({
      node: "bridge@10.0.0.5",
      listen: { port: 0 },
      epmd: {},
      embeddedEpmd: "auto",
      hosts: ["shop1@10.0.0.11"],
    });
    expect(config.routes).toEqual([
      { from: "shop", to: "billing", name: "orders", nodes: ["billing1@10.0.1.21"] },
    ]);
    expect([config.log, config.shutdown]).toEqual([{ level: "info", format: "auto" }, { drainSeconds: 5 }]);
  });

  it("is the one that the documentation shows, in full", () => {
    const page = readFileSync(new URL("../../../../docs/configuration.md", import.meta.url), "utf8");
    const config = parse(/```yaml\n([\s\S]*?)```/.exec(page)![1]!, { SHOP_COOKIE: "crumbs" });
    expect(config.clusters["shop"]).toMatchObject({
      listen: { host: "10.0.0.5", port: 0 },
      epmd: { host: "127.0.0.1", port: 4369 },
      tickTimeSeconds: 60,
    });
    expect(config.routes[0]).toMatchObject({
      as: "billing_orders",
      balance: "first_up",
      nodes: ["billing1@10.0.1.21", "billing2@10.0.1.22"],
    });
  });

  it("takes values from the environment, numbers too", () => {
    const text = FINE.replace(
      "cookie: crumbs",
      'cookie: ${COOKIE}\n    epmd: { port: "${PORT:-4370}" }',
    ).replace("shop1@10.0.0.11", '"${HOST:-shop9}@10.0.0.11"');
    const config = parse(text, { COOKIE: "from_outside" });
    expect(config.clusters["shop"]).toMatchObject({ epmd: { port: 4370 }, hosts: ["shop9@10.0.0.11"] });
    expect(parse(text, { COOKIE: "x", PORT: "5000" }).clusters["shop"]).toMatchObject({
      epmd: { port: 5000 },
    });
  });

  it("reads a cookie file beside it, and never shows a cookie", () => {
    const config = parse(FINE.replace("cookie: crumbs", "cookie: { file: billing.cookie }"));
    expect(inspect(config, { depth: 10 })).not.toContain("crumbs");
    expect(JSON.stringify(config)).not.toContain("crumbs");
  });
});

describe("a configuration that is wrong", () => {
  it.each<[string, string, string, Partial<ConfigProblem>, RegExp]>([
    [
      "a key that is misspelt",
      "node: bridge@10.0.0.5\n    cookie: crumbs\n    discovery",
      "nodd: bridge@10.0.0.5\n    cookie: crumbs\n    discovery",
      { line: 3, column: 5, key: "clusters.shop.nodd" },
      /Did you mean node\?/,
    ],
    [
      "a cluster that is not there",
      "to: billing",
      "to: biling",
      { line: 10, column: 23, key: "routes.0.to" },
      /Did you mean billing\?.*shop, billing/,
    ],
    [
      "a node name without a host",
      "shop1@10.0.0.11",
      "shop1",
      { line: 5, key: "clusters.shop.discovery.hosts.0" },
      /no '@'/,
    ],
    ["a short name among long ones", "shop1@10.0.0.11", "shop1@box", { line: 5 }, /short name.*long one/],
    ["the bridge as its own peer", "shop1@10.0.0.11", "bridge@10.0.0.5", { line: 5 }, /own name/],
    [
      "a port that is none",
      "cookie: crumbs\n    discovery",
      "cookie: crumbs\n    epmd: { port: 70000 }\n    discovery",
      { line: 5, key: "clusters.shop.epmd.port" },
      /1 to 65535/,
    ],
    [
      "a route into itself",
      "to: billing",
      "to: shop",
      { line: 10, key: "routes.0.to" },
      /leads into another/,
    ],
    ["no target", ", node: billing1@10.0.1.21", "", { line: 10, key: "routes.0" }, /needs node/],
    ["two forms of the target", ", node: b", ", nodes: [x@10.0.0.1], node: b", { line: 10 }, /keep one/],
    [
      "a cookie file that others may read",
      "cookie: crumbs",
      "cookie: { file: open.cookie }",
      { line: 4, key: "clusters.shop.cookie" },
      /cannot be used/,
    ],
    [
      "a variable that is not set",
      "cookie: crumbs",
      "cookie: ${NOT_THERE}",
      { line: 4, column: 13 },
      /NOT_THERE.*not set/,
    ],
  ])("%s", (_name, from, to, where, message) => {
    expect(FINE).toContain(from);
    const { found } = problems(FINE.replace(from, to));
    expect(found).toContainEqual(expect.objectContaining(where));
    expect(
      found.find((problem) =>
        Object.entries(where).every(([key, value]) => problem[key as keyof ConfigProblem] === value),
      )?.message,
    ).toMatch(message);
  });

  it("a key that stands twice", () => {
    const { found } = problems(
      FINE.replace("    cookie: crumbs\n", "    cookie: crumbs\n    cookie: more\n"),
    );
    expect(found[0]).toMatchObject({ line: 5 });
  });

  it("a name that is exported twice", () => {
    const { found } = problems(
      `${FINE}  - { from: shop, to: billing, name: other, as: orders, node: billing1@10.0.1.21 }\n`,
    );
    expect(found).toMatchObject([{ line: 11, key: "routes.1" }]);
  });

  it("all problems are told at once, in the order of the file, with the line and a mark, and no cookie", () => {
    const { found, message } = problems(
      FINE.replace("shop1@10.0.0.11", "shop1").replace("to: billing", "to: biling"),
    );
    expect(found.map(({ line }) => line)).toEqual([5, 10]);
    expect(message).toContain("isthmus.yaml:5:");
    expect(message).toMatch(/\^/);
    const shown = problems(
      FINE.replace("node: bridge@10.0.0.5", "node: bridge").replace(
        "cookie: crumbs",
        "cookie: crumbs extra: [",
      ),
    ).message;
    expect(shown).not.toContain("crumbs");
  });

  it("fewer than two clusters, and an empty file", () => {
    expect(problems("clusters: { a: { node: a@b.c, cookie: x } }\n").message).toContain("at least two");
    expect(problems("").found.length).toBeGreaterThan(0);
  });

  it("a file that is not there", () => {
    expect(() => loadConfig(join(folder, "missing.yaml"))).toThrow(
      expect.objectContaining({ code: "CONFIG_UNREADABLE" }),
    );
  });
});
