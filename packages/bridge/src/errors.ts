import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/** Codes of the errors that `@isthmus/bridge` makes itself, besides those of its configuration. */
export const BRIDGE_ERROR_CODES = [
  /** More (node, incarnation) pairs than `maxIdentities` were seen from one cluster; the message was not carried. */
  "IDENTITY_LIMIT",
  /** A route or cluster of the options does not fit the others. */
  "BRIDGE_OPTIONS_INVALID",
  /** The state file cannot be read or written, or is none; the message says which. */
  "STATE_FILE_FAILED",
] as const;

/** One of {@link BRIDGE_ERROR_CODES}. */
export type BridgeErrorCode = (typeof BRIDGE_ERROR_CODES)[number];

/** Makes an error with one of this package's codes. */
export function bridgeError(
  code: BridgeErrorCode,
  message: string,
  options?: IsthmusErrorOptions,
): IsthmusError {
  return new IsthmusError(code, message, options);
}
