import type { ElixirSource } from "./source.ts";
import type { EnvironmentValue, Pair, Place, Value } from "./value.ts";

/** The value of a name that the file gave one before; undefined when it did not. */
export type Lookup = (name: string) => Value | undefined;

/** A person writes this; whoever writes deeper lists has a program do it. */
const MAX_DEPTH = 100;
const NAME = /[a-z_][A-Za-z0-9_]*[?!]?/y;
const MODULE = /[A-Z][A-Za-z0-9_]*(?:\.[A-Z][A-Za-z0-9_]*)*/y;

/**
 * Reads values out of Elixir source: literals, `System.get_env`, and names that were given a value. Whatever else
 * stands where a value should is taken as code, as far as its end by brackets and commas.
 */
export class ValueReader {
  readonly #source: ElixirSource;
  readonly #lookup: Lookup;

  constructor(source: ElixirSource, lookup: Lookup) {
    this.#source = source;
    this.#lookup = lookup;
  }

  /**
   * The value that stands here, up to a comma, a closing bracket, or the end of the line when `line`.
   * @throws IsthmusError `ELIXIR_INVALID`
   */
  value(line = false, depth = 0): Value {
    const source = this.#source;
    if (depth > MAX_DEPTH) throw source.error(`this is nested deeper than ${MAX_DEPTH}`);
    source.blanks();
    const start = source.at;
    if (source.ended || ",)]}".includes(source.text[start]!)) throw source.error("a value is missing");
    const value = this.#operated(line, depth);
    if (value !== undefined && this.#atEnd(line)) return value;
    source.at = start;
    source.skip(line ? ",)]}\n" : ",)]}");
    return { is: "code", source: source.text.slice(start, source.at).trim() };
  }

  /**
   * `key: value, ...` or values up to `close`, which is taken.
   * @throws IsthmusError `ELIXIR_INVALID`
   */
  list(close: string, start: number, depth: number): Value {
    const source = this.#source;
    const items: Value[] = [];
    const places: Place[] = [];
    const pairs: Pair[] = [];
    for (;;) {
      source.blanks();
      if (source.take(close)) break;
      places.push(source.place());
      if (source.ended) throw source.error(`this ${source.text[start]} is not closed`, start);
      const pair = this.pair(false, depth) ?? this.#arrow(depth);
      if (pair !== undefined) pairs.push(pair);
      else items.push(this.value(false, depth + 1));
      source.blanks();
      if (source.take(",") || source.text.startsWith(close, source.at)) continue;
      if (source.ended) throw source.error(`this ${source.text[start]} is not closed`, start);
      throw source.error(`a comma or '${close}' is missing`);
    }
    if (pairs.length === 0) return asPairs(items, places) ?? { is: "list", items };
    if (items.length === 0) return { is: "pairs", pairs };
    return { is: "code", source: source.text.slice(start, source.at) };
  }

  /** `key: value` when that stands here. */
  pair(line: boolean, depth: number): Pair | undefined {
    const source = this.#source;
    const start = source.at;
    const place = source.place();
    const bare = source.match(/([A-Za-z_][A-Za-z0-9_@]*[?!]?):(?=\s)/y)?.[1];
    if (bare !== undefined) return { key: bare, value: this.value(line, depth + 1), place };
    const quoted = source.match(/"((?:[^"\\#]|\\.)*)":(?=\s)/y)?.[1];
    if (quoted !== undefined) return { key: quoted, value: this.value(line, depth + 1), place };
    source.at = start;
    return undefined;
  }

  /** `key => value` of a map. */
  #arrow(depth: number): Pair | undefined {
    const source = this.#source;
    const start = source.at;
    const place = source.place();
    const found = source.match(/(?::([A-Za-z_]\w*)|"([^"\\#]*)")\s*=>/y);
    if (found === undefined) {
      source.at = start;
      return undefined;
    }
    return { key: (found[1] ?? found[2])!, value: this.value(false, depth + 1), place };
  }

  #atEnd(line: boolean): boolean {
    const source = this.#source;
    source.blanks(!line);
    return source.ended || ",)]}".includes(source.text[source.at]!) || (line && this.#ends());
  }

  #ends(): boolean {
    return (
      this.#source.text[this.#source.at] === "\n" ||
      /^(do|end|else)\b/.test(this.#source.text.slice(this.#source.at, this.#source.at + 5))
    );
  }

  /** A value with what follows it, as far as that is understood: `||`, `<>`, `|> String.to_integer()`. */
  #operated(line: boolean, depth: number): Value | undefined {
    const source = this.#source;
    let value = this.#plain(depth);
    while (value !== undefined) {
      const before = source.at;
      source.blanks();
      if (source.take("||")) {
        source.blanks();
        const other = this.#plain(depth);
        value = value.is === "env" && other !== undefined ? { ...value, fallback: other } : undefined;
      } else if (source.take("<>")) {
        source.blanks();
        const other = this.#plain(depth);
        value = other === undefined ? undefined : joined(value, other);
      } else if (source.match(/\|>\s*String\.(to_integer|to_atom|trim)(\(\))?/y) !== undefined) {
        value = value.is === "env" || value.is === "text" || value.is === "parts" ? value : undefined;
      } else {
        source.at = before;
        if (line) source.blanks(false);
        return value;
      }
    }
    return undefined;
  }

  /** One literal, variable or known call; undefined for anything else. */
  #plain(depth: number): Value | undefined {
    const source = this.#source;
    const start = source.at;
    const number = source.match(/-?\d[\d_]*(?:\.\d+(?:[eE][-+]?\d+)?)?(?![\w.])/y)?.[0];
    if (number !== undefined) return { is: "number", number: Number(number.replaceAll("_", "")) };
    const heredoc = source.match(/"""|'''/y)?.[0];
    if (heredoc !== undefined) {
      source.at = start;
      return undefined;
    }
    const quote = source.match(/:?"|'/y)?.[0];
    if (quote !== undefined) return this.#quoted(quote, start, depth);
    const words = source.match(/~w([([{/|"])([^)\]}/|"#]*)[)\]}/|"]([asc]?)/y);
    if (words !== undefined) return wordList(words[2]!, words[3] === "a");
    const atom = source.match(/:([A-Za-z_][A-Za-z0-9_@]*[?!]?)/y)?.[1];
    if (atom !== undefined) return { is: "atom", text: atom, module: false };
    if (source.take("[")) return this.list("]", start, depth + 1);
    if (source.take("%{")) return this.list("}", start, depth + 1);
    if (source.take("{")) return this.#tuple(start, depth);
    const module = source.match(MODULE)?.[0];
    if (module !== undefined) {
      if (source.text[source.at] === "." || source.text[source.at] === "(") return this.#call(module, depth);
      return { is: "atom", text: module.replace(/^Elixir\./, ""), module: true };
    }
    const name = source.match(NAME)?.[0];
    if (name === undefined || "(.[".includes(source.text[source.at] ?? " ")) return undefined;
    if (name === "true" || name === "false") return { is: "boolean", value: name === "true" };
    return name === "nil" ? { is: "nil" } : this.#lookup(name);
  }

  #quoted(quote: string, start: number, depth: number): Value | undefined {
    const source = this.#source;
    const parts = source.quoted<Value>(quote.slice(-1), start, () => {
      const value = this.value(false, depth + 1);
      source.blanks();
      if (!source.take("}")) throw source.error("this text is not closed", start);
      return value;
    });
    let value: Value = { is: "text", text: "" };
    for (const part of parts) {
      const next = joined(value, typeof part === "string" ? { is: "text", text: part } : part);
      if (next === undefined) return undefined;
      value = next;
    }
    return quote === ':"' && value.is === "text" ? { is: "atom", text: value.text, module: false } : value;
  }

  #tuple(start: number, depth: number): Value {
    const list = this.list("}", start, depth + 1);
    if (list.is === "pairs") return { is: "tuple", items: [list] };
    if (list.is !== "list") return list;
    return fromSystem(list.items) ?? { is: "tuple", items: list.items };
  }

  /** `System.get_env("NAME")` and what is often put around it. */
  #call(module: string, depth: number): Value | undefined {
    const source = this.#source;
    const name = source.match(/\.([a-z_]+[?!]?)\(/y)?.[1];
    if (name === undefined) return undefined;
    const args = this.list(")", source.at - 1, depth + 1);
    if (args.is !== "list") return undefined;
    const [first, second] = args.items;
    const called = `${module}.${name}`;
    if (["System.get_env", "System.fetch_env!"].includes(called) && first?.is === "text") {
      return { is: "env", name: first.text, fallback: second };
    }
    const converts = ["String.to_integer", "String.to_atom", "String.trim", "to_string"].includes(called);
    return converts && args.items.length === 1 && isText(first) ? first : undefined;
  }
}

function isText(value: Value | undefined): boolean {
  return value?.is === "env" || value?.is === "text" || value?.is === "parts";
}

/** `[{:a, 1}, {:b, 2}]` is `[a: 1, b: 2]`; what has another shape is none. */
function asPairs(items: readonly Value[], places: readonly Place[]): Value | undefined {
  const pairs = items.map((item, i): Pair | undefined => {
    if (item.is !== "tuple" || item.items.length !== 2) return undefined;
    const [key, value] = item.items;
    if (key?.is !== "atom" || key.module) return undefined;
    return { key: key.text, value: value!, place: places[i]! };
  });
  if (items.length === 0 || pairs.includes(undefined)) return undefined;
  return { is: "pairs", pairs: pairs as Pair[] };
}

/** Two texts one after the other; undefined when one is none. */
function joined(a: Value, b: Value): Value | undefined {
  const parts = [...(textParts(a) ?? [undefined]), ...(textParts(b) ?? [undefined])];
  if (parts.includes(undefined)) return undefined;
  const merged: (string | EnvironmentValue)[] = [];
  for (const part of parts as (string | EnvironmentValue)[]) {
    const last = merged.at(-1);
    if (typeof part === "string" && typeof last === "string") merged[merged.length - 1] = last + part;
    else if (part !== "") merged.push(part);
  }
  if (merged.every((part) => typeof part === "string")) return { is: "text", text: merged.join("") };
  const [only] = merged;
  return merged.length === 1 && typeof only === "object" ? only : { is: "parts", parts: merged };
}

function textParts(value: Value): readonly (string | EnvironmentValue)[] | undefined {
  if (value.is === "text" || value.is === "atom") return [value.text];
  if (value.is === "number") return [String(value.number)];
  if (value.is === "parts") return value.parts;
  return value.is === "env" ? [value] : undefined;
}

function wordList(words: string, atoms: boolean): Value {
  const items = words.split(/\s+/).filter((word) => word !== "");
  return {
    is: "list",
    items: items.map((text): Value => (atoms ? { is: "atom", text, module: false } : { is: "text", text })),
  };
}

/** `{:system, "NAME"}`, `{:system, "NAME", default}`, `{:system, type, "NAME"}`, `{:system, type, "NAME", default}`. */
function fromSystem(items: readonly Value[]): EnvironmentValue | undefined {
  const [head, ...rest] = items;
  if (head?.is !== "atom" || head.text !== "system" || head.module) return undefined;
  if (rest[0]?.is === "atom") rest.shift();
  const [name, fallback] = rest;
  // skycluster's own examples lack the quotes
  const named = name?.is === "text" || (name?.is === "atom" && name.module);
  return named && rest.length <= 2 ? { is: "env", name: name.text, fallback } : undefined;
}
