// `npm test`: dependencies, real peers, lint, types, tests, packed packages. Its last line is the summary
// "N passed, N failed, N skipped".
//   npm test -- --unit          the unit tests only: no real peers needed
//   npm test -- ARGUMENT ...    passed on to vitest, for instance a file name or -t NAME; the packed packages,
//                               which do not depend on the arguments, are then left out
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureDebianPackages } from "./lib/ensure-debian-packages.mjs";
import { ensureOtp, withoutErlangVariables } from "./lib/ensure-otp.mjs";
import { ensureServices } from "./lib/ensure-services.mjs";
import { build, ensureInstalled, tsc } from "./lib/ensure-workspace.mjs";
import { endLeftovers } from "./lib/leftovers.mjs";
import { root } from "./lib/root.mjs";
import { main, quietStep, run, secondsSince } from "./lib/run.mjs";
import { readVitestReport } from "./lib/vitest-report.mjs";

const wanted = process.argv.slice(2).filter((arg) => arg !== "--");
const unitOnly = wanted.includes("--unit");
const vitestArgs = wanted.filter((arg) => arg !== "--unit");

await main(async () => {
  const started = performance.now();
  await ensureInstalled();
  const peers = unitOnly ? {} : await ensurePeers();
  const problems = await check();
  const report = await runVitest(peers, problems);
  if (!unitOnly && vitestArgs.length === 0) {
    const smoke = join(root, "scripts", "pack-smoke.mjs");
    const { status } = await run(process.execPath, [smoke], { cwd: root });
    if (status !== 0) problems.push("the packed packages");
  }

  for (const name of report.skipped) console.log(`skipped: ${name}`);
  if (report.passed + report.failed === 0) problems.push("vitest: no test ran");
  if (problems.length > 0) console.log(`Failed: ${problems.join("; ")}`);
  console.log(`All steps: ${secondsSince(started)}`);
  console.log(`${report.passed} passed, ${report.failed} failed, ${report.skipped.length} skipped`);
  return problems.length === 0 && report.failed === 0 ? 0 : 1;
});

async function ensurePeers() {
  await ensureDebianPackages();
  return { ...(await ensureOtp()), ...(await ensureServices()), ISTHMUS_REQUIRE_PEERS: "1" };
}

/** Lint and types. @returns {Promise<string[]>} what failed */
async function check() {
  const problems = [];
  const options = { cwd: root };
  const biome = join(root, "node_modules", "@biomejs", "biome", "bin", "biome");
  if (!(await quietStep("Lint", process.execPath, [biome, "check"], options))) problems.push("lint");
  if (!(await build())) problems.push("types of the packages");
  const types = tsc("-p", "tsconfig.test.json");
  if (!(await quietStep("Types of the tests", process.execPath, types, options)))
    problems.push("types of the tests");
  return problems;
}

async function runVitest(peers, problems) {
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "isthmus-vitest-"));
  try {
    const output = join(folder, "report.json");
    const runId = randomUUID();
    const args = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${output}`];
    if (unitOnly) args.push("--project=unit");
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
    const env = { ...testEnvironment(), ...peers, ISTHMUS_TEST_RUN: runId };
    const { status } = await run(process.execPath, [vitest, ...args, ...vitestArgs], { cwd: root, env });
    const report = readVitestReport(output);
    if (status !== 0 && report.failed === 0) problems.push(`vitest ended with status ${status}`);
    const leftovers = await endLeftovers(`ISTHMUS_TEST_RUN=${runId}`);
    if (leftovers.length > 0)
      problems.push(`processes left behind by the tests:\n  ${leftovers.join("\n  ")}`);
    console.log(`Tests: ${secondsSince(started)}`);
    return report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** This process's environment less what npm adds and what changes Erlang nodes or the product. */
function testEnvironment() {
  const entries = Object.entries(withoutErlangVariables(process.env));
  return Object.fromEntries(entries.filter(([name]) => !/^(ISTHMUS_|npm_|INIT_CWD$|NODE_ENV$)/.test(name)));
}
