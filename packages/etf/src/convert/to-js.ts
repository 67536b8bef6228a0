import { isUtf8 } from "node:buffer";
import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import type { Atom } from "../terms/atom.ts";
import type { Float } from "../terms/float.ts";
import { kindOf } from "../terms/kind.ts";
import type { TermMap } from "../terms/term-map.ts";
import { Tuple } from "../terms/tuple.ts";
import { isCharlist } from "../text/printable.ts";
import { Branch, rebuild } from "./rebuild.ts";

/** Options of {@link toJs}. */
export interface ToJsOptions {
  /** `"utf8"` (default): a string when the bytes are UTF-8, else a Buffer. `"buffer"`: always a Buffer. */
  readonly binaries?: "utf8" | "buffer";
  /** `"string"` (default): their text. `"atom"`: kept, except `nil`, `null`, `undefined`. */
  readonly atoms?: "string" | "atom";
  /** `"array"` (default), or `"tuple"`: kept, with converted elements. */
  readonly tuples?: "array" | "tuple";
  /** `"object"` (default): a plain object when all keys are text, else a `Map`. `"map"`: always a `Map`. */
  readonly maps?: "object" | "map";
  /** Whether lists of printable Latin-1 characters become strings. Default false: `[104, 105]` may be numbers. */
  readonly charlists?: boolean;
  /** `"bigint"` (default), or what integers beyond 2^53 become instead; `"number"` rounds. */
  readonly bigints?: "bigint" | "number" | "string";
  /** `ETF_DEPTH_LIMIT`; default 10 000. */
  readonly maxDepth?: number;
}

const DEFAULT_MAX_DEPTH = 10_000;

/**
 * A term as an application likes it: `nil` and `null` become `null`, `undefined` becomes `undefined`, atoms strings,
 * binaries strings, maps objects, tuples arrays, whole floats numbers. Pids, ports, references, funs, bit strings,
 * improper lists and records stay what they are. Much is lost; use the term itself to send it back.
 * @throws IsthmusError `ETF_DEPTH_LIMIT`, `ETF_CONVERSION`
 */
export function toJs(term: Term, options: ToJsOptions = {}): unknown {
  return rebuild<Term, unknown>(term, options.maxDepth ?? DEFAULT_MAX_DEPTH, (value) => open(value, options));
}

function open(term: Term, options: ToJsOptions): unknown {
  switch (kindOf(term)) {
    case "integer":
      return typeof term === "bigint" ? convertBigint(term, options) : term;
    case "float":
      return typeof term === "number" ? term : (term as Float).value;
    case "atom":
      return convertAtom(term as Atom | boolean, options);
    case "binary":
      return typeof term === "string" ? term : convertBinary(term as Uint8Array, options);
    case "list": {
      const list = term as readonly Term[];
      if (options.charlists === true && isCharlist(list)) {
        return Buffer.from(list).toString("latin1");
      }
      return new Branch<Term, unknown>(list, (built) => built);
    }
    case "tuple":
      return new Branch<Term, unknown>((term as Tuple).elements, (built) =>
        options.tuples === "tuple" ? new Tuple(built as Term[]) : built,
      );
    case "map":
      return openMap(term as ReadonlyMap<Term, Term>, options);
    case undefined:
      throw etfError("ETF_CONVERSION", "A value to convert is not a term.");
    default:
      return term;
  }
}

function convertBigint(value: bigint, options: ToJsOptions): unknown {
  if (options.bigints === "number") return Number(value);
  return options.bigints === "string" ? value.toString() : value;
}

function convertAtom(value: Atom | boolean, options: ToJsOptions): unknown {
  if (typeof value === "boolean") return value;
  switch (value.text) {
    case "nil":
    case "null":
      return null;
    case "undefined":
      return undefined;
    case "true":
      return true;
    case "false":
      return false;
    default:
      return options.atoms === "atom" ? value : value.text;
  }
}

function convertBinary(bytes: Uint8Array, options: ToJsOptions): unknown {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return options.binaries !== "buffer" && isUtf8(buffer) ? buffer.toString("utf8") : buffer;
}

function openMap(map: ReadonlyMap<Term, Term>, options: ToJsOptions): Branch<Term, unknown> {
  const flat: readonly Term[] = map instanceof Map ? ([...map].flat() as Term[]) : (map as TermMap).flat;
  const names = options.maps === "map" ? undefined : textKeys(flat);
  if (names === undefined) {
    return new Branch<Term, unknown>(flat, (built) => {
      const made = new Map<unknown, unknown>();
      for (let i = 0; i < built.length; i += 2) made.set(built[i], built[i + 1]);
      return made;
    });
  }
  const values = flat.filter((_, index) => index % 2 === 1);
  return new Branch<Term, unknown>(values, (built) => {
    const made: Record<string, unknown> = {};
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string;
      // an assignment to __proto__ would change the object instead of adding to it
      if (name === "__proto__") {
        Object.defineProperty(made, name, {
          value: built[i],
          enumerable: true,
          writable: true,
          configurable: true,
        });
      } else {
        made[name] = built[i];
      }
    }
    return made;
  });
}

/** The names of the keys, or undefined when one is no text or two would become the same property. */
function textKeys(flat: readonly Term[]): string[] | undefined {
  const names: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const key = flat[i] as Term;
    const kind = kindOf(key);
    if (kind === "atom") names.push(String(key));
    else if (typeof key === "string") names.push(key);
    else if (kind === "binary" && isUtf8(key as Uint8Array))
      names.push(Buffer.from(key as Uint8Array).toString("utf8"));
    else return undefined;
  }
  return new Set(names).size === names.length ? names : undefined;
}
