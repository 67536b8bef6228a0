import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Cookie } from "@isthmus/dist-handshake";
import { epmdResolver, staticResolver } from "@isthmus/epmd-client";
import { IsthmusError } from "@isthmus/wire";
import type * as v from "valibot";
import type { OwnClusterOptions, RouteOptions } from "../options.ts";
import type { PolicyMode } from "../policy/policy.ts";
import type { PolicyRule } from "../policy/rule.ts";
import type { ReadCookieFile } from "./cookie.ts";
import type { ConfigErrorCode } from "./errors.ts";
import { Examination, type Surroundings } from "./examination.ts";
import { fixedParts } from "./fixed-parts.ts";
import { checkMeaning, isLoopback } from "./meaning.ts";
import { configInvalid, type KeyPath } from "./problem.ts";
import { clusterSchema, fileSchema, isShown, keysAt, routeSchema, ruleSchema } from "./schema.ts";
import { isRecord } from "./schema-parts.ts";
import { YamlSource } from "./yaml-source.ts";

/** A checked configuration, ready to run. */
export interface BridgeConfig {
  /** Where it was read, as an absolute path. */
  readonly file: string;
  readonly clusters: Readonly<Record<string, OwnClusterOptions>>;
  readonly routes: readonly RouteOptions[];
  readonly policy: readonly PolicyRule[];
  readonly policyMode: PolicyMode;
  /** Whether the file is looked at for changes. */
  readonly watch: boolean;
  /** Where it is kept which indexes were taken, as an absolute path. */
  readonly stateFile: string | undefined;
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error" | "silent";
    /** `auto`: readable on a terminal, JSON lines otherwise. */
    readonly format: "auto" | "json" | "pretty";
  };
  /** What only a restart can change: a digest of each such part of the file, by its key. */
  readonly fixed: ReadonlyMap<string, string>;
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
  const examination = new BridgeExamination(yaml, {
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

/** Goes through a whole file, one part after the other, whatever is wrong with the others. */
class BridgeExamination extends Examination {
  readonly #file: string;

  constructor(yaml: YamlSource, surroundings: Surroundings) {
    super(yaml, surroundings, keysAt);
    this.#file = surroundings.file;
  }

  /** The configuration; without a meaning when there are problems. */
  config(): BridgeConfig | undefined {
    const raw = this.raw();
    if (raw === undefined) return undefined;
    const file = this.part(fileSchema, raw, []);
    const given = isRecord(raw) && isRecord(raw["clusters"]) ? raw["clusters"] : {};
    const list = isRecord(raw) && Array.isArray(raw["routes"]) ? (raw["routes"] as unknown[]) : [];
    const rules = isRecord(raw) && Array.isArray(raw["policy"]) ? (raw["policy"] as unknown[]) : [];
    const epmdPort = this.epmdPort();
    const clusters: Record<string, OwnClusterOptions> = {};
    for (const [id, one] of Object.entries(given)) {
      if (!/^[A-Za-z][\w.-]*$/.test(id)) {
        const message = "cannot be the name of a cluster: a letter, then letters, digits, _, - and dots.";
        this.add(["clusters", id], message, "key");
      }
      const cluster = this.#cluster(id, one, epmdPort);
      if (cluster !== undefined) clusters[id] = cluster;
    }
    const routes = list
      .flatMap((one, i) => this.part(routeSchema, one, ["routes", i]) ?? [])
      .map(routeOptions);
    const policy = rules
      .flatMap((one, i) => this.part(ruleSchema, one, ["policy", i]) ?? [])
      .map((rule) => ruleOptions(rule));
    if (isRecord(raw) && isRecord(raw["clusters"])) {
      checkMeaning({
        clusters: given,
        routes: list,
        policy: rules,
        epmdPort,
        isUnresolved: (path) => this.yaml.isUnresolved(path),
        add: (path, message, on) => this.add(path, message, on),
      });
    }
    if (file === undefined) return undefined;
    const { log, shutdown } = file;
    return {
      file: resolve(this.#file),
      clusters,
      routes,
      policy,
      policyMode: file.policy_mode,
      watch: file.watch_config,
      stateFile: file.state_file && resolve(dirname(this.#file), file.state_file),
      fixed: fixedParts(given, clusters, { log, state: file.state_file }, epmdPort),
      log,
      shutdown: { drainSeconds: shutdown.drain_seconds },
    };
  }

  #cluster(id: string, raw: unknown, epmdPort: number): OwnClusterOptions | undefined {
    const path: KeyPath = ["clusters", id];
    const cookie = isRecord(raw) ? this.cookie(raw["cookie"], [...path, "cookie"]) : undefined;
    const cluster = this.part(clusterSchema, raw, path);
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

function ruleOptions(rule: v.InferOutput<typeof ruleSchema>): PolicyRule {
  const { from_nodes, to_nodes, max_bytes, rate, ...same } = rule;
  return withoutUndefined({
    ...same,
    fromNodes: from_nodes,
    toNodes: to_nodes,
    maxBytes: max_bytes,
    rate: rate && { perSecond: rate.per_second, burst: rate.burst ?? rate.per_second },
  }) as unknown as PolicyRule;
}

function withoutUndefined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
