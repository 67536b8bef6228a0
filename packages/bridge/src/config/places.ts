import { isNodeName, nearest } from "@isthmus/wire";
import { isFarInput } from "./cluster-schema.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";

/** What {@link checkMeaning} needs. */
export interface MeaningInput {
  readonly clusters: Readonly<Record<string, unknown>>;
  readonly routes: readonly unknown[];
  readonly mirrors: readonly unknown[];
  readonly groups: readonly unknown[];
  readonly policy: readonly unknown[];
  readonly trunk: unknown;
  readonly admin: unknown;
  /** epmd's port where the file says none. */
  readonly epmdPort: number;
  /** Whether nothing is known about the value at a path, for want of a variable. */
  readonly isUnresolved: (path: KeyPath) => boolean;
  /** Tells a problem. */
  readonly add: (path: KeyPath, message: string, on?: "key" | "value") => void;
}

/** A text of the file and where it stands. */
export interface Place {
  readonly text: string;
  readonly path: KeyPath;
  /** It is a key itself. */
  readonly on: "key" | "value";
}

/** A cluster of the file. */
export interface Cluster {
  readonly id: string;
  readonly raw: unknown;
  /** The bridge's name there, when it is a name. */
  readonly node: Place | undefined;
  /** It is of another site. */
  readonly far: boolean;
}

/** The clusters of the file. */
export function clustersOf(input: MeaningInput): Cluster[] {
  return Object.entries(input.clusters).map(([id, raw]): Cluster => {
    const [node] = names(input, get(raw, "node"), ["clusters", id, "node"]);
    return { id, raw, node, far: isFarInput(raw) };
  });
}

/** Tells when a text names no cluster, or whatever `what` says, of the file. */
export function checkName(
  { add }: MeaningInput,
  known: readonly string[],
  { text, path }: Place,
  what = "cluster",
): void {
  if (text === "" || known.includes(text)) return;
  const guess = nearest(text, known);
  const hint = guess === undefined ? "" : ` did you mean ${JSON.stringify(guess)}?`;
  const there = known.length === 0 ? "is none" : `${known.length === 1 ? "is" : "are"}: ${known.join(", ")}`;
  add(path, `names no ${what} of this file;${hint} There ${there}.`);
}

/** The node names in a value, one or a list. */
export function names(input: MeaningInput, value: unknown, path: KeyPath): Place[] {
  return texts(input, value, path).filter(({ text }) => isNodeName(text));
}

/** The texts in a value, one or a list, that are known. */
export function texts(input: MeaningInput, value: unknown, path: KeyPath): Place[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => texts(input, item, [...path, i]));
  return typeof value === "string" && !input.isUnresolved(path) ? [{ text: value, path, on: "value" }] : [];
}

/** What is at the end of `keys`; undefined when there is no such place. */
export function get(value: unknown, ...keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys) {
    if (!isRecord(found) || !Object.hasOwn(found, key)) return undefined;
    found = found[key];
  }
  return found;
}

/** A map, and an empty one for everything else. */
export function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** A number, also one that is written as a text. */
export function number(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** True or false, also as a text. */
export function flag(value: unknown): boolean | undefined {
  return value === true || value === "true" ? true : value === false || value === "false" ? false : undefined;
}
