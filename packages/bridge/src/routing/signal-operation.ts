import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal } from "@isthmus/core/channel";
import { Atom, atom, ImproperList, type Pid, Reference, type Term, TermReader, Tuple } from "@isthmus/etf";
import { isIsthmusError } from "@isthmus/wire";
import { ADDRESSED, messageOperation, OPERATION, openedSize, openTuple } from "../policy/operation.ts";
import { mayBeLoader } from "../policy/reserved-names.ts";

/** What {@link operationOf} says of a body that nobody looks into. */
export const COMPRESSED = -1;

/** LIST_EXT (PROTOCOL section 6). */
const LIST = 108;
const ALIAS = atom("alias");

/** Whether it belongs to the node at the other end. Nobody may speak for another node. */
export function isOwn<T extends Pid | Reference>(source: Connection, one: T | Atom | undefined): one is T {
  return (
    one !== undefined && !(one instanceof Atom) && one.node === source.peer && isCurrent(source, one.creation)
  );
}

/** Whether a node can have processes of this creation. Those of a bridge have as many as it has shown there. */
export function isCurrent(connection: Connection, creation: number): boolean {
  return creation === connection.peerCreation || connection.joinsBridges;
}

/** What a signal asks for; undefined for what follows from a link or monitor that there is. */
export function operationOf(signal: Signal, addressed: number): number | undefined {
  switch (signal.kind) {
    case SIGNAL.SEND:
      return messageOperation(signal.bytes, signal.bodyStart, signal.bodyEnd, addressed);
    case SIGNAL.MONITOR:
      return OPERATION.MONITOR;
    case SIGNAL.LINK:
      return OPERATION.LINK;
    case SIGNAL.EXIT2:
      return OPERATION.EXIT;
    case SIGNAL.GROUP_LEADER:
      return OPERATION.GROUP_LEADER;
    case SIGNAL.SPAWN_REQUEST:
      return OPERATION.SPAWN;
    default:
      return undefined;
  }
}

/** How a process or alias is addressed, as its own cluster knows it: one of {@link ADDRESSED}. */
export function addressing(own: Pid | Reference): number {
  if (own instanceof Reference) return ADDRESSED.ALIAS;
  return mayBeLoader(own.id, own.serial) ? ADDRESSED.LOADER : ADDRESSED.PID;
}

/** Whether a message would make a server of OTP run something. */
export function runsSomething(signal: Signal): boolean {
  return (
    signal.kind === SIGNAL.SEND &&
    messageOperation(signal.bytes, signal.bodyStart, signal.bodyEnd, ADDRESSED.PID) === OPERATION.SPAWN
  );
}

/**
 * The alias that the answer in `signal` is for: A of `{[alias|A], Answer}` and `{[[alias|A]|_], Answer}`. OTP 24 and
 * later send it there, so that a late one goes nowhere; OTP 23 knows no aliases and sends it to the caller.
 */
export function answeredAlias(signal: Signal): Reference | undefined {
  const { bytes, bodyStart, bodyEnd } = signal;
  const first = openTuple(bytes, bodyStart, bodyEnd);
  if (first < 0 || openedSize() !== 2 || bytes[first] !== LIST) return undefined;
  let tag = smallTerm(signal, first);
  if (tag instanceof ImproperList && tag.elements[0] instanceof ImproperList) tag = tag.elements[0];
  if (!(tag instanceof ImproperList) || tag.elements.length !== 1 || tag.elements[0] !== ALIAS)
    return undefined;
  return tag.tail instanceof Reference ? tag.tail : undefined;
}

/** Requests that somebody waits for. */
const AWAITED: readonly number[] = [OPERATION.IO, OPERATION.CALL, OPERATION.SYSTEM, OPERATION.SPAWN];

/** The monitor that whoever has sent a request waits with, if it can be seen. */
export function requestMonitor(signal: Signal, operation: number | undefined): Reference | undefined {
  if (operation === undefined || !AWAITED.includes(operation)) return undefined;
  return attempt(() => {
    const reader = smallReader(signal, signal.bodyStart);
    reader.tupleHeader();
    reader.skip();
    if (operation === OPERATION.IO) {
      reader.skip();
      const as = reader.term();
      return as instanceof Reference ? as : undefined;
    }
    const from = reader.term();
    return from instanceof Tuple ? referenceOf(from.elements[1]) : undefined;
  });
}

/**
 * The monitor that an answer is for, as whoever answers knows it: `{Ref, Answer}`, `{[alias|Ref], Answer}`, or anything
 * that is sent to the alias that it is; undefined when it cannot be seen.
 */
export function answeredMonitor(signal: Signal): Reference | undefined {
  if (signal.to instanceof Reference) return signal.to;
  const first = openTuple(signal.bytes, signal.bodyStart, signal.bodyEnd);
  if (first < 0 || openedSize() !== 2) return undefined;
  return referenceOf(smallTerm(signal, first));
}

/** Whether so much of a message is there that {@link operationOf} can say what it asks for. */
export function isTellable(signal: Signal, addressed: number): boolean {
  return attempt(() => operationOf(signal, addressed) ?? OPERATION.INFO) !== undefined;
}

/** What a message asks for of which only the beginning is there. */
export function beginningOf(signal: Signal, to: Pid | Reference | Atom): number | undefined {
  try {
    return operationOf(signal, to instanceof Atom ? ADDRESSED.NAME : addressing(to));
  } catch (error) {
    // it cannot be told from so little: then nobody is known to wait
    if (isIsthmusError(error)) return OPERATION.INFO;
    throw error;
  }
}

/** The reference in a tag of a call: itself, or behind `alias`. */
function referenceOf(tag: Term | undefined): Reference | undefined {
  if (tag instanceof Reference) return tag;
  return tag instanceof ImproperList && tag.tail instanceof Reference ? tag.tail : undefined;
}

/** The term at `at` of a body, if it is as small as a tag; undefined for anything else. */
function smallTerm(signal: Signal, at: number): Term | undefined {
  return attempt(() => smallReader(signal, at).term());
}

/** Reads what stands at `at` of a body and is not larger than a tag. */
function smallReader({ bytes, bodyEnd, atomRefs }: Signal, at: number): TermReader {
  const reader = new TermReader({ maxElements: 16, maxDepth: 4 });
  reader.reset(bytes, at, bodyEnd, atomRefs);
  return reader;
}

/** What `read` finds; undefined for something else. When that is malformed, it is found out where it is carried. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isIsthmusError(error)) return undefined;
    throw error;
  }
}
