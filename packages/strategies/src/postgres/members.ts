/** More names than this are not kept: whoever may connect to the database may announce anything. */
const MAX_MEMBERS = 4096;

/** The nodes that were heard, and when. Times are of the strategy's clock, in milliseconds. */
export class Members {
  readonly #heard = new Map<string, number>();

  get nodes(): string[] {
    return [...this.#heard.keys()];
  }

  /** @returns whether the node is new; undefined when there are too many to keep it */
  hear(node: string, now: number): boolean | undefined {
    const known = this.#heard.has(node);
    if (!known && this.#heard.size >= MAX_MEMBERS) return undefined;
    this.#heard.set(node, now);
    return !known;
  }

  /** @returns whether the node was there */
  forget(node: string): boolean {
    return this.#heard.delete(node);
  }

  /** Takes out the nodes that were not heard since `since`. @returns these */
  expire(since: number): string[] {
    const silent = [...this.#heard].filter(([, at]) => at < since).map(([node]) => node);
    for (const node of silent) this.#heard.delete(node);
    return silent;
  }

  /** Begins anew to wait for everyone: they could not be heard for a while. */
  renew(now: number): void {
    for (const node of this.#heard.keys()) this.#heard.set(node, now);
  }
}
