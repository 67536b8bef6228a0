import { readFileSync } from "node:fs";
import { isIsthmusError, nearest } from "@isthmus/wire";
import type { TopologySpecification } from "./cluster/specification.ts";
import { strategiesError } from "./errors.ts";

/** The environment, as `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g;
const PARTS = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)(.*))?$/s;

/**
 * A copy of `config` in which every text has its variables replaced: `${NAME}`, `${NAME:-default}`, and
 * `${NAME:?message}`, which is what to say when there is none; `$${` stands for `${` itself. What comes in is not
 * looked at again. A variable that is empty counts as not set, as with `:-` in a shell.
 *
 * Lists of the shape that skycluster's `{:system, ...}` has in JSON or YAML are replaced as a whole, by a value of the
 * type they ask for: `[":system", "NAME"]`, `[":system", "NAME", default]`, `[":system", ":integer", "NAME"]`,
 * `[":system", ":integer", "NAME", default]`. Types are `string`, `integer`, `float`, `boolean`, `atom`, `module` and
 * `list` (by commas). With `":system_file"` the variable has the name of a file whose content is the value.
 *
 * Functions and objects that are not plain stay as they are.
 * @throws IsthmusError `ENVIRONMENT_INVALID`, which names the variable and never shows its value
 */
export function expandEnvironment<T>(
  config: T,
  env: Environment = process.env,
  readFile: (path: string) => string = (path) => readFileSync(path, "utf8"),
): T {
  const expand = (value: unknown): unknown => {
    if (typeof value === "string") return expandText(value, env);
    if (Array.isArray(value)) {
      const form = value[0] === ":system" || value[0] === ":system_file";
      return form ? systemValue(value, env, readFile) : value.map(expand);
    }
    if (!isPlain(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, expand(inner)]));
  };
  return expand(config) as T;
}

/** The variables of skycluster, which Gigalixir sets too, with the strategy and the option that each is for. */
const VARIABLES = [
  { name: "LIBCLUSTER_MULTICAST_PORT", strategy: "gossip", option: "port", type: "integer" },
  { name: "LIBCLUSTER_MULTICAST_PORT_IF_ADDR", strategy: "gossip", option: "if_addr", type: "string" },
  { name: "LIBCLUSTER_MULTICAST_ADDR", strategy: "gossip", option: "multicast_addr", type: "string" },
  { name: "LIBCLUSTER_MULTICAST_TTL", strategy: "gossip", option: "multicast_ttl", type: "integer" },
  {
    name: "LIBCLUSTER_KUBERNETES_SELECTOR",
    strategy: "kubernetes",
    option: "kubernetes_selector",
    type: "string",
  },
  {
    name: "LIBCLUSTER_KUBERNETES_NODE_BASENAME",
    strategy: "kubernetes",
    option: "kubernetes_node_basename",
    type: "string",
  },
] as const;
const STRATEGY = "LIBCLUSTER_STRATEGY";
const PREFIX = "LIBCLUSTER_";
/** The multicast group of libcluster 1 and skycluster; later ones have another. */
const OLD_GROUP = "230.1.1.251";

/**
 * The topology that the variables `LIBCLUSTER_*` of skycluster describe. Without `LIBCLUSTER_STRATEGY`, as on
 * Gigalixir, the strategy is the one that the others are for. Gossip uses the multicast group of skycluster unless told.
 * @returns undefined when there is no such variable
 * @throws IsthmusError `ENVIRONMENT_INVALID`, which names the variable and never shows its value
 */
export function environmentTopology(env: Environment = process.env): TopologySpecification | undefined {
  checkNames(env);
  const given = VARIABLES.filter(({ name }) => isSet(env[name]));
  const named = env[STRATEGY];
  const meant = [...new Set(given.map(({ strategy }) => strategy))];
  if (!isSet(named) && meant.length === 0) return undefined;
  if (!isSet(named) && meant.length > 1) {
    throw invalid(STRATEGY, `is not set, and there are variables of ${meant.join(" and of ")}. Set it.`);
  }
  const strategy = isSet(named) ? named.replace(/^(Elixir\.|:)/, "") : (meant[0] as string);
  const kind = strategy.replace(/^Cluster\.Strategy\./, "").toLowerCase();
  const config: Record<string, unknown> = kind === "epmd" ? { hosts: [] } : {};
  if (kind === "gossip") config["multicast_addr"] = OLD_GROUP;
  for (const { name, strategy: owner, option, type } of given)
    if (owner === kind) config[option] = cast(name, type, env[name] as string);
  return { strategy, config };
}

/** A variable that looks like one of ours, but is none, is a mistake. */
function checkNames(env: Environment): void {
  const known: string[] = [STRATEGY, ...VARIABLES.map(({ name }) => name)];
  for (const name of Object.keys(env)) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue;
    const rest = (text: string): string => text.slice(PREFIX.length);
    const meant = nearest(rest(name), known.map(rest));
    if (meant !== undefined) throw invalid(name, `is not known. Did you mean ${PREFIX}${meant}?`);
  }
}

function expandText(text: string, env: Environment): string {
  return text.replace(REFERENCE, (found, inner: string | undefined) => {
    if (inner === undefined) return "${";
    const parts = PARTS.exec(inner);
    if (parts === null || !found.endsWith("}")) {
      const message =
        'There is a "${" without a variable. Write ${NAME} or ${NAME:-default}, and $${ for the characters themselves.';
      throw strategiesError("ENVIRONMENT_INVALID", message);
    }
    const [, name = "", operator, rest = ""] = parts;
    const value = env[name];
    if (isSet(value)) return value;
    if (operator === ":-") return rest;
    throw missing(name, operator === ":?" ? rest : "");
  });
}

const TYPES = ["string", "integer", "float", "boolean", "atom", "module", "list"] as const;
type Type = (typeof TYPES)[number];

/** What `[":system", type, name, default]` means. */
function systemValue(
  form: readonly unknown[],
  env: Environment,
  readFile: (path: string) => string,
): unknown {
  const [how, ...rest] = form;
  const [first] = rest;
  const typed = typeof first === "string" && first.startsWith(":");
  const type = typed ? TYPES.find((one) => `:${one}` === first) : "string";
  const [name, otherwise] = typed ? rest.slice(1) : rest;
  if (type === undefined || typeof name !== "string" || rest.length > (typed ? 3 : 2)) {
    const message = `A list that begins with ${how} must be [${how}, type, variable, default]; type and default may be left out, and types are ${TYPES.map((one) => `:${one}`).join(", ")}.`;
    throw strategiesError("ENVIRONMENT_INVALID", message);
  }
  const value = env[name];
  if (!isSet(value)) {
    if (otherwise === undefined) throw missing(name, "");
    return otherwise;
  }
  if (how === ":system") return cast(name, type, value);
  try {
    return cast(name, type, readFile(value).trimEnd());
  } catch (cause) {
    if (isIsthmusError(cause)) throw cause;
    throw invalid(name, `names a file that cannot be read (${(cause as NodeJS.ErrnoException).code}).`);
  }
}

function cast(name: string, type: Type, text: string): unknown {
  const wrong = (expected: string): Error => invalid(name, `must be ${expected}.`);
  switch (type) {
    case "integer": {
      const n = Number(text);
      if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(n)) throw wrong("a whole number");
      return n;
    }
    case "float": {
      const n = Number(text);
      if (!/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) || !Number.isFinite(n)) throw wrong("a number");
      return n;
    }
    case "boolean": {
      const word = text.toLowerCase();
      if (["true", "1", "yes"].includes(word)) return true;
      if (["false", "0", "no"].includes(word)) return false;
      throw wrong("true or false");
    }
    case "list":
      return text.split(",").map((item) => item.trim());
    case "atom":
    case "module":
      return text.replace(/^:/, "");
    case "string":
      return text;
  }
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function missing(name: string, why: string): Error {
  return invalid(name, why === "" ? "is not set. Set it, or give a default." : `is not set: ${why}`);
}

function invalid(variable: string, problem: string): Error {
  return strategiesError("ENVIRONMENT_INVALID", `The environment variable ${variable} ${problem}`, {
    context: { variable },
  });
}
