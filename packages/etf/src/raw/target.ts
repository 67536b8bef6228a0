import { etfError } from "../errors.ts";
import type { Atom } from "../terms/atom.ts";
import type { Pid } from "../terms/pid.ts";
import type { Port } from "../terms/port.ts";
import type { Reference } from "../terms/reference.ts";

/** What a node can decode. It drops the connection over anything else (PROTOCOL sections 6 and 12). */
export interface TermTarget {
  /** Its name: identifiers of its own must be such as a node gives out. */
  readonly node: Atom;
  /** Wide numbers: V4_NC, OTP 24 and later. */
  readonly wide: boolean;
  /** RECORD_EXT: NATIVE_RECORDS, OTP 29 and later. */
  readonly records: boolean;
}

/** Largest numbers of OTP 23 (PROTOCOL section 6). */
const NARROW_ID = 2 ** 15 - 1;
const NARROW_SERIAL = 2 ** 13 - 1;
const NARROW_PORT = 2n ** 28n - 1n;
const NARROW_WORDS = 3;
/** Largest id of a pid that a node has given out itself; OTP 25, which cannot be told from 26, gives out no more than 23. */
const OWN_ID = 2 ** 28 - 1;
/** Largest first word of a reference that a node has made itself. */
const OWN_WORD = 2 ** 18 - 1;

/** Whether a node without V4_NC can decode it. */
export function isNarrow(identifier: Pid | Port | Reference): boolean {
  switch (identifier.kind) {
    case "pid":
      return identifier.id <= NARROW_ID && identifier.serial <= NARROW_SERIAL;
    case "port":
      return identifier.id <= NARROW_PORT;
    default:
      return identifier.words.length <= NARROW_WORDS;
  }
}

/** Whether `target` can decode it: its numbers are not too wide, and may be its own if they say so. */
export function isDecodable(identifier: Pid | Port | Reference, target: TermTarget): boolean {
  if (!target.wide && !isNarrow(identifier)) return false;
  if (identifier.node !== target.node) return true;
  if (identifier.kind === "pid") return identifier.id <= OWN_ID;
  return identifier.kind === "port" || (identifier.words[0] as number) <= OWN_WORD;
}

/** A well-formed term that the target of a copy cannot decode. */
export function undecodable(what: string, target: TermTarget, at: number): Error {
  // without the offset in the text: so all of one kind count as the same in a log
  return etfError("ETF_UNREPRESENTABLE", `${target.node.text} cannot decode ${what}.`, {
    context: { offset: at },
  });
}
