import { ValueReader } from "./reader.ts";
import { ElixirSource } from "./source.ts";
import { type Pair, type Place, pairsOf, type Value } from "./value.ts";

/** A keyword list that a file gives to libcluster or skycluster, and what stands around it. */
export interface Finding {
  /** `topologies`: names with topologies. `flat`: the one topology of skycluster and libcluster 1.x. */
  readonly is: "topologies" | "flat" | "other";
  readonly pairs: readonly Pair[];
  readonly place: Place;
  /** Heads of the blocks around it that may not be entered: `if config_env() == :prod`. */
  readonly conditions: readonly string[];
}

/** Keys of `config :libcluster` that are no topology of libcluster 1.x. */
const GENERAL_KEYS = ["topologies", "debug"];
const CONDITIONAL = /^(if|unless|case|cond|with|for)\b/;

/**
 * Looks through Elixir source for what configures clusters: `config :libcluster, ...`, `config :skycluster, ...`,
 * `topologies = [...]`, `@topologies [...]` and `{Cluster.Supervisor, [[...], ...]}`. Everything else is passed over.
 * @throws IsthmusError `ELIXIR_INVALID`
 */
export function findTopologies(text: string): Finding[] {
  return new Finder(text).find();
}

class Finder {
  readonly #source: ElixirSource;
  readonly #reader: ValueReader;
  readonly #names = new Map<string, Value>();
  /** The line at which each open block began, as far as `do` or `fn`. */
  readonly #blocks: string[] = [];
  readonly #found: Finding[] = [];

  constructor(text: string) {
    this.#source = new ElixirSource(text);
    this.#reader = new ValueReader(this.#source, (name) => this.#names.get(name));
  }

  find(): Finding[] {
    const source = this.#source;
    while (!source.ended) {
      const start = source.at;
      if (source.match(/config[ (]\s*:(libcluster|skycluster)\s*,/y) !== undefined) this.#config(start);
      else if (source.match(/@topologies[ (]\s*(?=\[)/y) !== undefined) this.#assigned("topologies", start);
      else if (source.match(/\{\s*Cluster\.Supervisor\s*,\s*\[\s*(?=\[)/y) !== undefined) this.#child(start);
      else if (source.match(/[:@.][A-Za-z_][A-Za-z0-9_]*[?!]?/y) === undefined) this.#word(start);
    }
    return this.#found;
  }

  #word(start: number): void {
    const source = this.#source;
    const assigned = source.match(/([a-z_][A-Za-z0-9_]*)[ \t]*=(?![=~>])\s*/y)?.[1];
    if (assigned !== undefined) {
      this.#assigned(assigned, start);
      return;
    }
    const word = source.match(/[A-Za-z_][A-Za-z0-9_]*[?!]?/y)?.[0];
    if (word === undefined) {
      // brackets are looked into, texts and comments are not
      if ("([{".includes(source.text[start]!)) source.at++;
      else source.skipOne();
      return;
    }
    if (/^:[^:]/.test(source.text.slice(source.at, source.at + 2))) return;
    if (word === "do" || word === "fn") this.#blocks.push(this.#head(start));
    if (word === "end") this.#blocks.pop();
  }

  /** What the line says before `at`. */
  #head(at: number): string {
    const { text } = this.#source;
    return text.slice(text.lastIndexOf("\n", at - 1) + 1, at).trim();
  }

  /** `config :app, key: value, ...`, or `config :app, :key, value`. */
  #config(start: number): void {
    const source = this.#source;
    const called = source.text.slice(start, source.at).includes("(");
    source.blanks();
    const place = source.place();
    const key = source.match(/:([a-z_][A-Za-z0-9_]*)\s*,\s*/y)?.[1];
    const given = this.#arguments(!called);
    const pairs = key === undefined ? (pairsOf(given) ?? []) : [{ key, value: given, place }];
    for (const pair of pairs) if (pair.key === "topologies") this.#topologies(pair.value, start);
    const flat = pairs.filter(({ key }) => !GENERAL_KEYS.includes(key));
    if (flat.length > 0) this.#add("flat", flat, start);
    const other = pairs.filter(({ key }) => key !== "topologies" && GENERAL_KEYS.includes(key));
    if (other.length > 0) this.#add("other", other, start);
  }

  /** `key: value, ...` without brackets, or one value. */
  #arguments(line: boolean): Value {
    const source = this.#source;
    const pairs: Pair[] = [];
    for (let pair = this.#reader.pair(line, 0); pair !== undefined; pair = this.#reader.pair(line, 0)) {
      pairs.push(pair);
      source.blanks(!line);
      if (!source.take(",")) break;
      source.blanks();
    }
    return pairs.length > 0 ? { is: "pairs", pairs } : this.#reader.value(line);
  }

  #assigned(name: string, start: number): void {
    const source = this.#source;
    const at = source.at;
    if (source.ended || ",)]}".includes(source.text[at]!)) return;
    const value = this.#reader.value(true);
    if (name === "topologies") this.#topologies(value, start);
    if (value.is !== "code") this.#names.set(name, value);
    // other values are looked into, and so is code
    if (name !== "topologies" || value.is === "code") source.at = at;
  }

  #child(start: number): void {
    const source = this.#source;
    this.#topologies(this.#reader.value(), start);
    source.skip("]");
  }

  #topologies(value: Value, start: number): void {
    const pairs = value.is === "pairs" ? value.pairs : [];
    if (pairs.length > 0) this.#add("topologies", pairs, start);
    else if (value.is !== "list") {
      const place = this.#source.place(start);
      this.#add("other", [{ key: "topologies", value, place }], start);
    }
  }

  #add(is: Finding["is"], pairs: readonly Pair[], start: number): void {
    const conditions = this.#blocks.filter((head) => CONDITIONAL.test(head));
    this.#found.push({ is, pairs, place: this.#source.place(start), conditions });
  }
}
