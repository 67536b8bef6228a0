import { epmdError } from "./errors.ts";

/** 77 and 72 by name; any other number as it is. epmd stores it, nobody interprets it. */
export type EpmdNodeType = "normal" | "hidden" | number;

/** What epmd knows of a node (PROTOCOL section 1, ALIVE2 request and PORT2 reply). */
export interface EpmdNodeInfo {
  /** The part of the node name before `@`. */
  readonly name: string;
  /** The port on which the node takes distribution connections. */
  readonly port: number;
  /** A BEAM registers "normal" even when it is hidden; erl_interface registers "hidden". */
  readonly nodeType: EpmdNodeType;
  /** 0 = TCP, also over IPv6. */
  readonly protocol: number;
  /** Highest and lowest distribution version; nodes of OTP 23 to 29 announce 6 and 5. */
  readonly highVersion: number;
  readonly lowVersion: number;
  /** Free for the node's use; a BEAM leaves it empty. */
  readonly extra: Buffer;
}

const NORMAL = 77;
const HIDDEN = 72;

/** The byte for a node type. */
export function encodeNodeType(type: EpmdNodeType): number {
  return type === "normal" ? NORMAL : type === "hidden" ? HIDDEN : checkInteger("nodeType", type, 0, 255);
}

/** The node type of a byte. */
export function decodeNodeType(byte: number): EpmdNodeType {
  return byte === NORMAL ? "normal" : byte === HIDDEN ? "hidden" : byte;
}

/** `value`, or `EPMD_OPTIONS_INVALID` unless it is an integer from `least` to `most`. */
export function checkInteger(what: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw epmdError(
    "EPMD_OPTIONS_INVALID",
    `${what} must be an integer from ${least} to ${most}, not ${value}.`,
    {
      context: { what, value },
    },
  );
}
