import { type Atom, atom, Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import type { LocalProcess } from "../process/local-process.ts";
import type { Outbound } from "../process/outbound.ts";
import { tagAlias } from "../process/reply-tag.ts";

/** The labels of `gen:call` and `gen_server:cast` messages (PROTOCOL 8.1; stdlib `gen.erl`). */
export const GEN_CALL: Atom = atom("$gen_call");
export const GEN_CAST: Atom = atom("$gen_cast");

/** Who waits for an answer: where to, and the tag that the answer must carry unchanged. */
export interface CallFrom {
  readonly pid: Pid;
  readonly tag: Term;
}

/** The caller of `{'$gen_call', {Pid, Tag}, Request}`; undefined for any other message. */
export function callerOf(message: Term): CallFrom | undefined {
  if (!(message instanceof Tuple) || message.size !== 3 || message.elements[0] !== GEN_CALL) return undefined;
  const from = message.elements[1];
  if (!(from instanceof Tuple) || from.size !== 2) return undefined;
  const [pid, tag] = from.elements;
  return pid instanceof Pid && tag !== undefined ? { pid, tag } : undefined;
}

/** Whether the message is `{'$gen_cast', Message}`. */
export function isCast(message: Term): message is Tuple {
  return message instanceof Tuple && message.size === 2 && message.elements[0] === GEN_CAST;
}

/**
 * Sends `{Tag, Reply}`: to the alias in the tag, so that a reply which comes too late vanishes; to the caller's pid
 * when the tag has none or the caller's node knows no aliases.
 */
export function reply(process: LocalProcess, outbound: Outbound, from: CallFrom, value: Term): void {
  const alias = tagAlias(from.tag);
  const message = tuple(from.tag, value);
  if (alias !== undefined && outbound.aliasesWork(alias.node)) process.send(alias, message);
  else process.send(from.pid, message);
}
