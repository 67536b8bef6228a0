/** Bounds on what a decoder or scanner takes from a peer. */
export interface TermLimits {
  /** Containers within containers. Nothing here recurses; the bound protects those who walk the term. @default 10000 */
  readonly maxDepth: number;
  /** Bytes of one integer. @default 65536 */
  readonly maxBignumBytes: number;
  /** Bytes that a compressed term may become. @default 64 MiB */
  readonly maxInflatedBytes: number;
}

export const DEFAULT_TERM_LIMITS: TermLimits = {
  maxDepth: 10_000,
  maxBignumBytes: 65_536,
  maxInflatedBytes: 64 * 1024 * 1024,
};
