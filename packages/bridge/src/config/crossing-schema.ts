import * as v from "valibot";
import { functionPattern } from "../policy/mfa.ts";
import { OPERATIONS } from "../policy/operation.ts";
import {
  flag,
  isRecord,
  map,
  name,
  nodeName,
  nodePattern,
  oneOf,
  oneOrMany,
  text,
  whole,
} from "./schema-parts.ts";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

const between = { from: text("the name of a cluster"), to: text("the name of a cluster") };

const route = {
  ...between,
  name: name("the registered name of a process"),
  as: v.optional(name("the name to export it under")),
  node: v.optional(nodePattern),
  nodes: v.optional(
    v.pipe(
      v.array(nodePattern, "must be a list of node names."),
      v.minLength(1, "must name at least one node."),
    ),
  ),
  balance: v.optional(oneOf("first_up", "round_robin")),
};

/** One route. */
export const routeSchema = map(route);

const PORTS = "must be a range of ports, such as 9200-9299, or { from: 9200, to: 9299 }.";
const portOfRange = whole("a port", 1, 65_535);
const range = { from: portOfRange, to: portOfRange };
const rangeSchema = map(range);
const rangeText = v.pipe(
  v.string(PORTS),
  v.regex(/^\d{1,5}-\d{1,5}$/, PORTS),
  v.transform((given) => {
    const [from, to] = given.split("-");
    return { from: Number(from), to: Number(to) };
  }),
);
const mirror = {
  ...between,
  nodes: v.optional(oneOrMany(name("a pattern of node names"))),
  as: v.optional(name("a node name, in which {name} and {host} stand for the two parts of the node's")),
  ports: v.optional(
    v.pipe(
      v.lazy(
        (input): v.GenericSchema<unknown, { from: number; to: number }> =>
          isRecord(input) ? rangeSchema : rangeText,
      ),
      v.check(({ from, to }) => from >= 1 && from <= to && to <= 65_535, PORTS),
    ),
  ),
  max: v.optional(whole("a number of mirrors", 1, 10_000)),
};

/** Nodes that appear in another cluster. */
export const mirrorSchema = map(mirror);

const MODULE = "must be the name of the PubSub server, such as Shop.PubSub.";
const group = {
  ...between,
  scope: v.optional(name("the name of a scope of pg")),
  groups: v.optional(oneOrMany(text("a pattern of names of groups"))),
  phoenix_pubsub: v.optional(
    v.pipe(v.string(MODULE), v.regex(/^(Elixir\.)?[A-Z]\w*(\.[A-Z]\w*)*$/, MODULE), v.maxLength(200, MODULE)),
  ),
  form: v.optional(oneOf("members", "fan_out")),
  named: v.optional(flag),
  max_members: v.optional(whole("a number of members", 1, 10_000_000)),
  max_members_per_group: v.optional(whole("a number of members", 1, 10_000_000)),
};

/** Process groups that have their members in another cluster, too. */
export const groupSchema = map(group);

const clusterNames = oneOrMany(text("the name of a cluster"));
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
  from_nodes: v.optional(oneOrMany(name("a pattern of node names"))),
  to_nodes: v.optional(oneOrMany(name("a pattern of node names"))),
  names: v.optional(oneOrMany(name("a pattern of registered names"))),
  groups: v.optional(oneOrMany(text("a pattern of names of groups"))),
  pid: v.optional(v.pipe(flag, v.literal(true, "must be true, or not there."))),
  rpc: v.optional(oneOrMany(functionText)),
  operations: v.optional(oneOrMany(oneOf("send", ...OPERATIONS))),
  nodes: v.optional(oneOrMany(nodeName)),
  balance: v.optional(oneOf("first_up", "round_robin")),
  funs: v.optional(flag),
  max_bytes: v.optional(whole("bytes", 1, 999_999_999)),
  rate: v.optional(map(rate)),
  audit: v.optional(flag),
};

/** One rule of the policy. */
export const ruleSchema = map(rule);

/** The keys that may stand in each place. */
export const CROSSING_KEYS: Readonly<Record<string, readonly string[]>> = {
  "routes.*": Object.keys(route),
  "mirrors.*": Object.keys(mirror),
  "mirrors.*.ports": Object.keys(range),
  "groups.*": Object.keys(group),
  "policy.*": Object.keys(rule),
  "policy.*.rate": Object.keys(rate),
};
