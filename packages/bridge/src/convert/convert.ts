import { loadStrategy } from "@isthmus/strategies";
import { isIsthmusError } from "@isthmus/wire";
import { convertError } from "./errors.ts";
import { type Finding, findTopologies } from "./finder.ts";
import { toPlain } from "./plain.ts";
import { leftOut, writeOptions, writeTopology } from "./topology.ts";
import type { Pair, Value } from "./value.ts";
import { YamlLines } from "./yaml-lines.ts";

/** The multicast group of libcluster 1 and skycluster; later ones have another. */
const OLD_GROUP = "230.1.1.251";

/**
 * Converts the configuration of libcluster (2 and 3: `topologies`) or skycluster (and libcluster 1: one strategy, flat)
 * into one of `isthmus form`. Elixir is read, not evaluated; what only Elixir could evaluate, and what has no
 * counterpart, becomes a comment.
 * @param text Elixir: `config.exs`, `runtime.exs`, or a module that has `topologies = [...]`
 * @param file its name, for the first comment
 * @throws IsthmusError `ELIXIR_INVALID`, `TOPOLOGIES_MISSING`
 */
export async function convert(text: string, file: string): Promise<string> {
  const findings = findTopologies(text);
  if (!findings.some(({ is }) => is !== "other")) {
    throw convertError(
      "TOPOLOGIES_MISSING",
      `${file} has no config :libcluster, no config :skycluster, and no topologies = [...] that could be read.`,
      { context: { file } },
    );
  }
  const yaml = new YamlLines();
  writeHead(yaml, file);
  yaml.open(0, "topologies");
  for (const [name, topology] of topologiesOf(findings)) {
    writeConditions(yaml, topology.finding);
    if (topology.replaced)
      yaml.comment(1, `line ${topology.line}: this is given more than once; the last stands here`);
    await writeTopology(yaml, name, topology.spec, topology.line);
  }
  for (const finding of findings) if (finding.is === "flat") await writeFlat(yaml, finding);
  for (const { is, pairs } of findings) {
    if (is !== "other") continue;
    for (const { key, value, place } of pairs) {
      const why = key === "debug" ? "use log: { level: debug } here" : "it could not be read";
      yaml.comment(0, leftOut(key, value, place.line, why));
    }
  }
  return yaml.toString();
}

function writeHead(yaml: YamlLines, file: string): void {
  yaml.comment(0, `Made of ${file} by isthmus convert.`);
  yaml.comment(
    0,
    "Run it beside the BEAM with: isthmus form FILE. What is different: docs/form.md of @isthmus/bridge.",
  );
  yaml.blank();
  yaml.comment(0, "the BEAM node beside which this runs; an Elixir release has these variables");
  yaml.open(0, "node");
  yaml.entry(1, "name", "${RELEASE_NODE}");
  yaml.entry(1, "cookie", "${RELEASE_COOKIE}");
  yaml.blank();
  yaml.comment(
    0,
    "libcluster disconnects nodes that discovery names no more (except with epmd, local-epmd, erlang-hosts and",
  );
  yaml.comment(0, "gossip). This does not, unless a topology has removal: immediately.");
}

interface NamedTopology {
  readonly spec: Value;
  readonly line: number;
  readonly finding: Finding;
  readonly replaced: boolean;
}

/** Topologies by name; of two with one name the last stands, as far as nothing is lost by that. */
function topologiesOf(findings: readonly Finding[]): Map<string, NamedTopology> {
  const named = new Map<string, NamedTopology>();
  for (const finding of findings) {
    if (finding.is !== "topologies") continue;
    for (const { key, value, place } of finding.pairs) {
      const before = named.get(key);
      named.set(key, {
        spec: merged(before?.spec, value),
        line: place.line,
        finding,
        replaced: before !== undefined,
      });
    }
  }
  return named;
}

/** As Elixir merges configurations: keyword lists key by key, everything else is replaced. */
function merged(before: Value | undefined, after: Value): Value {
  if (before?.is !== "pairs" || after.is !== "pairs") return after;
  const pairs = new Map<string, Pair>(before.pairs.map((pair) => [pair.key, pair]));
  for (const pair of after.pairs) {
    pairs.set(pair.key, { ...pair, value: merged(pairs.get(pair.key)?.value, pair.value) });
  }
  return { is: "pairs", pairs: [...pairs.values()] };
}

function writeConditions(yaml: YamlLines, { conditions, place }: Finding): void {
  for (const condition of conditions) {
    yaml.comment(
      1,
      `line ${place.line}: not converted, this stands under a condition, and here always\n${condition}`,
    );
  }
}

/** The one topology of skycluster and libcluster 1, which is no list. */
async function writeFlat(yaml: YamlLines, finding: Finding): Promise<void> {
  const { pairs } = finding;
  const strategy = pairs.find(({ key }) => key === "strategy");
  const value = strategy === undefined ? undefined : toPlain(strategy.value);
  const name = value?.ok === true && typeof value.value === "string" ? value.value : "epmd";
  writeConditions(yaml, finding);
  yaml.open(1, "main");
  if (strategy === undefined) yaml.comment(2, "no strategy was named, which meant Cluster.Strategy.Epmd");
  else if (value?.ok === false)
    yaml.comment(2, leftOut("strategy", strategy.value, strategy.place.line, value.why));
  const fallback = /^\$\{\w+:-(.*)\}$/.exec(name)?.[1] ?? name;
  const factory = await known(fallback);
  if (factory === undefined) yaml.comment(2, "there is no such strategy here: choose one");
  yaml.entry(2, "strategy", name === fallback ? (factory?.strategyName ?? name) : name);
  if (name !== fallback) {
    yaml.comment(
      2,
      `when the variable names another strategy, the options must be its own; these are for ${fallback}`,
    );
  }
  const gossip = factory?.strategyName === "gossip";
  const own = pairs.filter((pair) => pair !== strategy && belongs(pair.key, factory?.strategyName));
  for (const pair of pairs) {
    if (pair === strategy || own.includes(pair)) continue;
    yaml.comment(2, leftOut(pair.key, pair.value, pair.place.line, `it is not for ${fallback}`));
  }
  if (factory?.strategyName === "epmd") {
    yaml.comment(2, "the strategy did nothing by itself: name the nodes");
    yaml.entry(2, "config", { hosts: [] });
    return;
  }
  const group = own.some(({ key }) => key === "multicast_addr");
  const old: Pair = {
    key: "multicast_addr",
    value: { is: "text", text: OLD_GROUP },
    place: finding.place,
  };
  writeOptions(yaml, factory, gossip && !group ? [...own, old] : own);
}

async function known(name: string) {
  try {
    return await loadStrategy(name);
  } catch (error) {
    if (isIsthmusError(error) && error.code === "STRATEGY_UNKNOWN") return undefined;
    throw error;
  }
}

/** The flat configuration has the options of all strategies side by side. */
function belongs(key: string, strategy: string | undefined): boolean {
  if (strategy === undefined) return true;
  const owner = /^(port|if_addr|multicast_\w+)$/.test(key)
    ? "gossip"
    : key.startsWith("kubernetes_")
      ? "kubernetes"
      : strategy;
  return owner === strategy;
}
