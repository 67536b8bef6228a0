import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/** Codes of the errors that `@isthmus/bridge` makes itself, besides those of its configuration. */
export const BRIDGE_ERROR_CODES = [
  /** More (node, incarnation) pairs than `maxIdentities` were seen from one cluster; the message was not carried. */
  "IDENTITY_LIMIT",
  /** A message has a term in it that the node it is for cannot decode; it was not carried. */
  "TERM_NOT_FOR_TARGET",
  /** A route or cluster of the options does not fit the others. */
  "BRIDGE_OPTIONS_INVALID",
  /** The bridge of another site speaks another version of the protocol between bridges; the message says which. */
  "FAR_CLUSTER_VERSION",
  /** One of two sites does not have a pair of clusters that the other has, or not in the same way; the message says which. */
  "FAR_CLUSTER_REFUSED",
  /** A mirror cannot have its name, because another node has it; it is tried again while the mirrored node is there. */
  "MIRROR_NAME_TAKEN",
  /** There are `max` mirrors already, or all ports for them are in use. */
  "MIRROR_LIMIT",
  /** The state file cannot be read or written, or is none; the message says which. */
  "STATE_FILE_FAILED",
  /** The administration cannot listen at its address. */
  "ADMIN_LISTEN_FAILED",
  /** `isthmus status` cannot ask the bridge. */
  "STATUS_UNREACHABLE",
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
