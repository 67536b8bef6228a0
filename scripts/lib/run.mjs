// Child processes and the one line that each step prints.
import { spawn } from "node:child_process";
import { constants } from "node:os";

const passedSignals = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Seconds since `started` (a `performance.now()`), for people. */
export function secondsSince(started) {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

/**
 * Runs a program without standard input. `quiet` collects what it prints instead of showing it. A signal to this
 * process goes to the program, and ends this process when the program has ended.
 * @returns {Promise<{ status: number, stdout: string, output: string }>} output is both streams together; status
 *   127 when the program cannot be started, 128 + the signal's number when a signal ended it
 */
export function run(command, args, { cwd, env = process.env, quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    });
    const pass = (signal) => {
      child.once("close", () => process.exit(128 + constants.signals[signal]));
      child.kill(signal);
    };
    for (const signal of passedSignals) process.once(signal, pass);
    child.once("close", () => {
      for (const signal of passedSignals) process.off(signal, pass);
    });
    let stdout = "";
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      stdout += text;
      output += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
    child.once("error", (error) => resolve({ status: 127, stdout, output: error.message }));
    child.once("close", (code, signal) => {
      resolve({ status: code ?? 128 + constants.signals[signal], stdout, output });
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
