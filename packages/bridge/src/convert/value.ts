/** Where something begins in a text; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A variable of the environment, as `System.get_env` and `{:system, "NAME", default}` read it. */
export interface EnvironmentValue {
  readonly is: "env";
  readonly name: string;
  readonly fallback: Value | undefined;
}

/** `key: value` or `{key, value}`. */
export interface Pair {
  readonly key: string;
  readonly value: Value;
  readonly place: Place;
}

/** A value of a configuration in Elixir, as far as it is one: `code` is what only Elixir could give a value. */
export type Value =
  | { readonly is: "text"; readonly text: string }
  /** `:atom`; `Some.Module` without the prefix `Elixir.`, and `module` is true. */
  | { readonly is: "atom"; readonly text: string; readonly module: boolean }
  | { readonly is: "number"; readonly number: number }
  | { readonly is: "boolean"; readonly value: boolean }
  | { readonly is: "nil" }
  | EnvironmentValue
  /** A text with variables in it. */
  | { readonly is: "parts"; readonly parts: readonly (string | EnvironmentValue)[] }
  | { readonly is: "list"; readonly items: readonly Value[] }
  /** A keyword list, or a map; an empty list is a `list`. */
  | { readonly is: "pairs"; readonly pairs: readonly Pair[] }
  | { readonly is: "tuple"; readonly items: readonly Value[] }
  | { readonly is: "code"; readonly source: string };

/** The pairs of a keyword list, which may be empty; undefined for anything else. */
export function pairsOf(value: Value | undefined): readonly Pair[] | undefined {
  if (value?.is === "pairs") return value.pairs;
  return value?.is === "list" && value.items.length === 0 ? [] : undefined;
}
