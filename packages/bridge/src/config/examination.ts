import type { Cookie } from "@isthmus/dist-handshake";
import { epmdEnvironment } from "@isthmus/epmd-client";
import { isIsthmusError, nearest } from "@isthmus/wire";
import * as v from "valibot";
import { readCookie } from "./cookie.ts";
import type { KeyPath } from "./problem.ts";
import { cookieSchema } from "./schema.ts";
import type { YamlSource } from "./yaml-source.ts";

/** Where the values of a file come from besides the file. */
export type Surroundings = Parameters<typeof readCookie>[1];

/** Looks at the parts of a configuration file, and gathers the problems of all of them in its {@link YamlSource}. */
export class Examination {
  readonly yaml: YamlSource;
  readonly #surroundings: Surroundings;
  readonly #keysAt: (place: KeyPath) => readonly string[] | undefined;

  /** @param keysAt the keys that may stand in the map at a place; undefined when there are no fixed ones */
  constructor(
    yaml: YamlSource,
    surroundings: Surroundings,
    keysAt: (place: KeyPath) => readonly string[] | undefined,
  ) {
    this.yaml = yaml;
    this.#surroundings = surroundings;
    this.#keysAt = keysAt;
  }

  /** The whole file as it was read; undefined, with a problem, when it is none that can be read. */
  raw(): unknown {
    try {
      return this.yaml.value() ?? {};
    } catch {
      this.add([], "Aliases (*name) are nested beyond measure in this file; write the values out.");
      return undefined;
    }
  }

  /** What stands at `path`, by its schema; undefined when it has problems. */
  part<S extends v.GenericSchema>(schema: S, value: unknown, path: KeyPath): v.InferOutput<S> | undefined {
    const result = v.safeParse(schema, value);
    if (result.success) return result.output;
    for (const issue of result.issues) this.#issue(issue, path);
    return undefined;
  }

  /** The cookie that is written at `path`; its form is the affair of the schema of what it stands in. */
  cookie(raw: unknown, path: KeyPath): Cookie | undefined {
    const given = v.safeParse(cookieSchema, raw);
    const unresolved = this.yaml.isUnresolved(path) || this.yaml.isUnresolved([...path, "file"]);
    if (!given.success || unresolved) return undefined;
    return this.#attempt(
      () => readCookie(given.output, this.#surroundings),
      (message) => this.add(path, `is of no use. ${message}`),
    );
  }

  /** epmd's port where the file says none. */
  epmdPort(): number {
    const port = this.#attempt(
      () => epmdEnvironment({ ...this.#surroundings.env }).port,
      (message) => this.add([], message),
    );
    return port ?? 0;
  }

  /** Adds a problem of the value, or the key, at `path`; not of one that waits for a variable. */
  add(path: KeyPath, message: string, on: "key" | "value" = "value"): void {
    if (on === "value" && this.yaml.isUnresolved(path)) return;
    this.yaml.problems.push(this.yaml.problem(path, message, on));
  }

  #attempt<T>(run: () => T, failed: (message: string) => void): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      failed(error.message);
      return undefined;
    }
  }

  #issue(issue: v.BaseIssue<unknown>, start: KeyPath): void {
    const path = [...start, ...(issue.path ?? []).map(({ key }) => key as string | number)];
    const place = path.slice(0, -1);
    const key = String(path.at(-1));
    if (issue.type === "strict_object" && issue.expected === "never") {
      const known = this.#keysAt(place) ?? [];
      const guess = nearest(key, known);
      const hint =
        guess === undefined ? `There are: ${known.join(", ")}.` : `Did you mean ${JSON.stringify(guess)}?`;
      this.add(path, `is not a key of this place. ${hint}`, "key");
    } else if (issue.type === "strict_object" && issue.received === "undefined") {
      const lacks = place.length === 0 ? `The file lacks the key ${key}.` : `lacks the key ${key}.`;
      this.add(place, lacks, "key");
    } else this.add(path, path.length === 0 ? `The file ${issue.message}` : issue.message);
  }
}
