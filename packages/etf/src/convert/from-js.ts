import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { atom } from "../terms/atom.ts";
import { kindOf } from "../terms/kind.ts";
import { TermMap } from "../terms/term-map.ts";
import { Tuple } from "../terms/tuple.ts";
import { Branch, rebuild } from "./rebuild.ts";

/** Options of {@link fromJs}. */
export interface FromJsOptions {
  /** What `null` becomes. Default the atom `nil`, as in Elixir. */
  readonly null?: Term;
  /** What `undefined` becomes. Default the atom `undefined`, as in Erlang. */
  readonly undefined?: Term;
  /**
   * What the names of properties become: `"binary"` (default) or `"atom"`. Atoms are kept for good, so choose them only
   * for objects whose names the program knows.
   */
  readonly keys?: "binary" | "atom";
  /** What strings become: `"binary"` (default), UTF-8, or `"charlist"`, a list of code points. */
  readonly strings?: "binary" | "charlist";
  /** `ETF_DEPTH_LIMIT`; default 10 000. */
  readonly maxDepth?: number;
}

const DEFAULT_MAX_DEPTH = 10_000;

/**
 * A term from plain JavaScript values: arrays become lists, plain objects and `Map`s maps, strings binaries, whole
 * numbers integers and others floats. Terms stay what they are, their elements are converted too, so both can be mixed:
 * `fromJs(tuple(atom("ok"), { id: 1 }))`.
 * @throws IsthmusError `ETF_CONVERSION` for functions, symbols, dates and other classes, `ETF_DUPLICATE_KEY`,
 * `ETF_DEPTH_LIMIT`
 */
export function fromJs(value: unknown, options: FromJsOptions = {}): Term {
  const nil = options.null ?? atom("nil");
  const absent = options.undefined ?? atom("undefined");
  const name = (text: string): Term => (options.keys === "atom" ? atom(text) : text);
  return rebuild<unknown, Term>(value, options.maxDepth ?? DEFAULT_MAX_DEPTH, (part) => {
    if (part === null) return nil;
    if (part === undefined) return absent;
    if (typeof part === "string") return options.strings === "charlist" ? codePoints(part) : part;
    switch (kindOf(part)) {
      case "list":
        return new Branch<unknown, Term>(part as unknown[], (built) => built);
      case "tuple":
        return new Branch<unknown, Term>((part as Tuple).elements, (built) => new Tuple(built));
      case "map":
        return new Branch<unknown, Term>([...(part as Map<unknown, unknown>)].flat(), mapOf);
      case undefined:
        return openObject(part, name);
      default:
        return part as Term;
    }
  });
}

function openObject(part: unknown, name: (text: string) => Term): Branch<unknown, Term> {
  const prototype = typeof part === "object" && part !== null ? Object.getPrototypeOf(part) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    const what =
      typeof part === "object" ? `a ${prototype?.constructor?.name ?? "bare object"}` : `${typeof part}`;
    throw etfError(
      "ETF_CONVERSION",
      `There is no term for ${what}${typeof part === "number" ? ` (${part})` : ""}.`,
    );
  }
  const entries = Object.entries(part as object);
  return new Branch<unknown, Term>(
    entries.map(([, value]) => value),
    (built) => new TermMap(entries.map(([key], index) => [name(key), built[index] as Term] as const)),
  );
}

function mapOf(flat: readonly Term[]): TermMap {
  const entries: [Term, Term][] = [];
  for (let i = 0; i < flat.length; i += 2) entries.push([flat[i] as Term, flat[i + 1] as Term]);
  return new TermMap(entries);
}

function codePoints(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0) as number);
}
