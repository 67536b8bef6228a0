import { readFileSync } from "node:fs";
import * as net from "node:net";
import * as handshake from "@isthmus/dist-handshake";
import { HANDSHAKE_ERROR_CODES } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const modules: Readonly<Record<string, object>> = { "node:net": net, "@isthmus/dist-handshake": handshake };

describe("the README", () => {
  it("has an example that runs", async () => {
    const source = /```js\n(.*?)```/s.exec(readme)![1]!;
    expect(source.split("\n").length).toBeLessThanOrEqual(15);
    const body = source.replace(/import (\{.*\}) from (".*");/g, "const $1 = modules[$2];");
    expect(body).not.toContain("import");
    const said = await new Promise((resolve, reject) => {
      process.once("unhandledRejection", reject);
      new Function("modules", "console", body)(modules, { log: resolve });
    });
    expect(said).toBe("connected to b@localhost, hidden: true");
  });

  it("explains every code, and no other", () => {
    const errors = readme.slice(readme.indexOf("## Errors"));
    const explained = [...errors.matchAll(/^\| `([A-Z0-9_]+)` +\| \S.{9,} \| \S.{4,} \|$/gm)].map(
      ([, code]) => code,
    );
    expect(explained).toEqual([...HANDSHAKE_ERROR_CODES]);
  });

  it("speaks only of what there is", () => {
    const calls = [...readme.matchAll(/`(?:new )?([A-Za-z]+)(?:\.[a-z]+)?\(/g)].map(([, name]) => name!);
    const ours = calls.filter((name) => !["decide", "start", "receive", "closed", "resume"].includes(name));
    expect(ours.length).toBeGreaterThan(8);
    for (const name of ours) expect(handshake).toHaveProperty(name);
  });
});
