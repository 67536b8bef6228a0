import { etfError } from "./errors.ts";
import { TAG } from "./tags.ts";
import type { TermMap } from "./term-map.ts";
import {
  Atom,
  atom,
  BitString,
  ExportFun,
  Float,
  Fun,
  ImproperList,
  MAP,
  NativeRecord,
  Pid,
  Port,
  Reference,
  type Term,
  Tuple,
} from "./terms.ts";

const DEFAULT_SLAB_BYTES = 64 * 1024;
const TRUE = Buffer.concat([Buffer.from([119, 4]), Buffer.from("true")]);
const FALSE = Buffer.concat([Buffer.from([119, 5]), Buffer.from("false")]);
const MAX_STRING = 65_535;

/** Says that what follows on the stack is the end of a fun, whose size is to be filled in. */
class FunEnd {
  readonly mark: number;
  constructor(mark: number) {
    this.mark = mark;
  }
}

/**
 * Output that grows over slabs. What {@link TermWriter.take} gives out is never written again, so it may be handed to
 * a socket while writing goes on.
 */
export class TermWriter {
  /** The present slab, and where the next byte goes. Public for hot paths; call `ensure` first. */
  bytes: Buffer;
  position = 0;
  #start = 0;
  readonly #slabBytes: number;
  readonly #stack: unknown[] = [];

  /** @param options `slabBytes`: how much is allocated at a time. @default 65536 */
  constructor(options: { readonly slabBytes?: number } = {}) {
    this.#slabBytes = options.slabBytes ?? DEFAULT_SLAB_BYTES;
    this.bytes = Buffer.allocUnsafeSlow(this.#slabBytes);
  }

  /** Bytes written since the last {@link TermWriter.take}. */
  get length(): number {
    return this.position - this.#start;
  }

  /** Makes room for `n` more bytes; moves what is not taken to a new slab when the present one is full. */
  ensure(n: number): void {
    if (this.bytes.length - this.position < n) this.#grow(n);
  }

  u8(value: number): void {
    this.ensure(1);
    this.bytes[this.position++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    const { bytes } = this;
    bytes[this.position++] = value >>> 8;
    bytes[this.position++] = value;
  }

  u32(value: number): void {
    this.ensure(4);
    const { bytes } = this;
    let at = this.position;
    bytes[at++] = value >>> 24;
    bytes[at++] = value >>> 16;
    bytes[at++] = value >>> 8;
    bytes[at++] = value;
    this.position = at;
  }

  u64(value: bigint): void {
    this.ensure(8);
    this.bytes.writeBigUInt64BE(BigInt.asUintN(64, value), this.position);
    this.position += 8;
  }

  /** A place in what is not taken yet; it stays right when the output moves to another slab. */
  mark(): number {
    return this.position - this.#start;
  }

  /** Takes back everything since `mark`. */
  truncate(mark: number): void {
    this.position = this.#start + mark;
  }

  /** Overwrites four bytes at `mark`. */
  patchU32(mark: number, value: number): void {
    this.bytes.writeUInt32BE(value, this.#start + mark);
  }

  /** Appends the bytes `[start, end)` of `source`. */
  copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.ensure(length);
    const { bytes } = this;
    let at = this.position;
    // measured: below this a loop beats the call into native code
    if (length <= 48) while (start < end) bytes[at++] = source[start++]!;
    else {
      bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
      at += length;
    }
    this.position = at;
  }

  /** Everything that is not taken yet. The writer goes on behind it. */
  take(): Buffer {
    const taken = this.bytes.subarray(this.#start, this.position);
    this.#start = this.position;
    return taken;
  }

  tupleHeader(arity: number): void {
    if (arity < 256) {
      this.ensure(2);
      this.bytes[this.position++] = TAG.SMALL_TUPLE;
      this.bytes[this.position++] = arity;
    } else {
      this.u8(TAG.LARGE_TUPLE);
      this.u32(arity);
    }
  }

  atom(value: Atom): void {
    this.copy(value.external, 0, value.external.length);
  }

  pid(value: Pid): void {
    this.u8(TAG.NEW_PID);
    this.atom(value.node);
    this.u32(value.id);
    this.u32(value.serial);
    this.u32(value.creation);
  }

  port(value: Port): void {
    this.u8(TAG.V4_PORT);
    this.atom(value.node);
    this.u64(value.id);
    this.u32(value.creation);
  }

  reference(value: Reference): void {
    const { words } = value;
    if (words.length < 1 || words.length > 5) {
      throw etfError("ETF_UNREPRESENTABLE", `A reference has 1 to 5 words, not ${words.length}.`);
    }
    this.ensure(3);
    this.bytes[this.position++] = TAG.NEWER_REFERENCE;
    this.bytes[this.position++] = 0;
    this.bytes[this.position++] = words.length;
    this.atom(value.node);
    this.u32(value.creation);
    for (let i = 0; i < words.length; i++) this.u32(words[i]!);
  }

  integer(value: number | bigint): void {
    if (typeof value === "bigint") {
      if (value >= -0x80000000n && value <= 0x7fffffffn) this.integer(Number(value));
      else this.#bignum(value);
    } else if (value >= 0 && value < 256) {
      this.ensure(2);
      this.bytes[this.position++] = TAG.SMALL_INTEGER;
      this.bytes[this.position++] = value;
    } else if (value === (value | 0)) {
      this.u8(TAG.INTEGER);
      this.u32(value);
    } else this.#safeInteger(value);
  }

  /** One term, without a version byte. @throws IsthmusError `ETF_UNREPRESENTABLE` */
  term(root: Term): void {
    // A stack of what is still to write instead of recursion: depth costs memory, not the call stack.
    const stack = this.#stack;
    const base = stack.length;
    let value: unknown = root;
    try {
      for (;;) {
        this.#one(value as Term, stack);
        if (stack.length === base) return;
        value = stack.pop();
      }
    } finally {
      stack.length = base;
    }
  }

  #one(value: Term | FunEnd, stack: unknown[]): void {
    switch (typeof value) {
      case "number":
        if (Number.isSafeInteger(value)) this.integer(value);
        else this.#float(value, false);
        return;
      case "string": {
        const length = Buffer.byteLength(value);
        this.ensure(5 + length);
        this.bytes[this.position++] = TAG.BINARY;
        this.u32(length);
        this.position += this.bytes.write(value, this.position, length, "utf8");
        return;
      }
      case "boolean":
        if (value) this.copy(TRUE, 0, TRUE.length);
        else this.copy(FALSE, 0, FALSE.length);
        return;
      case "bigint":
        this.integer(value);
        return;
      case "object":
        break;
      default:
        throw unrepresentable(value);
    }
    if (value instanceof Atom) this.atom(value);
    else if (value instanceof Tuple) {
      this.tupleHeader(value.elements.length);
      for (let i = value.elements.length - 1; i >= 0; i--) stack.push(value.elements[i]);
    } else if (Array.isArray(value)) this.#list(value, stack);
    else if (value instanceof Uint8Array) {
      this.u8(TAG.BINARY);
      this.u32(value.length);
      this.copy(value, 0, value.length);
    } else if (value instanceof Pid) this.pid(value);
    else if (value instanceof Reference) this.reference(value);
    else if (MAP in value || value instanceof Map) {
      const map = value as ReadonlyMap<Term, Term> | TermMap;
      this.u8(TAG.MAP);
      this.u32(map.size);
      const at = stack.length;
      for (const [key, item] of map) stack.push(key, item);
      reverse(stack, at);
    } else if (value instanceof Float) this.#float(value.value, true);
    else if (value instanceof ImproperList) {
      this.u8(TAG.LIST);
      this.u32(value.elements.length);
      stack.push(value.tail);
      for (let i = value.elements.length - 1; i >= 0; i--) stack.push(value.elements[i]);
    } else if (value instanceof BitString) {
      if (value.bits < 1 || value.bits > 7 || value.bytes.length === 0) {
        throw etfError("ETF_UNREPRESENTABLE", "A bit string has at least one byte, of whose last 1 to 7 bits count.");
      }
      this.u8(TAG.BIT_BINARY);
      this.u32(value.bytes.length);
      this.u8(value.bits);
      this.copy(value.bytes, 0, value.bytes.length);
      this.bytes[this.position - 1]! &= 0xff << (8 - value.bits);
    } else if (value instanceof Port) this.port(value);
    else if (value instanceof Fun) this.#fun(value, stack);
    else if (value instanceof FunEnd) this.patchU32(value.mark, this.mark() - value.mark);
    else if (value instanceof ExportFun) {
      this.u8(TAG.EXPORT);
      this.atom(value.module);
      this.atom(value.function);
      if (!(value.arity >= 0 && value.arity < 256)) throw unrepresentable(value.arity);
      this.integer(value.arity);
    } else if (value instanceof NativeRecord) {
      this.u8(TAG.RECORD);
      this.u32(value.values.length);
      this.u8(value.flags);
      this.atom(value.module);
      this.atom(value.name);
      for (const field of value.fields) this.atom(field);
      for (let i = value.values.length - 1; i >= 0; i--) stack.push(value.values[i]);
    } else throw unrepresentable(value);
  }

  #list(list: readonly Term[], stack: unknown[]): void {
    const n = list.length;
    if (n === 0) {
      this.u8(TAG.NIL);
      return;
    }
    if (n <= MAX_STRING && allBytes(list)) {
      this.ensure(3 + n);
      this.bytes[this.position++] = TAG.STRING;
      this.u16(n);
      for (let i = 0; i < n; i++) this.bytes[this.position++] = list[i] as number;
      return;
    }
    this.u8(TAG.LIST);
    this.u32(n);
    stack.push([]);
    for (let i = n - 1; i >= 0; i--) stack.push(list[i]);
  }

  #fun(fun: Fun, stack: unknown[]): void {
    this.u8(TAG.NEW_FUN);
    const mark = this.mark();
    this.u32(0);
    this.u8(fun.arity);
    this.copy(fun.uniq, 0, 16);
    this.u32(fun.index);
    this.u32(fun.free.length);
    this.atom(fun.module);
    this.integer(fun.oldIndex as number);
    this.integer(fun.oldUniq as number);
    this.pid(fun.creator);
    stack.push(new FunEnd(mark));
    for (let i = fun.free.length - 1; i >= 0; i--) stack.push(fun.free[i]);
  }

  #float(value: number, whole: boolean): void {
    if (!Number.isFinite(value)) {
      throw etfError("ETF_UNREPRESENTABLE", `Erlang has no float for ${value}.`);
    }
    if (!whole && Number.isInteger(value)) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        `${value} is beyond the safe integers: give a bigint for an integer, or a Float for a float.`,
      );
    }
    this.ensure(9);
    this.bytes[this.position++] = TAG.NEW_FLOAT;
    this.position = this.bytes.writeDoubleBE(value, this.position);
  }

  /** Beyond 32 bits, within 53. */
  #safeInteger(value: number): void {
    if (!Number.isSafeInteger(value)) throw unrepresentable(value);
    let rest = Math.abs(value);
    this.ensure(11);
    const head = this.position;
    let at = head + 3;
    while (rest > 0) {
      this.bytes[at++] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.bytes[head] = TAG.SMALL_BIG;
    this.bytes[head + 1] = at - head - 3;
    this.bytes[head + 2] = value < 0 ? 1 : 0;
    this.position = at;
  }

  #bignum(value: bigint): void {
    const digits = (value < 0n ? -value : value).toString(16);
    const raw = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex").reverse();
    if (raw.length < 256) {
      this.u8(TAG.SMALL_BIG);
      this.u8(raw.length);
    } else {
      this.u8(TAG.LARGE_BIG);
      this.u32(raw.length);
    }
    this.u8(value < 0n ? 1 : 0);
    this.copy(raw, 0, raw.length);
  }

  #grow(n: number): void {
    const pending = this.position - this.#start;
    // doubling while one run is being written keeps many small appends to a large message linear
    const slab = Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, (pending + n) * 2));
    this.bytes.copy(slab, 0, this.#start, this.position);
    this.bytes = slab;
    this.#start = 0;
    this.position = pending;
  }
}

function allBytes(list: readonly Term[]): boolean {
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    if (typeof item !== "number" || item < 0 || item > 255 || !Number.isInteger(item)) return false;
  }
  return true;
}

function reverse(stack: unknown[], from: number): void {
  for (let low = from, high = stack.length - 1; low < high; low++, high--) {
    const kept = stack[low];
    stack[low] = stack[high];
    stack[high] = kept;
  }
}

function unrepresentable(value: unknown): Error {
  const what = value === null ? "null" : typeof value === "object" ? (value.constructor?.name ?? "object") : typeof value;
  return etfError("ETF_UNREPRESENTABLE", `A value of type ${what} is no Erlang term; convert it first, for example with fromJs().`);
}

export const ATOM_TRUE = atom("true");
export const ATOM_FALSE = atom("false");
