import type { Clock, Logger } from "@isthmus/wire";

/** What was asked for and not allowed. */
export interface Refusal {
  /** The cluster that asked. */
  readonly cluster: string;
  /** The cluster that it was for, when that is known. */
  readonly to?: string;
  /** The node that asked. */
  readonly node: string;
  /** The mirror that it asked, where it was not the bridge's own node. */
  readonly mirror?: string;
  /** `call`, `cast`, `info`, `reply`, `io`, `system`, `spawn`, `monitor`, `link`, `exit`, `group_leader`. */
  readonly operation: string;
  /** The registered name, the function, or the process asked for. */
  readonly target: string;
  /** The rule that decided; none where there is no route. */
  readonly rule?: string;
  /** What the rule had against it, when that is not the signal as such. */
  readonly reason?: string;
}

/** Each refusal of one kind is logged at once, then at most this often, with how many there were. */
const REPEAT_MS = 30_000;
/** Kinds that are told apart; a peer that makes up names must not fill the memory. */
const MAX_KINDS = 1000;

/** What is logged, and how. */
const OUTCOMES = {
  refused: { level: "warn", message: "refused: no route allows it", ruled: "refused by the policy" },
  /** `policy_mode: log` */
  noted: { level: "warn", message: "would be refused", ruled: "would be refused by the policy" },
  /** `audit: true` */
  allowed: { level: "info", message: "allowed", ruled: "allowed by the policy" },
} as const;

/**
 * The audit log: counts and logs what the policy refuses, so that a missing route is easy to find and an attack cannot
 * flood the log. Of a message nothing is said but its kind.
 */
export class Refusals {
  /** Refused signals. */
  total = 0;
  /** Signals that were carried only because of `policy_mode: log`. */
  noted = 0;
  readonly #kinds = new Map<string, { since: number; count: number }>();
  readonly #logger: Logger;
  readonly #clock: Clock;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** A signal that was not carried. */
  record(refusal: Refusal): void {
    this.total++;
    this.#log("refused", refusal);
  }

  /** A signal that was carried although a rule refuses it. */
  note(refusal: Refusal): void {
    this.noted++;
    this.#log("noted", refusal);
  }

  /** A signal that a rule with `audit` allowed. */
  allow(signal: Refusal): void {
    this.#log("allowed", signal);
  }

  #log(outcome: keyof typeof OUTCOMES, refusal: Refusal): void {
    const kind = `${outcome} ${refusal.cluster} ${refusal.mirror} ${refusal.to} ${refusal.rule} ${refusal.reason} ${refusal.operation} ${refusal.target}`;
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
    const { level, message, ruled } = OUTCOMES[outcome];
    this.#logger[level](
      {
        ...refusal,
        ...(seen !== undefined && seen.count > 1 ? { repeated: seen.count } : {}),
        total: outcome === "noted" ? this.noted : this.total,
      },
      refusal.rule === undefined ? message : ruled,
    );
  }
}
