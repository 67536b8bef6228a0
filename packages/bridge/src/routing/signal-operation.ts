import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal } from "@isthmus/core/channel";
import { Atom, ImproperList, type Pid, Reference, TermReader, Tuple } from "@isthmus/etf";
import { isIsthmusError } from "@isthmus/wire";
import { ADDRESSED, messageOperation, OPERATION } from "../policy/operation.ts";

/** What {@link operationOf} says of a body that nobody looks into. */
export const COMPRESSED = -1;

/** Whether it belongs to the node at the other end. Nobody may speak for another node. */
export function isOwn<T extends Pid | Reference>(source: Connection, one: T | Atom | undefined): one is T {
  return (
    one !== undefined &&
    !(one instanceof Atom) &&
    one.node === source.peer &&
    one.creation === source.peerCreation
  );
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

/** Whether a message would make a server of OTP run something. */
export function runsSomething(signal: Signal): boolean {
  return (
    signal.kind === SIGNAL.SEND &&
    messageOperation(signal.bytes, signal.bodyStart, signal.bodyEnd, ADDRESSED.PID) === OPERATION.SPAWN
  );
}

/** The monitor that whoever has sent a request waits with, if it can be seen. */
export function requestMonitor(signal: Signal, operation: number | undefined): Reference | undefined {
  if (operation === undefined || operation === COMPRESSED) return undefined;
  // a tag is small
  const reader = new TermReader({ maxElements: 16, maxDepth: 4 });
  reader.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
  try {
    const io = operation === OPERATION.IO;
    if (
      !io &&
      operation !== OPERATION.CALL &&
      operation !== OPERATION.SYSTEM &&
      operation !== OPERATION.SPAWN
    )
      return undefined;
    reader.tupleHeader();
    reader.skip();
    if (io) {
      reader.skip();
      const as = reader.term();
      return as instanceof Reference ? as : undefined;
    }
    const from = reader.term();
    const tag = from instanceof Tuple ? from.elements[1] : undefined;
    if (tag instanceof Reference) return tag;
    return tag instanceof ImproperList && tag.tail instanceof Reference ? tag.tail : undefined;
  } catch (error) {
    // it was refused already, whatever it is
    if (isIsthmusError(error)) return undefined;
    throw error;
  }
}
