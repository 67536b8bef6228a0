import type { Atom } from "./terms/atom.ts";
import type { BitString } from "./terms/bit-string.ts";
import type { ExportFun } from "./terms/export-fun.ts";
import type { Float } from "./terms/float.ts";
import type { Fun } from "./terms/fun.ts";
import type { ImproperList } from "./terms/improper-list.ts";
import type { LocalTerm } from "./terms/local-term.ts";
import type { NativeRecord } from "./terms/native-record.ts";
import type { Pid } from "./terms/pid.ts";
import type { Port } from "./terms/port.ts";
import type { Reference } from "./terms/reference.ts";
import type { TermMap } from "./terms/term-map.ts";
import type { Tuple } from "./terms/tuple.ts";

/**
 * An Erlang term in JavaScript, without loss:
 *
 * | Erlang | here |
 * |---|---|
 * | integer | `number` when safe, `bigint` beyond |
 * | float | `number` when it has a fraction, {@link Float} when whole (`1.0`, `-0.0`, `1.0e300`) |
 * | `true`, `false` | `boolean` |
 * | other atoms | {@link Atom}, interned: compare with `===` |
 * | binary | `Uint8Array`, decoded as `Buffer`; a `string` encodes as its UTF-8 bytes |
 * | bit string | {@link BitString} |
 * | list, charlist | array; with another tail than `[]` {@link ImproperList} |
 * | tuple | {@link Tuple} |
 * | map | {@link TermMap}; any `Map` encodes |
 * | pid, port, reference | {@link Pid}, {@link Port}, {@link Reference} |
 * | fun | {@link ExportFun} (`fun m:f/a`), {@link Fun} (closure) |
 * | native record (OTP 29) | {@link NativeRecord} |
 * | `term_to_binary(T, [local])` | {@link LocalTerm}, opaque |
 */
export type Term =
  | number
  | bigint
  | boolean
  | string
  | Atom
  | Float
  | Uint8Array
  | BitString
  | readonly Term[]
  | ImproperList
  | Tuple
  | TermMap
  | ReadonlyMap<Term, Term>
  | Pid
  | Port
  | Reference
  | Fun
  | ExportFun
  | NativeRecord
  | LocalTerm;
