// Child processes and the one line that each step prints.
import { spawn } from "node:child_process";

/** Seconds since `started` (a `performance.now()`), for people. */
export function secondsSince(started) {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

/**
 * Runs a program without standard input. `quiet` collects what it prints instead of showing it.
 * @returns {Promise<{ status: number, output: string }>} status 127 when the program cannot be started,
 *   128 + the signal's number when a signal ended it
 */
export function run(command, args, { cwd, env = process.env, quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    });
    const chunks = [];
    child.stdout?.on("data", (chunk) => chunks.push(chunk));
    child.stderr?.on("data", (chunk) => chunks.push(chunk));
    child.once("error", (error) => resolve({ status: 127, output: error.message }));
    child.once("close", (code, signal) => {
      const output = Buffer.concat(chunks).toString("utf8");
      resolve({ status: code ?? 128 + (signal === "SIGKILL" ? 9 : 15), output });
    });
  });
}

/**
 * Runs a program as a named step: one line with the time it took, and its output only when it failed.
 * @returns {Promise<boolean>} whether it succeeded
 */
export async function quietStep(title, command, args, options = {}) {
  const started = performance.now();
  process.stdout.write(`${title} ... `);
  const { status, output } = await run(command, args, { ...options, quiet: true });
  console.log(`${status === 0 ? "done" : `FAILED (status ${status})`}, ${secondsSince(started)}`);
  if (status !== 0) console.log(output.trimEnd());
  return status === 0;
}

/** A failure that is explained by its message alone: no stack is printed. */
export class StepFailed extends Error {
  name = "StepFailed";
}

/** Runs a script's main function; its result is the exit status. */
export async function main(run) {
  try {
    process.exitCode = await run();
  } catch (error) {
    console.error(error instanceof StepFailed ? error.message : error);
    process.exitCode = 1;
  }
}
