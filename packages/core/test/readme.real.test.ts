import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { startEpmd } from "../../../test/support/epmd.ts";
import { CORE_ERROR_CODES } from "../src/index.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("the example in the README runs and prints what it says", async () => {
  const epmd = await startEpmd();
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(example?.split("\n").length).toBeLessThanOrEqual(15);
  const file = new URL(`readme-example-${process.pid}.ts`, import.meta.url);
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  vi.stubEnv("ERL_EPMD_PORT", String(epmd.port));
  writeFileSync(file, `${example}export {};\n`);
  try {
    await import(/* @vite-ignore */ file.href);
  } finally {
    rmSync(file);
    vi.unstubAllEnvs();
    await epmd.stop();
  }
  expect(printed.mock.calls).toEqual([[42]]);
});

it("the README lists every error code once", () => {
  const listed = [...readme.matchAll(/^\| `([A-Z0-9_]+)` *\|/gm)].map(([, code]) => code);
  expect(listed.toSorted()).toEqual([...CORE_ERROR_CODES].toSorted());
});
