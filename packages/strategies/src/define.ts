import type { Strategy } from "./contract.ts";
import { type OptionSpecs, type OptionsInput, type OptionsOf, optionNames, readOptions } from "./options.ts";

/** What makes a strategy; see {@link defineStrategy}. */
export interface StrategyDefinition<S extends OptionSpecs> {
  /** As it is written in configuration files: `kubernetes-dns`. */
  readonly name: string;
  /** Other names, such as libcluster's module `Cluster.Strategy.Kubernetes.DNS`. */
  readonly aliases?: readonly string[];
  /** The options, by their camelCase names. */
  readonly options: S;
  /** Makes the strategy. Checks what no option says alone, and throws `STRATEGY_OPTIONS_INVALID` then. */
  create(options: OptionsOf<S>): Strategy;
}

/** Makes strategies of one kind. */
export interface StrategyFactory<S extends OptionSpecs = OptionSpecs> {
  /** @throws IsthmusError `STRATEGY_OPTIONS_INVALID` */
  (options: OptionsInput<S>): Strategy;
  readonly strategyName: string;
  readonly aliases: readonly string[];
  /** Whether an option has this name, in any spelling. */
  accepts(option: string): boolean;
  /**
   * The same for options of a configuration file: names in camelCase, snake_case, or as other programs call them.
   * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
   */
  from(options: Readonly<Record<string, unknown>>): Strategy;
}

/**
 * Makes a strategy with options that are checked: unknown names, missing and wrong values are errors which name them.
 *
 * @example
 * ```ts
 * const inventory = defineStrategy({
 *   name: "inventory",
 *   options: { url: option.text(), pollingInterval: option.milliseconds({ default: 5000 }) },
 *   create: ({ url, pollingInterval }) => pollingStrategy({
 *     intervalMs: pollingInterval,
 *     discover: async (signal) => ({ nodes: (await (await fetch(url, { signal })).json()) as string[] }),
 *   }),
 * });
 * const strategy = inventory({ url: "http://10.0.0.9/nodes" });
 * ```
 */
export function defineStrategy<const S extends OptionSpecs>(
  definition: StrategyDefinition<S>,
): StrategyFactory<S> {
  const { name, aliases = [], options: specs } = definition;
  const from = (given: Readonly<Record<string, unknown>>): Strategy =>
    definition.create(readOptions(name, specs, given));
  const make = (given: OptionsInput<S>): Strategy => from(given as Readonly<Record<string, unknown>>);
  const names = optionNames(specs);
  const accepts = (option: string): boolean => names.has(option);
  return Object.assign(make, { strategyName: name, aliases, accepts, from });
}
