import type { Atom } from "@isthmus/etf";
import { coreError } from "../errors.ts";

/** Bounds of messages that come in fragments. */
export interface FragmentLimits {
  /** Messages that may be incomplete at once on one connection. @default 4096 */
  readonly maxOpenSequences: number;
  /**
   * Bytes that incomplete messages of one connection may hold; a fragment counts for at least 256. @default 512 MiB
   */
  readonly maxFragmentBytes: number;
}

/** The bounds when none are given. */
export const DEFAULT_FRAGMENT_LIMITS: FragmentLimits = {
  maxOpenSequences: 4096,
  maxFragmentBytes: 512 * 1024 * 1024,
};

/** What keeping a fragment costs besides its bytes. A BEAM's fragments have 64 KiB, so this only meets abuse. */
const LEAST_CHARGE = 256;

/** Shorter pieces are copied together, so that a message which comes byte by byte does not become a list of bytes. */
const SHORT_BYTES = 4096;
/** Memory for short pieces, at most; never more than what has arrived. */
const SHORT_SLAB_BYTES = 16 * 1024;
const EMPTY = Buffer.alloc(0);

/** A message put together again. */
export interface WholeMessage {
  /** Control term and body. */
  readonly bytes: Buffer;
  readonly atomRefs: readonly Atom[];
}

interface Sequence {
  readonly id: bigint;
  /** Fragments that are not complete. */
  left: bigint;
  /** What has arrived, without what stands in `short`. */
  readonly parts: Buffer[];
  readonly atomRefs: readonly Atom[];
  size: number;
  /** Memory of its own for short pieces, and how much of it they take. */
  short: Buffer;
  shortBytes: number;
  /** What it counts for in the limit. */
  charge: number;
}

/**
 * Puts fragmented messages together; several may be under way at once (PROTOCOL 4.4). One object per connection.
 *
 * What arrives is kept as it is and copied once, when it is whole: how much memory a message takes is decided by what
 * has come, and not by what was announced.
 */
export class Fragments {
  readonly #limits: FragmentLimits;
  readonly #open = new Map<bigint, Sequence>();
  #held = 0;
  /** Whose fragment is coming in pieces. */
  #current: Sequence | undefined;

  constructor(limits: Partial<FragmentLimits> = {}) {
    this.#limits = { ...DEFAULT_FRAGMENT_LIMITS, ...limits };
  }

  /**
   * The first fragment of a message: its atoms, control term, and the beginning of its body.
   * @param count fragments in all; 1 is a message that is complete
   * @param part may be kept: it must not be written again
   */
  first(id: bigint, count: bigint, part: Buffer, atomRefs: readonly Atom[]): WholeMessage | undefined {
    if (count === 1n) {
      this.#check(id, count);
      return { bytes: part, atomRefs };
    }
    this.beginFirst(id, count, part.length, atomRefs);
    return this.piece(part, 0);
  }

  /** A further fragment; they count down to 1. */
  next(id: bigint, number: bigint, part: Buffer): WholeMessage | undefined {
    this.begin(id, number, part.length);
    return this.piece(part, 0);
  }

  /** As `first`, with a fragment of `size` bytes that comes in pieces: {@link Fragments.piece} takes them. */
  beginFirst(id: bigint, count: bigint, size: number, atomRefs: readonly Atom[]): void {
    this.#check(id, count);
    if (this.#open.size >= this.#limits.maxOpenSequences)
      throw exceeded("maxOpenSequences", this.#limits.maxOpenSequences);
    const sequence: Sequence = {
      id,
      left: count,
      parts: [],
      atomRefs,
      size: 0,
      short: EMPTY,
      shortBytes: 0,
      charge: this.#hold(size),
    };
    this.#open.set(id, sequence);
    this.#current = sequence;
  }

  /** As `next`, with a fragment of `size` bytes that comes in pieces. */
  begin(id: bigint, number: bigint, size: number): void {
    const sequence = this.#open.get(id);
    if (sequence === undefined || sequence.left !== number)
      throw malformed("does not follow the one before it");
    sequence.charge += this.#hold(size);
    this.#current = sequence;
  }

  /**
   * A piece of the fragment that was begun.
   * @param part may be kept: it must not be written again
   * @param left bytes of the fragment that are still to come
   */
  piece(part: Buffer, left: number): WholeMessage | undefined {
    const sequence = this.#current as Sequence;
    keep(sequence, part);
    if (left > 0) return undefined;
    this.#current = undefined;
    sequence.left--;
    if (sequence.left > 0n) return undefined;
    this.#open.delete(sequence.id);
    this.#held -= sequence.charge;
    joinShort(sequence);
    return { bytes: Buffer.concat(sequence.parts, sequence.size), atomRefs: sequence.atomRefs };
  }

  #check(id: bigint, count: bigint): void {
    if (id === 0n || count === 0n || this.#open.has(id))
      throw malformed("begins a sequence that is open, or has no number");
  }

  /** @returns what was counted */
  #hold(size: number): number {
    const charge = Math.max(size, LEAST_CHARGE);
    this.#held += charge;
    if (this.#held > this.#limits.maxFragmentBytes)
      throw exceeded("maxFragmentBytes", this.#limits.maxFragmentBytes);
    return charge;
  }
}

/** Adds to what has arrived: as a view, or as a copy where a view would keep much more alive than its bytes. */
function keep(sequence: Sequence, part: Buffer): void {
  sequence.size += part.length;
  if (part.length >= SHORT_BYTES && part.buffer.byteLength <= part.length * 4) {
    joinShort(sequence);
    sequence.parts.push(part);
    return;
  }
  if (part.length > sequence.short.length - sequence.shortBytes) {
    joinShort(sequence);
    sequence.short = Buffer.allocUnsafeSlow(Math.max(part.length, Math.min(sequence.size, SHORT_SLAB_BYTES)));
  }
  sequence.short.set(part, sequence.shortBytes);
  sequence.shortBytes += part.length;
}

/** Puts the short pieces into their place among the parts. */
function joinShort(sequence: Sequence): void {
  if (sequence.shortBytes === 0) return;
  sequence.parts.push(sequence.short.subarray(0, sequence.shortBytes));
  sequence.short = sequence.short.subarray(sequence.shortBytes);
  sequence.shortBytes = 0;
}

function malformed(what: string): Error {
  return coreError("FRAME_MALFORMED", `A fragment ${what}.`);
}

function exceeded(limit: keyof FragmentLimits, value: number): Error {
  return coreError(
    "FRAGMENT_LIMIT",
    `Incomplete messages go beyond ${limit} (${value}). Raise it if the peer means well.`,
    {
      context: { limit },
    },
  );
}
