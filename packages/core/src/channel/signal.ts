import type { Atom, Pid, Reference, Term } from "@isthmus/etf";
import { SIGNAL, type SignalKind } from "./opcodes.ts";

/**
 * One signal as it came from a peer. **There is one object per connection, filled anew for each signal**: it and the
 * bytes it points to hold during the callback only; copy what must live longer ({@link Signal.detach}).
 *
 * Which fields mean something depends on {@link Signal.kind}; the others are leftovers.
 */
export class Signal {
  kind: SignalKind = SIGNAL.SEND;
  /** The control message's own number, for logs. */
  op = 0;
  /** The acting process. Undefined for a SEND of an older form; an atom in the DOWN of a monitored name. */
  from: Pid | Atom | undefined = undefined;
  /** The addressed process: a pid, a registered name, or an alias. For SPAWN_REQUEST and SPAWN_REPLY see there. */
  to: Pid | Atom | Reference | undefined = undefined;
  /** MONITOR, DEMONITOR, DOWN: the monitor. SPAWN_REQUEST, SPAWN_REPLY: the request. */
  ref: Reference | undefined = undefined;
  /** UNLINK, UNLINK_ACK: the id; undefined for OTP 23's UNLINK, which wants no acknowledgement. */
  unlinkId: number | bigint | undefined = undefined;
  /** GROUP_LEADER, SPAWN_REQUEST: the group leader. */
  groupLeader: Pid | undefined = undefined;
  /** SPAWN_REQUEST: what to run. */
  module: Atom | undefined = undefined;
  function: Atom | undefined = undefined;
  arity = 0;
  options: Term = false;
  /** SPAWN_REPLY: 1 = link made, 2 = monitor made. */
  flags = 0;
  /** SPAWN_REPLY: the new pid, or an error atom. */
  result: Pid | Atom | undefined = undefined;

  /**
   * Bytes of a message that is longer than is taken, and of which only the beginning is here; 0 for all others. Its
   * body is not whole: it can be answered, not delivered.
   */
  missingBytes = 0;
  /** With {@link Signal.missingBytes}: in how many pieces these come; 0 when in any. Nothing of the protocol: a router's. */
  missingPieces = 0;
  /** The bytes that the ranges below point into. */
  bytes: Buffer = Buffer.alloc(0);
  /** The body term (message, reason, arguments) without a version byte; `bodyEnd` is 0 when there is none. */
  bodyStart = 0;
  bodyEnd = 0;
  /** The seq_trace token; `tokenEnd` is 0 when there is none. */
  tokenStart = 0;
  tokenEnd = 0;
  /** Atoms that cache references in the ranges stand for; undefined without a distribution header. */
  atomRefs: readonly Atom[] | undefined = undefined;

  /** A copy that may be kept: its bytes are its own. */
  detach(): Signal {
    const copy = Object.assign(new Signal(), this);
    const token = this.bytes.subarray(this.tokenStart, Math.max(this.tokenStart, this.tokenEnd));
    const body = this.bytes.subarray(this.bodyStart, Math.max(this.bodyStart, this.bodyEnd));
    copy.bytes = Buffer.concat([token, body]);
    copy.tokenStart = 0;
    copy.tokenEnd = this.tokenEnd > 0 ? token.length : 0;
    copy.bodyStart = token.length;
    copy.bodyEnd = this.bodyEnd > 0 ? token.length + body.length : 0;
    if (this.atomRefs !== undefined) copy.atomRefs = [...this.atomRefs];
    return copy;
  }
}
