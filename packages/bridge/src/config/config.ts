import { readFileSync } from "node:fs";
import { Cookie } from "@isthmus/dist-handshake";
import { epmdEnvironment, epmdResolver, staticResolver } from "@isthmus/epmd-client";
import { IsthmusError, isIsthmusError, nearest } from "@isthmus/wire";
import * as v from "valibot";
import type { ClusterOptions, RouteOptions } from "../bridge.ts";
import { type ReadCookieFile, readCookie } from "./cookie.ts";
import type { ConfigErrorCode } from "./errors.ts";
import { checkMeaning, isLoopback } from "./meaning.ts";
import { configInvalid, type KeyPath } from "./problem.ts";
import { clusterSchema, cookieSchema, fileSchema, isRecord, isShown, keysAt, routeSchema } from "./schema.ts";
import { YamlSource } from "./yaml-source.ts";

/** A checked configuration, ready to run. */
export interface BridgeConfig {
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  readonly routes: readonly RouteOptions[];
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error" | "silent";
    /** `auto`: readable on a terminal, JSON lines otherwise. */
    readonly format: "auto" | "json" | "pretty";
  };
  readonly shutdown: {
    /** How long calls under way may take when the bridge is told to end. */
    readonly drainSeconds: number;
  };
}

/** Options of {@link loadConfig}. */
export interface LoadConfigOptions {
  /** The environment that variables are taken from. @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Options of {@link parseConfig}. */
export interface ParseConfigOptions extends LoadConfigOptions {
  /** Path of the file, for messages; relative paths of cookie files start from its folder. */
  readonly file: string;
  /** Reads cookie files. @default Cookie.fromFile */
  readonly readCookieFile?: ReadCookieFile;
}

/**
 * Reads a configuration file.
 * @throws IsthmusError `CONFIG_UNREADABLE`; `CONFIG_INVALID` with every problem of the file
 */
export function loadConfig(file: string, options: LoadConfigOptions = {}): BridgeConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code;
    const why =
      reason === "ENOENT"
        ? "there is no such file"
        : reason === "EISDIR"
          ? "it is a folder"
          : reason === "EACCES"
            ? "this user may not read it"
            : String(reason);
    const code: ConfigErrorCode = "CONFIG_UNREADABLE";
    throw new IsthmusError(code, `The configuration ${file} cannot be read: ${why}.`, {
      cause,
      context: { file },
    });
  }
  return parseConfig(text, { ...options, file });
}

/**
 * The same for the text of a file. Nothing is read but cookie files.
 * @throws IsthmusError `CONFIG_INVALID` with every problem of the file
 */
export function parseConfig(text: string, options: ParseConfigOptions): BridgeConfig {
  const env = options.env ?? process.env;
  const yaml = new YamlSource(text, env, isShown);
  const examination = new Examination(yaml, {
    file: options.file,
    env,
    readCookieFile: options.readCookieFile ?? ((path, how) => Cookie.fromFile(path, how)),
  });
  const config = yaml.readable ? examination.config() : undefined;
  if (config === undefined || yaml.problems.length > 0) {
    throw configInvalid(options.file, yaml.problems, (problem) => yaml.show(problem));
  }
  return config;
}

/** Goes through a whole file and gathers its problems, one part after the other, whatever is wrong with the others. */
class Examination {
  readonly #yaml: YamlSource;
  readonly #source: Parameters<typeof readCookie>[1];

  constructor(yaml: YamlSource, source: Parameters<typeof readCookie>[1]) {
    this.#yaml = yaml;
    this.#source = source;
  }

  /** The configuration; without a meaning when there are problems. */
  config(): BridgeConfig | undefined {
    let raw: unknown;
    try {
      raw = this.#yaml.value() ?? {};
    } catch {
      this.#add([], "Aliases (*name) are nested beyond measure in this file; write the values out.");
      return undefined;
    }
    const file = this.#part(fileSchema, raw, []);
    const given = isRecord(raw) && isRecord(raw["clusters"]) ? raw["clusters"] : {};
    const list = isRecord(raw) && Array.isArray(raw["routes"]) ? (raw["routes"] as unknown[]) : [];
    const epmdPort = this.#epmdPort();
    const clusters: Record<string, ClusterOptions> = {};
    for (const [id, one] of Object.entries(given)) {
      if (!/^[A-Za-z][\w.-]*$/.test(id)) {
        const message = "cannot be the name of a cluster: a letter, then letters, digits, _, - and dots.";
        this.#add(["clusters", id], message, "key");
      }
      const cluster = this.#cluster(id, one, epmdPort);
      if (cluster !== undefined) clusters[id] = cluster;
    }
    const routes = list
      .flatMap((one, i) => this.#part(routeSchema, one, ["routes", i]) ?? [])
      .map(routeOptions);
    if (isRecord(raw) && isRecord(raw["clusters"])) {
      checkMeaning({
        clusters: given,
        routes: list,
        epmdPort,
        isUnresolved: (path) => this.#yaml.isUnresolved(path),
        add: (path, message, on) => this.#add(path, message, on),
      });
    }
    if (file === undefined) return undefined;
    const { log, shutdown } = file;
    return {
      clusters,
      routes,
      log,
      shutdown: { drainSeconds: shutdown.drain_seconds },
    };
  }

  #cluster(id: string, raw: unknown, epmdPort: number): ClusterOptions | undefined {
    const path: KeyPath = ["clusters", id];
    const cookie = isRecord(raw) ? this.#cookie(raw["cookie"], [...path, "cookie"]) : undefined;
    const cluster = this.#part(clusterSchema, raw, path);
    if (cluster === undefined || cookie === undefined) return undefined;
    const { host, port = epmdPort, register, embedded } = cluster.epmd ?? {};
    const ports = Object.entries(cluster.discovery?.ports ?? {});
    const fallback = epmdResolver({ port });
    return {
      node: cluster.node,
      cookie,
      listen: {
        ...(cluster.listen?.host === undefined ? {} : { host: cluster.listen.host }),
        port: cluster.listen?.port ?? 0,
      },
      epmd: register === false ? false : { host: host ?? "127.0.0.1", port },
      embeddedEpmd: embedded ?? (host === undefined || isLoopback(host) ? "auto" : "never"),
      resolver:
        ports.length === 0
          ? fallback
          : staticResolver(Object.fromEntries(ports.map(([node, at]) => [node, { port: at }])), fallback),
      hosts: cluster.discovery?.hosts ?? [],
      ...(cluster.tick_time === undefined ? {} : { tickTimeSeconds: cluster.tick_time }),
    };
  }

  #cookie(raw: unknown, path: KeyPath): Cookie | undefined {
    const given = v.safeParse(cookieSchema, raw);
    if (!given.success || this.#yaml.isUnresolved(path) || this.#yaml.isUnresolved([...path, "file"]))
      return undefined;
    try {
      return readCookie(given.output, this.#source);
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      this.#add(path, `is of no use. ${error.message}`);
      return undefined;
    }
  }

  /** epmd's port where the file says none. */
  #epmdPort(): number {
    try {
      return epmdEnvironment({ ...this.#source.env }).port;
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      this.#add([], error.message);
      return 0;
    }
  }

  #part<S extends v.GenericSchema>(schema: S, value: unknown, path: KeyPath): v.InferOutput<S> | undefined {
    const result = v.safeParse(schema, value);
    if (result.success) return result.output;
    for (const issue of result.issues) this.#issue(issue, path);
    return undefined;
  }

  #issue(issue: v.BaseIssue<unknown>, start: KeyPath): void {
    const path = [...start, ...(issue.path ?? []).map(({ key }) => key as string | number)];
    const place = path.slice(0, -1);
    const key = String(path.at(-1));
    const known = keysAt(place) ?? [];
    if (issue.type === "strict_object" && issue.expected === "never") {
      const guess = nearest(key, known);
      const hint =
        guess === undefined ? `There are: ${known.join(", ")}.` : `Did you mean ${JSON.stringify(guess)}?`;
      this.#add(path, `is not a key of this place. ${hint}`, "key");
    } else if (issue.type === "strict_object" && issue.received === "undefined") {
      this.#add(
        place,
        place.length === 0 ? `The file lacks the key ${key}.` : `lacks the key ${key}.`,
        "key",
      );
    } else this.#add(path, path.length === 0 ? `The file ${issue.message}` : issue.message);
  }

  #add(path: KeyPath, message: string, on: "key" | "value" = "value"): void {
    if (on === "value" && this.#yaml.isUnresolved(path)) return;
    this.#yaml.problems.push(this.#yaml.problem(path, message, on));
  }
}

function routeOptions(route: v.InferOutput<typeof routeSchema>): RouteOptions {
  return {
    from: route.from,
    to: route.to,
    name: route.name,
    nodes: route.nodes ?? (route.node === undefined ? [] : [route.node]),
    ...(route.as === undefined ? {} : { as: route.as }),
    ...(route.balance === undefined ? {} : { balance: route.balance }),
  };
}
