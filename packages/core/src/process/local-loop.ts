/** So many signals in one go; then the event loop has its turn. */
const BATCH = 1000;

/**
 * Signals between local processes, in order. They are carried out after the code that sent them has returned, so that
 * no handler runs within another, and two processes that answer each other do not fill the stack.
 */
export class LocalLoop {
  readonly #failed: (error: unknown) => void;
  #queue: (() => void)[] = [];
  #head = 0;
  #scheduled = false;
  readonly #drain = (): void => this.#run();

  /** @param failed told what a signal throws, which none should */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  push(signal: () => void): void {
    this.#queue.push(signal);
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#drain);
  }

  #run(): void {
    for (let count = 0; count < BATCH && this.#head < this.#queue.length; count++) {
      const signal = this.#queue[this.#head] as () => void;
      this.#queue[this.#head++] = nothing;
      try {
        signal();
      } catch (error) {
        this.#failed(error);
      }
    }
    if (this.#head < this.#queue.length) {
      if (this.#head * 2 >= this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      setImmediate(this.#drain);
      return;
    }
    this.#queue = [];
    this.#head = 0;
    this.#scheduled = false;
  }
}

function nothing(): void {}
