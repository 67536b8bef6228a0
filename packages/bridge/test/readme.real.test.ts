import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, expect, it, vi } from "vitest";
import { startBeam } from "../../../test/support/beam.ts";
import { freePort, startEpmd } from "../../../test/support/epmd.ts";
import { BRIDGE_ERROR_CODES, CONFIG_ERROR_CODES, FORM_ERROR_CODES } from "../src/index.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, example]) => example!);

afterEach(() => vi.restoreAllMocks());

/** Runs an example on ports that are free here. @returns what it printed */
async function run(example: string, ports: Readonly<Record<number, number>>): Promise<unknown[][]> {
  let text = example;
  for (const [written, free] of Object.entries(ports)) text = text.replace(written, String(free));
  const file = new URL(`readme-example-${process.pid}-${examples.indexOf(example)}.ts`, import.meta.url);
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  writeFileSync(file, `${text}export {};\n`);
  try {
    await import(/* @vite-ignore */ file.href);
  } finally {
    rmSync(file);
  }
  return printed.mock.calls;
}

it("the examples in the README are short enough to read", () => {
  for (const example of examples) expect(example.split("\n").length).toBeLessThanOrEqual(20);
});

it("the first example in the README runs and prints what it says", async () => {
  expect(await run(examples[0]!, { 4370: await freePort(), 4371: await freePort() })).toEqual([[2]]);
});

it("the example of nodeHooks in the README finds a real node", async () => {
  const mapper = await startEpmd();
  const beam = await startBeam({ name: "shop1@127.0.0.1", cookie: "a", epmdPort: mapper.port });
  try {
    expect(await run(examples[1]!, { 4370: mapper.port })).toEqual([[[beam.node]]]);
  } finally {
    await beam.stop();
    await mapper.stop();
  }
});

it("the README explains every error", () => {
  const codes = [...readme.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, code]) => code);
  for (const code of [...BRIDGE_ERROR_CODES, ...CONFIG_ERROR_CODES, ...FORM_ERROR_CODES])
    expect(codes).toContain(code);
});
