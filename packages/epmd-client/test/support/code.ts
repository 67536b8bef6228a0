import { expect } from "vitest";
import type { EpmdErrorCode } from "../../src/errors.ts";

/** Matches an error of this code. */
export function code(expected: EpmdErrorCode): unknown {
  return expect.objectContaining({ name: "IsthmusError", code: expected });
}

/** The code of what `run` throws. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
}
