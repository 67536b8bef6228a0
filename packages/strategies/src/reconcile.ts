/** What {@link reconcile} compares. */
export interface ReconcileInput {
  /** Our own name, which is left out everywhere. */
  readonly self: string;
  /** The nodes that should be connected. */
  readonly wanted: Iterable<string>;
  /** The nodes that are. */
  readonly connected: Iterable<string>;
  /** The nodes that should have been connected until now. Only these may become obsolete: others are not ours. */
  readonly previous?: Iterable<string>;
}

/** What there is to do. */
export interface Reconciliation {
  /** Wanted and not connected, in the order of `wanted`. */
  readonly connect: readonly string[];
  /** Connected, once wanted, and not wanted any more. */
  readonly obsolete: readonly string[];
}

/** Compares what should be with what is. Nothing is remembered: the same sets always give the same answer. */
export function reconcile({ self, wanted, connected, previous = [] }: ReconcileInput): Reconciliation {
  const are = new Set(connected);
  const should = new Set(wanted);
  should.delete(self);
  return {
    connect: [...should].filter((node) => !are.has(node)),
    obsolete: [...new Set(previous)].filter((node) => node !== self && !should.has(node) && are.has(node)),
  };
}
