import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePnpm } from "./ensure-pnpm.mjs";
import { packageFolders, root } from "./root.mjs";
import { quietStep, StepFailed } from "./run.mjs";

const stamp = join(root, "node_modules", ".isthmus-installed");

/** Fails unless this Node.js is new enough; said here because the reasons that npm gives are hard to read. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new StepFailed(`Isthmus needs Node.js 20.19 or newer; this is ${process.versions.node}.`);
}

/** Installs the dependencies exactly as the lockfile has them; does nothing when that was done already. */
export async function ensureInstalled() {
  requireNode();
  const wanted = manifestDigest();
  if (isInstalled(wanted)) return;
  const [command, ...leading] = await ensurePnpm();
  const { NODE_ENV: _production, ...env } = process.env;
  // without a terminal pnpm would otherwise refuse to replace a node_modules that another tool made
  const args = [...leading, "install", "--frozen-lockfile", "--config.confirmModulesPurge=false"];
  if (!(await quietStep("Installing dependencies", command, args, { cwd: root, env }))) {
    throw new StepFailed("The dependencies could not be installed.");
  }
  writeFileSync(stamp, `${wanted}\n`);
}

/** Compiles the packages that changed. @returns {Promise<boolean>} whether they compile */
export function build() {
  return quietStep("Compiling the packages", process.execPath, tsc("-b"), { cwd: root });
}

/** Arguments that make Node.js run the workspace's TypeScript compiler. */
export function tsc(...args) {
  return [join(root, "node_modules", "typescript", "bin", "tsc"), ...args];
}

function isInstalled(wanted) {
  if (!existsSync(stamp) || readFileSync(stamp, "utf8").trim() !== wanted) return false;
  return packageFolders().every((folder) => {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const names = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    return names.every((name) => existsSync(join(folder, "node_modules", name)));
  });
}

// all that decides what pnpm puts where
function manifestDigest() {
  const files = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml"].map((name) => join(root, name));
  files.push(...packageFolders().map((folder) => join(folder, "package.json")));
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n`).update(readFileSync(file));
  return hash.digest("hex");
}
