import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Ends the processes which still carry `marker` ("NAME=value") in their environment; needs Linux's /proc and
 * finds nothing elsewhere. Processes that are about to end by themselves get three seconds.
 * @returns {Promise<string[]>} a line for each one that had to be ended
 */
export async function endLeftovers(marker) {
  const deadline = Date.now() + 3000;
  while (marked(marker).length > 0 && Date.now() < deadline) await sleep(100);
  return marked(marker).map((pid) => {
    const line = `${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 200)}`;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it ended in between
    }
    return line;
  });
}

function marked(marker) {
  let entries = [];
  try {
    entries = readdirSync("/proc");
  } catch {
    return [];
  }
  const pids = entries.filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter(
    (pid) => pid !== process.pid && read(`/proc/${pid}/environ`).split("\0").includes(marker),
  );
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
