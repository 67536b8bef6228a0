/** When an answer of discovery that names fewer nodes is not believed at once. */
export interface ShrinkGuardOptions {
  /**
   * An answer with fewer nodes than this is suspicious, our own not counted. 0 trusts an empty answer.
   * @default 1: only an empty answer is suspicious
   */
  readonly minimumNodes?: number | undefined;
  /** An answer that lacks more than this part of the nodes known is suspicious; 0 to 1. @default 1, so that none is */
  readonly maximumRemovalFraction?: number | undefined;
  /** A suspicious answer is believed when so many in a row were suspicious. 1 believes at once. @default 3 */
  readonly confirmations?: number | undefined;
  /** It is also believed when nothing else was heard for so many milliseconds. @default 30000 */
  readonly confirmMs?: number | undefined;
}

/** What to make of an answer. */
export interface Verdict {
  /** The nodes that there are: those of the answer, and those that are missing in it but kept. */
  readonly nodes: ReadonlySet<string>;
  /** Nodes that the answer lacks, and that are kept for now. */
  readonly kept: readonly string[];
  /** Suspicious answers in a row, this one included; 0 when it is believed. */
  readonly answers: number;
}

/** Holds back answers that look as if the source were broken rather than the cluster gone. */
export class ShrinkGuard {
  readonly #minimum: number;
  readonly #fraction: number;
  readonly #confirmations: number;
  /** Milliseconds after which a suspicious answer is to be believed. */
  readonly confirmMs: number;
  #answers = 0;

  constructor(options: ShrinkGuardOptions = {}) {
    this.#minimum = options.minimumNodes ?? 1;
    this.#fraction = options.maximumRemovalFraction ?? 1;
    this.#confirmations = options.confirmations ?? 3;
    this.confirmMs = options.confirmMs ?? 30_000;
  }

  check(known: ReadonlySet<string>, answer: ReadonlySet<string>): Verdict {
    const missing = [...known].filter((node) => !answer.has(node));
    const suspicious =
      missing.length > 0 && (answer.size < this.#minimum || missing.length > this.#fraction * known.size);
    if (!suspicious || ++this.#answers >= this.#confirmations) {
      this.forget();
      return { nodes: answer, kept: [], answers: 0 };
    }
    return { nodes: new Set([...answer, ...missing]), kept: missing, answers: this.#answers };
  }

  /** A failure confirms nothing: the count begins anew. */
  forget(): void {
    this.#answers = 0;
  }
}
