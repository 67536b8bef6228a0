import { FLAG } from "@isthmus/dist-handshake";
import { type Atom, DEFAULT_TERM_LIMITS, type Term, type TermLimits, type TermWriter } from "@isthmus/etf";
import { type IdentityTranslator, rewriteTerm, type TermTarget } from "@isthmus/etf/raw";
import type { BodySource } from "./frame-writer.ts";
import type { Signal } from "./signal.ts";

/** A body that is encoded from a term. Refill it with {@link TermBody.of} for each signal. */
export class TermBody implements BodySource {
  #term: Term = false;

  /** The body is this term. */
  of(term: Term): this {
    this.#term = term;
    return this;
  }

  writeTo(out: TermWriter): void {
    out.term(this.#term);
  }
}

/** Who is to decode a body: a connection. */
export interface Recipient {
  /** Its node. */
  readonly peer: Atom;
  /** What both ends support. */
  readonly flags: bigint;
  /** What {@link targetOf} has found out: every message asks for it. */
  target?: TermTarget | undefined;
}

/** What the node at the other end of a connection can decode. */
export function targetOf(recipient: Recipient): TermTarget {
  recipient.target ??= {
    node: recipient.peer,
    wide: (recipient.flags & FLAG.V4_NC) !== 0n,
    records: (recipient.flags & FLAG.NATIVE_RECORDS) !== 0n,
  };
  return recipient.target;
}

/**
 * Of a term that is copied nothing is made, so what has come is bound enough for everything but its depth, each level of
 * which takes some bytes of ours.
 */
export const CARRIED_LIMITS: TermLimits = {
  ...DEFAULT_TERM_LIMITS,
  maxDepth: 1_000_000,
  maxElements: Number.MAX_SAFE_INTEGER,
  maxBignumBytes: Number.MAX_SAFE_INTEGER,
};

/**
 * A body that is copied from received bytes, with every process identifier translated on the way. What the recipient
 * cannot decode is not written: `ETF_UNREPRESENTABLE`.
 */
export class RewrittenBody implements BodySource {
  readonly #translator: IdentityTranslator;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #atomRefs: readonly Atom[] | undefined;
  #target: TermTarget | undefined;

  constructor(translator: IdentityTranslator) {
    this.#translator = translator;
  }

  /** The body of `signal`, for the node at the other end of `to`. */
  of(signal: Signal, to: Recipient): this {
    return this.range(signal, signal.bodyStart, signal.bodyEnd, to);
  }

  /** The seq_trace token of `signal`; undefined when it has none. */
  tokenOf(signal: Signal, to: Recipient): this | undefined {
    return signal.tokenEnd === 0 ? undefined : this.range(signal, signal.tokenStart, signal.tokenEnd, to);
  }

  /** One term that starts at `start` in the bytes of `signal`. */
  range(signal: Pick<Signal, "bytes" | "atomRefs">, start: number, end: number, to: Recipient): this {
    this.#bytes = signal.bytes;
    this.#start = start;
    this.#end = end;
    this.#atomRefs = signal.atomRefs;
    this.#target = targetOf(to);
    return this;
  }

  writeTo(out: TermWriter): void {
    rewriteTerm(
      this.#bytes,
      this.#start,
      this.#end,
      out,
      this.#translator,
      this.#atomRefs,
      CARRIED_LIMITS,
      this.#target,
    );
  }
}
