import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/**
 * Codes of the errors of `isthmus convert`.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `ELIXIR_INVALID` | a quote or bracket of the configuration is not closed, or a value is missing; `context` has line and column | correct the file |
 * | `TOPOLOGIES_MISSING` | the file configures neither libcluster nor skycluster, nor has it `topologies = [...]` | give the file that does |
 */
export const CONVERT_ERROR_CODES = ["ELIXIR_INVALID", "TOPOLOGIES_MISSING"] as const;

/** One of {@link CONVERT_ERROR_CODES}. */
export type ConvertErrorCode = (typeof CONVERT_ERROR_CODES)[number];

/** Makes an error with one of these codes. */
export function convertError(
  code: ConvertErrorCode,
  message: string,
  options: IsthmusErrorOptions = {},
): IsthmusError {
  return new IsthmusError(code, message, options);
}
