// This file is longer than most: what is open, what is held back and what passes through are one state.
import { isIsthmusError } from "@isthmus/wire";
import { readU32 } from "../decode/fields.ts";
import { bignumTooLong, tooDeep, unknownTag } from "../decode/problems.ts";
import type { TermWriter } from "../encode/term-writer.ts";
import { etfError } from "../errors.ts";
import { completeLimits, type TermLimits } from "../limits.ts";
import type { Atom } from "../terms/atom.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { IdentityTranslator } from "./identity.ts";
import { KeyStore } from "./key-store.ts";
import { TermScanner } from "./scan.ts";
import { FRAME, STOP, TermSkimmer } from "./skim.ts";
import type { TermTarget } from "./target.ts";
import { partCount, tokenEnd, wholeTermEnd } from "./token.ts";

/** Options of {@link TermStream}. */
export interface TermStreamOptions {
  /** Who will decode the copy; nothing is written that it could not. Default: anybody. */
  readonly target?: TermTarget | undefined;
  /** As those of `rewriteTerm`; they count for the whole term, in however many pieces it comes. */
  readonly limits?: Partial<TermLimits> | undefined;
  /** The atoms that ATOM_CACHE_REF means, in distribution messages. */
  readonly atomRefs?: readonly Atom[] | undefined;
  /**
   * Bytes that may be held back at most, because a part is not complete (a fun, a native record, a key, a short term), and
   * of keys that must be compared at the end of their map (`ETF_SIZE_LIMIT`). Default 64 MiB.
   */
  readonly maxHeldBytes?: number | undefined;
  /**
   * Is shown each run of complete bytes in the same call that copies them; what it throws ends the copy. A fun is always whole within one
   * run. Not shown are the contents of a binary that comes in more than one piece.
   */
  readonly inspect?: ((bytes: Buffer, start: number, end: number) => void) | undefined;
}

const DEFAULT_MAX_HELD_BYTES = 64 * 1024 * 1024;

/** The part of a piece that is taken for complete, and how many terms that must be. */
const LEAP_SHARE = 7 / 8;
const LEAST_LEAP = 16;

// what the bytes that are held back are
const NOTHING = 0;
/** The begin of a token, which will be treated as if it had come in one piece. */
const TOKEN = 1;
/** The begin of a term that has to be complete before any of it is copied. */
const TERM = 2;

/**
 * Copies one term that comes in pieces, as `rewriteTerm` copies a whole one: the same bytes come out, and the same terms
 * are refused. What is complete goes out with its piece. Tuples, lists and the values of maps are gone into, and binaries
 * pass through: only what cannot be judged or written before it is complete is held back.
 *
 * A stream is for one term. It cannot go on after an error.
 *
 * @example
 * ```ts
 * const stream = new TermStream(translator);
 * let complete = false;
 * for await (const piece of pieces) {
 *   complete = stream.push(piece, 0, piece.length, out);
 *   out.takeParts(parts);
 * }
 * ```
 */
export class TermStream {
  readonly #scanner: TermScanner;
  readonly #skimmer: TermSkimmer;
  readonly #limits: TermLimits;
  readonly #maxHeldBytes: number;
  readonly #inspect: TermStreamOptions["inspect"];
  #complete = false;
  /** Of each open container: how long its terms are, about; 0 when that is not known. */
  readonly #termBytes: number[] = [0];
  /** How many bytes of a binary are still to pass through. */
  #passing = 0;
  readonly #held = new HeldBytes();
  #holding = NOTHING;
  /** Where in what is held the token starts that is not whole. */
  #tokenAt = 0;
  // of the frame around the term that is held
  #leftBefore = 0;
  #kindBefore: number = FRAME.PLAIN;
  /** Of each open map: its keys. */
  readonly #keys: (KeyStore | undefined)[] = [];
  #keyBytes = 0;

  constructor(translator: IdentityTranslator, options: TermStreamOptions = {}) {
    this.#limits = completeLimits(options.limits);
    this.#maxHeldBytes = options.maxHeldBytes ?? DEFAULT_MAX_HELD_BYTES;
    if (!(this.#maxHeldBytes >= 0)) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        `maxHeldBytes must be a number from 0, not ${this.#maxHeldBytes}.`,
      );
    }
    this.#inspect = options.inspect;
    this.#skimmer = new TermSkimmer(this.#limits.maxDepth);
    this.#scanner = new TermScanner(this.#limits);
    this.#scanner.begin(options.atomRefs, translator, options.target);
  }

  /** How many bytes are held back at present, keys of open maps included. */
  get heldBytes(): number {
    return this.#held.length + this.#keyBytes;
  }

  /**
   * Takes the next piece of the term and copies all of it that is complete. Of what is not, a copy is kept: the piece may be
   * used again as soon as the output has been sent.
   * @returns whether the term is complete; bytes that follow it are ignored
   * @throws IsthmusError the codes of `rewriteTerm` other than `ETF_TRUNCATED`; `ETF_SIZE_LIMIT` when more had to be held
   * back than `maxHeldBytes`; `ETF_TAG_UNKNOWN` also for a compressed term, which messages never are. Offsets are those in
   * the bytes that were looked at: the piece, or what was held back
   */
  push(bytes: Buffer, start: number, end: number, out: TermWriter): boolean {
    let at = start;
    while (at < end && !this.#complete) {
      if (this.#passing > 0) at = this.#pass(bytes, at, end, out);
      else if (this.#holding === NOTHING) at = this.#advance(bytes, at, end, out);
      else if (this.#holding === TOKEN) at = this.#fillToken(bytes, at, end, out);
      else at = this.#fillTerm(bytes, at, end, out);
    }
    return this.#complete;
  }

  /** More of a binary. */
  #pass(bytes: Buffer, at: number, end: number, out: TermWriter): number {
    const stop = Math.min(end, at + this.#passing);
    out.copy(bytes, at, stop);
    this.#passing -= stop - at;
    if (this.#passing === 0) this.#completeOne(out);
    return stop;
  }

  /** Copies from `at`, where a token starts, up to the end of the innermost open container or of the bytes. */
  #advance(bytes: Buffer, at: number, end: number, out: TermWriter): number {
    at = this.#leap(bytes, at, end, out);
    const skimmer = this.#skimmer;
    const { floor } = skimmer;
    const before = skimmer.left[floor] as number;
    const stop = skimmer.run(bytes, at, end);
    if (stop === STOP.CLOSED) {
      this.#inspect?.(bytes, at, skimmer.at);
      this.#copy(bytes, at, skimmer.at, floor, before, out);
      this.#close(out);
      return skimmer.at;
    }
    if (stop === STOP.LINKED) {
      const next = skimmer.at + 5;
      this.#inspect?.(bytes, at, next);
      this.#copy(bytes, at, skimmer.at, floor, before, out);
      skimmer.left[floor] = this.#link(bytes, skimmer.at, floor, out);
      return next;
    }
    const count = before - (skimmer.left[floor] as number);
    if (count >= LEAST_LEAP) this.#termBytes[floor] = (end - at) / count;
    this.#open(bytes, at, end, before, stop === STOP.FAULT, out);
    return end;
  }

  /**
   * Copies most of what is complete without a look at it before, as long as the terms are about as long as those that came
   * last. When they are not, nothing is lost but time.
   * @returns where it goes on
   */
  #leap(bytes: Buffer, at: number, end: number, out: TermWriter): number {
    const { left, kinds, floor } = this.#skimmer;
    for (;;) {
      const termBytes = this.#termBytes[floor] as number;
      if (termBytes === 0) break;
      const before = left[floor] as number;
      // the last term closes the frame, which is not for here; and keys go with their values
      const count = Math.min(before - 1, Math.floor(((end - at) / termBytes) * LEAP_SHARE)) & ~1;
      if (count < LEAST_LEAP) break;
      const mark = out.mark();
      let next: number;
      try {
        next = this.#scanner.walkOn(bytes, at, end, count, floor, out);
      } catch (error) {
        if (!isIsthmusError(error) || error.code !== "ETF_TRUNCATED") throw error;
        out.truncate(mark);
        this.#termBytes[floor] = 0;
        break;
      }
      this.#inspect?.(bytes, at, next);
      if (kinds[floor] === FRAME.MAP) this.#keepKeys(bytes, at, next, floor, before);
      left[floor] = before - count;
      this.#termBytes[floor] = (next - at) / count;
      at = next;
    }
    return at;
  }

  /**
   * The skimmer has stopped within the term: copies what is complete from `at` on, with the heads of the containers that
   * stay open, and holds back the rest.
   * @param before how many terms the frame at the floor lacked at `at`
   */
  #open(bytes: Buffer, at: number, end: number, before: number, fault: boolean, out: TermWriter): void {
    const skimmer = this.#skimmer;
    const { left, kinds, starts, depth, floor } = skimmer;
    // the outermost term that has to be held back stands in this frame
    let last = floor;
    while (last < depth && !isKeyNext(skimmer, last) && kinds[last + 1] !== FRAME.BOUND) last++;
    const tag = skimmer.at < end ? (bytes[skimmer.at] as number) : 0;
    const whole = last < depth || (tag !== 0 && (isKeyNext(skimmer, last) || tag === 112 || tag === 67));
    const rest = last < depth ? (starts[last + 1] as number) : skimmer.start;
    const token = whole ? rest : skimmer.at;
    if (token > at) this.#inspect?.(bytes, at, token);
    let from = at;
    for (let i = floor; i <= last; i++) {
      let lacked = before;
      if (i > floor) {
        this.#termBytes[i] = 0;
        const head = behindEmptyLists(bytes, from);
        lacked = partCount(bytes, head);
        from = this.#head(bytes, from, head, i, out);
      }
      const to = i < last ? (starts[i + 1] as number) : rest;
      this.#copy(bytes, from, to, i, lacked, out);
      if (kinds[i] === FRAME.LINKED) kinds[i] = FRAME.LIST;
      from = to;
    }
    skimmer.floor = last;
    // the heads of empty lists before a term
    out.copy(bytes, rest, token);
    if (fault) this.#refuse(bytes, token, skimmer.at, end, out);
    if (token === end) return;
    if (!whole && this.#startPassing(bytes, token, end, out)) return;
    if (whole) {
      this.#leftBefore = left[last] as number;
      this.#kindBefore = kinds[last] as number;
      // so the skimmer stops at its end
      left[last] = 1;
      kinds[last] = FRAME.PLAIN;
    }
    this.#holding = whole ? TERM : TOKEN;
    this.#tokenAt = skimmer.at - token;
    this.#hold(bytes, token, end);
  }

  /** The head of a container at `head`, with the empty lists from `at` on, which becomes the frame `index`. */
  #head(bytes: Buffer, at: number, head: number, index: number, out: TermWriter): number {
    const count = partCount(bytes, head) - (bytes[head] === 108 ? 1 : 0);
    this.#scanner.open(count, index - 1, head);
    const body = tokenEnd(bytes, head, bytes.length);
    out.copy(bytes, at, body);
    if (this.#skimmer.kinds[index] === FRAME.MAP) this.#keys[index] = new KeyStore();
    return body;
  }

  /** The LIST_EXT at `at`, which is the tail of the list that is the frame `index`. @returns what that lacks then */
  #link(bytes: Buffer, at: number, index: number, out: TermWriter): number {
    const more = readU32(bytes, at + 1);
    this.#scanner.open(more, index - 1, at);
    out.copy(bytes, at, at + 5);
    return more + 1;
  }

  /** Copies the complete terms `bytes[at, end)` of the frame `index`, which lacked `before` terms at `at`. */
  #copy(bytes: Buffer, at: number, end: number, index: number, before: number, out: TermWriter): void {
    if (at === end) return;
    const kind = this.#skimmer.kinds[index];
    if (kind === FRAME.MAP) this.#keepKeys(bytes, at, end, index, before);
    if (kind === FRAME.LINKED) this.#copyLinked(bytes, at, end, index, before, out);
    else this.#rewrite(bytes, at, end, before - (this.#skimmer.left[index] as number), index, out);
  }

  /** The same for a list in more than one LIST_EXT. */
  #copyLinked(bytes: Buffer, at: number, end: number, index: number, left: number, out: TermWriter): void {
    let from = at;
    let before = left;
    while (at < end) {
      if (left > 1 || bytes[at] !== 108) {
        at = wholeTermEnd(bytes, at);
        left--;
        continue;
      }
      if (at > from) this.#rewrite(bytes, from, at, before - left, index, out);
      left = this.#link(bytes, at, index, out);
      before = left;
      at += 5;
      from = at;
    }
    if (end > from) this.#rewrite(bytes, from, end, before - left, index, out);
  }

  #rewrite(bytes: Buffer, at: number, end: number, count: number, open: number, out: TermWriter): void {
    this.#scanner.walkOn(bytes, at, end, count, open, out);
  }

  #keepKeys(bytes: Buffer, at: number, end: number, index: number, left: number): void {
    const keys = this.#keys[index] as KeyStore;
    const cost = keys.cost;
    keys.add(bytes, at, end, (left & 1) === 0);
    this.#keyBytes += keys.cost - cost;
    if (this.heldBytes > this.#maxHeldBytes) throw this.#tooMuch();
  }

  /** Whether the token at `at`, which is not whole, is a binary, or a valid bit string: the rest passes through. */
  #startPassing(bytes: Buffer, at: number, end: number, out: TermWriter): boolean {
    if (!hasDataHead(bytes, at, end)) return false;
    out.copy(bytes, at, end);
    this.#passing = tokenEnd(bytes, at, end) - end;
    return true;
  }

  /** Adds to a token that is not whole what it needs. @returns where in the bytes it goes on */
  #fillToken(bytes: Buffer, at: number, end: number, out: TermWriter): number {
    const held = this.#held;
    for (;;) {
      const next = hasDataHead(held.bytes, 0, held.length)
        ? held.length
        : tokenEnd(held.bytes, 0, held.length);
      if (next <= held.length) {
        const { bytes: token, length } = held;
        held.clear();
        this.#holding = NOTHING;
        this.#advance(token, 0, length, out);
        return at;
      }
      if (at === end) return at;
      const stop = Math.min(end, at + next - held.length);
      this.#hold(bytes, at, stop, next);
      at = stop;
    }
  }

  /** Adds to a term that is not whole. */
  #fillTerm(bytes: Buffer, at: number, end: number, out: TermWriter): number {
    const held = this.#held;
    const skimmer = this.#skimmer;
    // first the token at the seam
    while (this.#tokenAt < held.length) {
      const next = tokenEnd(held.bytes, this.#tokenAt, held.length);
      if (next > held.length) {
        if (at === end) return at;
        const stop = Math.min(end, at + next - held.length);
        this.#hold(bytes, at, stop, next);
        at = stop;
        continue;
      }
      const stop = skimmer.run(held.bytes, this.#tokenAt, held.length);
      if (stop === STOP.CLOSED) {
        this.#release(out);
        return at;
      }
      if (stop === STOP.FAULT) this.#refuse(held.bytes, 0, skimmer.at, held.length, out);
      this.#tokenAt = skimmer.at;
    }
    const stop = skimmer.run(bytes, at, end);
    if (stop === STOP.CLOSED) {
      this.#hold(bytes, at, skimmer.at);
      this.#release(out);
      return skimmer.at;
    }
    const token = held.length + skimmer.at - at;
    this.#hold(bytes, at, end);
    if (stop === STOP.FAULT) this.#refuse(held.bytes, 0, token, held.length, out);
    this.#tokenAt = token;
    return end;
  }

  /** The term that is held is complete: copies it. */
  #release(out: TermWriter): void {
    const skimmer = this.#skimmer;
    const { floor } = skimmer;
    const { bytes, length } = this.#held;
    this.#held.clear();
    this.#holding = NOTHING;
    skimmer.kinds[floor] = this.#kindBefore;
    skimmer.left[floor] = this.#leftBefore - 1;
    this.#inspect?.(bytes, 0, length);
    this.#copy(bytes, 0, length, floor, this.#leftBefore, out);
    this.#close(out);
  }

  /** Keeps `bytes[at, end)` as well; `needed` bytes will be held at least. */
  #hold(bytes: Buffer, at: number, end: number, needed = 0): void {
    const held = this.#held;
    held.add(bytes, at, end);
    if (Math.max(held.length, needed) + this.#keyBytes > this.#maxHeldBytes) throw this.#tooMuch();
  }

  #tooMuch(): Error {
    const { bytes, length } = this.#held;
    const at = this.#tokenAt;
    if (length - at > 4 && bytes[at] === 111) {
      const digits = readU32(bytes, at + 1);
      if (digits > this.#limits.maxBignumBytes) return bignumTooLong(digits, this.#limits, at);
    }
    return etfError(
      "ETF_SIZE_LIMIT",
      `A part of a term, or the keys of its maps, have more than ${this.#maxHeldBytes} bytes, which cannot be held back. Raise maxHeldBytes if such terms are expected.`,
    );
  }

  /** A term of the innermost open container has been copied. */
  #completeOne(out: TermWriter): void {
    const { left, floor } = this.#skimmer;
    left[floor] = (left[floor] as number) - 1;
    this.#close(out);
  }

  /** Closes the open containers that have all their terms. */
  #close(out: TermWriter): void {
    const skimmer = this.#skimmer;
    const { left } = skimmer;
    while (left[skimmer.floor] === 0) {
      const keys = this.#keys[skimmer.floor];
      if (keys !== undefined) {
        keys.check(this.#scanner, out);
        this.#keyBytes -= keys.cost;
        this.#keys[skimmer.floor] = undefined;
      }
      if (skimmer.floor === 0) {
        this.#complete = true;
        return;
      }
      skimmer.floor--;
      skimmer.depth = skimmer.floor;
      left[skimmer.floor] = (left[skimmer.floor] as number) - 1;
    }
  }

  /**
   * The token at `at` cannot stand there. The scanner says why, unless it finds something before it in the term from
   * `start` on.
   */
  #refuse(bytes: Buffer, start: number, at: number, end: number, out: TermWriter): never {
    const { depth, floor } = this.#skimmer;
    for (const [from, open] of [
      [start, floor],
      [at, depth],
    ] as const) {
      try {
        this.#rewrite(bytes, from, end, 1, open, out);
      } catch (error) {
        if (!isIsthmusError(error) || error.code !== "ETF_TRUNCATED") throw error;
      }
    }
    if (depth >= this.#limits.maxDepth) throw tooDeep(this.#limits, at);
    throw unknownTag(bytes[at] as number, at);
  }
}

/** Whether the next term of a frame is a key. */
function isKeyNext({ kinds, left }: TermSkimmer, index: number): boolean {
  return kinds[index] === FRAME.MAP && ((left[index] as number) & 1) === 0;
}

/** Whether the token at `at` is a binary, or a bit string that nobody refuses, with as much of it as stands before its data. */
function hasDataHead(bytes: Buffer, at: number, end: number): boolean {
  if (bytes[at] === 109) return end - at >= 5;
  if (bytes[at] !== 77 || end - at < 6) return false;
  const bits = bytes[at + 5] as number;
  return readU32(bytes, at + 1) > 0 && bits > 0 && bits <= 8;
}

/** Where the term at `at` starts without the lists of no elements whose tail it is. */
function behindEmptyLists(bytes: Buffer, at: number): number {
  while (bytes[at] === 108 && readU32(bytes, at + 1) === 0) at += 5;
  return at;
}
