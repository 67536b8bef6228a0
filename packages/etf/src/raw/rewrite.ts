// Over 300 lines: one loop over the tags is what makes a message pass at the speed of a copy.
import { atomFromLatin1, atomFromUtf8 } from "../atom-cache.ts";
import { etfError } from "../errors.ts";
import { DEFAULT_TERM_LIMITS, type TermLimits } from "../limits.ts";
import { TAG } from "../tags.ts";
import { inflate } from "../term-reader.ts";
import type { TermWriter } from "../term-writer.ts";
import type { Atom } from "../terms.ts";

/** The node and creation part of a pid, port or reference. */
export interface Identity {
  readonly node: Atom;
  readonly creation: number;
}

/** Says what an identity becomes. Called for every pid, port and reference, so it should be quick. */
export interface IdentityTranslator {
  /** @returns null to leave it as it is */
  identity(node: Atom, creation: number): Identity | null;
}

/** End of the term at `offset`. @throws IsthmusError any of the ETF codes, for whatever the decoder would refuse */
export function skipTerm(bytes: Buffer, offset: number, end: number, limits: TermLimits = DEFAULT_TERM_LIMITS): number {
  return new Scan(bytes, offset, end, undefined, undefined, undefined, limits).run();
}

/**
 * Appends one term to `writer` with node and creation of every pid, port and reference translated, nothing else
 * changed and nothing decoded; ids, serials and words stay as they are. Old forms come out in their present form,
 * atoms of a distribution header inline, a compressed term plain.
 * @returns where the term ended
 * @throws IsthmusError any of the ETF codes; what was appended until then must be taken back with `truncate`
 */
export function rewriteTerm(
  bytes: Buffer,
  start: number,
  end: number,
  writer: TermWriter,
  translator: IdentityTranslator,
  atomRefs?: readonly Atom[],
  limits: TermLimits = DEFAULT_TERM_LIMITS,
): number {
  return new Scan(bytes, start, end, writer, translator, atomRefs, limits).run();
}

/** A fun whose size can be filled in when `left` terms remain. */
interface OpenFun {
  readonly left: number;
  readonly mark: number;
}

class Scan {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #writer: TermWriter | undefined;
  readonly #translator: IdentityTranslator | undefined;
  readonly #atomRefs: readonly Atom[] | undefined;
  readonly #limits: TermLimits;
  #at: number;
  /** Everything before this has been copied. */
  #copied: number;
  #funs: OpenFun[] | undefined;

  constructor(
    bytes: Buffer,
    start: number,
    end: number,
    writer: TermWriter | undefined,
    translator: IdentityTranslator | undefined,
    atomRefs: readonly Atom[] | undefined,
    limits: TermLimits,
  ) {
    this.#bytes = bytes;
    this.#at = start;
    this.#copied = start;
    this.#end = end;
    this.#writer = writer;
    this.#translator = translator;
    this.#atomRefs = atomRefs;
    this.#limits = limits;
  }

  run(): number {
    const bytes = this.#bytes;
    const end = this.#end;
    if (this.#at < end && bytes[this.#at] === TAG.COMPRESSED) return this.#compressed();
    // Containers state how many terms follow, never how many bytes: a counter is all the structure a scan needs.
    let left = 1;
    do {
      if (this.#funs !== undefined) this.#closeFuns(left);
      left--;
      let at = this.#at;
      if (at >= end) throw this.#truncated();
      switch (bytes[at]) {
        case TAG.SMALL_INTEGER:
          at += 2;
          break;
        case TAG.INTEGER:
          at += 5;
          break;
        case TAG.NEW_FLOAT:
          at += 9;
          if (at <= end && (bytes[at - 8]! & 0x7f) === 0x7f && (bytes[at - 7]! & 0xf0) === 0xf0) throw this.#malformed("a finite float");
          break;
        case TAG.NIL:
          at += 1;
          break;
        case TAG.SMALL_ATOM_UTF8:
          if (at + 2 > end) throw this.#truncated();
          at = this.#atom(at + 2, bytes[at + 1]!);
          break;
        case TAG.SMALL_TUPLE:
          if (at + 2 > end) throw this.#truncated();
          left += bytes[at + 1]!;
          at += 2;
          break;
        case TAG.LARGE_TUPLE:
          left += this.#u32(at + 1);
          at += 5;
          break;
        case TAG.LIST:
          left += this.#u32(at + 1) + 1;
          at += 5;
          break;
        case TAG.MAP:
          left += this.#u32(at + 1) * 2;
          at += 5;
          break;
        case TAG.STRING:
          if (at + 3 > end) throw this.#truncated();
          at += 3 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
          break;
        case TAG.BINARY:
          at += 5 + this.#u32(at + 1);
          break;
        case TAG.BIT_BINARY: {
          const length = this.#u32(at + 1);
          if (at + 6 > end) throw this.#truncated();
          const bits = bytes[at + 5]!;
          if (length === 0 ? bits !== 0 : bits < 1 || bits > 8) throw this.#malformed("a bit string");
          at += 6 + length;
          break;
        }
        case TAG.SMALL_BIG:
          if (at + 2 > end) throw this.#truncated();
          at = this.#bignum(at + 2, bytes[at + 1]!);
          break;
        case TAG.LARGE_BIG:
          at = this.#bignum(at + 5, this.#u32(at + 1));
          break;
        case TAG.NEW_PID:
        case TAG.PID:
        case TAG.NEW_PORT:
        case TAG.V4_PORT:
        case TAG.PORT:
        case TAG.NEWER_REFERENCE:
        case TAG.NEW_REFERENCE:
        case TAG.REFERENCE:
          at = this.#identifier(at);
          break;
        case TAG.NEW_FUN:
          this.#at = at;
          left += this.#fun(left);
          at = this.#at;
          break;
        case TAG.EXPORT:
          at = this.#inlineAtom(at + 1);
          at = this.#inlineAtom(at);
          if (at + 2 > end) throw this.#truncated();
          if (bytes[at] !== TAG.SMALL_INTEGER) throw this.#malformed("an arity of one byte");
          at += 2;
          break;
        case TAG.FLOAT:
          at += 32;
          if (at <= end && !/^\s*[-+]?\d+\.\d+(e[-+]?\d+)?\0*$/i.test(bytes.toString("latin1", at - 31, at))) {
            throw this.#malformed("a float in text form");
          }
          break;
        case TAG.RECORD: {
          const n = this.#u32(at + 1);
          if (at + 6 > end) throw this.#truncated();
          if (bytes[at + 5]! > 1) throw this.#malformed("flags of a record");
          if (n > end - at) throw this.#truncated();
          at = this.#inlineAtom(at + 6);
          for (let i = 0; i <= n; i++) at = this.#inlineAtom(at);
          left += n;
          break;
        }
        default:
          at = this.#inlineAtom(at);
      }
      if (at > end || left > end - at) throw this.#truncated();
      this.#at = at;
    } while (left > 0);
    if (this.#funs !== undefined) this.#closeFuns(0);
    this.#writer?.copy(bytes, this.#copied, this.#at);
    return this.#at;
  }

  #atom(text: number, length: number): number {
    const stop = text + length;
    if (stop > this.#end) throw this.#truncated();
    const bytes = this.#bytes;
    for (let i = text; i < stop; i++) {
      if (bytes[i]! > 127) {
        atomFromUtf8(bytes, text, stop);
        break;
      }
    }
    return stop;
  }

  /** An atom of any form at `at`; a reference to a distribution header is replaced by the atom itself. */
  #inlineAtom(at: number): number {
    const bytes = this.#bytes;
    if (at >= this.#end) throw this.#truncated();
    if (bytes[at] === TAG.ATOM_CACHE_REF) {
      const found = this.#cached(at);
      this.#replace(at, at + 2);
      this.#writer?.atom(found);
      return at + 2;
    }
    const [text, stop] = this.#atomSpan(at);
    if (bytes[at] === TAG.SMALL_ATOM_UTF8 || bytes[at] === TAG.ATOM_UTF8) this.#atomChecked(text, stop);
    else if (stop - text > 255) throw this.#malformed("an atom of at most 255 characters");
    return stop;
  }

  #atomChecked(text: number, stop: number): void {
    if (stop - text <= 255) this.#atom(text, stop - text);
    else atomFromUtf8(this.#bytes, text, stop);
  }

  #cached(at: number): Atom {
    if (at + 2 > this.#end) throw this.#truncated();
    const found = this.#atomRefs?.[this.#bytes[at + 1]!];
    if (found === undefined) throw this.#malformed("an atom of the distribution header");
    return found;
  }

  /** Where the text of the atom at `at` begins and ends. */
  #atomSpan(at: number): [number, number] {
    const bytes = this.#bytes;
    const tag = bytes[at];
    let text: number;
    let length: number;
    if (tag === TAG.SMALL_ATOM_UTF8 || tag === TAG.SMALL_ATOM) {
      if (at + 2 > this.#end) throw this.#truncated();
      text = at + 2;
      length = bytes[at + 1]!;
    } else if (tag === TAG.ATOM_UTF8 || tag === TAG.ATOM) {
      if (at + 3 > this.#end) throw this.#truncated();
      text = at + 3;
      length = (bytes[at + 1]! << 8) | bytes[at + 2]!;
    } else {
      throw etfError("ETF_TAG_UNKNOWN", `No term begins with ${tag}.`, { offset: at, tag });
    }
    if (text + length > this.#end) throw this.#truncated();
    return [text, text + length];
  }

  #node(at: number): { readonly node: Atom; readonly end: number } {
    if (at >= this.#end) throw this.#truncated();
    const bytes = this.#bytes;
    if (bytes[at] === TAG.ATOM_CACHE_REF) return { node: this.#cached(at), end: at + 2 };
    const [text, stop] = this.#atomSpan(at);
    const utf8 = bytes[at] === TAG.SMALL_ATOM_UTF8 || bytes[at] === TAG.ATOM_UTF8;
    return { node: utf8 ? atomFromUtf8(bytes, text, stop) : atomFromLatin1(bytes, text, stop), end: stop };
  }

  /** A pid, port or reference at `at`. */
  #identifier(at: number): number {
    const bytes = this.#bytes;
    const tag = bytes[at]!;
    let words = 1;
    let head = at + 1;
    if (tag === TAG.NEWER_REFERENCE || tag === TAG.NEW_REFERENCE) {
      if (at + 3 > this.#end) throw this.#truncated();
      words = (bytes[at + 1]! << 8) | bytes[at + 2]!;
      if (words < 1 || words > 5) throw this.#malformed("a reference of 1 to 5 words");
      head = at + 3;
    }
    const { node, end: rest } = this.#node(head);
    const old = tag === TAG.PID || tag === TAG.PORT || tag === TAG.REFERENCE || tag === TAG.NEW_REFERENCE;
    const first = tag === TAG.NEWER_REFERENCE || tag === TAG.NEW_REFERENCE;
    const numbers =
      tag === TAG.NEW_PID || tag === TAG.PID || tag === TAG.V4_PORT ? 8 : first ? words * 4 : 4;
    const stop = rest + numbers + (old ? 1 : 4);
    if (stop > this.#end) throw this.#truncated();
    const creationAt = first ? rest : rest + numbers;
    const numbersAt = first ? rest + (old ? 1 : 4) : rest;
    const creation = old ? bytes[creationAt]! : this.#u32(creationAt);
    if (old && creation > 3) throw this.#malformed("a creation of 0 to 3");
    const writer = this.#writer;
    if (writer === undefined) return stop;
    const identity = this.#translator!.identity(node, creation);
    if (identity === null && !old && bytes[head] !== TAG.ATOM_CACHE_REF) return stop;
    const to = identity ?? { node, creation };
    this.#replace(at, stop);
    const reference = first || tag === TAG.REFERENCE;
    writer.u8(
      reference
        ? TAG.NEWER_REFERENCE
        : tag === TAG.V4_PORT
          ? TAG.V4_PORT
          : tag === TAG.NEW_PID || tag === TAG.PID
            ? TAG.NEW_PID
            : TAG.NEW_PORT,
    );
    if (reference) writer.u16(words);
    writer.atom(to.node);
    if (reference) writer.u32(to.creation);
    writer.copy(bytes, numbersAt, numbersAt + numbers);
    if (!reference) writer.u32(to.creation);
    return stop;
  }

  /** The head of a fun at the present place, up to its free variables; returns how many there are. */
  #fun(left: number): number {
    const bytes = this.#bytes;
    const head = this.#at + 5;
    const free = this.#u32(head + 21);
    if (this.#writer !== undefined) {
      this.#writer.copy(bytes, this.#copied, this.#at + 1);
      this.#funs ??= [];
      this.#funs.push({ left, mark: this.#writer.mark() });
      this.#writer.u32(0);
      this.#copied = head;
    }
    let at = this.#inlineAtom(head + 25);
    for (let i = 0; i < 2; i++) {
      if (at >= this.#end) throw this.#truncated();
      if (bytes[at] === TAG.SMALL_INTEGER) at += 2;
      else if (bytes[at] === TAG.INTEGER) at += 5;
      else if (bytes[at] === TAG.SMALL_BIG && at + 2 <= this.#end) at = this.#bignum(at + 2, bytes[at + 1]!);
      else throw this.#malformed("an integer");
    }
    if (at >= this.#end) throw this.#truncated();
    if (bytes[at] !== TAG.NEW_PID && bytes[at] !== TAG.PID) throw this.#malformed("a pid");
    this.#at = this.#identifier(at);
    return free;
  }

  #closeFuns(left: number): void {
    const funs = this.#funs!;
    for (let last = funs.at(-1); last !== undefined && last.left === left; last = funs.at(-1)) {
      const writer = this.#writer!;
      writer.copy(this.#bytes, this.#copied, this.#at);
      this.#copied = this.#at;
      writer.patchU32(last.mark, writer.mark() - last.mark);
      funs.pop();
    }
  }

  #bignum(sign: number, length: number): number {
    if (length > this.#limits.maxBignumBytes) {
      throw etfError("ETF_LIMIT", `An integer of ${length} bytes; at most ${this.#limits.maxBignumBytes} are taken.`, {
        offset: sign,
        limit: "maxBignumBytes",
      });
    }
    return sign + 1 + length;
  }

  #compressed(): number {
    const plain = inflate(this.#bytes.subarray(this.#at + 5, this.#end), this.#u32(this.#at + 1), this.#limits);
    const scan = new Scan(plain, 0, plain.length, this.#writer, this.#translator, this.#atomRefs, this.#limits);
    if (plain[0] === TAG.COMPRESSED) throw this.#malformed("a term that is compressed once");
    scan.run();
    return this.#end;
  }

  /** Copies what stands before `from`, and goes on behind `to`: whoever calls this writes what comes between. */
  #replace(from: number, to: number): void {
    this.#writer?.copy(this.#bytes, this.#copied, from);
    this.#copied = to;
  }

  #u32(at: number): number {
    if (at + 4 > this.#end) throw this.#truncated();
    const bytes = this.#bytes;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  #truncated(): Error {
    return etfError("ETF_TRUNCATED", "The bytes end within the term.", { offset: this.#at });
  }

  #malformed(wanted: string): Error {
    return etfError("ETF_MALFORMED", `The bytes are not ${wanted}, which must stand here.`, { offset: this.#at });
  }
}
