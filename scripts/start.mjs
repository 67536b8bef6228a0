// `npm start`: everything that the two-cluster demo needs, then the demo itself.
// The demo runs in this process, so signals and its exit status are its own.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { otpInPath } from "./lib/ensure-otp.mjs";
import { build, ensureInstalled } from "./lib/ensure-workspace.mjs";
import { root } from "./lib/root.mjs";
import { StepFailed } from "./lib/run.mjs";

async function prepare() {
  await ensureInstalled();
  if (!(await build())) throw new StepFailed("The packages do not compile.");
  const release = await otpInPath();
  console.log(
    release === undefined
      ? "No erl in PATH: the nodes of both clusters are made with this library."
      : `Erlang/OTP ${release} in PATH: the nodes of both clusters are real BEAM nodes.`,
  );
}

try {
  await prepare();
} catch (error) {
  console.error(error instanceof StepFailed ? error.message : error);
  process.exit(1);
}

const demo = join(root, "examples", "two-clusters", "demo.mjs");
const args = process.argv.slice(2);
process.argv = [process.execPath, demo, ...(args[0] === "--" ? args.slice(1) : args)];
await import(pathToFileURL(demo).href);
