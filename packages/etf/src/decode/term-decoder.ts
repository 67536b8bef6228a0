// This file is longer than most: the decoder is one loop over the tags, and each call out of it would cost as much as
// a whole small term.
import { truncatedAt } from "../errors.ts";
import { completeLimits, type TermLimits } from "../limits.ts";
import type { Term } from "../term.ts";
import { ATOM_FALSE, ATOM_TRUE, type Atom } from "../terms/atom.ts";
import { BitString } from "../terms/bit-string.ts";
import { ExportFun } from "../terms/export-fun.ts";
import { Float } from "../terms/float.ts";
import { Fun, type FunFields } from "../terms/fun.ts";
import { ImproperList } from "../terms/improper-list.ts";
import { hasDuplicateAtoms, hasDuplicateKeys } from "../terms/map-keys.ts";
import { NativeRecord } from "../terms/native-record.ts";
import { Pid } from "../terms/pid.ts";
import { Port } from "../terms/port.ts";
import { MAX_REFERENCE_WORDS, Reference } from "../terms/reference.ts";
import { TermMap } from "../terms/term-map.ts";
import { Tuple } from "../terms/tuple.ts";
import { atomFromBytes } from "./atom-cache.ts";
import { readMagnitude } from "./bignum.ts";
import { checkOldWord, readI32, readOldCreation, readU16, readU32 } from "./fields.ts";
import { inflateTerm } from "./inflate.ts";
import { FLOAT_TEXT_BYTES, parseFloatText } from "./number-text.ts";
import {
  bignumTooLong,
  duplicateKey,
  malformed,
  manyTermsCompressed,
  tooDeep,
  tooMany,
  unexpected,
  unknownAtomRef,
  unknownTag,
} from "./problems.ts";

/** Options of a decoder: its limits, and what becomes of binaries. */
export interface TermReaderOptions extends Partial<TermLimits> {
  /**
   * Whether binaries are copied. Default false: they are views, which keep the whole input alive and change when it
   * is overwritten.
   */
  readonly copy?: boolean;
}

// kinds of frames
const TUPLE = 1;
const LIST = 2;
const MAP = 3;
const TAIL = 4;
const FUN = 5;
const RECORD = 6;

const EMPTY_BYTES = Buffer.alloc(0);
const EMPTY: Term[] = [];
const NO_ATOMS: readonly Atom[] = [];
const scratch = new DataView(new ArrayBuffer(8));

/** What a record's head says; its values follow. */
interface RecordHead {
  readonly module: Atom;
  readonly name: Atom;
  readonly fields: Atom[];
  readonly exported: boolean;
}

/**
 * The decoder without {@link TermReader.skip}, which needs this class for map keys.
 * @internal
 */
export class TermDecoder {
  /** The input. */
  bytes: Buffer;
  /** Where the next term starts. */
  offset: number;
  /** Where the input ends. */
  end: number;
  /** @internal */
  readonly limits: TermLimits;
  protected atomRefs: readonly Atom[];
  readonly #maxDepth: number;
  readonly #copy: boolean;
  // the frames of containers being read, pooled
  readonly #targets: Term[][] = [];
  readonly #filled: number[] = [];
  readonly #sizes: number[] = [];
  readonly #modes: number[] = [];
  readonly #heads: (FunFields | RecordHead)[] = [];
  /** Number of free variables behind the head of the fun that was read last. */
  #freeCount = 0;

  constructor(options?: TermReaderOptions) {
    this.bytes = EMPTY_BYTES;
    this.offset = 0;
    this.end = 0;
    this.limits = completeLimits(options);
    this.atomRefs = NO_ATOMS;
    this.#maxDepth = this.limits.maxDepth;
    this.#copy = options?.copy ?? false;
  }

  /**
   * Starts on `bytes[start, end)`, which must lie within `bytes`.
   * @param atomRefs the atoms that ATOM_CACHE_REF means (PROTOCOL section 4.3); without it the tag is refused
   */
  reset(bytes: Buffer, start: number, end: number, atomRefs?: readonly Atom[]): void {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
    this.atomRefs = atomRefs ?? NO_ATOMS;
  }

  /**
   * Decodes the next term, compressed (tag 80) or not, without version byte.
   * @throws IsthmusError `ETF_TRUNCATED`, `ETF_TAG_UNKNOWN`, `ETF_MALFORMED`, `ETF_ATOM_INVALID`, `ETF_DUPLICATE_KEY`,
   * `ETF_UNEXPECTED_TERM`, `ETF_COMPRESSED_INVALID`, `ETF_DEPTH_LIMIT`, `ETF_ELEMENTS_LIMIT`, `ETF_BIGNUM_LIMIT`,
   * `ETF_INFLATED_LIMIT`
   */
  term(): Term {
    const bytes = this.bytes;
    const end = this.end;
    let at = this.offset;
    if (at < end && bytes[at] === 80) return this.#compressed(at + 1);
    let budget = this.limits.maxElements;
    let depth = 0;
    let target = EMPTY;
    let filled = 0;
    let size = 0;
    let mode = 0;
    // left behind when the last call threw
    if (this.#heads.length > 0) this.#heads.length = 0;
    next: for (;;) {
      if (at >= end) throw truncatedAt(at);
      const start = at;
      const tag = bytes[at++] as number;
      let value: Term;
      // the container that this tag opens, if any
      let opens = 0;
      let count = 0;
      // literals, in the order of PROTOCOL section 6: V8 makes a jump table of them, not of imported names
      switch (tag) {
        case 97: // SMALL_INTEGER_EXT
          if (at >= end) throw truncatedAt(at);
          value = bytes[at++] as number;
          break;
        case 98: // INTEGER_EXT
          if (end - at < 4) throw truncatedAt(at);
          value = readI32(bytes, at);
          at += 4;
          // lists of integers are long: stay here while they go on
          while (filled + 1 < size && bytes[at] === 98 && end - at >= 5) {
            target[filled++] = value;
            value = readI32(bytes, at + 1);
            at += 5;
          }
          break;
        case 119: {
          // SMALL_ATOM_UTF8_EXT
          if (at >= end) throw truncatedAt(at);
          const length = bytes[at++] as number;
          if (end - at < length) throw truncatedAt(at);
          const a = atomFromBytes(bytes, at, length, false);
          at += length;
          value = a === ATOM_TRUE ? true : a === ATOM_FALSE ? false : a;
          break;
        }
        case 82: // ATOM_CACHE_REF
        case 100: // ATOM_EXT
        case 115: // SMALL_ATOM_EXT
        case 118: {
          // ATOM_UTF8_EXT
          const a = this.atomAt(start);
          at = this.offset;
          value = a === ATOM_TRUE ? true : a === ATOM_FALSE ? false : a;
          break;
        }
        case 109: {
          // BINARY_EXT
          if (end - at < 4) throw truncatedAt(at);
          const length = readU32(bytes, at);
          at += 4;
          if (end - at < length) throw truncatedAt(at);
          value = this.#copy ? Buffer.from(bytes.subarray(at, at + length)) : bytes.subarray(at, at + length);
          at += length;
          break;
        }
        case 104: // SMALL_TUPLE_EXT
          if (at >= end) throw truncatedAt(at);
          count = bytes[at++] as number;
          opens = TUPLE;
          value = EMPTY;
          break;
        case 105: // LARGE_TUPLE_EXT
          if (end - at < 4) throw truncatedAt(at);
          count = readU32(bytes, at);
          at += 4;
          opens = TUPLE;
          value = EMPTY;
          break;
        case 106: // NIL_EXT
          value = [];
          break;
        case 108: // LIST_EXT
          if (end - at < 4) throw truncatedAt(at);
          count = readU32(bytes, at);
          at += 4;
          // no elements: the tail alone is the term
          if (count === 0) continue;
          opens = LIST;
          value = EMPTY;
          break;
        case 107: {
          // STRING_EXT
          if (end - at < 2) throw truncatedAt(at);
          const length = readU16(bytes, at);
          at += 2;
          if (end - at < length) throw truncatedAt(at);
          if (length > budget) throw tooMany(this.limits, start);
          budget -= length;
          const list: number[] = new Array(length);
          for (let i = 0; i < length; i++) list[i] = bytes[at + i] as number;
          at += length;
          value = list;
          break;
        }
        case 116: // MAP_EXT
          if (end - at < 4) throw truncatedAt(at);
          count = readU32(bytes, at) * 2;
          at += 4;
          opens = MAP;
          value = EMPTY;
          break;
        case 70: {
          // NEW_FLOAT_EXT
          if (end - at < 8) throw truncatedAt(at);
          scratch.setUint32(0, readU32(bytes, at));
          scratch.setUint32(4, readU32(bytes, at + 4));
          const number = scratch.getFloat64(0);
          if (!Number.isFinite(number)) throw malformed("A float is infinite or not a number.", start);
          value = Number.isInteger(number) ? new Float(number) : number;
          at += 8;
          break;
        }
        case 99: {
          // FLOAT_EXT
          if (end - at < FLOAT_TEXT_BYTES) throw truncatedAt(at);
          const number = parseFloatText(bytes, at);
          if (Number.isNaN(number)) throw malformed("A float in text form cannot be read.", start);
          value = Number.isInteger(number) ? new Float(number) : number;
          at += FLOAT_TEXT_BYTES;
          break;
        }
        case 110: // SMALL_BIG_EXT
        case 111: // LARGE_BIG_EXT
          this.offset = start;
          value = this.#bignum();
          at = this.offset;
          break;
        case 88: // NEW_PID_EXT
        case 103: // PID_EXT
          value = this.#pidAt(start);
          at = this.offset;
          break;
        case 90: // NEWER_REFERENCE_EXT
        case 101: // REFERENCE_EXT
        case 114: // NEW_REFERENCE_EXT
          value = this.#referenceAt(start);
          at = this.offset;
          break;
        case 89: // NEW_PORT_EXT
        case 102: // PORT_EXT
        case 120: // V4_PORT_EXT
          value = this.#portAt(start);
          at = this.offset;
          break;
        case 77: // BIT_BINARY_EXT
          value = this.#bitsAt(start);
          at = this.offset;
          break;
        case 113: // EXPORT_EXT
          value = this.#exportAt(start);
          at = this.offset;
          break;
        case 112: {
          // NEW_FUN_EXT
          const head = this.#funHead(start);
          at = this.offset;
          count = this.#freeCount;
          if (count === 0) {
            value = new Fun(head);
          } else {
            this.#heads.push(head);
            opens = FUN;
            value = EMPTY;
          }
          break;
        }
        case 67: {
          // RECORD_EXT
          const head = this.#recordHead(start, budget);
          at = this.offset;
          count = head.fields.length;
          if (count === 0) {
            value = new NativeRecord(head.module, head.name, head.fields, [], head);
          } else {
            this.#heads.push(head);
            opens = RECORD;
            value = EMPTY;
          }
          break;
        }
        default:
          throw unknownTag(tag, start);
      }
      if (opens !== 0) {
        // each element takes a byte at least: no more is reserved than the input can fill
        if (count > end - at) throw truncatedAt(end);
        if (count > budget) throw tooMany(this.limits, start);
        if (count === 0) {
          value = opens === TUPLE ? new Tuple([]) : new TermMap(undefined, []);
        } else {
          if (depth >= this.#maxDepth) throw tooDeep(this.limits, start);
          budget -= count;
          this.#targets[depth] = target;
          this.#filled[depth] = filled;
          this.#sizes[depth] = size;
          this.#modes[depth] = mode;
          depth++;
          target =
            opens === FUN
              ? ((this.#heads[this.#heads.length - 1] as FunFields).free as Term[])
              : new Array(count);
          filled = 0;
          size = count;
          mode = opens;
          continue;
        }
      }
      // give the value to its container, and close what is full
      for (;;) {
        if (depth === 0) {
          this.offset = at;
          return value;
        }
        target[filled++] = value;
        if (filled < size) continue next;
        switch (mode) {
          case TUPLE:
            value = new Tuple(target);
            break;
          case MAP: {
            const map = new TermMap(undefined, target);
            if (hasDuplicateKeys(target, map)) throw duplicateKey(at);
            value = map;
            break;
          }
          case LIST: {
            // the tail stands next: [], more of this list, or something else
            if (at >= end) throw truncatedAt(at);
            const tailTag = bytes[at];
            if (tailTag === 106) {
              at++;
              value = target;
            } else if (tailTag === 108) {
              if (end - at < 5) throw truncatedAt(at + 1);
              const more = readU32(bytes, at + 1);
              at += 5;
              if (more > end - at) throw truncatedAt(end);
              if (more > budget) throw tooMany(this.limits, at - 5);
              budget -= more;
              size += more;
              if (more > 0) continue next;
              // an empty piece: look at the next tail
              filled--;
              value = target.pop() as Term;
              size = filled + 1;
              continue;
            } else if (tailTag === 107) {
              if (end - at < 3) throw truncatedAt(at + 1);
              const length = readU16(bytes, at + 1);
              at += 3;
              if (end - at < length) throw truncatedAt(at);
              if (length > budget) throw tooMany(this.limits, at - 3);
              budget -= length;
              for (let i = 0; i < length; i++) target.push(bytes[at + i] as number);
              at += length;
              value = target;
            } else {
              mode = TAIL;
              size++;
              continue next;
            }
            break;
          }
          case TAIL:
            target.length = filled - 1;
            value = new ImproperList(target, value);
            break;
          case FUN:
            value = new Fun(this.#heads.pop() as FunFields);
            break;
          default: {
            const head = this.#heads.pop() as RecordHead;
            value = new NativeRecord(head.module, head.name, head.fields, target, head);
          }
        }
        depth--;
        target = this.#targets[depth] as Term[];
        filled = this.#filled[depth] as number;
        size = this.#sizes[depth] as number;
        mode = this.#modes[depth] as number;
        // the pool must not keep what was given out alive
        this.#targets[depth] = EMPTY;
      }
    }
  }

  /** An atom, `true` and `false` included. @throws IsthmusError `ETF_UNEXPECTED_TERM` for another term; as `term` */
  atom(): Atom {
    return this.atomAt(this.offset);
  }

  /** A pid, in either form. @throws IsthmusError as {@link TermDecoder.atom} */
  pid(): Pid {
    const at = this.offset;
    const tag = this.#tag(at);
    if (tag !== 88 && tag !== 103) throw unexpected("a pid", tag, at);
    return this.#pidAt(at);
  }

  /** A reference, in any form. @throws IsthmusError as {@link TermDecoder.atom} */
  reference(): Reference {
    const at = this.offset;
    const tag = this.#tag(at);
    if (tag !== 90 && tag !== 114 && tag !== 101) throw unexpected("a reference", tag, at);
    return this.#referenceAt(at);
  }

  /** The arity of a tuple; its elements stand next. */
  tupleHeader(): number {
    const at = this.offset;
    const tag = this.#tag(at);
    if (tag === 104) {
      if (this.end - at < 2) throw truncatedAt(at + 1);
      this.offset = at + 2;
      return this.bytes[at + 1] as number;
    }
    if (tag !== 105) throw unexpected("a tuple", tag, at);
    if (this.end - at < 5) throw truncatedAt(at + 1);
    this.offset = at + 5;
    return readU32(this.bytes, at + 1);
  }

  /** An integer, in any form. @throws IsthmusError as {@link TermDecoder.atom} */
  integer(): number | bigint {
    const at = this.offset;
    const tag = this.#tag(at);
    if (tag === 97 || tag === 98) return this.#smallInteger(at);
    if (tag !== 110 && tag !== 111) throw unexpected("an integer", tag, at);
    return this.#bignum();
  }

  #tag(at: number): number {
    if (at >= this.end) throw truncatedAt(at);
    return this.bytes[at] as number;
  }

  /** SMALL_INTEGER_EXT or INTEGER_EXT. */
  #smallInteger(at: number): number {
    const tag = this.#tag(at);
    const bytes = this.bytes;
    if (tag === 97) {
      if (this.end - at < 2) throw truncatedAt(at + 1);
      this.offset = at + 2;
      return bytes[at + 1] as number;
    }
    if (tag !== 98) throw unexpected("a small integer", tag, at);
    if (this.end - at < 5) throw truncatedAt(at + 1);
    this.offset = at + 5;
    return readI32(bytes, at + 1);
  }

  #bignum(): number | bigint {
    const start = this.offset;
    const bytes = this.bytes;
    const head = bytes[start] === 110 ? 3 : 6;
    if (this.end - start < head) throw truncatedAt(this.end);
    const length = head === 3 ? (bytes[start + 1] as number) : readU32(bytes, start + 1);
    const at = start + head;
    if (this.end - at < length) throw truncatedAt(this.end);
    if (length > this.limits.maxBignumBytes) {
      throw bignumTooLong(length, this.limits, start);
    }
    this.offset = at + length;
    return readMagnitude(bytes, at, length, bytes[at - 1] !== 0);
  }

  /** Any form of an atom at `at`; moves behind it. */
  protected atomAt(at: number): Atom {
    const bytes = this.bytes;
    const end = this.end;
    const tag = this.#tag(at);
    let length: number;
    switch (tag) {
      case 82: {
        if (end - at < 2) throw truncatedAt(end);
        const a = this.atomRefs[bytes[at + 1] as number];
        if (a === undefined) {
          throw unknownAtomRef(at);
        }
        this.offset = at + 2;
        return a;
      }
      case 115:
      case 119:
        if (end - at < 2) throw truncatedAt(end);
        length = bytes[at + 1] as number;
        at += 2;
        break;
      case 100:
      case 118:
        if (end - at < 3) throw truncatedAt(end);
        length = readU16(bytes, at + 1);
        at += 3;
        break;
      default:
        throw unexpected("an atom", tag, at);
    }
    const latin1 = tag === 115 || tag === 100;
    if (end - at < length) throw truncatedAt(at);
    this.offset = at + length;
    return atomFromBytes(bytes, at, length, latin1);
  }

  #pidAt(start: number): Pid {
    const bytes = this.bytes;
    const old = bytes[start] === 103;
    const node = this.atomAt(start + 1);
    const at = this.offset;
    if (this.end - at < (old ? 9 : 12)) throw truncatedAt(at);
    const creation = old ? readOldCreation(bytes, at + 8) : readU32(bytes, at + 8);
    this.offset = at + (old ? 9 : 12);
    return new Pid(node, readU32(bytes, at), readU32(bytes, at + 4), creation);
  }

  #portAt(start: number): Port {
    const bytes = this.bytes;
    const tag = bytes[start];
    const node = this.atomAt(start + 1);
    let at = this.offset;
    const size = tag === 120 ? 12 : tag === 89 ? 8 : 5;
    if (this.end - at < size) throw truncatedAt(at);
    const id = tag === 120 ? bytes.readBigUInt64BE(at) : BigInt(readU32(bytes, at));
    at += tag === 120 ? 8 : 4;
    const creation = tag === 102 ? readOldCreation(bytes, at) : readU32(bytes, at);
    this.offset += size;
    return new Port(node, id, creation);
  }

  #referenceAt(start: number): Reference {
    const bytes = this.bytes;
    const tag = bytes[start];
    if (tag === 101) {
      const node = this.atomAt(start + 1);
      const at = this.offset;
      if (this.end - at < 5) throw truncatedAt(at);
      const creation = readOldCreation(bytes, at + 4);
      checkOldWord(bytes, at);
      this.offset = at + 5;
      return new Reference(node, creation, [readU32(bytes, at)]);
    }
    if (this.end - start < 3) throw truncatedAt(this.end);
    const count = readU16(bytes, start + 1);
    if (count < 1 || count > MAX_REFERENCE_WORDS) {
      throw malformed(`A reference has ${count} words; it must have 1 to ${MAX_REFERENCE_WORDS}.`, start);
    }
    const node = this.atomAt(start + 3);
    let at = this.offset;
    const old = tag === 114;
    if (this.end - at < (old ? 1 : 4) + count * 4) throw truncatedAt(at);
    const creation = old ? readOldCreation(bytes, at) : readU32(bytes, at);
    at += old ? 1 : 4;
    if (old) checkOldWord(bytes, at);
    const words: number[] = [];
    for (let i = 0; i < count; i++, at += 4) words.push(readU32(bytes, at));
    this.offset = at;
    return new Reference(node, creation, words);
  }

  #bitsAt(start: number): Term {
    const bytes = this.bytes;
    const at = start + 6;
    if (this.end < at) throw truncatedAt(this.end);
    const length = readU32(bytes, start + 1);
    const bits = bytes[start + 5] as number;
    if (this.end - at < length) throw truncatedAt(at);
    if (length === 0 || bits === 0 || bits > 8) {
      throw malformed(`A bit string has ${length} bytes and ${bits} bits in the last.`, start);
    }
    const view = bytes.subarray(at, at + length);
    const data = this.#copy ? Buffer.from(view) : view;
    this.offset = at + length;
    return bits === 8 ? data : new BitString(data, bits);
  }

  #exportAt(start: number): ExportFun {
    const module = this.atomAt(start + 1);
    const name = this.atomAt(this.offset);
    const at = this.offset;
    const arity = this.#smallInteger(at);
    if (arity < 0 || arity > 255) throw malformed(`A fun has the arity ${arity}.`, at);
    return new ExportFun(module, name, arity);
  }

  #funHead(start: number): FunFields {
    const bytes = this.bytes;
    const at = start + 1;
    // size:32, arity:8, uniq:16 bytes, index:32, free:32. Decoders do not trust the size, and neither does this one
    if (this.end - at < 29) throw truncatedAt(this.end);
    const free = readU32(bytes, at + 25);
    const module = this.atomAt(at + 29);
    const oldIndex = this.#smallInteger(this.offset);
    const oldUniq = this.#smallInteger(this.offset);
    const creator = this.pid();
    this.#freeCount = free;
    return {
      arity: bytes[at + 4] as number,
      uniq: Buffer.from(bytes.subarray(at + 5, at + 21)),
      index: readU32(bytes, at + 21),
      module,
      oldIndex,
      oldUniq,
      creator,
      free: [],
    };
  }

  #recordHead(start: number, budget: number): RecordHead {
    const bytes = this.bytes;
    if (this.end - start < 6) throw truncatedAt(this.end);
    const count = readU32(bytes, start + 1);
    const flags = bytes[start + 5] as number;
    if (flags > 1) throw malformed(`A record has unknown flags (${flags}).`, start);
    const module = this.atomAt(start + 6);
    const name = this.atomAt(this.offset);
    if (count > this.end - this.offset) throw truncatedAt(this.end);
    if (count > budget) throw tooMany(this.limits, start);
    const fields: Atom[] = [];
    for (let i = 0; i < count; i++) fields.push(this.atomAt(this.offset));
    if (hasDuplicateAtoms(fields)) throw malformed("A record has one field twice.", start);
    return { module, name, fields, exported: flags === 1 };
  }

  #compressed(at: number): Term {
    const inflated = inflateTerm(this.bytes, at, this.end, this.limits.maxInflatedBytes);
    const inner = new TermDecoder({ ...this.limits });
    inner.reset(inflated.bytes, 0, inflated.bytes.length, this.atomRefs);
    if (inflated.bytes[0] === 80) throw unknownTag(80, at);
    const value = inner.term();
    if (inner.offset !== inner.end) {
      throw manyTermsCompressed(at);
    }
    this.offset = inflated.end;
    return value;
  }
}
