import type { Clock } from "@isthmus/wire";
import type { CompiledRule } from "./rule.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How a signal fared. */
export const VERDICT = { ALLOWED: 0, DENIED: 1, TOO_LARGE: 2, TOO_MANY: 3, FUN: 4 } as const;

/** {@link VERDICT} in words, for the log. */
export const REASONS: readonly string[] = [
  "allowed",
  "denied",
  "longer than max_bytes",
  "more than rate",
  "a fun of erl_eval",
];

/** What one rule means for the signals of one cluster: what is asked of it for each of them. */
export class Decision {
  /** The id of the rule. */
  readonly rule: string;
  readonly allows: boolean;
  readonly funs: boolean;
  readonly audit: boolean;
  /** Signals that it let pass, and that it did not. */
  allowed = 0;
  refused = 0;
  readonly #maxBytes: number;
  readonly #bucket: TokenBucket | undefined;

  constructor(compiled: CompiledRule, clock: Clock) {
    const { rule } = compiled;
    this.rule = compiled.id;
    this.allows = compiled.allows;
    this.funs = rule.funs ?? false;
    this.audit = rule.audit ?? false;
    this.#maxBytes = rule.maxBytes ?? Number.MAX_SAFE_INTEGER;
    this.#bucket =
      rule.rate === undefined ? undefined : new TokenBucket(rule.rate.perSecond, rule.rate.burst, clock);
  }

  /** Judges one signal with a body of `size` bytes, and counts it against the rate. @returns a {@link VERDICT} */
  judge(size: number): number {
    if (!this.allows) return VERDICT.DENIED;
    if (size > this.#maxBytes) return VERDICT.TOO_LARGE;
    return this.#bucket === undefined || this.#bucket.take() ? VERDICT.ALLOWED : VERDICT.TOO_MANY;
  }
}
