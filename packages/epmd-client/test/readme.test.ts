import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { EPMD_ERROR_CODES } from "../src/errors.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("the example in the README runs and prints what it says", async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(example?.split("\n").length).toBeLessThanOrEqual(15);
  const file = new URL(`readme-example-${process.pid}.ts`, import.meta.url);
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  writeFileSync(file, `${example!}export {};\n`);
  try {
    await import(/* @vite-ignore */ file.href);
  } finally {
    rmSync(file);
  }
  expect(printed.mock.calls.map(([value]) => value)).toMatchObject([
    true,
    { name: "js", port: 5000, nodeType: "hidden" },
    [{ name: "js", port: 5000 }],
  ]);
});

it("the README lists every error code once", () => {
  const listed = [...readme.matchAll(/^\| `([A-Z0-9_]+)` *\|/gm)].map(([, code]) => code);
  expect(listed.toSorted()).toEqual([...EPMD_ERROR_CODES].toSorted());
});
