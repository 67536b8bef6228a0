import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import type { Atom } from "../terms/atom.ts";
import type { BitString } from "../terms/bit-string.ts";
import type { ExportFun } from "../terms/export-fun.ts";
import type { Fun } from "../terms/fun.ts";
import type { ImproperList } from "../terms/improper-list.ts";
import { kindOf, type TermKind } from "../terms/kind.ts";
import type { LocalTerm } from "../terms/local-term.ts";
import type { NativeRecord } from "../terms/native-record.ts";
import type { Pid } from "../terms/pid.ts";
import type { Port } from "../terms/port.ts";
import type { Reference } from "../terms/reference.ts";
import type { TermMap } from "../terms/term-map.ts";
import type { Tuple } from "../terms/tuple.ts";
import {
  compareAtoms,
  compareBits,
  compareExports,
  compareNumbers,
  comparePids,
  comparePorts,
  compareReferences,
  compareText,
  type Numeric,
} from "./leaves.ts";

/** The order of types (erts `erts_cmp`). The empty list is a type of its own. */
const RANK: Readonly<Record<TermKind, number>> = {
  integer: 0,
  float: 0,
  atom: 1,
  reference: 2,
  fun: 3,
  export: 4,
  port: 5,
  pid: 6,
  tuple: 7,
  record: 8,
  map: 9,
  list: 11,
  improper: 11,
  binary: 12,
  bitstring: 12,
  local: 13,
};
const NIL_RANK = 10;
const NIL: readonly Term[] = [];

/** Two rows of terms that are compared in step. */
interface Rows {
  readonly a: readonly Term[];
  readonly b: readonly Term[];
  next: number;
  readonly length: number;
  readonly exact: boolean;
}

/**
 * Erlang's term order (`<`, `==`): numbers are compared by value, so `1` and `1.0` are equal.
 * @returns below 0, 0 or above 0, as for `Array.prototype.sort`
 * @throws IsthmusError `ETF_UNREPRESENTABLE` for a value that is no term
 */
export function compareTerms(a: Term, b: Term): number {
  return compare(a, b, false);
}

/**
 * The order in which a map has its keys: as {@link compareTerms}, but all integers come before all floats, so that only
 * terms which are `=:=` are equal. `-0.0` and `0.0` differ, as on OTP 27.
 * @throws IsthmusError `ETF_UNREPRESENTABLE` for a value that is no term
 */
export function compareTermsExact(a: Term, b: Term): number {
  return compare(a, b, true);
}

function compare(a: Term, b: Term, exact: boolean): number {
  const stack: Rows[] = [];
  for (;;) {
    if (a !== b || typeof a === "number") {
      const order = compareOne(a, b, exact, stack);
      if (order !== 0) return order;
    }
    let rows = stack[stack.length - 1];
    while (rows !== undefined && rows.next === rows.length) {
      stack.pop();
      rows = stack[stack.length - 1];
    }
    if (rows === undefined) return 0;
    a = rows.a[rows.next] as Term;
    b = rows.b[rows.next] as Term;
    exact = rows.exact;
    rows.next++;
  }
}

/** Compares two terms as far as it goes without their elements; those are left on the stack. */
function compareOne(a: Term, b: Term, exact: boolean, stack: Rows[]): number {
  const kindA = kindOf(a);
  const kindB = kindOf(b);
  if (kindA === undefined || kindB === undefined) {
    throw etfError("ETF_UNREPRESENTABLE", "A value to compare is not a term. Use fromJs to make one.");
  }
  const rankA = kindA === "list" && (a as readonly Term[]).length === 0 ? NIL_RANK : RANK[kindA];
  const rankB = kindB === "list" && (b as readonly Term[]).length === 0 ? NIL_RANK : RANK[kindB];
  if (rankA !== rankB) return rankA - rankB;
  switch (kindA) {
    case "integer":
    case "float":
      return compareNumbers(a as Numeric, b as Numeric, exact);
    case "atom":
      return compareAtoms(a as Atom | boolean, b as Atom | boolean);
    case "binary":
    case "bitstring":
      return compareBits(a as Uint8Array | BitString | string, b as Uint8Array | BitString | string);
    case "pid":
      return comparePids(a as Pid, b as Pid);
    case "reference":
      return compareReferences(a as Reference, b as Reference);
    case "port":
      return comparePorts(a as Port, b as Port);
    case "export":
      return compareExports(a as ExportFun, b as ExportFun);
    case "tuple":
      return sizedRows((a as Tuple).elements, (b as Tuple).elements, exact, stack);
    case "map":
      return mapRows(a as ReadonlyMap<Term, Term>, b as ReadonlyMap<Term, Term>, exact, stack);
    case "list":
    case "improper":
      return listRows(a as readonly Term[] | ImproperList, b as readonly Term[] | ImproperList, exact, stack);
    case "fun":
      return funRows(a as Fun, b as Fun, exact, stack);
    case "record":
      return recordRows(a as NativeRecord, b as NativeRecord, exact, stack);
    default:
      return Buffer.compare((a as LocalTerm).bytes, (b as LocalTerm).bytes);
  }
}

function sizedRows(a: readonly Term[], b: readonly Term[], exact: boolean, stack: Rows[]): number {
  if (a.length === b.length) stack.push({ a, b, next: 0, length: a.length, exact });
  return a.length - b.length;
}

function listRows(
  a: readonly Term[] | ImproperList,
  b: readonly Term[] | ImproperList,
  exact: boolean,
  stack: Rows[],
): number {
  const x = elementsOf(a);
  const y = elementsOf(b);
  const restX = x.length > y.length ? LIST : tailOf(a);
  const restY = y.length > x.length ? LIST : tailOf(b);
  // what follows the common elements; where the rest is a list, the other is none, so their kinds decide
  stack.push({ a: [restX], b: [restY], next: 0, length: 1, exact });
  stack.push({ a: x, b: y, next: 0, length: Math.min(x.length, y.length), exact });
  return 0;
}

/** Stands for "some list that is not empty". */
const LIST: readonly Term[] = [0];

function elementsOf(list: readonly Term[] | ImproperList): readonly Term[] {
  return "elements" in list ? list.elements : list;
}

function tailOf(list: readonly Term[] | ImproperList): Term {
  return "elements" in list ? list.tail : NIL;
}

/** By size, then by keys in their order, then by values. Keys are always compared exactly. */
function mapRows(
  a: ReadonlyMap<Term, Term>,
  b: ReadonlyMap<Term, Term>,
  exact: boolean,
  stack: Rows[],
): number {
  if (a.size !== b.size) return a.size - b.size;
  const x = sortedRows(a);
  const y = sortedRows(b);
  stack.push({ a: x.values, b: y.values, next: 0, length: a.size, exact });
  stack.push({ a: x.keys, b: y.keys, next: 0, length: a.size, exact: true });
  return 0;
}

function sortedRows(map: ReadonlyMap<Term, Term>): { readonly keys: Term[]; readonly values: Term[] } {
  const flat = map instanceof Map ? ([...map].flat() as Term[]) : (map as TermMap).flat;
  const order = (map as Partial<TermMap>).order ?? sortKeys(flat);
  if (!(map instanceof Map)) (map as TermMap).order = order;
  const keys: Term[] = [];
  const values: Term[] = [];
  for (const at of order) {
    keys.push(flat[at] as Term);
    values.push(flat[at + 1] as Term);
  }
  return { keys, values };
}

/** The indexes of the keys in an array of key, value, key, value ..., in the order of the keys. */
export function sortKeys(flat: readonly Term[]): readonly number[] {
  const order: number[] = [];
  for (let i = 0; i < flat.length; i += 2) order.push(i);
  return order.sort((a, b) => compareTermsExact(flat[a] as Term, flat[b] as Term));
}

/** As erts: the code a fun belongs to, then what it has captured; not who made it. */
function funRows(a: Fun, b: Fun, exact: boolean, stack: Rows[]): number {
  return (
    compareText(a.module.text, b.module.text) ||
    a.oldIndex - b.oldIndex ||
    a.oldUniq - b.oldUniq ||
    a.index - b.index ||
    Buffer.compare(a.uniq, b.uniq) ||
    a.arity - b.arity ||
    sizedRows(a.free, b.free, exact, stack)
  );
}

function recordRows(a: NativeRecord, b: NativeRecord, exact: boolean, stack: Rows[]): number {
  const head =
    compareText(a.module.text, b.module.text) ||
    compareText(a.name.text, b.name.text) ||
    Number(a.exported) - Number(b.exported) ||
    a.fields.length - b.fields.length;
  if (head !== 0) return head;
  stack.push({ a: a.values, b: b.values, next: 0, length: a.values.length, exact });
  stack.push({ a: a.fields, b: b.fields, next: 0, length: a.fields.length, exact });
  return 0;
}
