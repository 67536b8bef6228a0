import type { Atom, Term, TermWriter } from "@isthmus/etf";
import { type IdentityTranslator, rewriteTerm } from "@isthmus/etf/raw";
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

/** A body that is copied from received bytes, with every process identifier translated on the way. */
export class RewrittenBody implements BodySource {
  readonly #translator: IdentityTranslator;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #atomRefs: readonly Atom[] | undefined;

  constructor(translator: IdentityTranslator) {
    this.#translator = translator;
  }

  /** The body of `signal`. */
  of(signal: Signal): this {
    return this.range(signal, signal.bodyStart, signal.bodyEnd);
  }

  /** The seq_trace token of `signal`; undefined when it has none. */
  tokenOf(signal: Signal): this | undefined {
    return signal.tokenEnd === 0 ? undefined : this.range(signal, signal.tokenStart, signal.tokenEnd);
  }

  /** One term that starts at `start` in the bytes of `signal`. */
  range(signal: Signal, start: number, end: number): this {
    this.#bytes = signal.bytes;
    this.#start = start;
    this.#end = end;
    this.#atomRefs = signal.atomRefs;
    return this;
  }

  writeTo(out: TermWriter): void {
    rewriteTerm(this.#bytes, this.#start, this.#end, out, this.#translator, this.#atomRefs);
  }
}
