import { IsthmusError, isIsthmusError } from "@isthmus/wire";

/** A table is full, or a peer has made something up; or a term is larger than is taken, and well formed. */
const LIMITS: readonly string[] = [
  "IDENTITY_LIMIT",
  "TERM_NOT_FOR_TARGET",
  "ETF_DEPTH_LIMIT",
  "ETF_ELEMENTS_LIMIT",
  "ETF_BIGNUM_LIMIT",
  "ETF_INFLATED_LIMIT",
  "ETF_SIZE_LIMIT",
];

/** Whether a signal could not be translated although it is what a node may send. */
export function isLimit(error: unknown): boolean {
  return isIsthmusError(error) && LIMITS.includes(error.code);
}

/** Why the connection is closed that a signal came on which could not be carried: its sender is at fault. */
export function closeReason(error: unknown): IsthmusError {
  return isIsthmusError(error)
    ? error
    : new IsthmusError("CONTROL_MALFORMED", "A message could not be carried.", { cause: error });
}

/** For the audit log: what a node cannot decode of a message for it; undefined when the error is another. */
export function undecodableReason(error: unknown): string | undefined {
  if (!isIsthmusError(error)) return undefined;
  // the code of the codec for a term that has no form for its target
  if (error.code !== "TERM_NOT_FOR_TARGET" && error.code !== "ETF_UNREPRESENTABLE") return undefined;
  return `TERM_NOT_FOR_TARGET: ${error.message}`;
}
