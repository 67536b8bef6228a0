import { Cookie } from "@isthmus/dist-handshake";
import { epmdResolver, type NodeResolver, staticResolver } from "@isthmus/epmd-client";
import { parseNodeName } from "@isthmus/wire";
import type * as v from "valibot";
import type { ReadCookieFile } from "../config/cookie.ts";
import { Examination } from "../config/examination.ts";
import { readConfigFile, readNamedFile } from "../config/named-file.ts";
import { configInvalid, type KeyPath } from "../config/problem.ts";
import { isRecord } from "../config/schema-parts.ts";
import { readTopology, type TopologyConfig } from "../config/topology.ts";
import { withoutUndefined } from "../config/without-undefined.ts";
import { YamlSource } from "../config/yaml-source.ts";
import { fileSchema, isShown, keysAt, nodeSchema, topologySchema } from "./schema.ts";

/** How to reach the local BEAM node, and under which name. */
export interface LocalNodeConfig {
  /** The BEAM's name. */
  readonly name: string;
  readonly cookie: Cookie;
  readonly resolver: NodeResolver;
  /** Our own name. */
  readonly as: string;
  readonly tickTimeSeconds: number | undefined;
}

/** A checked configuration of `isthmus form`. */
export interface FormConfig {
  readonly node: LocalNodeConfig;
  /** By name, in the order of the file. */
  readonly topologies: Readonly<Record<string, TopologyConfig>>;
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error" | "silent";
    readonly format: "auto" | "json" | "pretty";
  };
  readonly shutdown: { readonly drainSeconds: number };
}

/** Options of {@link parseFormConfig}. */
export interface ParseFormConfigOptions {
  /** Path of the file, for messages; relative paths of cookie files start from its folder. */
  readonly file: string;
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Reads cookie files. @default Cookie.fromFile */
  readonly readCookieFile?: ReadCookieFile;
}

/**
 * Reads the configuration file of `isthmus form`.
 * @throws IsthmusError `CONFIG_UNREADABLE`; `CONFIG_INVALID` with every problem of the file
 */
export async function loadFormConfig(file: string): Promise<FormConfig> {
  return parseFormConfig(readConfigFile(file), { file });
}

/**
 * The same for the text of a file. Nothing is read but cookie files; strategies are made, not started.
 * @throws IsthmusError `CONFIG_INVALID` with every problem of the file
 */
export async function parseFormConfig(text: string, options: ParseFormConfigOptions): Promise<FormConfig> {
  const env = options.env ?? process.env;
  const yaml = new YamlSource(text, env, isShown);
  const examination = new FormExamination(
    yaml,
    {
      file: options.file,
      env,
      readCookieFile: options.readCookieFile ?? ((path, how) => Cookie.fromFile(path, how)),
      readFile: readNamedFile,
    },
    keysAt,
  );
  const config = yaml.readable ? await examination.config() : undefined;
  if (config === undefined || yaml.problems.length > 0) {
    throw configInvalid(options.file, yaml.problems, (problem) => yaml.show(problem));
  }
  return config;
}

/** Goes through a whole file, one part after the other, whatever is wrong with the others. */
class FormExamination extends Examination {
  /** The configuration; without a meaning when there are problems. */
  async config(): Promise<FormConfig | undefined> {
    const raw = this.raw();
    if (raw === undefined) return undefined;
    const file = this.part(fileSchema, raw, []);
    const node = isRecord(raw) && isRecord(raw["node"]) ? this.#node(raw["node"]) : undefined;
    const topologies: Record<string, TopologyConfig> = {};
    const given = isRecord(raw) && isRecord(raw["topologies"]) ? raw["topologies"] : undefined;
    if (given !== undefined && Object.keys(given).length === 0) {
      this.add(["topologies"], "has no topology: name at least one, with its strategy.", "key");
    }
    for (const [name, one] of Object.entries(given ?? {})) {
      const topology = await this.#topology(name, one);
      if (topology !== undefined) topologies[name] = topology;
    }
    if (file === undefined || node === undefined) return undefined;
    const { log, shutdown } = file;
    return { node, topologies, log, shutdown: { drainSeconds: shutdown.drain_seconds } };
  }

  #node(raw: Record<string, unknown>): LocalNodeConfig | undefined {
    const cookie = this.cookie(raw["cookie"], ["node", "cookie"]);
    const node = this.part(nodeSchema, raw, ["node"]);
    if (node === undefined || cookie === undefined || this.yaml.isUnresolved(["node", "name"]))
      return undefined;
    const { name, host } = parseNodeName(node.name);
    const as = node.as ?? `isthmus-form-${name}@${host}`;
    if (as === node.name) this.add(["node", "as"], "is the name of the local node; this one needs its own.");
    if (node.port !== undefined && node.epmd !== undefined) {
      this.add(
        ["node", "epmd"],
        "is not asked when port says where the node listens; keep one of them.",
        "key",
      );
    }
    return { name: node.name, cookie, as, resolver: this.#resolver(node), tickTimeSeconds: node.tick_time };
  }

  #resolver({ name, host, port, epmd }: v.InferOutput<typeof nodeSchema>): NodeResolver {
    const at = host === undefined ? {} : { host };
    if (port !== undefined) return staticResolver({ [name]: { ...at, port } });
    return epmdResolver({ ...at, port: epmd?.port ?? this.epmdPort() });
  }

  async #topology(name: string, raw: unknown): Promise<TopologyConfig | undefined> {
    const path: KeyPath = ["topologies", name];
    const topology = this.part(topologySchema, raw, path);
    if (topology === undefined) return undefined;
    const read = await readTopology(this, topology, path);
    if (read === undefined) return undefined;
    const { connect, disconnect, list_nodes, removal = "never" } = topology;
    const hooks = withoutUndefined({ connect, disconnect, listNodes: list_nodes });
    return { ...read, removal, ...hooks } as TopologyConfig;
  }
}
