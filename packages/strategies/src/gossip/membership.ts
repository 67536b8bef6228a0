/** Options of {@link Membership}. */
export interface MembershipOptions {
  /** Milliseconds of silence after which a node is forgotten; undefined for never. */
  readonly expiryMs: number | undefined;
  /** More nodes than this are not remembered. */
  readonly maxNodes: number;
}

/** The nodes whose heartbeats were heard, and when. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #lastHeard = new Map<string, number>();
  #lastOfAny = 0;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** In the order in which they were first heard. */
  get nodes(): string[] {
    return [...this.#lastHeard.keys()];
  }

  /** A heartbeat of `node` came. @returns `full` when there are too many nodes already to remember another one */
  heard(node: string, now: number): "new" | "known" | "full" {
    const isKnown = this.#lastHeard.has(node);
    if (!isKnown && this.#lastHeard.size >= this.#options.maxNodes) return "full";
    this.#lastHeard.set(node, now);
    this.#lastOfAny = now;
    return isKnown ? "known" : "new";
  }

  /** Whether there are nodes, and all of them are silent for longer than it takes to be forgotten. */
  isSilent(now: number): boolean {
    const { expiryMs } = this.#options;
    return expiryMs !== undefined && this.#lastHeard.size > 0 && now - this.#lastOfAny > expiryMs;
  }

  /**
   * Forgets nodes that were silent for too long, while others are heard. When nobody is, then it is more likely that
   * the network no longer carries heartbeats than that all nodes are gone, and nobody is forgotten.
   * @returns those that were forgotten now
   */
  expire(now: number): string[] {
    const { expiryMs } = this.#options;
    if (expiryMs === undefined || now - this.#lastOfAny > expiryMs / 2) return [];
    const gone = [...this.#lastHeard].filter(([, heard]) => now - heard > expiryMs).map(([node]) => node);
    for (const node of gone) this.#lastHeard.delete(node);
    return gone;
  }
}
