import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { bridgeError } from "../errors.ts";
import { FIRST_INDEX, firstIndex, LAST_INDEX } from "./identity-index.ts";

/** The file's text: one number, the first index that no run has taken. */
const FORM = /^isthmus indexes from (\d{1,10})\n$/;

/**
 * Takes `count` indexes that no earlier run with the same file has taken, and writes that down before the first of them
 * is used: so a pid that outlives a restart of the bridge is dead afterwards, and never another process. Without the
 * file, which is then made, the run begins at a random place. After 2^32 indexes they begin anew.
 * @param random a number in [0, 1)
 * @returns the first of them
 * @throws IsthmusError `STATE_FILE_FAILED` when the file cannot be read or written, or is another
 */
export function takeIndexes(path: string, count: number, random: number): number {
  const known = read(path);
  const wanted = known ?? firstIndex(random);
  const first = wanted + count - 1 > LAST_INDEX ? FIRST_INDEX : wanted;
  write(path, `isthmus indexes from ${first + count}\n`);
  return first;
}

function read(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw failed(path, "cannot be read", cause);
  }
  const next = Number(FORM.exec(text)?.[1]);
  if (next >= FIRST_INDEX && next <= LAST_INDEX + 1) return next;
  throw failed(path, "is not one of ours, or damaged; remove it to begin anew", undefined);
}

/** All or nothing, also when the machine stops in between. */
function write(path: string, text: string): void {
  const draft = `${path}.${process.pid}`;
  try {
    const file = openSync(draft, "w", 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw failed(path, "cannot be written", cause);
  }
}

function failed(path: string, what: string, cause: unknown): Error {
  return bridgeError("STATE_FILE_FAILED", `The state file ${path} ${what}.`, { cause, context: { path } });
}
