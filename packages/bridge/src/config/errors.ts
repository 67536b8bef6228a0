/**
 * Codes of the errors of a configuration. Both end the command `isthmus` with status 3.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `CONFIG_INVALID` | the file has problems; `context.problems` lists every one with line, column, key and message | correct them |
 * | `CONFIG_UNREADABLE` | the file is not there, or cannot be read | see the message |
 */
export const CONFIG_ERROR_CODES = ["CONFIG_INVALID", "CONFIG_UNREADABLE"] as const;

/** One of {@link CONFIG_ERROR_CODES}. */
export type ConfigErrorCode = (typeof CONFIG_ERROR_CODES)[number];
