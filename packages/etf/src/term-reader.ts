import { inflateSync } from "node:zlib";
import { atomFromLatin1, atomFromUtf8 } from "./atom-cache.ts";
import { etfError } from "./errors.ts";
import { DEFAULT_TERM_LIMITS, type TermLimits } from "./limits.ts";
import { TAG } from "./tags.ts";
import { TermMap } from "./term-map.ts";
import { ATOM_FALSE, ATOM_TRUE } from "./term-writer.ts";
import {
  type Atom,
  BitString,
  ExportFun,
  Float,
  Fun,
  ImproperList,
  NativeRecord,
  Pid,
  Port,
  Reference,
  type Term,
  Tuple,
} from "./terms.ts";

const LIST = 1;
const TUPLE = 2;
const MAP = 3;
const FUN = 4;
const RECORD = 5;

/** A container whose elements are still coming. Pooled. */
interface Open {
  kind: number;
  left: number;
  items: Term[];
  head: ((items: Term[]) => Term) | undefined;
}

/**
 * Strict decoder over a range of bytes; one object serves any number of terms. Binaries are views of the bytes: they
 * stay right as long as those are not written again, and keep them alive.
 */
export class TermReader {
  bytes: Buffer = Buffer.alloc(0);
  /** Where the next term begins. */
  offset = 0;
  end = 0;
  readonly #limits: TermLimits;
  #atomRefs: readonly Atom[] | undefined;
  readonly #open: Open[] = [];
  #depth = 0;

  constructor(limits: Partial<TermLimits> = {}) {
    this.#limits = { ...DEFAULT_TERM_LIMITS, ...limits };
  }

  /** Sets the range `[start, end)` to read. `atomRefs` are what ATOM_CACHE_REF counts in. */
  reset(bytes: Buffer, start: number, end: number, atomRefs?: readonly Atom[]): void {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
    this.#atomRefs = atomRefs;
  }

  /** The next term. @throws IsthmusError any of the ETF codes */
  term(): Term {
    const base = this.#depth;
    try {
      for (;;) {
        let value = this.#value();
        if (value === OPENED) continue;
        for (;;) {
          if (this.#depth === base) return value as Term;
          const open = this.#open[this.#depth - 1]!;
          open.items.push(value as Term);
          if (--open.left > 0) break;
          this.#depth--;
          value = this.#close(open);
        }
      }
    } finally {
      this.#depth = base;
    }
  }

  tupleHeader(): number {
    const tag = this.#u8();
    if (tag === TAG.SMALL_TUPLE) return this.#u8();
    if (tag === TAG.LARGE_TUPLE) return this.#count(1);
    throw this.#unexpected("a tuple");
  }

  integer(): number | bigint {
    const value = this.#scalar();
    if (typeof value === "number" && Number.isInteger(value)) return value;
    if (typeof value === "bigint") return value;
    throw this.#unexpected("an integer");
  }

  atom(): Atom {
    const value = this.#atomOf(this.#u8());
    if (value === undefined) throw this.#unexpected("an atom");
    return value;
  }

  pid(): Pid {
    const tag = this.#u8();
    if (tag === TAG.NEW_PID || tag === TAG.PID) return this.#pid(tag);
    throw this.#unexpected("a pid");
  }

  reference(): Reference {
    const tag = this.#u8();
    if (tag === TAG.NEWER_REFERENCE || tag === TAG.NEW_REFERENCE || tag === TAG.REFERENCE) return this.#reference(tag);
    throw this.#unexpected("a reference");
  }

  /** Passes over one term. */
  skip(): void {
    this.term();
  }

  #scalar(): Term {
    const value = this.#value();
    if (value !== OPENED) return value as Term;
    this.#depth--;
    throw this.#unexpected("an integer");
  }

  /** A value, or OPENED when it is a container whose elements follow. */
  #value(): Term | typeof OPENED {
    const tag = this.#u8();
    switch (tag) {
      case TAG.SMALL_INTEGER:
        return this.#u8();
      case TAG.INTEGER: {
        const at = this.#need(4);
        return this.bytes.readInt32BE(at);
      }
      case TAG.NEW_FLOAT: {
        const value = this.bytes.readDoubleBE(this.#need(8));
        return this.#float(value);
      }
      case TAG.FLOAT: {
        const at = this.#need(31);
        const text = this.bytes.toString("latin1", at, at + 31).replace(/\0[\s\S]*$/, "");
        if (!/^\s*[-+]?\d+\.\d+(e[-+]?\d+)?$/i.test(text)) throw this.#unexpected("a float in text form");
        return this.#float(Number(text));
      }
      case TAG.SMALL_TUPLE: {
        const arity = this.#u8();
        if (arity === 0) return new Tuple([]);
        return this.#begin(TUPLE, arity, undefined);
      }
      case TAG.LARGE_TUPLE: {
        const arity = this.#count(1);
        if (arity === 0) return new Tuple([]);
        return this.#begin(TUPLE, arity, undefined);
      }
      case TAG.NIL:
        return [];
      case TAG.STRING: {
        const length = this.#u16();
        const at = this.#need(length);
        const list: Term[] = [];
        for (let i = 0; i < length; i++) list.push(this.bytes[at + i]!);
        return list;
      }
      case TAG.LIST: {
        const n = this.#count(1);
        return this.#begin(LIST, n + 1, undefined);
      }
      case TAG.BINARY: {
        const length = this.#u32();
        const at = this.#need(length);
        return this.bytes.subarray(at, at + length);
      }
      case TAG.BIT_BINARY: {
        const length = this.#u32();
        const bits = this.#u8();
        const at = this.#need(length);
        if (length === 0 ? bits !== 0 : bits < 1 || bits > 8) throw this.#unexpected("a bit string");
        const bytes = this.bytes.subarray(at, at + length);
        if (bits === 8 || length === 0) return bytes;
        const own = Buffer.from(bytes);
        own[length - 1]! &= 0xff << (8 - bits);
        return new BitString(own, bits);
      }
      case TAG.SMALL_BIG:
        return this.#bignum(this.#u8());
      case TAG.LARGE_BIG:
        return this.#bignum(this.#u32());
      case TAG.MAP: {
        const pairs = this.#count(2);
        if (pairs === 0) return new TermMap([]);
        return this.#begin(MAP, pairs * 2, undefined);
      }
      case TAG.NEW_PID:
      case TAG.PID:
        return this.#pid(tag);
      case TAG.NEW_PORT:
      case TAG.V4_PORT:
      case TAG.PORT:
        return this.#port(tag);
      case TAG.NEWER_REFERENCE:
      case TAG.NEW_REFERENCE:
      case TAG.REFERENCE:
        return this.#reference(tag);
      case TAG.NEW_FUN:
        return this.#fun();
      case TAG.EXPORT: {
        const module = this.atom();
        const fun = this.atom();
        if (this.#u8() !== TAG.SMALL_INTEGER) throw this.#unexpected("an arity of one byte");
        return new ExportFun(module, fun, this.#u8());
      }
      case TAG.RECORD:
        return this.#record();
      default: {
        const found = this.#atomOf(tag);
        if (found === undefined) throw etfError("ETF_TAG_UNKNOWN", `No term begins with ${tag}.`, { offset: this.offset - 1, tag });
        return found === ATOM_TRUE ? true : found === ATOM_FALSE ? false : found;
      }
    }
  }

  #begin(kind: number, count: number, head: Open["head"]): typeof OPENED {
    if (this.#depth >= this.#limits.maxDepth) {
      throw etfError("ETF_LIMIT", `The term is nested deeper than ${this.#limits.maxDepth}.`, {
        offset: this.offset,
        limit: "maxDepth",
      });
    }
    const open = (this.#open[this.#depth] ??= { kind: 0, left: 0, items: [], head: undefined });
    open.kind = kind;
    open.left = count;
    open.items = [];
    open.head = head;
    this.#depth++;
    return OPENED;
  }

  #close(open: Open): Term {
    const { items } = open;
    open.items = [];
    switch (open.kind) {
      case TUPLE:
        return new Tuple(items);
      case MAP: {
        const map = new TermMap(items);
        if (map.hasDuplicateKey()) throw etfError("ETF_MALFORMED", "A map has a key twice.", { offset: this.offset });
        return map;
      }
      case LIST: {
        const tail = items.pop()!;
        if (items.length === 0) return tail;
        if (Array.isArray(tail)) return tail.length === 0 ? items : items.concat(tail);
        if (tail instanceof ImproperList) return new ImproperList(items.concat(tail.elements), tail.tail);
        return new ImproperList(items, tail);
      }
      default:
        return open.head!(items);
    }
  }

  #float(value: number): Term {
    if (!Number.isFinite(value)) throw this.#unexpected("a finite float");
    return Number.isInteger(value) ? new Float(value) : value;
  }

  #bignum(length: number): number | bigint {
    if (length > this.#limits.maxBignumBytes) {
      throw etfError("ETF_LIMIT", `An integer of ${length} bytes; at most ${this.#limits.maxBignumBytes} are taken.`, {
        offset: this.offset,
        limit: "maxBignumBytes",
      });
    }
    const negative = this.#u8() !== 0;
    const at = this.#need(length);
    const { bytes } = this;
    if (length <= 6) {
      let value = 0;
      for (let i = length - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
      return negative && value !== 0 ? -value : value;
    }
    const hex = Buffer.from(bytes.subarray(at, at + length)).reverse().toString("hex");
    const big = BigInt(`0x${hex}`);
    const value = negative ? -big : big;
    const small = Number(value);
    return Number.isSafeInteger(small) ? small : value;
  }

  #pid(tag: number): Pid {
    const node = this.atom();
    const id = this.#u32();
    const serial = this.#u32();
    return new Pid(node, id, serial, tag === TAG.NEW_PID ? this.#u32() : this.#oldCreation());
  }

  #port(tag: number): Port {
    const node = this.atom();
    const id = tag === TAG.V4_PORT ? this.bytes.readBigUInt64BE(this.#need(8)) : BigInt(this.#u32());
    return new Port(node, id, tag === TAG.PORT ? this.#oldCreation() : this.#u32());
  }

  #reference(tag: number): Reference {
    const count = tag === TAG.REFERENCE ? 1 : this.#u16();
    if (count < 1 || count > 5) throw this.#unexpected("a reference of 1 to 5 words");
    const node = this.atom();
    if (tag === TAG.REFERENCE) {
      const word = this.#u32();
      return new Reference(node, this.#oldCreation(), [word]);
    }
    const creation = tag === TAG.NEWER_REFERENCE ? this.#u32() : this.#oldCreation();
    const words: number[] = [];
    for (let i = 0; i < count; i++) words.push(this.#u32());
    return new Reference(node, creation, words);
  }

  #oldCreation(): number {
    const creation = this.#u8();
    if (creation > 3) throw this.#unexpected("a creation of 0 to 3");
    return creation;
  }

  #fun(): Term | typeof OPENED {
    this.#u32(); // its own size, which decoders do not trust
    const arity = this.#u8();
    const at = this.#need(16);
    const uniq = this.bytes.subarray(at, at + 16);
    const index = this.#u32();
    const free = this.#count(1);
    const module = this.atom();
    const oldIndex = this.integer();
    const oldUniq = this.integer();
    const creator = this.pid();
    const make = (items: Term[]): Fun => new Fun({ arity, uniq, index }, module, oldIndex, oldUniq, creator, items);
    return free === 0 ? make([]) : this.#begin(FUN, free, make);
  }

  #record(): Term | typeof OPENED {
    const n = this.#count(2);
    const flags = this.#u8();
    if (flags > 1) throw this.#unexpected("flags of a record");
    const module = this.atom();
    const name = this.atom();
    const fields: Atom[] = [];
    for (let i = 0; i < n; i++) fields.push(this.atom());
    const make = (items: Term[]): NativeRecord => new NativeRecord(flags, module, name, fields, items);
    return n === 0 ? make([]) : this.#begin(RECORD, n, make);
  }

  #atomOf(tag: number): Atom | undefined {
    switch (tag) {
      case TAG.SMALL_ATOM_UTF8: {
        const length = this.#u8();
        const at = this.#need(length);
        return atomFromUtf8(this.bytes, at, at + length);
      }
      case TAG.ATOM_UTF8: {
        const length = this.#u16();
        const at = this.#need(length);
        return atomFromUtf8(this.bytes, at, at + length);
      }
      case TAG.SMALL_ATOM: {
        const length = this.#u8();
        const at = this.#need(length);
        return atomFromLatin1(this.bytes, at, at + length);
      }
      case TAG.ATOM: {
        const length = this.#u16();
        const at = this.#need(length);
        return atomFromLatin1(this.bytes, at, at + length);
      }
      case TAG.ATOM_CACHE_REF: {
        const found = this.#atomRefs?.[this.#u8()];
        if (found === undefined) throw this.#unexpected("an atom of the distribution header");
        return found;
      }
      default:
        return undefined;
    }
  }

  /** A count of things that take at least `least` bytes each; more than the bytes can hold is refused at once. */
  #count(least: number): number {
    const n = this.#u32();
    if (n * least > this.end - this.offset) throw this.#truncated();
    return n;
  }

  #u8(): number {
    if (this.offset >= this.end) throw this.#truncated();
    return this.bytes[this.offset++]!;
  }

  #u16(): number {
    return this.bytes.readUInt16BE(this.#need(2));
  }

  #u32(): number {
    const at = this.#need(4);
    const { bytes } = this;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  /** Claims `n` bytes and tells where they begin. */
  #need(n: number): number {
    const at = this.offset;
    if (this.end - at < n) throw this.#truncated();
    this.offset = at + n;
    return at;
  }

  #truncated(): Error {
    return etfError("ETF_TRUNCATED", "The bytes end within the term.", { offset: this.offset });
  }

  #unexpected(wanted: string): Error {
    return etfError("ETF_MALFORMED", `The bytes are not ${wanted}, which must stand here.`, { offset: this.offset });
  }
}

const OPENED = Symbol("opened");

/** What follows a compressed term's head, inflated. @throws IsthmusError */
export function inflate(bytes: Buffer, size: number, limits: TermLimits): Buffer {
  if (size > limits.maxInflatedBytes) {
    throw etfError("ETF_LIMIT", `A compressed term of ${size} bytes; at most ${limits.maxInflatedBytes} are taken.`, {
      limit: "maxInflatedBytes",
    });
  }
  try {
    const plain = inflateSync(bytes, { maxOutputLength: Math.max(size, 1) });
    if (plain.length === size) return plain;
  } catch {
    // the same answer as for a wrong size
  }
  throw etfError("ETF_MALFORMED", "A compressed term does not inflate to the size it states.");
}
