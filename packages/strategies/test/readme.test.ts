import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { STRATEGIES_ERROR_CODES } from "../src/errors.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("the example in the README runs and prints what it says", async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(example?.split("\n").length).toBeLessThanOrEqual(15);
  const file = new URL(`readme-example-${process.pid}.ts`, import.meta.url);
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  writeFileSync(file, `${example!}export {};\n`);
  try {
    await import(/* @vite-ignore */ file.href);
    await expect.poll(() => printed.mock.calls.at(-1)).toEqual(["connected"]);
  } finally {
    rmSync(file);
  }
  expect(printed.mock.calls.flat()).toEqual(["nodes", "dialling shop1@127.0.0.1", "connected"]);
});

it("the README explains every code, and no other", () => {
  const errors = readme.slice(readme.indexOf("## Errors"));
  const explained = [...errors.matchAll(/^\| `([A-Z_]+)` +\| \S.+ \| \S.+ \|$/gm)].map(([, code]) => code);
  expect(explained).toEqual([...STRATEGIES_ERROR_CODES]);
});
