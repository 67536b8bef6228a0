import type { ClusterHooks, Strategy } from "../contract.ts";
import type { StrategyFactory } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { option, readOptions } from "../options.ts";
import { loadStrategy } from "../registry.ts";
import { type RemovalOptions, removalRules } from "../topology.ts";
import type { Removal } from "./membership.ts";
import { type Mfa, readMfa } from "./mfa-hooks.ts";
import type { TopologyPlan } from "./running-topology.ts";

/**
 * One topology: the shape that libcluster has for it, and what is added here. In files names may also be written in
 * snake_case, and numbers as text.
 */
export interface TopologySpecification extends RemovalOptions {
  /**
   * A strategy by its name (`kubernetes`) or by libcluster's module (`Cluster.Strategy.Kubernetes`), a factory
   * (`kubernetes`), a function that makes one, or one that was made.
   */
  // biome-ignore lint/suspicious/noExplicitAny: each factory has options of its own
  readonly strategy: string | Strategy | StrategyFactory<any> | (() => Strategy | Promise<Strategy>);
  /** The options of a strategy that is given by name or as a factory. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Who connects the nodes of this topology. @default the cluster's hooks */
  readonly hooks?: ClusterHooks;
  /** The function of a BEAM that connects, as libcluster has it. Needs `beam` in the options of the cluster. */
  readonly connect?: Mfa;
  /** See `connect`. */
  readonly disconnect?: Mfa;
  /** See `connect`. */
  readonly listNodes?: Mfa;
  /**
   * Whether a strategy that fails at its start is made anew, after 1 s doubling up to 30 s: `permanent` and `transient`
   * do, `temporary` does not. One that was made already stays as it is. `child_spec: { restart }` of libcluster 2 is
   * the same. @default "permanent"
   */
  readonly restart?: "permanent" | "transient" | "temporary";
}

/** Functions of a BEAM in place of the usual ones. */
export interface BeamFunctions {
  readonly connect?: Mfa;
  readonly disconnect?: Mfa;
  readonly listNodes?: Mfa;
}

/** A specification that was read. */
export interface TopologyDesign {
  readonly plan: TopologyPlan;
  readonly hooks: ClusterHooks | undefined;
  /** The functions of a BEAM that it names. */
  readonly functions: BeamFunctions;
}

const MFA = option.optional(option.any("[module, function, arguments]", readMfa));
const RESTART = option.oneOf(["permanent", "transient", "temporary"], { default: "permanent" });

const KEYS = {
  strategy: option.any("the name of a strategy, a strategy, or a function that makes one", readStrategy, {
    secret: true,
  }),
  config: option.any("a map of options", readRecord, { default: {}, secret: true }),
  removal: option.optional(option.any('"immediately", "never" or a map with grace_ms', readRemoval)),
  guard: option.optional(option.any("a map of options", readRecord)),
  compat: option.boolean({ default: false }),
  hooks: option.optional(option.any("hooks with self, connect, disconnect and listNodes", readHooks)),
  connect: MFA,
  disconnect: MFA,
  listNodes: MFA,
  restart: RESTART,
  childSpec: option.any("a map", readRecord, { default: {} }),
};

const GUARD_KEYS = {
  minimumNodes: option.optional(option.integer({ min: 0, max: 1_000_000 })),
  maximumRemovalFraction: option.optional(option.any("a number from 0 to 1", readFraction)),
  confirmations: option.optional(option.integer({ min: 1, max: 1000 })),
  confirmMs: option.optional(option.milliseconds({ default: 30_000 })),
};

/**
 * Reads the specification of the topology `name`, and makes its strategy.
 * `compat` is what it is where the specification does not say, `beam` whether functions of a BEAM may be named.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`, `STRATEGY_UNKNOWN`
 */
export async function readTopology(
  name: string,
  specification: TopologySpecification,
  { compat, beam }: { readonly compat: boolean; readonly beam: boolean },
): Promise<TopologyDesign> {
  const what = `the topology ${name}`;
  if (readRecord(specification) === undefined) throw invalid(name, `${what} must be a map with strategy.`);
  const given = readOptions(what, KEYS, { ...specification, compat: specification.compat ?? compat });
  const { strategy, config, removal, hooks, childSpec, connect, disconnect, listNodes } = given;
  const functions = { ...optional({ connect }), ...optional({ disconnect }), ...optional({ listNodes }) };
  if (Object.keys(functions).length > 0) {
    if (hooks !== undefined) throw invalid(name, `${what} has hooks and functions of a BEAM. Give one.`);
    const message = `${what} names functions of a BEAM. Say which with beam in the options of the cluster.`;
    if (!beam) throw invalid(name, message);
  }
  const make = maker(name, strategy, config);
  // libcluster 2 took more than restart there, for its supervisor; none of that has a meaning here
  const restart = RESTART.parse(childSpec["restart"]) ?? given.restart;
  const remake = restart === "temporary" ? undefined : make.again;
  const guard =
    given.guard === undefined ? undefined : readOptions(`guard of ${what}`, GUARD_KEYS, given.guard);
  const rules = removalRules({
    compat: given.compat,
    ...optional({ removal }),
    ...optional({ guard }),
  });
  return { plan: { strategy: await make.first(), remake, rules, compat: given.compat }, hooks, functions };
}

interface Maker {
  first(): Strategy | Promise<Strategy>;
  readonly again?: () => Strategy | Promise<Strategy>;
}

function maker(
  name: string,
  strategy: TopologySpecification["strategy"],
  config: Readonly<Record<string, unknown>>,
): Maker {
  if (typeof strategy === "string") {
    const make = async (): Promise<Strategy> => (await loadStrategy(strategy)).from(config);
    return { first: make, again: make };
  }
  if ("strategyName" in strategy) {
    const make = (): Strategy => strategy.from(config);
    return { first: make, again: make };
  }
  if (Object.keys(config).length > 0) {
    throw invalid(
      name,
      `config of the topology ${name} is for a strategy that is given by name or as a factory.`,
    );
  }
  return typeof strategy === "function" ? { first: strategy, again: strategy } : { first: () => strategy };
}

function readStrategy(value: unknown): TopologySpecification["strategy"] | undefined {
  if (typeof value === "string" && value !== "") return value;
  const callable = typeof value === "function" || hasFunctions(value, ["start", "stop"]);
  return callable ? (value as TopologySpecification["strategy"]) : undefined;
}

function readHooks(value: unknown): ClusterHooks | undefined {
  return hasFunctions(value, ["connect", "disconnect", "listNodes"]) && "self" in value
    ? (value as ClusterHooks)
    : undefined;
}

function hasFunctions(value: unknown, names: readonly string[]): value is object {
  return (
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function")
  );
}

function readRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function readRemoval(value: unknown): Removal | undefined {
  if (value === "immediately" || value === "never") return value;
  const map = readRecord(value);
  if (map === undefined || Object.keys(map).length !== 1) return undefined;
  const graceMs = option.milliseconds({ default: 0, min: 0 }).parse(map["graceMs"] ?? map["grace_ms"]);
  return graceMs === undefined ? undefined : { graceMs };
}

function readFraction(value: unknown): number | undefined {
  const n = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof n === "number" && n >= 0 && n <= 1 ? n : undefined;
}

/** `value` when its one property is defined, else nothing: for options that may be left out but not undefined. */
function optional<K extends string, T>(value: Record<K, T | undefined>): Partial<Record<K, T>> {
  return Object.values(value)[0] === undefined ? {} : (value as Record<K, T>);
}

function invalid(topology: string, message: string): Error {
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { topology } });
}
