import type { Atom } from "../terms/atom.ts";
import type { BitString } from "../terms/bit-string.ts";
import type { ExportFun } from "../terms/export-fun.ts";
import type { Float } from "../terms/float.ts";
import type { Pid } from "../terms/pid.ts";
import type { Port } from "../terms/port.ts";
import type { Reference } from "../terms/reference.ts";

export type Numeric = number | bigint | Float;

/**
 * By value, without rounding. When `exact`, as for the keys of a map: all integers come before all floats, and `-0.0`
 * before `0.0`.
 */
export function compareNumbers(a: Numeric, b: Numeric, exact: boolean): number {
  const x = typeof a === "object" ? a.value : a;
  const y = typeof b === "object" ? b.value : b;
  if (exact) {
    const floatA = isFloat(a);
    if (floatA !== isFloat(b)) return floatA ? 1 : -1;
    if (floatA && x === 0 && y === 0) return Number(Object.is(y, -0)) - Number(Object.is(x, -0));
  }
  return x < y ? -1 : x > y ? 1 : 0;
}

function isFloat(n: Numeric): boolean {
  return typeof n === "object" || (typeof n === "number" && !Number.isInteger(n));
}

/** By code points, which UTF-16 does not sort by: its surrogates lie below U+E000. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return aboveSurrogates(x) - aboveSurrogates(y);
  }
  return a.length - b.length;
}

function aboveSurrogates(unit: number): number {
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

export function compareAtoms(a: Atom | boolean, b: Atom | boolean): number {
  return a === b
    ? 0
    : compareText(typeof a === "boolean" ? `${a}` : a.text, typeof b === "boolean" ? `${b}` : b.text);
}

/** Bit by bit; where one ends first, it is the smaller. */
export function compareBits(a: Uint8Array | BitString | string, b: Uint8Array | BitString | string): number {
  const x = bytesOf(a);
  const y = bytesOf(b);
  const bitsX = bitLength(a, x);
  const bitsY = bitLength(b, y);
  const common = Math.min(bitsX, bitsY);
  const whole = common >>> 3;
  const order = Buffer.compare(x.subarray(0, whole), y.subarray(0, whole));
  if (order !== 0) return order;
  const rest = common & 7;
  if (rest > 0) {
    const difference = ((x[whole] as number) >>> (8 - rest)) - ((y[whole] as number) >>> (8 - rest));
    if (difference !== 0) return difference;
  }
  return bitsX - bitsY;
}

function bytesOf(data: Uint8Array | BitString | string): Uint8Array {
  return typeof data === "string"
    ? Buffer.from(data, "utf8")
    : data instanceof Uint8Array
      ? data
      : data.bytes;
}

function bitLength(data: Uint8Array | BitString | string, bytes: Uint8Array): number {
  return typeof data === "string" || data instanceof Uint8Array ? bytes.length * 8 : data.bitLength;
}

function compareNodes(a: Pid | Port | Reference, b: Pid | Port | Reference): number {
  return compareAtoms(a.node, b.node) || a.creation - b.creation;
}

/** erts compares the numbers of a pid before its node. */
export function comparePids(a: Pid, b: Pid): number {
  return a.serial - b.serial || a.id - b.id || compareNodes(a, b);
}

export function comparePorts(a: Port, b: Port): number {
  return compareNodes(a, b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** From the last word to the first; words that are missing count as 0, for the BEAM also in `=:=`. */
export function compareReferences(a: Reference, b: Reference): number {
  const nodes = compareNodes(a, b);
  if (nodes !== 0) return nodes;
  for (let i = Math.max(a.words.length, b.words.length) - 1; i >= 0; i--) {
    const difference = (a.words[i] ?? 0) - (b.words[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function compareExports(a: ExportFun, b: ExportFun): number {
  return compareAtoms(a.module, b.module) || compareAtoms(a.function, b.function) || a.arity - b.arity;
}
