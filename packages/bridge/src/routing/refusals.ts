import type { Clock, Logger } from "@isthmus/wire";

/** What was asked for and not allowed. */
export interface Refusal {
  readonly cluster: string;
  /** The node that asked. */
  readonly node: string;
  /** `send`, `monitor`, `link`, `spawn`, `exit2`, `group_leader`. */
  readonly operation: string;
  /** The registered name, the function, or the process asked for. */
  readonly target: string;
}

/** Each refusal of one kind is logged at once, then at most this often, with how many there were. */
const REPEAT_MS = 30_000;
/** Kinds of refusals that are told apart; a peer that makes up names must not fill the memory. */
const MAX_KINDS = 1000;

/** Counts and logs what the policy refuses, so that a missing route is easy to find and an attack cannot flood the log. */
export class Refusals {
  total = 0;
  readonly #kinds = new Map<string, { since: number; count: number }>();
  readonly #logger: Logger;
  readonly #clock: Clock;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  record(refusal: Refusal): void {
    this.total++;
    const kind = `${refusal.cluster} ${refusal.operation} ${refusal.target}`;
    const now = this.#clock.now();
    const seen = this.#kinds.get(kind);
    if (seen !== undefined && now - seen.since < REPEAT_MS) {
      seen.count++;
      return;
    }
    if (seen === undefined && this.#kinds.size >= MAX_KINDS) {
      const oldest = this.#kinds.keys().next();
      if (!oldest.done) this.#kinds.delete(oldest.value);
    }
    this.#kinds.delete(kind);
    this.#kinds.set(kind, { since: now, count: 1 });
    this.#logger.warn(
      {
        ...refusal,
        ...(seen !== undefined && seen.count > 1 ? { repeated: seen.count } : {}),
        total: this.total,
      },
      "refused: no route allows it",
    );
  }
}
