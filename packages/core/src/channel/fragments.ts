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

/** A message put together again. */
export interface WholeMessage {
  /** Control term and body. */
  readonly bytes: Buffer;
  readonly atomRefs: readonly Atom[];
}

interface Sequence {
  left: bigint;
  readonly parts: Buffer[];
  readonly atomRefs: readonly Atom[];
  size: number;
  /** What it counts for in the limit. */
  charge: number;
}

/** Puts fragmented messages together; several may be under way at once (PROTOCOL 4.4). One object per connection. */
export class Fragments {
  readonly #limits: FragmentLimits;
  readonly #open = new Map<bigint, Sequence>();
  #held = 0;

  constructor(limits: Partial<FragmentLimits> = {}) {
    this.#limits = { ...DEFAULT_FRAGMENT_LIMITS, ...limits };
  }

  /**
   * The first fragment of a message: its atoms, control term, and the beginning of its body.
   * @param count fragments in all; 1 is a message that is complete
   * @param part may be kept: it must not be written again
   */
  first(id: bigint, count: bigint, part: Buffer, atomRefs: readonly Atom[]): WholeMessage | undefined {
    if (id === 0n || count === 0n || this.#open.has(id))
      throw malformed("begins a sequence that is open, or has no number");
    if (count === 1n) return { bytes: part, atomRefs };
    if (this.#open.size >= this.#limits.maxOpenSequences)
      throw exceeded("maxOpenSequences", this.#limits.maxOpenSequences);
    const charge = this.#hold(part.length);
    this.#open.set(id, { left: count - 1n, parts: [compact(part)], atomRefs, size: part.length, charge });
    return undefined;
  }

  /** A further fragment; they count down to 1. */
  next(id: bigint, number: bigint, part: Buffer): WholeMessage | undefined {
    const sequence = this.#open.get(id);
    if (sequence === undefined || sequence.left !== number)
      throw malformed("does not follow the one before it");
    sequence.parts.push(compact(part));
    sequence.size += part.length;
    sequence.left--;
    sequence.charge += this.#hold(part.length);
    if (sequence.left > 0n) return undefined;
    this.#open.delete(id);
    this.#held -= sequence.charge;
    return { bytes: Buffer.concat(sequence.parts, sequence.size), atomRefs: sequence.atomRefs };
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

/** `part`, without the rest of the chunk in which it came when that is much more: a kept view keeps all of it. */
function compact(part: Buffer): Buffer {
  return part.buffer.byteLength > part.length * 4 ? Buffer.from(part) : part;
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
