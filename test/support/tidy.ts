import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";

const MARK = `ISTHMUS_TEST_FILE=${randomUUID()}`;

/** The processes of this test file that run. */
export const owned = new Set<{ stop(): Promise<unknown> }>();

/** Environment of every process: ours, less what changes how Erlang nodes start, and the mark of this file. */
export const ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries(
  [...Object.entries(process.env), MARK.split("=") as [string, string]].filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !/^(ERL_|ERLC_|RELEASE_|NODE_)/.test(entry[0]),
  ),
);

/**
 * The processes, with their descendants, that carry this file's mark in their environment, as "pid: command".
 * Found by Linux's /proc; empty elsewhere.
 */
export function marked(): string[] {
  return processIds()
    .filter((pid) => read(`/proc/${pid}/environ`).split("\0").includes(MARK))
    .map((pid) => `${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim()}`);
}

// Whoever imports the harness gets this: at the end of the file all its processes end, and nothing may be left.
afterAll(async () => {
  await Promise.all([...owned].map((process) => process.stop()));
  for (const end = Date.now() + 20_000; marked().length > 0 && Date.now() < end; ) await sleep(50);
  const left = marked();
  if (left.length === 0) return;
  for (const line of left) process.kill(Number.parseInt(line, 10), "SIGKILL");
  throw new Error(`These processes were left behind, and were ended now:\n  ${left.join("\n  ")}`);
});

function processIds(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
