// This file is longer than most: skipping and rewriting are one loop over the tags, so that they cannot disagree about
// what is valid.
import { isUtf8 } from "node:buffer";
import { isIsthmusError } from "@isthmus/wire";
import { atomFromBytes } from "../decode/atom-cache.ts";
import { checkOldWord, readOldCreation, readU16, readU32 } from "../decode/fields.ts";
import { inflateTerm } from "../decode/inflate.ts";
import { FLOAT_TEXT_BYTES, parseFloatText } from "../decode/number-text.ts";
import {
  bignumTooLong,
  duplicateKey,
  invalidAtom,
  malformed,
  manyTermsCompressed,
  tooDeep,
  tooMany,
  unexpected,
  unknownAtomRef,
  unknownTag,
} from "../decode/problems.ts";
import { TermDecoder } from "../decode/term-decoder.ts";
import { TermWriter } from "../encode/term-writer.ts";
import { truncatedAt } from "../errors.ts";
import type { TermLimits } from "../limits.ts";
import type { Term } from "../term.ts";
import { type Atom, atomText, atomWire } from "../terms/atom.ts";
import { hasDuplicateAtoms, hasDuplicateKeys } from "../terms/map-keys.ts";
import { Pid } from "../terms/pid.ts";
import { Port } from "../terms/port.ts";
import { MAX_REFERENCE_WORDS, Reference } from "../terms/reference.ts";
import type { Identity, IdentityTranslator } from "./identity.ts";
import { isDecodable, type TermTarget, undecodable } from "./target.ts";

// kinds of frames
const PLAIN = 0;
const MAP = 1;
const LIST = 2;
const FUN = 3;

const NO_ATOMS: readonly Atom[] = [];
const NO_BYTES = Buffer.alloc(0);

/** Up to this many keys, each is compared with each as bytes. */
const PAIRWISE_LIMIT = 12;

/**
 * Walks over terms without making any. With an output, the terms are copied to it with their identifiers translated.
 * Holds the pooled state of a walk; not re-entrant.
 * @internal
 */
export class TermScanner {
  readonly key: Partial<TermLimits>;
  readonly #decoder: TermDecoder;
  readonly #limits: TermLimits;
  // set for each walk
  #bytes: Buffer = NO_BYTES;
  #end = 0;
  #atomRefs: readonly Atom[] = NO_ATOMS;
  #writer: TermWriter | undefined;
  #translator: IdentityTranslator | undefined;
  #target: TermTarget | undefined;
  /** Start of what has been read and not yet copied. */
  #run = 0;
  // the last incarnation that was translated in this walk
  #lastNode: Atom | undefined;
  #lastCreation = 0;
  #lastIdentity: Identity | null = null;
  /** Whether its identifiers have to be looked at one by one. */
  #lastSingly = false;
  /** The first incarnation in this walk that shares its identity with others, and whether one of those has come, too. */
  #sharedNode: Atom | undefined;
  #sharedCreation = 0;
  #meeting = false;
  #copiesOnly = false;
  /** How many elements the terms may still have. */
  #budget = 0;
  // frames, pooled
  readonly #left: number[] = [];
  readonly #kinds: number[] = [];
  readonly #marks: number[] = [];
  // keys of the maps that are open: where each starts, and those containers that had to be decoded
  readonly #keys: number[] = [];
  readonly #decodedKeys = new Map<number, Term>();

  /** @param key what the pool knows this scanner by */
  constructor(limits: TermLimits, key: Partial<TermLimits> = limits) {
    this.key = key;
    this.#limits = limits;
    this.#decoder = new TermDecoder({ ...limits, maxDepth: Number.MAX_SAFE_INTEGER });
  }

  /**
   * Walks over the term at `at`.
   * @returns where it ends
   */
  walk(
    bytes: Buffer,
    at: number,
    end: number,
    atomRefs: readonly Atom[] | undefined,
    writer: TermWriter | undefined,
    translator: IdentityTranslator | undefined,
    target?: TermTarget,
  ): number {
    this.begin(atomRefs, translator, target);
    this.#bytes = bytes;
    this.#end = end;
    this.#writer = writer;
    if (at < end && bytes[at] === 80) {
      const inflated = inflateTerm(bytes, at + 1, end, this.#limits.maxInflatedBytes);
      this.#bytes = inflated.bytes;
      this.#end = inflated.bytes.length;
      if (inflated.bytes[0] === 80) throw unknownTag(80, at + 1);
      if (this.#terms(0, 1, 0) !== this.#end) {
        throw manyTermsCompressed(at + 1);
      }
      return inflated.end;
    }
    return this.#terms(at, 1, 0);
  }

  /** Begins a walk: of one term in one piece, or in parts, with {@link walkOn}, {@link open} and {@link checkKeys}. */
  begin(
    atomRefs: readonly Atom[] | undefined,
    translator: IdentityTranslator | undefined,
    target: TermTarget | undefined,
  ): void {
    this.#atomRefs = atomRefs ?? NO_ATOMS;
    this.#translator = translator;
    this.#target = target;
    this.#lastNode = undefined;
    this.#lastIdentity = null;
    this.#sharedNode = undefined;
    this.#meeting = false;
    this.#budget = this.#limits.maxElements;
  }

  /**
   * Walks over `count` terms, parts of the one that the walk began with, and copies them.
   * @param open how many containers stand around them
   * @returns where the last one ends
   */
  walkOn(bytes: Buffer, at: number, end: number, count: number, open: number, writer: TermWriter): number {
    this.#bytes = bytes;
    this.#end = end;
    this.#writer = writer;
    return this.#terms(at, count, open);
  }

  /** Goes into a container of `count` elements at `at`, whose head the caller copies: as {@link walkOn} refuses it. */
  open(count: number, open: number, at: number): void {
    if (count > this.#budget) throw tooMany(this.#limits, at);
    if (open >= this.#limits.maxDepth) throw tooDeep(this.#limits, at);
    this.#budget -= count;
  }

  /** Refuses a map that the caller went into, and whose keys start at `keys` in `bytes[0, end)`, when keys repeat. */
  checkKeys(bytes: Buffer, end: number, keys: readonly number[], writer: TermWriter): void {
    this.#bytes = bytes;
    this.#end = end;
    this.#writer = writer;
    this.#decodedKeys.clear();
    this.#keys.length = 0;
    for (const key of keys) this.#keys.push(key);
    this.#checkKeys(0, end);
  }

  /** Lets go of what the last walk was given. */
  release(): void {
    this.#bytes = NO_BYTES;
    this.#atomRefs = NO_ATOMS;
    this.#writer = undefined;
    this.#translator = undefined;
    this.#target = undefined;
    this.#lastNode = undefined;
    this.#lastIdentity = null;
    this.#sharedNode = undefined;
    this.#decoder.reset(NO_BYTES, 0, 0);
  }

  /** Walks over `left` terms, which stand in `open` containers. */
  #terms(at: number, left: number, open: number): number {
    const bytes = this.#bytes;
    const end = this.#end;
    const writer = this.#writer;
    const maxDepth = this.#limits.maxDepth - open;
    let budget = this.#budget;
    let depth = 0;
    let kind = PLAIN;
    // a key that is a container is decoded, which checks the maps within it; those deeper than this are not checked again
    let checkedDepth = Number.MAX_SAFE_INTEGER;
    // to set a length costs more than to look at it
    if (this.#keys.length > 0) this.#keys.length = 0;
    if (this.#decodedKeys.size > 0) this.#decodedKeys.clear();
    this.#run = at;
    for (;;) {
      if (at >= end) throw truncatedAt(at);
      if (kind === MAP && (left & 1) === 0 && depth <= checkedDepth) this.#keys.push(at);
      const start = at;
      const tag = bytes[at++] as number;
      let count = 0;
      let opens = PLAIN;
      let mark = 0;
      // literals, in the order of PROTOCOL section 6: V8 makes a jump table of them, not of imported names
      switch (tag) {
        case 97: // SMALL_INTEGER_EXT
          at += 1;
          break;
        case 98: // INTEGER_EXT
          at += 4;
          break;
        case 119: {
          // SMALL_ATOM_UTF8_EXT
          if (at >= end) throw truncatedAt(at);
          const stop = at + 1 + (bytes[at] as number);
          if (stop > end) throw truncatedAt(end);
          at++;
          while (at < stop && (bytes[at] as number) < 128) at++;
          if (at < stop) {
            checkAtom(bytes, start + 2, stop);
            at = stop;
          }
          break;
        }
        case 82: // ATOM_CACHE_REF
        case 100: // ATOM_EXT
        case 115: // SMALL_ATOM_EXT
        case 118: // ATOM_UTF8_EXT
          at = this.#atom(start);
          break;
        case 109: // BINARY_EXT
          if (end - at < 4) throw truncatedAt(at);
          at += 4 + readU32(bytes, at);
          break;
        case 104: // SMALL_TUPLE_EXT
          if (at >= end) throw truncatedAt(at);
          count = bytes[at++] as number;
          break;
        case 105: // LARGE_TUPLE_EXT
          if (end - at < 4) throw truncatedAt(at);
          count = readU32(bytes, at);
          at += 4;
          break;
        case 106: // NIL_EXT
          break;
        case 108: // LIST_EXT
          if (end - at < 4) throw truncatedAt(at);
          count = readU32(bytes, at);
          at += 4;
          if (count === 0) {
            // the tail alone is the term, and where it starts is where a key starts
            if (kind === MAP && (left & 1) === 0 && depth <= checkedDepth) this.#keys.pop();
            continue;
          }
          opens = LIST;
          break;
        case 107: {
          // STRING_EXT
          if (end - at < 2) throw truncatedAt(at);
          const length = readU16(bytes, at);
          at += 2 + length;
          if (at > end) throw truncatedAt(end);
          if (length > budget) throw tooMany(this.#limits, start);
          budget -= length;
          break;
        }
        case 116: // MAP_EXT
          if (end - at < 4) throw truncatedAt(at);
          count = readU32(bytes, at) * 2;
          at += 4;
          opens = MAP;
          break;
        case 70: // NEW_FLOAT_EXT
          if (end - at < 8) throw truncatedAt(at);
          if (((bytes[at] as number) & 0x7f) === 0x7f && (bytes[at + 1] as number) >= 0xf0) {
            throw malformed("A float is infinite or not a number.", start);
          }
          at += 8;
          break;
        case 99: // FLOAT_EXT
          if (end - at < FLOAT_TEXT_BYTES) throw truncatedAt(at);
          if (Number.isNaN(parseFloatText(bytes, at))) {
            throw malformed("A float in text form cannot be read.", start);
          }
          at += FLOAT_TEXT_BYTES;
          break;
        case 110: // SMALL_BIG_EXT
          if (end - at < 2) throw truncatedAt(end);
          at = this.#bignum(start, at + 2, bytes[at] as number);
          break;
        case 111: // LARGE_BIG_EXT
          if (end - at < 5) throw truncatedAt(end);
          at = this.#bignum(start, at + 5, readU32(bytes, at));
          break;
        case 88: // NEW_PID_EXT
        case 103: // PID_EXT
          at = this.#pid(start);
          break;
        case 90: // NEWER_REFERENCE_EXT
        case 114: // NEW_REFERENCE_EXT
          at = this.#reference(start);
          break;
        case 101: // REFERENCE_EXT
          at = this.#oldReference(start);
          break;
        case 89: // NEW_PORT_EXT
        case 102: // PORT_EXT
        case 120: // V4_PORT_EXT
          at = this.#port(start);
          break;
        case 77: // BIT_BINARY_EXT
          if (end - at < 5) throw truncatedAt(end);
          at = this.#bits(start);
          break;
        case 113: {
          // EXPORT_EXT
          at = this.#atom(this.#atom(at));
          const arityAt = at;
          at = this.#smallInteger(at);
          if (bytes[arityAt] === 98 && readU32(bytes, arityAt + 1) > 255) {
            // most releases write and read it, and OTP 27 crashes
            const target = (bytes[arityAt + 1] as number) < 128 ? this.#target : undefined;
            if (target !== undefined) throw undecodable("a fun with an arity beyond 255", target, arityAt);
            throw malformed("A fun has an arity beyond 255.", arityAt);
          }
          break;
        }
        case 112: {
          // NEW_FUN_EXT: size:32, arity:8, uniq:16 bytes, index:32, free:32
          if (end - at < 29) throw truncatedAt(end);
          const free = readU32(bytes, at + 25);
          if (writer !== undefined) {
            this.#flush(at);
            mark = writer.mark();
            // the place of its size belongs to the output, even when what follows is attached
            writer.u32(0);
            this.#run = at + 4;
          }
          at = this.#smallInteger(this.#smallInteger(this.#atom(at + 29)));
          if (at >= end) throw truncatedAt(at);
          if (bytes[at] !== 88 && bytes[at] !== 103) {
            throw unexpected("a pid", bytes[at] as number, at);
          }
          at = this.#pid(at);
          count = free;
          opens = FUN;
          if (free === 0) this.#patch(mark, at);
          break;
        }
        case 67: // RECORD_EXT
          if (end - at < 5) throw truncatedAt(end);
          if (this.#target?.records === false) throw undecodable("a native record", this.#target, start);
          count = readU32(bytes, at);
          if ((bytes[at + 4] as number) > 1) throw malformed("A record has unknown flags.", start);
          at = this.#atom(this.#atom(at + 5));
          if (count > end - at) throw truncatedAt(end);
          if (count > budget) throw tooMany(this.#limits, start);
          at = this.#fields(at, count);
          break;
        default:
          throw unknownTag(tag, start);
      }
      if (at > end) throw truncatedAt(end);
      if (count > 0) {
        // each element takes a byte at least
        if (count > end - at) throw truncatedAt(end);
        if (count > budget) throw tooMany(this.#limits, start);
        if (depth >= maxDepth) {
          throw tooDeep(this.#limits, start);
        }
        budget -= count;
        if (kind === MAP && (left & 1) === 0 && depth <= checkedDepth) {
          // the only key of its map has nothing to be compared with
          if (left > 2 || this.#keys.length - (this.#marks[depth - 1] as number) > 1) {
            this.#decodeKey(start);
            checkedDepth = depth;
          }
        }
        this.#left[depth] = left;
        this.#kinds[depth] = kind;
        // what a frame has to remember: a map where its keys begin, a fun where its size stands
        this.#marks[depth] = opens === MAP ? this.#keys.length : mark;
        depth++;
        left = count;
        kind = opens;
        continue;
      }
      // one term is complete; so may be what it stands in
      while (--left === 0) {
        if (kind === LIST) {
          // the tail stands next: [], more of this list, or something else
          if (at >= end) throw truncatedAt(at);
          const tailTag = bytes[at];
          if (tailTag === 106) {
            at++;
          } else if (tailTag === 108) {
            if (end - at < 5) throw truncatedAt(end);
            const more = readU32(bytes, at + 1);
            if (more > end - at - 5) throw truncatedAt(end);
            if (more > budget) throw tooMany(this.#limits, at);
            at += 5;
            budget -= more;
            left = more;
            if (more > 0) break;
            left = 1;
            continue;
          } else {
            kind = PLAIN;
            left = 1;
            break;
          }
        }
        if (depth === 0) {
          if (writer !== undefined) this.#flush(at);
          this.#budget = budget;
          return at;
        }
        depth--;
        const remembered = this.#marks[depth] as number;
        if (kind === MAP) {
          if (this.#keys.length - remembered > 1) this.#checkKeys(remembered, at);
          this.#keys.length = remembered;
        } else if (kind === FUN) {
          this.#patch(remembered, at);
        }
        if (depth === checkedDepth) checkedDepth = Number.MAX_SAFE_INTEGER;
        left = this.#left[depth] as number;
        kind = this.#kinds[depth] as number;
      }
    }
  }

  /** Writes what has been read since the last flush, up to `to`. */
  #flush(to: number): void {
    const from = this.#run;
    if (to > from) (this.#writer as TermWriter).copy(this.#bytes, from, to);
    this.#run = to;
  }

  /** Sets the size of a fun, whose place is at `mark`, now that the fun ends at `at`. */
  #patch(mark: number, at: number): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    this.#flush(at);
    writer.patchU32(mark, writer.mark() - mark);
  }

  /** Any form of an atom. A reference to the atom cache is written out. */
  #atom(at: number): number {
    const bytes = this.#bytes;
    const end = this.#end;
    if (at >= end) throw truncatedAt(at);
    const tag = bytes[at] as number;
    switch (tag) {
      case 119: {
        if (end - at < 2) throw truncatedAt(end);
        const stop = at + 2 + (bytes[at + 1] as number);
        if (stop > end) throw truncatedAt(end);
        let i = at + 2;
        while (i < stop && (bytes[i] as number) < 128) i++;
        if (i < stop) checkAtom(bytes, at + 2, stop);
        return stop;
      }
      case 115: {
        if (end - at < 2) throw truncatedAt(end);
        const stop = at + 2 + (bytes[at + 1] as number);
        if (stop > end) throw truncatedAt(end);
        return stop;
      }
      case 82: {
        if (end - at < 2) throw truncatedAt(end);
        const a = this.#cached(at);
        if (this.#writer !== undefined) {
          this.#flush(at);
          this.#writer.atom(a);
          this.#run = at + 2;
        }
        return at + 2;
      }
      case 100:
      case 118: {
        if (end - at < 3) throw truncatedAt(end);
        const length = readU16(bytes, at + 1);
        const stop = at + 3 + length;
        if (stop > end) throw truncatedAt(end);
        if (tag === 118) checkAtom(bytes, at + 3, stop);
        else if (length > 255) throw invalidAtom(at);
        return stop;
      }
      default:
        throw unexpected("an atom", tag, at);
    }
  }

  /** The field names of a record. */
  #fields(at: number, count: number): number {
    const fields: Atom[] = [];
    for (let i = 0; i < count; i++) {
      const start = at;
      at = this.#atom(at);
      fields.push(this.#nodeAtom(start));
    }
    if (hasDuplicateAtoms(fields)) throw malformed("A record has one field twice.", at);
    return at;
  }

  #cached(at: number): Atom {
    const a = this.#atomRefs[this.#bytes[at + 1] as number];
    if (a === undefined) throw unknownAtomRef(at);
    return a;
  }

  /** The atom at `at`, which is known to be valid and is not written. */
  #nodeAtom(at: number): Atom {
    const bytes = this.#bytes;
    switch (bytes[at]) {
      case 82:
        return this.#cached(at);
      case 119:
        return atomFromBytes(bytes, at + 2, bytes[at + 1] as number, false);
      case 115:
        return atomFromBytes(bytes, at + 2, bytes[at + 1] as number, true);
      default:
        return atomFromBytes(bytes, at + 3, readU16(bytes, at + 1), bytes[at] === 100);
    }
  }

  /** The end of the atom at `at`, which is checked and not written. */
  #atomEnd(at: number): number {
    if (at < this.#end && this.#bytes[at] === 82) {
      if (this.#end - at < 2) throw truncatedAt(this.#end);
      this.#cached(at);
      return at + 2;
    }
    return this.#atom(at);
  }

  #smallInteger(at: number): number {
    const bytes = this.#bytes;
    if (at >= this.#end) throw truncatedAt(at);
    const tag = bytes[at] as number;
    if (tag !== 97 && tag !== 98) {
      throw unexpected("a small integer", tag, at);
    }
    const stop = at + (tag === 97 ? 2 : 5);
    if (stop > this.#end) throw truncatedAt(this.#end);
    return stop;
  }

  #bignum(start: number, at: number, length: number): number {
    if (this.#end - at < length) throw truncatedAt(this.#end);
    if (length > this.#limits.maxBignumBytes) {
      throw bignumTooLong(length, this.#limits, start);
    }
    return at + length;
  }

  #bits(start: number): number {
    const length = readU32(this.#bytes, start + 1);
    const bits = this.#bytes[start + 5] as number;
    if (this.#end - start - 6 < length) throw truncatedAt(this.#end);
    if (length === 0 || bits === 0 || bits > 8) {
      // OTP 25 and older write and read the empty one
      if (length === 0 && bits === 0 && this.#target !== undefined)
        throw undecodable("a bit string without bytes", this.#target, start);
      throw malformed(`A bit string has ${length} bytes and ${bits} bits in the last.`, start);
    }
    return start + 6 + length;
  }

  #pid(start: number): number {
    const bytes = this.#bytes;
    const at = this.#atomEnd(start + 1);
    const old = bytes[start] === 103;
    const stop = at + (old ? 9 : 12);
    if (stop > this.#end) throw truncatedAt(this.#end);
    const creation = old ? readOldCreation(bytes, at + 8) : readU32(bytes, at + 8);
    if (this.#writer !== undefined) {
      const identity = this.#translate(this.#nodeAtom(start + 1), creation);
      // no node has given out an id of more than 28 bits
      if (this.#lastSingly || (bytes[at] as number) > 15) this.#singlePid(start, at, creation, stop);
      else this.#identifier(start, 88, at, at + 8, identity, creation, stop, old);
    }
    return stop;
  }

  #port(start: number): number {
    const bytes = this.#bytes;
    const tag = bytes[start] as number;
    const at = this.#atomEnd(start + 1);
    const creationAt = at + (tag === 120 ? 8 : 4);
    const stop = creationAt + (tag === 102 ? 1 : 4);
    if (stop > this.#end) throw truncatedAt(this.#end);
    const creation = tag === 102 ? readOldCreation(bytes, creationAt) : readU32(bytes, creationAt);
    if (this.#writer !== undefined) {
      const identity = this.#translate(this.#nodeAtom(start + 1), creation);
      if (this.#lastSingly) this.#singlePort(start, at, creation, stop);
      else
        this.#identifier(
          start,
          tag === 102 ? 89 : tag,
          at,
          creationAt,
          identity,
          creation,
          stop,
          tag === 102,
        );
    }
    return stop;
  }

  #reference(start: number): number {
    const bytes = this.#bytes;
    if (this.#end - start < 3) throw truncatedAt(this.#end);
    const words = readU16(bytes, start + 1);
    if (words < 1 || words > MAX_REFERENCE_WORDS) {
      throw malformed(`A reference has ${words} words; it must have 1 to ${MAX_REFERENCE_WORDS}.`, start);
    }
    const old = bytes[start] === 114;
    const at = this.#atomEnd(start + 3);
    const stop = at + (old ? 1 : 4) + words * 4;
    if (stop > this.#end) throw truncatedAt(this.#end);
    const creation = old ? readOldCreation(bytes, at) : readU32(bytes, at);
    if (old) checkOldWord(bytes, at + 1);
    if (this.#writer === undefined) return stop;
    const node = this.#nodeAtom(start + 3);
    const identity = this.#translate(node, creation);
    const wordsAt = stop - words * 4;
    // no node has made one whose first word has more than 18 bits
    if (this.#lastSingly || bytes[wordsAt] !== 0 || (bytes[wordsAt + 1] as number) > 3) {
      this.#singleReference(start, node, creation, wordsAt, words);
      return stop;
    }
    if (identity === null && !old && bytes[start + 3] !== 82) return stop;
    this.#referenceHead(start, words, identity?.node ?? node, identity?.creation ?? creation);
    this.#run = at + (old ? 1 : 4);
    return stop;
  }

  /** REFERENCE_EXT: node, one word, creation. */
  #oldReference(start: number): number {
    const bytes = this.#bytes;
    const at = this.#atomEnd(start + 1);
    const stop = at + 5;
    if (stop > this.#end) throw truncatedAt(this.#end);
    const creation = readOldCreation(bytes, at + 4);
    checkOldWord(bytes, at);
    if (this.#writer !== undefined) {
      const node = this.#nodeAtom(start + 1);
      const identity = this.#translate(node, creation);
      if (this.#lastSingly) {
        this.#singleReference(start, node, creation, at, 1);
        this.#run = stop;
        return stop;
      }
      this.#referenceHead(start, 1, identity?.node ?? node, identity?.creation ?? creation);
      this.#writer.copy(bytes, at, at + 4);
      this.#run = stop;
    }
    return stop;
  }

  /** Writes a reference up to its words. */
  #referenceHead(start: number, words: number, node: Atom, creation: number): void {
    this.#flush(start);
    const writer = this.#writer as TermWriter;
    const wire = atomWire(node);
    writer.ensure(7 + wire.length);
    const out = writer.bytes;
    let to = writer.position;
    out[to++] = 90;
    out[to++] = 0;
    out[to++] = words;
    for (let i = 0; i < wire.length; i++) out[to++] = wire[i] as number;
    writer.position = putU32(out, to, creation);
  }

  /**
   * Writes a pid or port, whose own numbers are `[at, creationAt)`, unless it can stay as it is.
   * @param tag the tag to write
   * @param identity what it becomes
   * @param old whether the form has to change in any case
   */
  #identifier(
    start: number,
    tag: number,
    at: number,
    creationAt: number,
    identity: Identity | null,
    creation: number,
    stop: number,
    old: boolean,
  ): void {
    const bytes = this.#bytes;
    let node: Atom;
    if (identity === null) {
      if (!old && bytes[start + 1] !== 82) return;
      node = this.#nodeAtom(start + 1);
    } else {
      node = identity.node;
      creation = identity.creation;
    }
    this.#flush(start);
    const writer = this.#writer as TermWriter;
    const wire = atomWire(node);
    writer.ensure(1 + wire.length + creationAt - at + 4);
    const out = writer.bytes;
    let to = writer.position;
    out[to++] = tag;
    for (let i = 0; i < wire.length; i++) out[to++] = wire[i] as number;
    for (let i = at; i < creationAt; i++) out[to++] = bytes[i] as number;
    writer.position = putU32(out, to, creation);
    this.#run = stop;
  }

  #translate(node: Atom, creation: number): Identity | null {
    if (node === this.#lastNode && creation === this.#lastCreation) return this.#lastIdentity;
    const identity = (this.#translator as IdentityTranslator).identity(node, creation);
    this.#lastNode = node;
    this.#lastCreation = creation;
    this.#lastIdentity = identity;
    this.#lastSingly = identity?.each !== undefined || this.#target?.wide === false;
    if (identity?.shared === true && !this.#copiesOnly) {
      if (this.#sharedNode === undefined) {
        this.#sharedNode = node;
        this.#sharedCreation = creation;
      } else if (this.#sharedNode !== node || this.#sharedCreation !== creation) this.#meeting = true;
    }
    return identity;
  }

  /** Writes a pid, whose own numbers are at `at`, by itself. */
  #singlePid(start: number, at: number, creation: number, stop: number): void {
    const bytes = this.#bytes;
    const identity = this.#lastIdentity;
    const { id, serial } = { id: readU32(bytes, at), serial: readU32(bytes, at + 4) };
    const pid =
      identity?.each?.pid(new Pid(this.#nodeAtom(start + 1), id, serial, creation)) ??
      new Pid(identity?.node ?? this.#nodeAtom(start + 1), id, serial, identity?.creation ?? creation);
    const target = this.#target;
    if (target !== undefined && !isDecodable(pid, target))
      throw undecodable("a pid of this kind", target, start);
    this.#flush(start);
    (this.#writer as TermWriter).pid(pid);
    this.#run = stop;
  }

  /** The same for a port. */
  #singlePort(start: number, at: number, creation: number, stop: number): void {
    const bytes = this.#bytes;
    const identity = this.#lastIdentity;
    const id = bytes[start] === 120 ? bytes.readBigUInt64BE(at) : BigInt(readU32(bytes, at));
    const port =
      identity?.each?.port(new Port(this.#nodeAtom(start + 1), id, creation)) ??
      new Port(identity?.node ?? this.#nodeAtom(start + 1), id, identity?.creation ?? creation);
    const target = this.#target;
    if (target !== undefined && !isDecodable(port, target))
      throw undecodable("a port of this kind", target, start);
    this.#flush(start);
    const writer = this.#writer as TermWriter;
    if (target?.wide === false) {
      // the only form that OTP 23 reads
      writer.u8(89);
      writer.atom(port.node);
      writer.u32(Number(port.id));
      writer.u32(port.creation);
    } else writer.port(port);
    this.#run = stop;
  }

  /** The same for a reference, whose words are at `wordsAt`. */
  #singleReference(start: number, node: Atom, creation: number, wordsAt: number, count: number): void {
    const words: number[] = [];
    for (let i = 0; i < count; i++) words.push(readU32(this.#bytes, wordsAt + i * 4));
    const identity = this.#lastIdentity;
    const reference =
      identity?.each?.reference(new Reference(node, creation, words)) ??
      new Reference(identity?.node ?? node, identity?.creation ?? creation, words);
    const target = this.#target;
    if (target !== undefined && !isDecodable(reference, target))
      throw undecodable("a reference of this kind", target, start);
    this.#flush(start);
    (this.#writer as TermWriter).reference(reference);
    this.#run = wordsAt + count * 4;
  }

  /**
   * Decodes a key that is a container, before the walk goes into it: so maps that are keys of maps that are keys ...
   * are decoded once, and not once for each level.
   */
  #decodeKey(at: number): void {
    const decoder = this.#decoder;
    decoder.reset(this.#bytes, at, this.#end, this.#atomRefs);
    this.#decodedKeys.set(this.#keys.length - 1, decoder.term());
  }

  /** Refuses the map that ends at `at` when its keys, which start at `#keys[from...]`, repeat or become the same. */
  #checkKeys(from: number, at: number): void {
    if (this.#keysRepeat(from)) throw duplicateKey(at);
    if (this.#meeting && this.#translatedKeysRepeat(from)) {
      if (this.#target === undefined) throw duplicateKey(at);
      throw undecodable("a map with two names of one process as keys", this.#target, at);
    }
  }

  /** Whether keys that start at `#keys[from...]` become the same. All of the map has been checked. */
  #translatedKeysRepeat(from: number): boolean {
    const keys = this.#keys;
    if (keys.length - from < 2 || this.#writer === undefined) return false;
    // it copies only: maps within keys are checked when the copy is decoded, once for all levels
    const copier = new TermScanner(this.#limits);
    copier.#copiesOnly = true;
    const flat: Term[] = [];
    try {
      for (let i = from; i < keys.length; i++) {
        const key = new TermWriter({ slabBytes: 256 });
        copier.walk(this.#bytes, keys[i] as number, this.#end, this.#atomRefs, key, this.#translator);
        this.#decoder.reset(key.bytes, 0, key.position);
        flat.push(this.#decoder.term(), false);
      }
    } catch (error) {
      if (isIsthmusError(error) && error.code === "ETF_DUPLICATE_KEY") return true;
      throw error;
    }
    return hasDuplicateKeys(flat, undefined);
  }

  /** Whether the keys that start at `#keys[from...]` repeat. All of the map has been checked. */
  #keysRepeat(from: number): boolean {
    const keys = this.#keys;
    const bytes = this.#bytes;
    const count = keys.length - from;
    if (count <= PAIRWISE_LIMIT) {
      let simple = true;
      for (let i = from; i < keys.length && simple; i++) {
        const tag = bytes[keys[i] as number];
        // these have one form only
        simple = tag === 119 || tag === 97 || tag === 109;
      }
      if (simple) {
        for (let i = from + 1; i < keys.length; i++) {
          for (let k = from; k < i; k++) {
            if (sameBytes(bytes, keys[i] as number, keys[k] as number)) return true;
          }
        }
        return false;
      }
    }
    const flat: Term[] = [];
    const decoder = this.#decoder;
    for (let i = from; i < keys.length; i++) {
      let key = this.#decodedKeys.get(i);
      if (key === undefined) {
        decoder.reset(bytes, keys[i] as number, this.#end, this.#atomRefs);
        key = decoder.term();
      } else {
        this.#decodedKeys.delete(i);
      }
      flat.push(key, false);
    }
    return hasDuplicateKeys(flat, undefined);
  }
}

/** Whether two terms, each SMALL_ATOM_UTF8_EXT, SMALL_INTEGER_EXT or BINARY_EXT, are the same. */
function sameBytes(bytes: Buffer, a: number, b: number): boolean {
  const tag = bytes[a];
  if (tag !== bytes[b]) return false;
  const length = tag === 97 ? 2 : tag === 119 ? 2 + (bytes[a + 1] as number) : 5 + readU32(bytes, a + 1);
  // a difference in length shows within the first bytes
  for (let i = 1; i < length; i++) {
    if (bytes[a + i] !== bytes[b + i]) return false;
  }
  return true;
}

function checkAtom(bytes: Buffer, start: number, end: number): void {
  if (end - start <= 255 && isUtf8(bytes.subarray(start, end))) return;
  if (atomText(bytes, start, end, false) === undefined) throw invalidAtom(start);
}

function putU32(bytes: Buffer, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}
