const BRAND = Symbol.for("@isthmus/error");

/** Options of {@link IsthmusError}. */
export interface IsthmusErrorOptions {
  /** What caused it, kept as it was thrown. */
  readonly cause?: unknown;
  /** Facts for the log: node names, limits, offsets. Never cookies, tokens or payload. */
  readonly context?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class of every Isthmus package. Match on {@link IsthmusError.code}, which is stable;
 * the message is a sentence for people that says what happened and what to do.
 */
export class IsthmusError extends Error {
  override readonly name = "IsthmusError";
  /** Stable upper-case code, listed in the package that throws it. */
  readonly code: string;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: IsthmusErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.context = options.context ?? {};
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** True for an {@link IsthmusError}, also one made by another copy of this package. */
export function isIsthmusError(error: unknown): error is IsthmusError {
  return typeof error === "object" && error !== null && BRAND in error;
}
