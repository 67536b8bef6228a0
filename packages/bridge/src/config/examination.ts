import type { Cookie } from "@isthmus/dist-handshake";
import { epmdEnvironment } from "@isthmus/epmd-client";
import { isIsthmusError, nearest } from "@isthmus/wire";
import * as v from "valibot";
import { type CookieSource, readCookie, resolvePath } from "./cookie.ts";
import { cookieSchema } from "./cookie-schema.ts";
import type { ReadNamedFile } from "./named-file.ts";
import { type KeyPath, keyText } from "./problem.ts";
import type { secret } from "./schema-parts.ts";
import type { YamlSource } from "./yaml-source.ts";

/** Where the values of a file come from besides the file. */
export interface Surroundings extends CookieSource {
  /** Reads the files that are named, besides those of cookies. */
  readonly readFile: ReadNamedFile;
}

/** The keys that may stand in the map at a place, `given`; undefined when there are no fixed ones. */
export type KeysAt = (place: KeyPath, given: unknown) => readonly string[] | undefined;

/** Looks at the parts of a configuration file, and gathers the problems of all of them in its {@link YamlSource}. */
export class Examination {
  readonly yaml: YamlSource;
  /** What was in the files that are named, by the key that names them. */
  readonly contents = new Map<string, Buffer>();
  readonly #surroundings: Surroundings;
  readonly #keysAt: KeysAt;

  constructor(yaml: YamlSource, surroundings: Surroundings, keysAt: KeysAt) {
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
    return this.attempt(
      () => readCookie(given.output, this.#surroundings),
      (message) => this.add(path, `is of no use. ${message}`),
    );
  }

  /** What is in the file that is named at `path`, if one is; undefined, with a problem, when it cannot be read. */
  file(name: string | undefined, path: KeyPath): Buffer | undefined {
    return name === undefined ? undefined : this.#read(name, false, path);
  }

  /** The path that is meant by `name`: a relative one starts from the folder of the configuration. */
  path(name: string): string {
    return resolvePath(name, this.#surroundings);
  }

  /** The secret that is written at `path`, or in the file that is named there. */
  secret(given: v.InferOutput<typeof secret> | undefined, path: KeyPath): string | undefined {
    if (given === undefined || this.yaml.isUnresolvedWithin(path)) return undefined;
    if (typeof given === "string") return given;
    const read = this.#read(given.file, given.check_permissions ?? true, [...path, "file"]);
    const text = read?.toString("utf8").replace(/[\r\n ]+$/, "");
    if (text === "" || text?.includes("\n")) {
      this.add([...path, "file"], "is of no use: the file must hold one line, and nothing else.");
      return undefined;
    }
    return text;
  }

  /** What `run` gives; when it throws a coded error, undefined and the problem that `failed` tells. */
  attempt<T>(run: () => T, failed: (message: string) => void): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      failed(error.message);
      return undefined;
    }
  }

  /** epmd's port where the file says none. */
  epmdPort(): number {
    const port = this.attempt(
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

  #read(name: string, checkPermissions: boolean, path: KeyPath): Buffer | undefined {
    if (this.yaml.isUnresolved(path)) return undefined;
    const found = this.attempt(
      () => this.#surroundings.readFile(this.path(name), { checkPermissions }),
      (message) => this.add(path, `is of no use. ${message}`),
    );
    if (found !== undefined) this.contents.set(keyText(path), found);
    return found;
  }

  #issue(issue: v.BaseIssue<unknown>, start: KeyPath): void {
    const path = [...start, ...(issue.path ?? []).map(({ key }) => key as string | number)];
    const place = path.slice(0, -1);
    const key = String(path.at(-1));
    if (issue.type === "strict_object" && issue.expected === "never") {
      const known = this.#keysAt(place, issue.path?.at(-1)?.input) ?? [];
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
