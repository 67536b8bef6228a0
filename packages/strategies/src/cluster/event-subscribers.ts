import { type Logger, silentLogger } from "@isthmus/wire";

/** Options of {@link EventSubscribers}. */
export interface EventSubscribersOptions<T, E> {
  /** The same text for targets that are the same. */
  key(target: T): string;
  /** Sends `event` to `target`. Must not throw for a target that is gone. */
  deliver(target: T, event: E): void;
  /**
   * Calls `gone` when `target` has ended, or can never be reached again. Without it subscribers stay until they
   * unsubscribe.
   * @returns a function that ends this
   */
  watch?(target: T, gone: () => void): () => void;
  /** Subscribers at once; more are refused, and that is logged. @default 10000 */
  readonly limit?: number;
  readonly logger?: Logger;
}

/**
 * Those who subscribed to events: each gets every event once, until it unsubscribes or ends. How events reach them is
 * given, so these may be processes on a BEAM.
 */
export class EventSubscribers<T, E> {
  readonly #options: EventSubscribersOptions<T, E>;
  readonly #subscribers = new Map<string, { readonly target: T; unwatch(): void }>();

  constructor(options: EventSubscribersOptions<T, E>) {
    this.#options = options;
  }

  get size(): number {
    return this.#subscribers.size;
  }

  /** A target that is subscribed already stays so. @returns whether it is subscribed now */
  subscribe(target: T): boolean {
    const { key, watch, limit = 10_000, logger = silentLogger } = this.#options;
    const name = key(target);
    if (this.#subscribers.has(name)) return true;
    if (this.#subscribers.size >= limit) {
      logger.warn({ limit, subscriber: name }, "too many subscribers to cluster events: one was refused");
      return false;
    }
    // The target may be gone already, and watching may tell so at once.
    let gone = false;
    const subscriber = { target, unwatch: (): void => undefined };
    this.#subscribers.set(name, subscriber);
    const unwatch = watch?.(target, () => {
      gone = true;
      if (this.#subscribers.get(name) === subscriber) this.#subscribers.delete(name);
    });
    if (unwatch !== undefined) subscriber.unwatch = unwatch;
    return !gone;
  }

  /** @returns whether it was subscribed */
  unsubscribe(target: T): boolean {
    const name = this.#options.key(target);
    const subscriber = this.#subscribers.get(name);
    if (subscriber === undefined) return false;
    this.#subscribers.delete(name);
    subscriber.unwatch();
    return true;
  }

  /** Delivers an event to everybody who is subscribed. */
  publish(event: E): void {
    for (const { target } of this.#subscribers.values()) this.#options.deliver(target, event);
  }

  /** Forgets all. */
  close(): void {
    for (const { unwatch } of this.#subscribers.values()) unwatch();
    this.#subscribers.clear();
  }
}
