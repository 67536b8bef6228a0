import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/**
 * Codes of the errors that `isthmus form` makes itself, besides those of its configuration and of the packages below.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `LOCAL_NODE_DOWN` | there is no connection to the local BEAM node | nothing: it is waited for |
 * | `LOCAL_NODE_FAILED` | the local BEAM node answered with something that is no answer to what it was asked | see the message |
 * | `PEER_UNREACHABLE` | `net_kernel:connect_node` on the local BEAM node said `false` | check name, epmd, network and cookie from there; its log says more |
 * | `DISCOVERY_SILENT` | in a dry run, a strategy gave no answer in time | see its documentation; allow more with `--timeout` |
 * | `REMOVAL_GIVEN_UP` | a node that was to be disconnected is wanted again | nothing |
 */
export const FORM_ERROR_CODES = [
  "LOCAL_NODE_DOWN",
  "LOCAL_NODE_FAILED",
  "PEER_UNREACHABLE",
  "DISCOVERY_SILENT",
  "REMOVAL_GIVEN_UP",
] as const;

/** One of {@link FORM_ERROR_CODES}. */
export type FormErrorCode = (typeof FORM_ERROR_CODES)[number];

/** Makes an error with one of these codes. */
export function formError(
  code: FormErrorCode,
  message: string,
  options: IsthmusErrorOptions = {},
): IsthmusError {
  return new IsthmusError(code, message, options);
}
