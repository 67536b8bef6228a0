import * as v from "valibot";
import type { KeyPath } from "../config/problem.ts";
import { cookieSchema } from "../config/schema.ts";
import { flag, isRecord, map, nodeName, oneOf, port, text, whole } from "../config/schema-parts.ts";

// Each message is the rest of a sentence that begins with the key, as in config/schema.ts.

const anyMap = v.custom<Record<string, unknown>>(isRecord, "must be a map: keys with values.");

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

const GRACE = "must be never, immediately, or { grace_ms: MILLISECONDS }.";
const removal = v.union(
  [
    v.picklist(["never", "immediately"]),
    v.pipe(
      v.strictObject({ grace_ms: whole("milliseconds", 0, 86_400_000) }),
      v.transform(({ grace_ms }) => ({ graceMs: grace_ms })),
    ),
  ],
  GRACE,
);

const FRACTION = "must be a number from 0 to 1.";
const fraction = v.pipe(
  v.union(
    [v.number(), v.pipe(v.string(), v.regex(/^(0|1|0?\.\d+)$/, FRACTION), v.transform(Number))],
    FRACTION,
  ),
  v.minValue(0, FRACTION),
  v.maxValue(1, FRACTION),
);
const guard = {
  minimum_nodes: v.optional(whole("a number of nodes", 0, 1_000_000)),
  maximum_removal_fraction: v.optional(fraction),
  confirmations: v.optional(whole("a number of answers", 1, 1000)),
  confirm_ms: v.optional(whole("milliseconds", 1, 86_400_000)),
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
  strategy: text("the name of a strategy"),
  config: v.optional(anyMap, {}),
  removal: v.optional(removal, "never"),
  guard: v.optional(map(guard), {}),
  compat: v.optional(flag, false),
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
  "node.cookie": ["file", "check_permissions", "home"],
  "node.epmd": Object.keys(epmd),
  "topologies.*": Object.keys(topology),
  "topologies.*.removal": ["grace_ms"],
  "topologies.*.guard": Object.keys(guard),
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
