import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/config.ts";

it("the file that the documentation shows is taken as it is", () => {
  const page = readFileSync(new URL("../../../../docs/configuration.md", import.meta.url), "utf8");
  const folder = mkdtempSync(join(tmpdir(), "isthmus-documentation-"));
  try {
    const file = join(folder, "isthmus.yaml");
    writeFileSync(file, /```yaml\n([\s\S]*?)```/.exec(page)![1]!);
    writeFileSync(join(folder, "billing.cookie"), "crumbs\n", { mode: 0o400 });
    const config = loadConfig(file, { env: { SHOP_COOKIE: "crumbs" } });
    expect(Object.keys(config.clusters)).toEqual(["shop", "billing"]);
    expect(config.clusters["shop"]).toMatchObject({
      tickTimeSeconds: 60,
      hosts: ["shop1@10.0.0.11", "shop2@10.0.0.12"],
    });
    expect(config.routes[0]).toMatchObject({ as: "billing_orders", balance: "first_up" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
