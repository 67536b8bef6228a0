import { type Atom, atom } from "@isthmus/etf";
import type { RouteOptions } from "../options.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import { ExportedName } from "./exported-name.ts";
import { ExportedPattern } from "./exported-pattern.ts";
import { NodeChoice } from "./node-choice.ts";

/** A name, or a pattern of names, that a route exports. */
export type Export = ExportedName | ExportedPattern;

/** Look-ups that are kept; peers can make up names. */
const MAX_CACHED = 4096;

/** What a route exports. @param target the router of `route.to` */
export function exportOf(
  { name, as = name, balance = "first_up" }: RouteOptions,
  target: ClusterRouter,
  nodes: readonly string[],
): Export {
  const choice = new NodeChoice(nodes, balance, target.neighbours);
  return name.includes("*")
    ? new ExportedPattern(as, target, name, choice)
    : new ExportedName(atom(as), target, atom(name), choice);
}

/** The names of other clusters that one cluster may use. */
export class Exports {
  readonly #names = new Map<Atom, ExportedName>();
  readonly #found = new Map<Atom, ExportedName | null>();
  #patterns: readonly ExportedPattern[] = [];

  /** Takes these in the place of those before; one that is the same as before keeps its callers at their nodes. */
  configure(given: readonly Export[]): void {
    const names = new Map(this.#names);
    const patterns = this.#patterns;
    this.#names.clear();
    this.#found.clear();
    this.#patterns = given
      .filter((one) => one instanceof ExportedPattern)
      .map((one) => patterns.find((before) => before.equals(one)) ?? one);
    for (const one of given) {
      if (one instanceof ExportedPattern) continue;
      const same = names.get(one.as);
      this.#names.set(one.as, same?.equals(one) ? same : one);
    }
  }

  /** Whether all names are written out. */
  get exact(): boolean {
    return this.#patterns.length === 0;
  }

  /** What a name that is written out stands for. */
  named(name: Atom): ExportedName | undefined {
    return this.#names.get(name);
  }

  /** What a name stands for by the first pattern that fits. */
  fitting(name: Atom): ExportedName | undefined {
    const known = this.#found.get(name);
    if (known !== undefined) return known ?? undefined;
    let found: ExportedName | undefined;
    for (const one of this.#patterns) {
      found = one.find(name);
      if (found !== undefined) break;
    }
    if (this.#found.size >= MAX_CACHED) this.#found.clear();
    this.#found.set(name, found ?? null);
    return found;
  }
}
