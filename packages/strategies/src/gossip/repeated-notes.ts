import type { Clock, Logger } from "@isthmus/wire";

type Fields = Readonly<Record<string, unknown>>;

const QUIET_MS = 60_000;

/**
 * Logs what strangers can make happen as often as they like: the first of each kind as a warning, then at most one line
 * a minute, with how many there were.
 */
export class RepeatedNotes {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { count: number; logged: number }>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** One more of this kind. */
  add(kind: string, fields: Fields, message: string): void {
    const now = this.#clock.now();
    const before = this.#kinds.get(kind);
    if (before === undefined) {
      this.#kinds.set(kind, { count: 1, logged: now });
      this.#logger.warn({ kind, count: 1, ...fields }, message);
      return;
    }
    before.count += 1;
    if (now - before.logged < QUIET_MS) return;
    before.logged = now;
    this.#logger.debug({ kind, count: before.count, ...fields }, message);
  }
}
