import { readFileSync } from "node:fs";
import { ETF_ERROR_CODES } from "@isthmus/etf";
import { expect, it } from "vitest";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const errors = readFileSync(new URL("../src/errors.ts", import.meta.url), "utf8");

it("has an example that runs and prints what it says", async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] as string;
  expect(example.split("\n").length).toBeLessThanOrEqual(15);
  const etf = (await import("@isthmus/etf")) as Record<string, unknown>;
  const printed: string[] = [];
  const wanted: string[] = [];
  const body = example
    .split("\n")
    .map((line) => {
      const comment = /console\.log\(.*\); \/\/ (.*)$/.exec(line)?.[1];
      if (comment !== undefined) wanted.push(comment);
      return line.replace(/^import \{(.*)\} from "@isthmus\/etf";$/, "const {$1} = etf;");
    })
    .join("\n");
  const run = new Function("etf", "console", body) as (etf: unknown, console: unknown) => void;
  run(etf, { log: (value: unknown) => printed.push(String(value)) });
  expect(wanted.length).toBeGreaterThan(1);
  expect(printed).toEqual(wanted);
});

it("documents each error code, here and in the source", () => {
  for (const code of ETF_ERROR_CODES) {
    const row = new RegExp(`^[ *]*\\| \`${code}\` +\\| .+ \\| .+ \\|$`, "m");
    expect(readme).toMatch(row);
    expect(errors).toMatch(row);
  }
});
