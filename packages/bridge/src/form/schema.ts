import * as v from "valibot";
import { COOKIE_KEYS, cookieSchema } from "../config/cookie-schema.ts";
import type { KeyPath } from "../config/problem.ts";
import { anyMap, isRecord, map, nodeName, oneOf, port, text, whole } from "../config/schema-parts.ts";
import { topologyEntries, topologyKeys } from "../config/topology-schema.ts";

// Each message is the rest of a sentence that begins with the key, as in config/schema.ts.

const epmd = { port: v.optional(port(1)) };
const node = {
  name: nodeName,
  cookie: cookieSchema,
  host: v.optional(text("an address")),
  port: v.optional(port(1)),
  epmd: v.optional(map(epmd)),
  as: v.optional(nodeName),
  tick_time: v.optional(whole("seconds", 1, 86_400)),
};

const FUNCTION = "must be [module, function] or [module, function, [arguments]].";
const mfa = v.custom<readonly [string, string, (readonly unknown[])?]>(
  (value) =>
    Array.isArray(value) &&
    (value.length === 2 || (value.length === 3 && Array.isArray(value[2]))) &&
    value.slice(0, 2).every((name) => typeof name === "string" && name !== ""),
  FUNCTION,
);

const topology = {
  ...topologyEntries,
  connect: v.optional(mfa),
  disconnect: v.optional(mfa),
  list_nodes: v.optional(mfa),
};

/** One topology. */
export const topologySchema = map(topology);

const log = {
  level: v.optional(oneOf("debug", "info", "warn", "error", "silent"), "info"),
  format: v.optional(oneOf("auto", "json", "pretty"), "auto"),
};
const shutdown = { drain_seconds: v.optional(whole("seconds", 0, 3600), 5) };

/** The local BEAM node. */
export const nodeSchema = map(node);

const top = {
  node: anyMap,
  topologies: v.custom<Record<string, unknown>>(isRecord, "must be a map of names to topologies."),
  log: v.optional(map(log), {}),
  shutdown: v.optional(map(shutdown), {}),
};

/** The file; `node` and what is in `topologies` are looked at one by one. */
export const fileSchema = map(top);

/** The keys that may stand in each place. `*` stands for any name. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(top),
  node: Object.keys(node),
  "node.cookie": COOKIE_KEYS,
  "node.epmd": Object.keys(epmd),
  "topologies.*": Object.keys(topology),
  ...topologyKeys("topologies.*"),
  log: Object.keys(log),
  shutdown: Object.keys(shutdown),
};

/** The keys that may stand in the map at `place`; undefined when it is none of ours. */
export function keysAt(place: KeyPath): readonly string[] | undefined {
  return KEYS[place.map((key, i) => (i === 1 && place[0] === "topologies" ? "*" : key)).join(".")];
}

/** Whether a value may be shown in an error: a cookie, options of strategies and unknown keys may not. */
export function isShown(path: KeyPath): boolean {
  const last = path.findLastIndex((key) => typeof key === "string");
  const key = path[last];
  if (key === "cookie" || (path[0] === "topologies" && path[2] === "config")) return false;
  return keysAt(path.slice(0, Math.max(0, last)))?.includes(String(key)) === true;
}
