import { type Atom, atom } from "@isthmus/etf";
import { RESERVED_NAMES } from "../policy/reserved-names.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import { ExportedName } from "./exported-name.ts";
import type { NodeChoice } from "./node-choice.ts";

/** Longest name of a process, in characters: an atom's. */
const MAX_NAME = 255;

/**
 * Names that one cluster may use, and the names in another cluster that they stand for: `*` in the one is what `*` in
 * the other is. Processes of OTP itself are never meant.
 */
export class ExportedPattern {
  readonly #as: string;
  readonly #name: string;
  readonly #target: ClusterRouter;
  readonly #choice: NodeChoice;

  /** @param as has as many `*` as `name` */
  constructor(as: string, target: ClusterRouter, name: string, choice: NodeChoice) {
    this.#as = as;
    this.#name = name;
    this.#target = target;
    this.#choice = choice;
  }

  /** Whether `other` leads from the same names to the same processes in the same way. */
  equals(other: ExportedPattern): boolean {
    return (
      this.#as === other.#as &&
      this.#target === other.#target &&
      this.#name === other.#name &&
      this.#choice.equals(other.#choice)
    );
  }

  /** What a name stands for; undefined when it does not fit. */
  find(as: Atom): ExportedName | undefined {
    const name = nameByPattern(this.#as, this.#name, as.text);
    return name === undefined ? undefined : new ExportedName(as, this.#target, atom(name), this.#choice);
  }
}

/** The name that stands to `asked` as `name` to `as`, two patterns with as many `*`; undefined for what they do not mean. */
export function nameByPattern(as: string, name: string, asked: string): string | undefined {
  if (RESERVED_NAMES.has(asked)) return undefined;
  const matched = matchParts(as.split("*"), asked);
  if (matched === undefined) return undefined;
  const found = name.split("*").reduce((text, part, i) => text + matched[i - 1]! + part);
  return RESERVED_NAMES.has(found) || found === "" || found.length > MAX_NAME ? undefined : found;
}

/** What each `*` between `parts` stands for in `text`, each as little as can be but the last; undefined if it does not fit. */
function matchParts(parts: readonly string[], text: string): string[] | undefined {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  const end = text.length - last.length;
  if (!text.startsWith(first) || !text.endsWith(last) || end < first.length) return undefined;
  const matched: string[] = [];
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return undefined;
    matched.push(text.slice(at, found));
    at = found + part.length;
  }
  matched.push(text.slice(at, end));
  return matched;
}
