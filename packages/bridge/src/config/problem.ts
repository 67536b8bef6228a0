import { IsthmusError } from "@isthmus/wire";
import type { ConfigErrorCode } from "./errors.ts";

/** Where something is, or should be: keys of maps and numbers of list items, from the top. */
export type KeyPath = readonly (string | number)[];

/** One thing that is wrong with a configuration file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Where in the file, as `clusters.shop.cookie` or `routes[0].to`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong and how to mend it: the rest of a sentence that begins with the key. */
  readonly message: string;
}

/** A line as it may be shown, without secrets, and the column in it that stands for the problem's. */
export interface ShownLine {
  readonly text: string;
  readonly column: number;
}

/**
 * All problems of a file as one error with code `CONFIG_INVALID`, in the order of the file; `context.problems` has
 * the list. The message shows each with its line.
 */
export function configInvalid(
  file: string,
  problems: readonly ConfigProblem[],
  show: (problem: ConfigProblem) => ShownLine | undefined,
): IsthmusError {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const count = sorted.length === 1 ? "one problem" : `${sorted.length} problems`;
  const texts = sorted.map((problem) => {
    const { line, column, key, message } = problem;
    const head = `${file}:${line}:${column}: ${key === "" ? message : `${key} ${message}`}`;
    const shown = show(problem);
    if (shown === undefined || shown.text.trim() === "") return head;
    const margin = " ".repeat(String(line).length);
    // Tabs stay tabs, so that the caret stands where it should.
    const before = shown.text.slice(0, shown.column - 1).replace(/[^\t]/g, " ");
    return `${head}\n  ${line} | ${shown.text}\n  ${margin} | ${before}^`;
  });
  const code: ConfigErrorCode = "CONFIG_INVALID";
  return new IsthmusError(code, `${file} has ${count}:\n\n${texts.join("\n\n")}`, {
    context: { file, problems: sorted },
  });
}

/** `routes[0].to` */
export function keyText(path: KeyPath): string {
  return path.map((key, i) => (typeof key === "number" ? `[${key}]` : i === 0 ? key : `.${key}`)).join("");
}
