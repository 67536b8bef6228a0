import { IsthmusError } from "@isthmus/wire";

/** One thing that is wrong with a configuration file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Where in the file, as `clusters.shop.cookie`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong and how to mend it. */
  readonly message: string;
}

/**
 * All problems of a file as one error with code `CONFIG_INVALID`; `context.problems` has the list. The message shows
 * each with its line.
 */
export function configInvalid(file: string, text: string, problems: readonly ConfigProblem[]): IsthmusError {
  const lines = text.split(/\r?\n/);
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const shown = sorted.map(({ line, column, key, message }) => {
    const source = lines[line - 1] ?? "";
    const number = String(line);
    const head = `${file}:${line}:${column}: ${key === "" ? "" : `${key} `}${message}`;
    // a line may hold a cookie: only the key is shown
    const visible = source.replace(/^(.*?\bcookie\s*:\s*)(?!\s*[{$]).+$/, "$1...");
    if (visible.trim() === "") return head;
    return `${head}\n  ${number} | ${visible}\n  ${" ".repeat(number.length)} | ${" ".repeat(Math.min(column - 1, visible.length))}^`;
  });
  const count = sorted.length === 1 ? "one problem" : `${sorted.length} problems`;
  return new IsthmusError("CONFIG_INVALID", `${file} has ${count}:\n\n${shown.join("\n\n")}`, {
    context: { file, problems: sorted },
  });
}

/** The word of `known` that `word` was most likely meant to be. */
export function closest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(before[j]! + 1, row[j - 1]! + 1, before[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    before = row;
  }
  return before[b.length]!;
}
