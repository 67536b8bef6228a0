import * as v from "valibot";
import { DEFAULT_ROUTER_LIMITS } from "../routing/context.ts";
import { CLUSTER_KEYS, FAR_KEYS, isFarInput } from "./cluster-schema.ts";
import { CROSSING_KEYS } from "./crossing-schema.ts";
import type { KeyPath } from "./problem.ts";
import { flag, isRecord, limitsOf, map, oneOf, port, text, whole } from "./schema-parts.ts";
import { TRUNK_KEYS } from "./trunk-schema.ts";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

const adminListen = {
  host: v.optional(text("an address"), "127.0.0.1"),
  port: v.optional(port(0), 4390),
};
const admin = { listen: v.optional(map(adminListen), {}) };
const limits = limitsOf(DEFAULT_ROUTER_LIMITS, 1);
const log = {
  level: v.optional(oneOf("debug", "info", "warn", "error", "silent"), "info"),
  format: v.optional(oneOf("auto", "json", "pretty"), "auto"),
};
const shutdown = { drain_seconds: v.optional(whole("seconds", 0, 3600), 5) };
const top = {
  clusters: v.custom<Record<string, unknown>>(isRecord, "must be a map of names to clusters."),
  routes: v.optional(v.array(v.unknown(), "must be a list of routes."), []),
  mirrors: v.optional(v.array(v.unknown(), "must be a list of mirrors."), []),
  groups: v.optional(v.array(v.unknown(), "must be a list of groups."), []),
  policy: v.optional(v.array(v.unknown(), "must be a list of rules."), []),
  policy_mode: v.optional(oneOf("enforce", "log"), "enforce"),
  trunk: v.optional(v.unknown()),
  high_availability: v.optional(v.unknown()),
  admin: v.optional(map(admin)),
  limits: v.optional(map(limits)),
  watch_config: v.optional(flag, false),
  state_file: v.optional(text("the path of a file")),
  log: v.optional(map(log), {}),
  shutdown: v.optional(map(shutdown), {}),
};

/** The file; what is in its lists, in `clusters`, `trunk` and `high_availability` is looked at one by one. */
export const fileSchema = map(top);

/** The keys that may stand in each place. `*` stands for any name or number. */
const KEYS: ReadonlyMap<readonly string[], readonly string[]> = new Map(
  Object.entries({
    ...CLUSTER_KEYS,
    ...CROSSING_KEYS,
    ...TRUNK_KEYS,
    admin: Object.keys(admin),
    "admin.listen": Object.keys(adminListen),
    limits: Object.keys(limits),
    log: Object.keys(log),
    shutdown: Object.keys(shutdown),
  }).map(([place, keys]) => [place.split("."), keys]),
);

/** Keys that hold secrets, or addresses that may have one in them. */
const SECRETS: ReadonlySet<unknown> = new Set([
  "cookie",
  "secret",
  "token",
  "password",
  "passphrase",
  "connect",
  "proxy",
  "servers",
  "url",
]);

/**
 * The keys that may stand in the map at `place`; undefined when it is none of ours.
 * @param given the map itself, where what stands in it decides
 */
export function keysAt(place: KeyPath, given?: unknown): readonly string[] | undefined {
  if (place.length === 0) return Object.keys(top);
  for (const [pattern, keys] of KEYS) {
    if (fits(pattern, place))
      return pattern.length === 2 && pattern[0] === "clusters" && isFarInput(given) ? FAR_KEYS : keys;
  }
  return undefined;
}

/** Whether a value may be shown in an error: a secret and the value of a key that we do not know may not. */
export function isShown(path: KeyPath): boolean {
  const last = path.findLastIndex((key) => typeof key === "string");
  const parent = path.slice(0, Math.max(0, last));
  const key = path[last];
  if (fits(["clusters", "*", "discovery", "ports"], parent)) return true;
  if (fits(["clusters", "*"], parent) && FAR_KEYS.includes(String(key))) return true;
  return !SECRETS.has(key) && keysAt(parent)?.includes(String(key)) === true;
}

function fits(pattern: readonly string[], place: KeyPath): boolean {
  return (
    pattern.length === place.length && pattern.every((key, i) => key === "*" || key === String(place[i]))
  );
}
