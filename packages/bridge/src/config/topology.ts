import { loadStrategy, type Strategy, type TopologySpecification } from "@isthmus/strategies";
import { isIsthmusError } from "@isthmus/wire";
import type { Examination } from "./examination.ts";
import type { KeyPath } from "./problem.ts";
import type { TopologyEntries } from "./topology-schema.ts";

/** A topology, whose strategy can be made any number of times. */
export interface TopologyConfig extends Omit<TopologySpecification, "strategy" | "config" | "hooks"> {
  /** The name of its strategy. */
  readonly strategyName: string;
  readonly strategy: () => Strategy;
}

/** What is common to all topologies of a file; undefined, with a problem, when its strategy cannot be made. */
export async function readTopology(
  examination: Examination,
  { strategy: strategyName, config, removal, guard, compat }: TopologyEntries,
  path: KeyPath,
): Promise<TopologyConfig | undefined> {
  const strategy = await readStrategy(examination, strategyName, config, path);
  if (strategy === undefined) return undefined;
  return {
    strategyName,
    strategy,
    compat,
    guard: camelCased(guard),
    ...(removal === undefined ? {} : { removal }),
  };
}

/** Makes strategies of that name and configuration; one is made now, which tells whether that can be. */
async function readStrategy(
  examination: Examination,
  name: string,
  config: Readonly<Record<string, unknown>>,
  path: KeyPath,
): Promise<(() => Strategy) | undefined> {
  const { yaml } = examination;
  if (yaml.isUnresolved([...path, "strategy"])) return undefined;
  try {
    const factory = await loadStrategy(name);
    if (yaml.isUnresolvedWithin([...path, "config"])) return undefined;
    factory.from(config);
    return () => factory.from(config);
  } catch (error) {
    if (!isIsthmusError(error)) throw error;
    if (error.code === "STRATEGY_UNKNOWN") {
      examination.add([...path, "strategy"], `is unknown. ${error.message}`);
      return undefined;
    }
    const option = String(error.context["option"] ?? "");
    const place = option in config ? ["config", option] : Object.keys(config).length > 0 ? ["config"] : [];
    examination.add([...path, ...place], `is not right. ${error.message}`, "key");
    return undefined;
  }
}

/** `{ confirm_ms: 1 }` as `{ confirmMs: 1 }`. */
export function camelCased(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [
      key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
}
