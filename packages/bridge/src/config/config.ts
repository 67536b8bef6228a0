import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Cookie, cookieFiles } from "@isthmus/dist-handshake";
import { epmdResolver, staticResolver } from "@isthmus/epmd-client";
import { IsthmusError, isIsthmusError, isLongHost, isNodeName, parseNodeName } from "@isthmus/wire";
import * as v from "valibot";
import { isNode, isPair, LineCounter, parseDocument } from "yaml";
import type { ClusterOptions, RouteOptions } from "../bridge.ts";
import { expandEnvironment } from "./environment.ts";
import { type ConfigProblem, closest, configInvalid } from "./problem.ts";
import { type ConfigFile, configSchema, KNOWN_KEYS } from "./schema.ts";

/** A checked configuration, ready to run. */
export interface BridgeConfig {
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  readonly routes: readonly RouteOptions[];
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error" | "silent";
    readonly format: "auto" | "json" | "pretty";
  };
  readonly shutdown: { readonly drainSeconds: number };
}

/** Where a configuration comes from. */
export interface ConfigSource {
  /** For messages, and the folder that relative cookie paths start from. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

type Path = readonly (string | number)[];

/**
 * Reads a configuration file.
 * @throws IsthmusError `CONFIG_UNREADABLE`, `CONFIG_INVALID` with every problem of the file
 */
export function loadConfig(file: string, env: ConfigSource["env"] = process.env): BridgeConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new IsthmusError(
      "CONFIG_UNREADABLE",
      `${file} cannot be read. Does it exist, and may this user read it?`,
      { cause },
    );
  }
  return parseConfig(text, { file, env });
}

/** The same, of a text. @throws IsthmusError `CONFIG_INVALID` */
export function parseConfig(text: string, source: ConfigSource): BridgeConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const problems: ConfigProblem[] = [];
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const add = (path: Path, message: string, onKey = false): void => {
    problems.push({ ...at(offsetOf(document, path, onKey)), key: path.join("."), message });
  };
  for (const error of document.errors) {
    problems.push({
      ...at(error.pos[0]),
      key: "",
      message: `is not YAML here: ${error.message.split("\n")[0]}`,
    });
  }
  if (problems.length > 0) throw configInvalid(source.file, text, problems);
  for (const { name, node } of expandEnvironment(document, source.env)) {
    problems.push({
      ...at(node.range?.[0] ?? 0),
      key: "",
      message: `needs the environment variable ${name}, which is not set. Set it, or write \${${name}:-default}.`,
    });
  }
  // without their values the rest cannot be judged
  if (problems.length > 0) throw configInvalid(source.file, text, problems);
  const parsed = v.safeParse(configSchema, document.toJS() ?? {});
  if (!parsed.success) for (const issue of parsed.issues) addIssue(issue, add);
  if (problems.length > 0 || !parsed.success) throw configInvalid(source.file, text, problems);
  const config = interpret(parsed.output, source, add);
  if (problems.length > 0) throw configInvalid(source.file, text, problems);
  return config;
}

/** What the file means; problems of meaning are told by `add`. */
function interpret(
  file: ConfigFile,
  source: ConfigSource,
  add: (path: Path, message: string, onKey?: boolean) => void,
): BridgeConfig {
  const clusters: Record<string, ClusterOptions> = {};
  const ids = Object.keys(file.clusters);
  if (ids.length < 2) add(["clusters"], "must name at least two clusters: a bridge joins them.", true);
  for (const [id, cluster] of Object.entries(file.clusters)) {
    const path = ["clusters", id];
    const long = checkNode(cluster.node, [...path, "node"], undefined, add);
    const hosts = cluster.discovery?.hosts ?? [];
    hosts.forEach((host, i) => {
      checkNode(host, [...path, "discovery", "hosts", i], long, add);
      if (host === cluster.node)
        add([...path, "discovery", "hosts", i], "is the bridge's own name; take it out of the list.");
    });
    const cookie = readCookie(cluster.cookie, [...path, "cookie"], source, add);
    if (cookie === undefined) continue;
    const { host, port, register, embedded } = cluster.epmd ?? {};
    const address = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
    const ports = cluster.discovery?.ports;
    clusters[id] = {
      node: cluster.node,
      cookie,
      listen: {
        ...(cluster.listen?.host === undefined ? {} : { host: cluster.listen.host }),
        port: cluster.listen?.port ?? 0,
      },
      epmd: register === false ? false : address,
      embeddedEpmd: embedded ?? "auto",
      hosts,
      ...(ports === undefined
        ? {}
        : {
            resolver: staticResolver(
              Object.fromEntries(Object.entries(ports).map(([node, number]) => [node, { port: number }])),
              epmdResolver(port === undefined ? {} : { port }),
            ),
          }),
      ...(cluster.tick_time === undefined ? {} : { tickTimeSeconds: cluster.tick_time }),
    };
  }
  const routes = file.routes.map((route, i): RouteOptions => {
    const path = ["routes", i];
    for (const side of ["from", "to"] as const) {
      if (ids.includes(route[side])) continue;
      const guess = closest(route[side], ids);
      add(
        [...path, side],
        `names no cluster of this file. ${guess === undefined ? "" : `Did you mean ${guess}? `}There are: ${ids.join(", ")}.`,
      );
    }
    if (route.from === route.to)
      add([...path, "to"], "is the cluster that the route comes from; a route leads into another one.");
    if (route.node !== undefined && route.nodes !== undefined)
      add([...path, "node"], "and nodes cannot both be given; keep one.", true);
    if (route.node === undefined && route.nodes === undefined)
      add(path, "needs node, or nodes, that have the process.");
    const nodes = route.nodes ?? (route.node === undefined ? [] : [route.node]);
    const identity = file.clusters[route.to]?.node;
    const long =
      identity === undefined || !isNodeName(identity) ? undefined : isLongHost(parseNodeName(identity).host);
    for (const [at, node] of nodes.entries()) {
      checkNode(node, route.nodes === undefined ? [...path, "node"] : [...path, "nodes", at], long, add);
    }
    return {
      from: route.from,
      to: route.to,
      name: route.name,
      nodes,
      ...(route.as === undefined ? {} : { as: route.as }),
      ...(route.balance === undefined ? {} : { balance: route.balance }),
    };
  });
  const exported = new Map<string, number>();
  routes.forEach(({ from, name, as }, i) => {
    const key = JSON.stringify([from, as ?? name]);
    const first = exported.get(key);
    if (first === undefined) exported.set(key, i);
    else
      add(
        ["routes", i],
        `exports ${as ?? name} to ${from} a second time (routes.${first} does already). Give one of them another name with as.`,
      );
  });
  return {
    clusters,
    routes,
    log: { level: file.log.level ?? "info", format: file.log.format ?? "auto" },
    shutdown: { drainSeconds: file.shutdown.drain_seconds ?? 5 },
  };
}

/** @returns whether it is a long name; undefined when it is none */
function checkNode(
  node: string,
  path: Path,
  long: boolean | undefined,
  add: (path: Path, message: string) => void,
): boolean | undefined {
  try {
    const found = isLongHost(parseNodeName(node).host);
    if (long !== undefined && found !== long) {
      add(
        path,
        `is a ${found ? "long" : "short"} name, and the bridge has a ${long ? "long" : "short"} one in this cluster; nodes of one cluster use the same kind.`,
      );
    }
    return found;
  } catch (error) {
    add(path, (error as IsthmusError).message);
    return undefined;
  }
}

function readCookie(
  given: ConfigFile["clusters"][string]["cookie"],
  path: Path,
  source: ConfigSource,
  add: (path: Path, message: string) => void,
): Cookie | undefined {
  try {
    if (typeof given === "string") return Cookie.of(given);
    if ("file" in given) return Cookie.fromFile(resolve(dirname(source.file), given.file));
    const candidates = cookieFiles(source.env["HOME"], source.env);
    let failure: unknown;
    for (const file of candidates) {
      try {
        return Cookie.fromFile(file);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure ?? new IsthmusError("CONFIG_INVALID", "no home folder is known");
  } catch (error) {
    add(path, `cannot be used: ${isIsthmusError(error) ? error.message : String(error)}`);
    return undefined;
  }
}

function addIssue(
  issue: v.BaseIssue<unknown>,
  add: (path: Path, message: string, onKey?: boolean) => void,
): void {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const last = path.at(-1);
  const place = path.slice(0, -1);
  const known = KNOWN_KEYS[pattern(place)];
  if (issue.type === "strict_object" && issue.expected === "never" && known !== undefined) {
    const guess = closest(String(last), known);
    add(
      path,
      `is not a key of this place. ${guess === undefined ? `There are: ${known.join(", ")}.` : `Did you mean ${guess}?`}`,
      true,
    );
  } else if (issue.received === "undefined" && known !== undefined) {
    add(place, `lacks the key ${String(last)}.`, true);
  } else if (issue.type === "strict_object") add(path, "must be a map of keys and values.");
  else add(path, `${issue.message}.`);
}

/** The place in {@link KNOWN_KEYS}: names that the user chose and numbers become `*`. */
function pattern(path: Path): string {
  return path
    .map((key, i) => (i === 1 && (path[0] === "clusters" || path[0] === "routes") ? "*" : key))
    .join(".");
}

/** Where in the text a path is: its value, or its key. The nearest thing above it when it is not there. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: Path, onKey: boolean): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const key = path[length - 1];
    if (
      (onKey || length < path.length) &&
      parent !== null &&
      typeof parent === "object" &&
      "items" in parent
    ) {
      const pair = (parent.items as unknown[]).find(
        (item) => isPair(item) && String(item.key) === String(key),
      );
      if (isPair(pair) && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
    }
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node.range?.[0] ?? 0;
  }
  return 0;
}
