import { nearest } from "@isthmus/wire";
import { strategiesError } from "./errors.ts";

/** One kind of option: what it must be, and how it is read. Made by the functions of {@link option}. */
export interface OptionKind<T> {
  /** The end of the sentence "NAME must be ...". */
  readonly expected: string;
  /** @returns the value, or undefined when `value` is not what it must be */
  readonly parse: (value: unknown) => T | undefined;
  /** Other names, as other programs call this option. */
  readonly aliases: readonly string[];
  /** What it is when it is not given; undefined for a {@link option.optional} one. */
  readonly fallback?: T;
  readonly required: boolean;
  /** Never shown in an error. */
  readonly secret: boolean;
}

/** The options of a strategy, by their camelCase names. */
// biome-ignore lint/suspicious/noExplicitAny: each option has a type of its own
export type OptionSpecs = Readonly<Record<string, OptionKind<any>>>;

/** What a strategy gets: every option, defaults filled in. */
export type OptionsOf<S extends OptionSpecs> = {
  readonly [K in keyof S]: S[K] extends OptionKind<infer T> ? T : never;
};

type OptionalKeys<S extends OptionSpecs> = {
  [K in keyof S]: S[K]["required"] extends true ? never : K;
}[keyof S];

/** What a caller writes: required options, and any of the others. */
export type OptionsInput<S extends OptionSpecs> = {
  readonly [K in Exclude<keyof S, OptionalKeys<S>>]: OptionsOf<S>[K];
} & { readonly [K in OptionalKeys<S>]?: OptionsOf<S>[K] | undefined };

type RequiredOption<T> = OptionKind<T> & { readonly required: true };
type DefaultedOption<T> = OptionKind<T> & { readonly required: false };

/** What every kind may be given. */
interface Common<T> {
  /** Other names for this option. snake_case forms need not be listed. */
  readonly aliases?: readonly string[];
  /** Makes the option one that need not be given. */
  readonly default?: T;
  /** The value is never shown. */
  readonly secret?: boolean;
}

function kind<T>(
  expected: string,
  parse: OptionKind<T>["parse"],
  common: Common<T> & { readonly default: T },
): DefaultedOption<T>;
function kind<T>(expected: string, parse: OptionKind<T>["parse"], common: Common<T>): RequiredOption<T>;
function kind<T>(expected: string, parse: OptionKind<T>["parse"], common: Common<T>): OptionKind<T> {
  const { aliases = [], secret = false } = common;
  const base = { expected, parse, aliases, secret };
  return common.default === undefined
    ? { ...base, required: true }
    : { ...base, required: false, fallback: common.default };
}

type Made<T, C> = C extends { readonly default: T } ? DefaultedOption<T> : RequiredOption<T>;

function number(value: unknown, min: number, max: number): number | undefined {
  const n = typeof value === "string" && /^-?\d+$/.test(value.trim()) ? Number(value) : value;
  return typeof n === "number" && Number.isInteger(n) && n >= min && n <= max ? n : undefined;
}

function anyOption<T>(
  expected: string,
  parse: (value: unknown) => T | undefined,
  common: Common<T> & { readonly default: T },
): DefaultedOption<T>;
function anyOption<T>(
  expected: string,
  parse: (value: unknown) => T | undefined,
  common?: Omit<Common<T>, "default">,
): RequiredOption<T>;
function anyOption<T>(
  expected: string,
  parse: (value: unknown) => T | undefined,
  common: Common<T> = {},
): OptionKind<T> {
  return kind(expected, parse, common);
}

/** Kinds of options. Numbers and booleans may also be given as text, as they come from the environment. */
export const option = {
  /** Text that is not empty. */
  text<const C extends Common<string>>(common: C = {} as C): Made<string, C> {
    const parse = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
    return kind("text that is not empty", parse, common) as Made<string, C>;
  },
  /** A whole number. */
  integer<const C extends Common<number> & { readonly min: number; readonly max: number }>(
    common: C,
  ): Made<number, C> {
    const { min, max } = common;
    const expected = `a whole number from ${min} to ${max}`;
    return kind(expected, (value) => number(value, min, max), common) as Made<number, C>;
  },
  /** A time in milliseconds; from 1 to a day unless told. */
  milliseconds<const C extends Common<number> & { readonly min?: number; readonly max?: number }>(
    common: C,
  ): Made<number, C> {
    const { min = 1, max = 86_400_000 } = common;
    const expected = `milliseconds, a whole number from ${min} to ${max}`;
    return kind(expected, (value) => number(value, min, max), common) as Made<number, C>;
  },
  /** True or false, also as the words true, false, yes, no, 1, 0. */
  boolean<const C extends Common<boolean>>(common: C = {} as C): Made<boolean, C> {
    const parse = (value: unknown): boolean | undefined => {
      if (typeof value === "boolean") return value;
      const word = typeof value === "string" ? value.toLowerCase() : "";
      if (["true", "yes", "1"].includes(word)) return true;
      return ["false", "no", "0"].includes(word) ? false : undefined;
    };
    return kind("true or false", parse, common) as Made<boolean, C>;
  },
  /** One of some words; an Elixir atom such as `:ip` means the word. */
  oneOf<const W extends string, const C extends Common<W>>(
    words: readonly W[],
    common: C = {} as C,
  ): Made<W, C> {
    const parse = (value: unknown) => {
      const word = typeof value === "string" ? value.replace(/^:/, "") : value;
      return words.find((one) => one === word);
    };
    return kind(`one of ${words.join(", ")}`, parse, common) as Made<W, C>;
  },
  /** A list; a single value stands for a list of one. */
  list<T, const C extends Common<readonly T[]>>(
    of: OptionKind<T>,
    common: C = {} as C,
  ): Made<readonly T[], C> {
    const parse = (value: unknown) => {
      const items = (Array.isArray(value) ? value : [value]).map(of.parse);
      return items.includes(undefined) ? undefined : (items as T[]);
    };
    return kind(`a list, each of it ${of.expected}`, parse, common) as Made<readonly T[], C>;
  },
  /** A function. What it is called with and gives is for its user to keep. */
  // biome-ignore lint/suspicious/noExplicitAny: any function's type
  fn<F extends (...args: any[]) => unknown>(
    common: Common<F> = {},
  ): OptionKind<F> & { readonly required: true } {
    return kind<F>("a function", (value) => (typeof value === "function" ? (value as F) : undefined), common);
  },
  /** Anything that `parse` accepts, by giving something else than undefined. */
  any: anyOption,
  /** Makes a kind one that need not be given, without a default. */
  optional<T>(of: OptionKind<T>): OptionKind<T | undefined> & { readonly required: false } {
    const { expected, parse, aliases, secret } = of;
    return { expected, parse, aliases, secret, required: false };
  },
};

/** What each option may be called in any spelling, and its own name. */
export function optionNames(specs: OptionSpecs): Map<string, string> {
  const names = new Map<string, string>();
  for (const [name, { aliases }] of Object.entries(specs)) {
    for (const alias of [name, ...aliases]) {
      names.set(alias, name);
      names.set(snakeCase(alias), name);
      names.set(camelCase(alias), name);
    }
  }
  return names;
}

/**
 * Reads the options of `strategy`: camelCase or snake_case names, and those of other programs; unknown names, missing
 * and wrong values are errors.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 */
export function readOptions<S extends OptionSpecs>(
  strategy: string,
  specs: S,
  given: Readonly<Record<string, unknown>>,
): OptionsOf<S> {
  const names = optionNames(specs);
  const written = new Map<string, string>();
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const name = names.get(key);
    if (name === undefined) throw unknownOption(strategy, key, specs);
    const other = written.get(name);
    if (other !== undefined) {
      throw invalid(
        strategy,
        key,
        `${key} and ${other} are two names of one option of ${strategy}. Give one.`,
      );
    }
    written.set(name, key);
  }
  const options: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const key = written.get(name);
    if (key !== undefined) options[name] = readOne(strategy, key, spec, given[key]);
    else if (spec.required) {
      throw invalid(strategy, name, `The strategy ${strategy} needs ${snakeCase(name)}: ${spec.expected}.`);
    } else options[name] = spec.fallback;
  }
  return options as OptionsOf<S>;
}

function readOne<T>(strategy: string, key: string, spec: OptionKind<T>, value: unknown): T {
  const parsed = spec.parse(value);
  if (parsed !== undefined) return parsed;
  const shown = spec.secret ? "" : `, not ${show(value)}`;
  throw invalid(strategy, key, `${key} of ${strategy} must be ${spec.expected}${shown}.`);
}

function unknownOption(strategy: string, key: string, specs: OptionSpecs): Error {
  const known = Object.keys(specs).map(snakeCase);
  const meant = nearest(snakeCase(key), known);
  const hint = meant === undefined ? `It has ${known.join(", ")}.` : `Did you mean ${meant}?`;
  return invalid(strategy, key, `${key} is not an option of ${strategy}. ${hint}`);
}

function invalid(strategy: string, option: string, message: string): Error {
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { strategy, option } });
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** `pollingInterval` as `polling_interval`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
