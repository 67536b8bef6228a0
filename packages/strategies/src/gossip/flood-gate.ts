import type { Clock } from "@isthmus/wire";

/** Options of {@link FloodGate}. */
export interface FloodLimits {
  /** Packets a second from all senders together. */
  readonly total: number;
  /** Packets a second from one address. */
  readonly perSender: number;
}

const WINDOW_MS = 1000;

/**
 * Lets through only so many packets a second, so that a flood costs no more than counting it. It remembers senders for
 * a second only, and no more of them than packets are let through.
 */
export class FloodGate {
  readonly #limits: FloodLimits;
  readonly #clock: Clock;
  readonly #senders = new Map<string, number>();
  #begin: number;
  #passed = 0;

  constructor(limits: FloodLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#begin = clock.now();
  }

  /** Whether a packet from `sender` may pass now. */
  passes(sender: string): boolean {
    const now = this.#clock.now();
    if (now - this.#begin >= WINDOW_MS) {
      this.#begin = now;
      this.#passed = 0;
      this.#senders.clear();
    }
    const sent = this.#senders.get(sender) ?? 0;
    if (this.#passed >= this.#limits.total || sent >= this.#limits.perSender) return false;
    this.#senders.set(sender, sent + 1);
    this.#passed += 1;
    return true;
  }
}
