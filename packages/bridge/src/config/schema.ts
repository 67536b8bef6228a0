import * as v from "valibot";
import { functionPattern } from "../policy/mfa.ts";
import { OPERATIONS } from "../policy/operation.ts";
import type { KeyPath } from "./problem.ts";
import { flag, isRecord, map, nodeName, oneOf, port, text, whole } from "./schema-parts.ts";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

/** An atom holds at most 255 characters. */
const registeredName = (what: string) =>
  v.pipe(text(what), v.maxLength(255, "is longer than 255 characters."));

const cookieText = v.pipe(
  v.string("must be the cookie as text (in quotes when it is a number), { file: PATH }, or { home: true }."),
  v.nonEmpty("is empty."),
  v.maxLength(255, "is longer than 255 characters."),
  v.check(
    (value) => !hasControlCharacter(value),
    "has a line end or another control character; give one line of text.",
  ),
);
const cookieFile = { file: text("the path of a file"), check_permissions: v.optional(flag) };
const cookieHome = { home: v.pipe(flag, v.literal(true, "must be true: the cookie in the home folder.")) };
const cookieFileSchema = map(cookieFile);
const cookieHomeSchema = map(cookieHome);

/** By value, from a file, or OTP's own `.erlang.cookie`. */
export const cookieSchema = v.lazy((input) =>
  !isRecord(input) ? cookieText : "home" in input ? cookieHomeSchema : cookieFileSchema,
);

const listen = { host: v.optional(text("an address")), port: v.optional(port(0)) };
const epmd = {
  host: v.optional(text("a host")),
  port: v.optional(port(1)),
  register: v.optional(flag),
  embedded: v.optional(oneOf("auto", "always", "never")),
};
const discovery = {
  strategy: v.optional(
    v.picklist(["epmd", "Cluster.Strategy.Epmd"], "must be epmd, the only strategy so far."),
  ),
  hosts: v.optional(v.array(nodeName, "must be a list of node names."), []),
  ports: v.optional(v.record(v.string(), port(1), "must be a map of node names to ports.")),
};
const cluster = {
  node: nodeName,
  cookie: cookieSchema,
  listen: v.optional(map(listen)),
  epmd: v.optional(map(epmd)),
  discovery: v.optional(map(discovery)),
  tick_time: v.optional(whole("seconds", 1, 86_400)),
};

/** One cluster. */
export const clusterSchema = map(cluster);

const route = {
  from: text("the name of a cluster"),
  to: text("the name of a cluster"),
  name: registeredName("the registered name of a process"),
  as: v.optional(registeredName("the name to export it under")),
  node: v.optional(nodeName),
  nodes: v.optional(
    v.pipe(
      v.array(nodeName, "must be a list of node names."),
      v.minLength(1, "must name at least one node."),
    ),
  ),
  balance: v.optional(oneOf("first_up", "round_robin")),
};

/** One route. */
export const routeSchema = map(route);

const clusterNames = v.lazy((input) => listOf(input, text("the name of a cluster")));
const patterns = (what: string) => v.lazy((input) => listOf(input, registeredName(what)));

/** A list of texts that may also be written as one text. Problems then stand where the text stands. */
const listOf = (input: unknown, item: v.GenericSchema<unknown, string>) =>
  Array.isArray(input)
    ? v.pipe(v.array(item), v.minLength(1, "must name at least one."))
    : v.pipe(
        item,
        v.transform((one) => [one]),
      );

const functionText = v.pipe(
  text("a function: module:function/arity"),
  v.rawCheck(({ dataset, addIssue }) => {
    const compiled = dataset.typed ? functionPattern(dataset.value) : undefined;
    if (typeof compiled === "string") addIssue({ message: compiled });
  }),
);

const rate = {
  per_second: whole("messages a second", 1, 1_000_000),
  burst: v.optional(whole("messages", 1, 1_000_000)),
};
const rule = {
  id: v.optional(v.pipe(text("a name for the log"), v.maxLength(100, "is longer than 100 characters."))),
  action: oneOf("allow", "deny"),
  from: v.optional(clusterNames),
  to: v.optional(clusterNames),
  from_nodes: v.optional(patterns("a pattern of node names")),
  to_nodes: v.optional(patterns("a pattern of node names")),
  names: v.optional(patterns("a pattern of registered names")),
  pid: v.optional(v.pipe(flag, v.literal(true, "must be true, or not there."))),
  rpc: v.optional(v.lazy((input) => listOf(input, functionText))),
  operations: v.optional(
    v.lazy((input) => listOf(input, oneOf("send", ...OPERATIONS) as v.GenericSchema<unknown, string>)),
  ),
  nodes: v.optional(v.lazy((input) => listOf(input, nodeName))),
  balance: v.optional(oneOf("first_up", "round_robin")),
  funs: v.optional(flag),
  max_bytes: v.optional(whole("bytes", 1, 999_999_999)),
  rate: v.optional(map(rate)),
  audit: v.optional(flag),
};

/** One rule of the policy. */
export const ruleSchema = map(rule);

const log = {
  level: v.optional(oneOf("debug", "info", "warn", "error", "silent"), "info"),
  format: v.optional(oneOf("auto", "json", "pretty"), "auto"),
};
const shutdown = { drain_seconds: v.optional(whole("seconds", 0, 3600), 5) };
const top = {
  clusters: v.custom<Record<string, unknown>>(isRecord, "must be a map of names to clusters."),
  routes: v.optional(v.array(v.unknown(), "must be a list of routes."), []),
  policy: v.optional(v.array(v.unknown(), "must be a list of rules."), []),
  policy_mode: v.optional(oneOf("enforce", "log"), "enforce"),
  watch_config: v.optional(flag, false),
  state_file: v.optional(text("the path of a file")),
  log: v.optional(map(log), {}),
  shutdown: v.optional(map(shutdown), {}),
};

/** The file; what is in `clusters`, `routes` and `policy` is looked at one by one. */
export const fileSchema = map(top);

/** The keys that may stand in each place. `*` stands for any name or number. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(top),
  "clusters.*": Object.keys(cluster),
  "clusters.*.cookie": [...Object.keys(cookieFile), ...Object.keys(cookieHome)],
  "clusters.*.listen": Object.keys(listen),
  "clusters.*.epmd": Object.keys(epmd),
  "clusters.*.discovery": Object.keys(discovery),
  "routes.*": Object.keys(route),
  "policy.*": Object.keys(rule),
  "policy.*.rate": Object.keys(rate),
  log: Object.keys(log),
  shutdown: Object.keys(shutdown),
};
/** Where any name or number may stand in the second place. */
const LISTS: ReadonlySet<unknown> = new Set(["clusters", "routes", "policy"]);
const PORTS = "clusters.*.discovery.ports";

/** The keys that may stand in the map at `place`; undefined when it is none of ours. */
export function keysAt(place: KeyPath): readonly string[] | undefined {
  return KEYS[pattern(place)];
}

/** Whether a value may be shown in an error: a cookie and the value of a key that we do not know may not. */
export function isShown(path: KeyPath): boolean {
  const last = path.findLastIndex((key) => typeof key === "string");
  const parent = path.slice(0, Math.max(0, last));
  const key = path[last];
  if (pattern(parent) === PORTS) return true;
  return key !== "cookie" && keysAt(parent)?.includes(String(key)) === true;
}

function pattern(path: KeyPath): string {
  return path.map((key, i) => (i === 1 && LISTS.has(path[0]) ? "*" : key)).join(".");
}

function hasControlCharacter(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 32 || code === 127) return true;
  }
  return false;
}
