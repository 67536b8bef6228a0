import { loadStrategy, type StrategyFactory } from "@isthmus/strategies";
import { isIsthmusError } from "@isthmus/wire";
import { type PlainResult, toPlain } from "./plain.ts";
import { type Pair, pairsOf, type Value } from "./value.ts";
import type { YamlLines } from "./yaml-lines.ts";

/** Keys of a topology that say which functions connect, and what they are when nothing else is said. */
const FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  connect: ["net_kernel:connect_node", "net_kernel:connect"],
  disconnect: ["erlang:disconnect_node", "net_kernel:disconnect"],
  list_nodes: ["erlang:nodes"],
};

/** Writes one topology of libcluster as `isthmus form` has it, with a comment for everything it has not. */
export async function writeTopology(yaml: YamlLines, name: string, spec: Value, line: number): Promise<void> {
  const pairs = pairsOf(spec);
  if (pairs === undefined) {
    yaml.comment(1, leftOut(name, spec, line, "the topology is no keyword list"));
    return;
  }
  const strategy = pairs.find(({ key }) => key === "strategy");
  const config = pairs.find(({ key }) => key === "config");
  yaml.open(1, name);
  const factory = await writeStrategy(yaml, strategy);
  writeConfig(yaml, factory, config);
  for (const pair of pairs) {
    if (pair === strategy || pair === config) continue;
    if (pair.key in FUNCTIONS) writeFunction(yaml, pair);
    else {
      const why =
        pair.key === "child_spec" ? "there is no supervisor to give it to" : "this is no key of a topology";
      yaml.comment(2, leftOut(pair.key, pair.value, pair.place.line, why));
    }
  }
}

async function writeStrategy(yaml: YamlLines, pair: Pair | undefined): Promise<StrategyFactory | undefined> {
  const value = pair === undefined ? undefined : toPlain(pair.value);
  if (pair === undefined || value === undefined || !value.ok || typeof value.value !== "string") {
    yaml.comment(
      2,
      pair === undefined
        ? "it has no strategy: name one"
        : leftOut("strategy", pair.value, pair.place.line, "it has to be a name"),
    );
    return undefined;
  }
  if (value.env) {
    yaml.comment(2, "the variable may have the name of a strategy here, or of a module of libcluster");
    yaml.entry(2, "strategy", value.value);
    return undefined;
  }
  try {
    const factory = await loadStrategy(value.value);
    yaml.entry(2, "strategy", factory.strategyName);
    return factory;
  } catch (error) {
    if (!isIsthmusError(error) || error.code !== "STRATEGY_UNKNOWN") throw error;
    yaml.comment(2, `line ${pair.place.line}: ${error.message}`);
    yaml.entry(2, "strategy", value.value);
    return undefined;
  }
}

/** Writes the options of a strategy: what `factory` accepts, if it is known, and comments for the others. */
export function writeConfig(
  yaml: YamlLines,
  factory: StrategyFactory | undefined,
  config: Pair | undefined,
): void {
  if (config === undefined) return;
  const pairs = pairsOf(config.value);
  if (pairs === undefined) {
    yaml.comment(2, leftOut("config", config.value, config.place.line, "it is no keyword list"));
    return;
  }
  writeOptions(yaml, factory, pairs);
}

/** The same for options that stand in no `config`. */
export function writeOptions(
  yaml: YamlLines,
  factory: StrategyFactory | undefined,
  pairs: readonly Pair[],
): void {
  if (pairs.length === 0) return;
  const options = pairs.map((pair) => ({ pair, plain: toPlain(pair.value) }));
  const refused = factory === undefined ? new Map() : problems(factory, options);
  yaml.open(2, "config");
  let written = 0;
  for (const { pair, plain } of options) {
    const why = plain.ok ? refused.get(pair.key) : plain.why;
    if (plain.ok && why === undefined) {
      yaml.entry(3, pair.key, plain.value);
      written++;
    } else yaml.comment(3, leftOut(pair.key, pair.value, pair.place.line, why));
  }
  if (written === 0) yaml.comment(3, "no option is left");
}

/** Why a strategy does not take some of the options, by their keys. */
function problems(
  factory: StrategyFactory,
  options: readonly { readonly pair: Pair; readonly plain: PlainResult }[],
): Map<string, string> {
  const found = new Map<string, string>();
  const known: Record<string, unknown> = {};
  for (const { pair, plain } of options) {
    if (!factory.accepts(pair.key)) {
      const unknown = refusal(factory, { [pair.key]: "" });
      found.set(pair.key, unknown?.message ?? "it is no option of the strategy");
    } else if (plain.ok && !plain.env) known[pair.key] = plain.value;
  }
  // what stands for a variable, or is missing, is for `isthmus form` to find
  for (;;) {
    const wrong = refusal(factory, known);
    if (wrong === undefined || !(wrong.option in known)) return found;
    found.set(wrong.option, wrong.message);
    delete known[wrong.option];
  }
}

/** What a strategy says against its options, and the option that it says it of. */
function refusal(
  factory: StrategyFactory,
  options: Readonly<Record<string, unknown>>,
): { readonly option: string; readonly message: string } | undefined {
  try {
    factory.from(options);
    return undefined;
  } catch (error) {
    if (!isIsthmusError(error)) throw error;
    return { option: String(error.context["option"] ?? ""), message: error.message };
  }
}

/** `connect: {:net_kernel, :connect_node, []}` and the like. */
function writeFunction(yaml: YamlLines, { key, value, place }: Pair): void {
  const [module, name, args] = value.is === "tuple" ? value.items : [];
  if (module?.is !== "atom" || name?.is !== "atom" || args?.is !== "list") {
    yaml.comment(2, leftOut(key, value, place.line, "it is not {Module, :function, [arguments]}"));
    return;
  }
  if (FUNCTIONS[key]?.includes(`${module.text}:${name.text}`) === true) {
    yaml.comment(2, `line ${place.line}: ${key} is what it is here by itself`);
    return;
  }
  const plain = args.items.map(argument);
  const wrong = plain.find((one) => !one.ok);
  if (wrong?.ok === false) yaml.comment(2, leftOut(key, value, place.line, wrong.why));
  else yaml.entry(2, key, [module.text, name.text, plain.flatMap((one) => (one.ok ? [one.value] : []))]);
}

/** An argument of a function, where an atom is another thing than a text. */
function argument(value: Value): PlainResult {
  if (value.is !== "atom") return toPlain(value);
  return { ok: true, value: `:${value.module ? "Elixir." : ""}${value.text}`, env: false };
}

/** What a comment says of something that was left out. */
export function leftOut(key: string, value: Value, line: number, why: string): string {
  const plain = value.is === "code" ? undefined : toPlain(value);
  const shown =
    value.is === "code" ? value.source : plain?.ok === true ? JSON.stringify(plain.value) : undefined;
  const source = shown === undefined ? "" : `: ${shown}`;
  return `line ${line}: not converted, ${why}\n${key}${source}`;
}
