import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./root.mjs";
import { run } from "./run.mjs";

let found;

/**
 * The command that runs the pnpm version named in package.json: the one in PATH when it is that version,
 * otherwise npm's `npx`, which fetches it into npm's own cache. Nothing is installed globally.
 * @returns {Promise<string[]>} program and leading arguments
 */
export function ensurePnpm() {
  found ??= find();
  return found;
}

async function find() {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const version = packageManager.replace(/^pnpm@/, "");
  // asked outside the workspace, where another version of pnpm would switch to the one that package.json names
  const inPath = await run("pnpm", ["--version"], { cwd: "/", quiet: true });
  if (inPath.status === 0 && inPath.stdout.trim() === version) return ["pnpm"];
  return ["npx", "--yes", `pnpm@${version}`];
}
