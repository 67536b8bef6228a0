import type { IsthmusError } from "@isthmus/wire";
import { encodeMessage, type Frame, textField } from "./codec.ts";
import { type TrunkErrorCode, trunkError } from "./errors.ts";
import { KIND } from "./frames.ts";

/** Most that is sent, or kept, of the words with which a site takes leave. */
const MAX_CHARS = 300;

/** What the far site may tell us of; any other code means only that it is over. */
const TOLD: readonly TrunkErrorCode[] = [
  "TRUNK_VERSION",
  "TRUNK_AUTHENTICATION",
  "TRUNK_SITE",
  "TRUNK_PROTOCOL",
  "TRUNK_SESSION_UNKNOWN",
  "TRUNK_REPLACED",
];

/** The message with which a connection ends for this reason. */
export function goodbye(reason: IsthmusError): Buffer {
  return encodeMessage(KIND.GOODBYE, reason.code, reason.message.slice(0, MAX_CHARS));
}

/** What a GOODBYE of the peer says, as an error. @throws IsthmusError `TRUNK_PROTOCOL` */
export function farewell(frame: Frame): IsthmusError {
  const told = textField(frame, 1);
  const text = textField(frame, 2).slice(0, MAX_CHARS);
  const words = /[\p{Cc}\p{Cs}]/u.test(text) ? "something unreadable" : text;
  const code = TOLD.find((one) => one === told) ?? "TRUNK_CLOSED";
  return trunkError(code, `The far site ended the trunk: ${words}`);
}
