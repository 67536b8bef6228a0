// Packs every package as it would be published, installs the tarballs with npm in a folder of their own, and
// uses them as a stranger would: import and require of each entry, and the command line.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePnpm } from "./lib/ensure-pnpm.mjs";
import { packageFolders } from "./lib/root.mjs";
import { main, run, StepFailed, secondsSince } from "./lib/run.mjs";

/** Releases of Node.js that the packages are tried on, besides the one that runs this. */
const newerNodes = [22, 24, 26];

await main(async () => {
  const started = performance.now();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "isthmus-packed-")));
  try {
    const packages = await packAll(folder);
    await install(folder, packages);
    const problems = packages.flatMap((one) => missingFiles(folder, one));
    problems.push(...(await loadAll(folder, packages)), ...(await runCommands(folder, packages)));
    for (const release of newerNodes) problems.push(...(await runOnNode(release, folder, packages)));
    for (const problem of problems) console.log(`packed packages: ${problem}`);
    const outcome =
      problems.length === 0 ? "can be imported, required and run" : `${problems.length} problems`;
    console.log(
      `Packed packages: ${packages.length} installed, ${outcome}, also on Node.js ${newerNodes.join(", ")}, ${secondsSince(started)}`,
    );
    return problems.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function packAll(folder) {
  const [command, ...leading] = await ensurePnpm();
  const packed = [];
  for (const source of packageFolders()) {
    const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
    const tarball = join(folder, `${manifest.name.replace(/^@/, "").replace("/", "-")}.tgz`);
    await must(command, [...leading, "pack", "--out", tarball], { cwd: source });
    packed.push({ source, manifest, tarball, name: manifest.name });
  }
  return packed;
}

// every @isthmus package comes from its tarball, whichever package asks for it; optional peers are installed too,
// so that the entries which need them can be loaded
async function install(folder, packages) {
  const dependencies = Object.assign({}, ...packages.map(({ manifest }) => manifest.peerDependencies));
  const overrides = {};
  for (const { name, tarball } of packages) {
    dependencies[name] = `file:${tarball}`;
    overrides[name] = `$${name}`;
  }
  const manifest = { name: "stranger", private: true, dependencies, overrides };
  mkdirSync(join(folder, "app"));
  writeFileSync(join(folder, "app", "package.json"), JSON.stringify(manifest));
  const args = [
    "install",
    "--prefer-offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  await must("npm", args, { cwd: join(folder, "app"), env: strangersEnvironment() });
}

/** Files that package.json names and the tarball lacks. */
function missingFiles(folder, { name, source, manifest }) {
  const installed = join(folder, "app", "node_modules", name);
  const named = [
    ...targets(manifest.exports),
    ...Object.values(manifest.bin ?? {}).filter(isWritten(source)),
  ];
  return named
    .filter((path) => !existsSync(join(installed, path)))
    .map((path) => `${name} names ${path}, which its tarball does not have`);
}

function targets(value) {
  return typeof value === "string" ? [value] : Object.values(value ?? {}).flatMap(targets);
}

function isWritten(source) {
  return (path) => existsSync(join(source, path));
}

async function loadAll(folder, packages) {
  const problems = [];
  const entries = entriesOf(packages);
  const app = join(folder, "app");
  writeFileSync(
    join(app, "import.mjs"),
    "console.log(Object.keys(await import(process.argv[2])).sort().join());",
  );
  writeFileSync(
    join(app, "require.cjs"),
    "console.log(Object.keys(require(process.argv[2])).sort().join());",
  );
  for (const entry of entries) {
    const imported = await runIn(app, process.execPath, ["import.mjs", entry]);
    const required = await runIn(app, process.execPath, ["require.cjs", entry]);
    if (imported.status !== 0) problems.push(`import "${entry}" failed:\n${imported.output}`);
    if (required.status !== 0) problems.push(`require("${entry}") failed:\n${required.output}`);
    if (imported.status !== 0 || required.status !== 0) continue;
    if (names(imported) !== names(required))
      problems.push(`import and require of "${entry}" give different names`);
    if (names(imported) === "") console.log(`packed packages: "${entry}" exports nothing`);
  }
  return problems;
}

function names({ stdout }) {
  return stdout
    .trim()
    .split(",")
    .filter((name) => name !== "module.exports" && name !== "__esModule")
    .join();
}

async function runCommands(folder, packages) {
  const problems = [];
  for (const { name, source, manifest } of packages) {
    for (const [command, path] of Object.entries(manifest.bin ?? {})) {
      if (!isWritten(source)(path)) {
        console.log(`packed packages: ${name} has no ${path} yet, so ${command} was not run`);
        continue;
      }
      const { status, stdout, output } = await runIn(join(folder, "app"), "npx", [
        "--no-install",
        command,
        "--version",
      ]);
      if (status !== 0 || stdout.trim() !== manifest.version) {
        problems.push(`npx ${command} --version ended with status ${status} and printed:\n${output}`);
      }
    }
  }
  return problems;
}

/** Imports every entry on another Node.js, and has two nodes of ours call each other there. */
async function runOnNode(release, folder, packages) {
  const home = join(folder, `node-${release}`);
  mkdirSync(home);
  const install = [
    "install",
    "--prefix",
    home,
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    `node@${release}`,
  ];
  await must("npm", install, { cwd: home, env: strangersEnvironment() });
  const node = join(home, "node_modules", ".bin", "node");
  const app = join(folder, "app");
  writeFileSync(
    join(app, "everything.mjs"),
    `for (const entry of process.argv.slice(2)) await import(entry);
import { startNode } from "@isthmus/core";
import { staticResolver } from "@isthmus/epmd-client";
const one = { name: "one@127.0.0.1", cookie: "c", listen: { host: "127.0.0.1" }, epmd: false };
const first = await startNode(one);
first.serve("adder", { call: (numbers) => numbers[0] + numbers[1] });
const resolver = staticResolver({ [one.name]: { host: "127.0.0.1", port: first.port } });
const second = await startNode({ ...one, name: "two@127.0.0.1", resolver });
const sum = await second.call({ name: "adder", node: one.name }, [40, 2]);
await second.close();
await first.close();
console.log(process.versions.node.split(".")[0], sum);
`,
  );
  const { status, stdout, output } = await runIn(app, node, ["everything.mjs", ...entriesOf(packages)]);
  if (status === 0 && stdout.trim() === `${release} 42`) return [];
  return [`on Node.js ${release} the packages ended with status ${status} and printed:\n${output}`];
}

function entriesOf(packages) {
  return packages.flatMap(({ name, manifest }) =>
    Object.keys(manifest.exports)
      .filter((key) => key !== "./package.json")
      .map((key) => name + key.slice(1)),
  );
}

function runIn(cwd, command, args) {
  return run(command, args, { cwd, env: strangersEnvironment(), quiet: true });
}

async function must(command, args, options) {
  const { status, output } = await run(command, args, { ...options, quiet: true });
  if (status === 0) return;
  throw new StepFailed(
    `packed packages: ${command} ${args.join(" ")} ended with status ${status}\n${output}`,
  );
}

// what npm tells the scripts of this workspace is not for an npm elsewhere
function strangersEnvironment() {
  const strange =
    /^(npm_(package|lifecycle|command|config_local_prefix|config_engine_strict)|INIT_CWD$|NODE_ENV$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !strange.test(name)));
}
