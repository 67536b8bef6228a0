import { isNodeName } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";

/** More names than this are an error. */
export const MAX_NAMES = 10_000;

/**
 * Node names from text: a JSON array, or one name on each line, where empty lines and those that begin with `#` do not
 * count.
 * @param source for messages, such as "The file nodes.txt"
 * @param basename see {@link checkNames}
 * @throws IsthmusError `DISCOVERY_FAILED`
 */
export function parseNames(text: string, source: string, basename?: string): string[] {
  const plain = text.replace(/^\uFEFF/, "").trim();
  if (!plain.startsWith("[")) {
    const lines = plain.split(/\r?\n/).map((line) => line.trim());
    return checkNames(
      lines.filter((line) => line !== "" && !line.startsWith("#")),
      source,
      basename,
    );
  }
  let names: unknown;
  try {
    names = JSON.parse(plain);
  } catch (cause) {
    throw nonsense(source, "what begins as a JSON array is none", cause);
  }
  return checkNames(names, source, basename);
}

/**
 * Node names from a value, each once.
 * @param basename what is put before a name without `@`, which is a host then
 * @throws IsthmusError `DISCOVERY_FAILED` when it is no list, too long, or a part of it is no node name: a list that is
 * wrong in one place may be wrong in any
 */
export function checkNames(value: unknown, source: string, basename?: string): string[] {
  if (!Array.isArray(value)) throw nonsense(source, `it gave ${typeof value} where a list of names must be`);
  if (value.length > MAX_NAMES)
    throw nonsense(source, `it gave ${value.length} names, more than ${MAX_NAMES}`);
  const names = new Set<string>();
  for (const one of value as readonly unknown[]) {
    const name = basename !== undefined && typeof one === "string" ? withBasename(one, basename) : one;
    if (typeof name !== "string" || !isNodeName(name)) {
      const shown =
        typeof one === "string" ? JSON.stringify(one.slice(0, 100)) : `a value of type ${typeof one}`;
      throw nonsense(source, `${shown} is not a node name, which is written as name@host`);
    }
    names.add(name);
  }
  return [...names];
}

function withBasename(name: string, basename: string): string {
  return name.includes("@") ? name : `${basename}@${name}`;
}

function nonsense(source: string, problem: string, cause?: unknown): Error {
  return strategiesError("DISCOVERY_FAILED", `${source} cannot be used: ${problem}.`, {
    cause,
    context: { source },
  });
}
