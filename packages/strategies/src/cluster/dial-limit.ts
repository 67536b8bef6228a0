/**
 * Lets so many attempts run at once; others wait in the order in which they came. One limit may be shared by any
 * number of topologies.
 */
export class DialLimit {
  readonly #most: number;
  /** A set keeps its order, and lets whoever gives up leave from the middle. */
  readonly #queue = new Set<() => void>();
  #running = 0;

  /** @param most attempts at once, 1 or more */
  constructor(most: number) {
    this.#most = most;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Calls `begin` when there is room, which may be at once. What it is given, and this returns, makes room again or
   * gives up waiting; only the first call counts.
   */
  enter(begin: (leave: () => void) => void): () => void {
    let over = false;
    const leave = (): void => {
      if (over) return;
      over = true;
      if (this.#queue.delete(admitted)) return;
      this.#running--;
      this.#next();
    };
    const admitted = (): void => {
      this.#running++;
      begin(leave);
    };
    if (this.#running < this.#most) admitted();
    else this.#queue.add(admitted);
    return leave;
  }

  #next(): void {
    for (const admitted of this.#queue) {
      if (this.#running >= this.#most) return;
      this.#queue.delete(admitted);
      admitted();
    }
  }
}
