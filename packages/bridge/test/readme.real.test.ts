import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { freePort } from "../../../test/support/epmd.ts";
import { BRIDGE_ERROR_CODES, CONFIG_ERROR_CODES, FORM_ERROR_CODES } from "../src/index.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("the example in the README runs and prints what it says", async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(example?.split("\n").length).toBeLessThanOrEqual(20);
  // the same on ports that are free here
  const ported = example!.replace("4370", String(await freePort())).replace("4371", String(await freePort()));
  const file = new URL(`readme-example-${process.pid}.ts`, import.meta.url);
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  writeFileSync(file, `${ported}export {};\n`);
  try {
    await import(/* @vite-ignore */ file.href);
  } finally {
    rmSync(file);
  }
  expect(printed.mock.calls).toEqual([[2]]);
});

it("the README explains every error", () => {
  const codes = [...readme.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, code]) => code);
  for (const code of [...BRIDGE_ERROR_CODES, ...CONFIG_ERROR_CODES, ...FORM_ERROR_CODES])
    expect(codes).toContain(code);
});
