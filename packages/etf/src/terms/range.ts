import { etfError } from "../errors.ts";

const MAX_U32 = 0xffff_ffff;

/** @throws IsthmusError `ETF_UNREPRESENTABLE` when `value` does not fit an unsigned 32-bit field */
export function checkU32(value: number, what: string): void {
  if (value >>> 0 !== value) {
    throw etfError(
      "ETF_UNREPRESENTABLE",
      `${what} must be a whole number from 0 to ${MAX_U32}, not ${value}.`,
    );
  }
}
