import { resolve } from "node:path";
import { Cookie } from "@isthmus/dist-handshake";
import type * as v from "valibot";
import type { ClusterOptions, GroupOptions, MirrorOptions, RouteOptions } from "../options.ts";
import type { PolicyMode } from "../policy/policy.ts";
import type { PolicyRule } from "../policy/rule.ts";
import type { RouterLimits } from "../routing/context.ts";
import type { TrunkOptions } from "../sites/options.ts";
import { type AvailabilityConfig, readAvailability } from "./availability.ts";
import { type ReadCluster, readCluster } from "./cluster.ts";
import type { ReadCookieFile } from "./cookie.ts";
import { groupOptions, mirrorOptions, routeOptions, ruleOptions } from "./crossing.ts";
import { groupSchema, mirrorSchema, routeSchema, ruleSchema } from "./crossing-schema.ts";
import { Examination, type Surroundings } from "./examination.ts";
import { fixedParts } from "./fixed-parts.ts";
import { checkMeaning } from "./meaning.ts";
import { type ReadNamedFile, readConfigFile, readNamedFile } from "./named-file.ts";
import { configInvalid } from "./problem.ts";
import { fileSchema, isShown, keysAt } from "./schema.ts";
import { isRecord } from "./schema-parts.ts";
import { camelCased } from "./topology.ts";
import { readTrunk } from "./trunk.ts";
import { YamlSource } from "./yaml-source.ts";

/** A checked configuration, ready to run. */
export interface BridgeConfig {
  /** Where it was read, as an absolute path. */
  readonly file: string;
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  /** The names of the strategies of clusters, by cluster and topology. */
  readonly strategies: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly routes: readonly RouteOptions[];
  readonly mirrors: readonly MirrorOptions[];
  readonly groups: readonly GroupOptions[];
  readonly trunk: TrunkOptions | undefined;
  /** The ways to other sites, without what may be secret in their addresses. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  readonly availability: AvailabilityConfig | undefined;
  /** Where state and metrics are served. */
  readonly admin: { readonly host: string; readonly port: number } | undefined;
  readonly policy: readonly PolicyRule[];
  readonly policyMode: PolicyMode;
  readonly limits: Partial<RouterLimits>;
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
  /** Path of the file, for messages; relative paths of other files start from its folder. */
  readonly file: string;
  /** Reads cookie files. @default Cookie.fromFile */
  readonly readCookieFile?: ReadCookieFile;
  /** Reads certificates and secrets. @default from the file system */
  readonly readFile?: ReadNamedFile;
}

/**
 * Reads a configuration file.
 * @throws IsthmusError `CONFIG_UNREADABLE`; `CONFIG_INVALID` with every problem of the file
 */
export async function loadConfig(file: string, options: LoadConfigOptions = {}): Promise<BridgeConfig> {
  return parseConfig(readConfigFile(file), { ...options, file });
}

/**
 * The same for the text of a file. Nothing is read but the files that it names; nothing is started.
 * @throws IsthmusError `CONFIG_INVALID` with every problem of the file
 */
export async function parseConfig(text: string, options: ParseConfigOptions): Promise<BridgeConfig> {
  const env = options.env ?? process.env;
  const yaml = new YamlSource(text, env, isShown);
  const examination = new BridgeExamination(yaml, {
    file: options.file,
    env,
    readCookieFile: options.readCookieFile ?? ((path, how) => Cookie.fromFile(path, how)),
    readFile: options.readFile ?? readNamedFile,
  });
  const config = yaml.readable ? await examination.config() : undefined;
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
  async config(): Promise<BridgeConfig | undefined> {
    const raw = this.raw();
    if (raw === undefined) return undefined;
    const file = this.part(fileSchema, raw, []);
    const given = isRecord(raw) ? raw : {};
    const epmdPort = this.epmdPort();
    const clusters = await this.#clusters(given["clusters"], epmdPort);
    const trunk = given["trunk"] === undefined ? undefined : readTrunk(this, given["trunk"]);
    const availability =
      given["high_availability"] === undefined
        ? undefined
        : readAvailability(this, given["high_availability"]);
    const routes = this.#list(routeSchema, given, "routes").map(routeOptions);
    const mirrors = this.#list(mirrorSchema, given, "mirrors").map(mirrorOptions);
    const groups = this.#list(groupSchema, given, "groups").map(groupOptions);
    const policy = this.#list(ruleSchema, given, "policy").map(ruleOptions);
    if (isRecord(given["clusters"])) {
      checkMeaning({
        clusters: given["clusters"],
        routes: listAt(given, "routes"),
        mirrors: listAt(given, "mirrors"),
        groups: listAt(given, "groups"),
        policy: listAt(given, "policy"),
        trunk: given["trunk"],
        admin: given["admin"],
        epmdPort,
        isUnresolved: (path) => this.yaml.isUnresolved(path),
        add: (path, message, on) => this.add(path, message, on),
      });
    }
    if (file === undefined) return undefined;
    const { log, shutdown } = file;
    const options = Object.fromEntries(Array.from(clusters, ([id, { options: one }]) => [id, one]));
    return {
      file: resolve(this.#file),
      clusters: options,
      strategies: new Map(Array.from(clusters, ([id, { strategies }]) => [id, strategies])),
      routes,
      mirrors,
      groups,
      policy,
      policyMode: file.policy_mode,
      limits: camelCased(file.limits ?? {}),
      trunk: trunk?.options,
      addresses: trunk?.addresses ?? new Map(),
      availability,
      admin: file.admin?.listen,
      watch: file.watch_config,
      stateFile: file.state_file === undefined ? undefined : this.path(file.state_file),
      fixed: fixedParts({
        given,
        clusters: options,
        parts: { log, limits: file.limits, state_file: file.state_file, admin: file.admin },
        contents: this.contents,
        epmdPort,
      }),
      log,
      shutdown: { drainSeconds: shutdown.drain_seconds },
    };
  }

  async #clusters(given: unknown, epmdPort: number): Promise<ReadonlyMap<string, ReadCluster>> {
    const clusters = new Map<string, ReadCluster>();
    for (const [id, one] of isRecord(given) ? Object.entries(given) : []) {
      if (!/^[A-Za-z][\w.-]*$/.test(id)) {
        const message = "cannot be the name of a cluster: a letter, then letters, digits, _, - and dots.";
        this.add(["clusters", id], message, "key");
      }
      const cluster = await readCluster(this, one, ["clusters", id], epmdPort);
      if (cluster !== undefined) clusters.set(id, cluster);
    }
    return clusters;
  }

  /** The items of the list at `key` that are in order. */
  #list<S extends v.GenericSchema>(
    schema: S,
    given: Readonly<Record<string, unknown>>,
    key: string,
  ): v.InferOutput<S>[] {
    return listAt(given, key).flatMap((one, i) => this.part(schema, one, [key, i]) ?? []);
  }
}

function listAt(given: Readonly<Record<string, unknown>>, key: string): unknown[] {
  const list = given[key];
  return Array.isArray(list) ? list : [];
}
