import type { Atom } from "./atom.ts";
import type { BitString } from "./bit-string.ts";
import { TERM } from "./brand.ts";
import type { ExportFun } from "./export-fun.ts";
import type { Float } from "./float.ts";
import type { Fun } from "./fun.ts";
import type { ImproperList } from "./improper-list.ts";
import type { LocalTerm } from "./local-term.ts";
import type { NativeRecord } from "./native-record.ts";
import type { Pid } from "./pid.ts";
import type { Port } from "./port.ts";
import type { Reference } from "./reference.ts";
import type { TermMap } from "./term-map.ts";
import type { Tuple } from "./tuple.ts";

/** What a value is in Erlang. `list` includes `[]`, `binary` includes JavaScript strings, `atom` the booleans. */
export type TermKind =
  | "integer"
  | "float"
  | "atom"
  | "binary"
  | "bitstring"
  | "list"
  | "improper"
  | "tuple"
  | "map"
  | "pid"
  | "port"
  | "reference"
  | "fun"
  | "export"
  | "record"
  | "local";

/** Those terms that are objects of this package's classes, told apart by their field `kind`. */
type TermObject =
  | Atom
  | BitString
  | ExportFun
  | Float
  | Fun
  | ImproperList
  | LocalTerm
  | NativeRecord
  | Pid
  | Port
  | Reference
  | TermMap
  | Tuple;

/**
 * What `value` is in Erlang, or undefined when it is no term (`null`, functions, plain objects, `NaN` ...). Looks at
 * the outermost layer only.
 */
export function kindOf(value: unknown): TermKind | undefined {
  switch (typeof value) {
    case "number":
      return Number.isInteger(value) ? "integer" : Number.isFinite(value) ? "float" : undefined;
    case "bigint":
      return "integer";
    case "boolean":
      return "atom";
    case "string":
      return "binary";
    case "object": {
      if (value === null) return undefined;
      if (Array.isArray(value)) return "list";
      if (value instanceof Uint8Array) return "binary";
      if (value instanceof Map) return "map";
      return TERM in value ? (value as TermObject).kind : undefined;
    }
    default:
      return undefined;
  }
}
