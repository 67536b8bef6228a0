import { readFileSync } from "node:fs";

/** A line of etf_encode.json: what `term_to_binary` of some releases made. */
export interface EncodeVector {
  readonly otp: readonly number[];
  readonly kind: readonly string[];
  readonly erl: string;
  /** Missing for outputs above 1200 bytes. */
  readonly hex?: string;
}

/** A line of etf_decode.json: what `binary_to_term` of some releases said. */
export interface DecodeVector {
  readonly otp: readonly number[];
  readonly erl: string;
  readonly hex: string;
  readonly result: "ok" | "badarg";
  readonly reenc?: string;
  readonly used?: number;
}

const folder = new URL("../../../../test/vectors/", import.meta.url);

export const encodeVectors: readonly EncodeVector[] = load("etf_encode.json");
export const decodeVectors: readonly DecodeVector[] = load("etf_decode.json");

function load<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(name, folder), "utf8")) as T[];
}
