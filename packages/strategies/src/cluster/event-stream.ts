/** Options of {@link EventStream}. */
export interface EventStreamLimits<E> {
  /** Events that wait for the reader, 1 or more. */
  readonly limit: number;
  /** Makes the event that stands for those that were dropped. */
  overflow(dropped: number): E;
  /** Called once, when the reader wants no more or the writer has ended it. */
  onEnd(): void;
}

/**
 * A queue between a writer that does not wait and a reader that may be slow: when it is full the oldest events are
 * dropped, and the reader finds one in their place that says how many.
 */
export class EventStream<E> implements AsyncIterableIterator<E> {
  readonly #limits: EventStreamLimits<E>;
  #waiting: E[] = [];
  /** Of `#waiting`, so many were read. */
  #read = 0;
  #dropped = 0;
  readonly #readers: ((result: IteratorResult<E, undefined>) => void)[] = [];
  #ended = false;

  constructor(limits: EventStreamLimits<E>) {
    this.#limits = limits;
  }

  put(event: E): void {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader({ done: false, value: event });
      return;
    }
    this.#waiting.push(event);
    if (this.#waiting.length - this.#read <= this.#limits.limit) return;
    this.#read++;
    this.#dropped++;
    this.#shrink();
  }

  /** The writer has no more; what waits can still be read. */
  readonly end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#limits.onEnd();
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  };

  async next(): Promise<IteratorResult<E, undefined>> {
    if (this.#dropped > 0) {
      const value = this.#limits.overflow(this.#dropped);
      this.#dropped = 0;
      return { done: false, value };
    }
    if (this.#read < this.#waiting.length) {
      const value = this.#waiting[this.#read] as E;
      this.#read++;
      this.#shrink();
      return { done: false, value };
    }
    if (this.#ended) return { done: true, value: undefined };
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** The reader wants no more. */
  async return(): Promise<IteratorResult<E, undefined>> {
    this.#waiting = [];
    this.#read = 0;
    this.#dropped = 0;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Gives back what was read, now and then, so that taking one event costs the same however many wait. */
  #shrink(): void {
    if (this.#read < 64 || this.#read * 2 < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#read);
    this.#read = 0;
  }
}
