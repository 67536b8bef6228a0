import { isIsthmusError } from "@isthmus/wire";

/** Whether a signal could not be translated because a table is full, or a peer has made something up. */
export function isLimit(error: unknown): boolean {
  return isIsthmusError(error) && (error.code === "IDENTITY_LIMIT" || error.code === "TERM_NOT_FOR_TARGET");
}

/** For the audit log: what a node cannot decode of a message for it; undefined when the error is another. */
export function undecodableReason(error: unknown): string | undefined {
  if (!isIsthmusError(error)) return undefined;
  // the code of the codec for a term that has no form for its target
  if (error.code !== "TERM_NOT_FOR_TARGET" && error.code !== "ETF_UNREPRESENTABLE") return undefined;
  return `TERM_NOT_FOR_TARGET: ${error.message}`;
}
