import type { BodySource, Recipient, RewrittenBody, Signal } from "@isthmus/core/channel";
import { type Atom, atom, type Pid, TermReader, type TermWriter } from "@isthmus/etf";
import { skipTerm } from "@isthmus/etf/raw";
import { isIsthmusError } from "@isthmus/wire";
import { OPERATION, openedSize, openTuple } from "../policy/operation.ts";

/** A request to run a function, as far as the policy looks at it. */
export interface RemoteCall {
  /** CALL and CAST of `erpc`, `rpc` and `rex`, or SPAWN. */
  readonly operation: number;
  /** `module:function/arity`: what would run in the end. */
  readonly mfa: string;
  /** Where its arguments are: a list. */
  readonly argsStart: number;
  readonly argsEnd: number;
}

/** One sent to `rex`, and what of it stays as it is. */
export interface RexCall extends RemoteCall {
  /** The term before the request: the caller. Empty for a cast. */
  readonly callerStart: number;
  readonly callerEnd: number;
  /** Module, function and arguments, three terms. */
  readonly calledStart: number;
  /** `call` or `block_call`. */
  readonly verb: Atom;
  /** `$gen_call` or `$gen_cast`; undefined for `{From, Request}`. */
  readonly label: Atom | undefined;
}

const ERPC = atom("erpc");
const EXECUTE_CALL = atom("execute_call");
const EXECUTE_CAST = atom("execute_cast");
const GEN_CALL = atom("$gen_call");
const GEN_CAST = atom("$gen_cast");
const CALL = atom("call");
const BLOCK_CALL = atom("block_call");
const CAST = atom("cast");

// tags of the external term format (PROTOCOL section 6)
const NIL = 106;
const STRING = 107;
const LIST = 108;
const SMALL_TUPLE = 104;
const LARGE_TUPLE = 105;
const MAP = 116;
const RECORD = 67;
const NEW_FUN = 112;
const EXPORT = 113;

/** What a spawn request would run; for `erpc` (and `rpc`, which is made of it) the function that it would call. */
export function spawnedCall(signal: Signal): RemoteCall | undefined {
  const { module, function: name, arity, bytes, bodyStart, bodyEnd } = signal;
  const listed = arityAt(bytes, bodyStart, bodyEnd);
  // what says that it has so many arguments must have them
  if (listed !== arity || module === undefined || name === undefined) return undefined;
  const before =
    module === ERPC && name === EXECUTE_CALL && arity === 4
      ? 1
      : module === ERPC && name === EXECUTE_CAST && arity === 3
        ? 0
        : undefined;
  if (before === undefined) {
    const mfa = `${module.text}:${name.text}/${arity}`;
    return { operation: OPERATION.SPAWN, mfa, argsStart: bodyStart, argsEnd: bodyEnd };
  }
  if (bytes[bodyStart] !== LIST) return undefined;
  let at = bodyStart + 5;
  for (let i = 0; i < before; i++) at = skipTerm(bytes, at, bodyEnd);
  return called(signal, at, before === 1 ? OPERATION.CALL : OPERATION.CAST);
}

/** What a message to `rex` would run (PROTOCOL 8.3). */
export function rexCall(signal: Signal): RexCall | undefined {
  const { bytes, bodyStart, bodyEnd } = signal;
  let at = openTuple(bytes, bodyStart, bodyEnd);
  const size = openedSize();
  if (at < 0 || size > 3) return undefined;
  const label = size === 3 || bytes[at] !== 88 ? atomAt(signal, at) : undefined;
  if (size === 3 ? label !== GEN_CALL : label !== undefined && label !== GEN_CAST) return undefined;
  if (label !== undefined) at = skipTerm(bytes, at, bodyEnd);
  const callerStart = at;
  const callerEnd = label === GEN_CAST ? at : skipTerm(bytes, at, bodyEnd);
  const first = openTuple(bytes, callerEnd, bodyEnd);
  if (first < 0 || openedSize() !== 5) return undefined;
  const verb = atomAt(signal, first);
  if (verb === undefined || (label === GEN_CAST ? verb !== CAST : verb !== CALL && verb !== BLOCK_CALL))
    return undefined;
  const calledStart = skipTerm(bytes, first, bodyEnd);
  const call = called(signal, calledStart, label === GEN_CAST ? OPERATION.CAST : OPERATION.CALL);
  return call && { ...call, callerStart, callerEnd, calledStart, verb, label };
}

/** Module, function and arguments, which stand one after the other. */
function called(signal: Signal, start: number, operation: number): RemoteCall | undefined {
  const { bytes, bodyEnd } = signal;
  const module = atomAt(signal, start);
  if (module === undefined) return undefined;
  const second = skipTerm(bytes, start, bodyEnd);
  const name = atomAt(signal, second);
  if (name === undefined) return undefined;
  const argsStart = skipTerm(bytes, second, bodyEnd);
  const arity = arityAt(bytes, argsStart, bodyEnd);
  if (arity === undefined) return undefined;
  const argsEnd = skipTerm(bytes, argsStart, bodyEnd);
  return { operation, mfa: `${module.text}:${name.text}/${arity}`, argsStart, argsEnd };
}

function atomAt(signal: Signal, at: number): Atom | undefined {
  const reader = new TermReader();
  reader.reset(signal.bytes, at, signal.bodyEnd, signal.atomRefs);
  try {
    return reader.atom();
  } catch (error) {
    // something else stands there
    if (isIsthmusError(error)) return undefined;
    throw error;
  }
}

/** Length of the proper list at `at`; undefined when there is none, in the form in which it is usually written. */
function arityAt(bytes: Buffer, at: number, end: number): number | undefined {
  switch (bytes[at]) {
    case NIL:
      return 0;
    case STRING:
      return bytes.readUInt16BE(at + 1);
    case LIST: {
      const length = bytes.readUInt32BE(at + 1);
      let next = at + 5;
      if (length > 255) return undefined;
      for (let i = 0; i < length; i++) next = skipTerm(bytes, next, end);
      return bytes[next] === NIL ? length : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether there is any fun, of whatever kind, in the term at `at`, which must be well formed. */
export function hasFun(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  for (let left = 1; left > 0; left--) {
    switch (bytes[at]) {
      case NEW_FUN:
      case EXPORT:
        return true;
      case SMALL_TUPLE:
        left += bytes[at + 1]!;
        at += 2;
        break;
      case LARGE_TUPLE:
        left += bytes.readUInt32BE(at + 1);
        at += 5;
        break;
      case LIST:
        left += bytes.readUInt32BE(at + 1) + 1;
        at += 5;
        break;
      case MAP:
        left += bytes.readUInt32BE(at + 1) * 2;
        at += 5;
        break;
      case RECORD: // module, name, and then names and values of its fields
        left += bytes.readUInt32BE(at + 1) * 2 + 2;
        at += 6;
        break;
      default:
        at = skipTerm(bytes, at, end);
    }
  }
  return false;
}

/** The body of a {@link RexCall} with another group leader. */
export class RexBody implements BodySource {
  readonly #call: RexCall;
  readonly #signal: Signal;
  readonly #rewritten: RewrittenBody;
  readonly #leader: Pid;
  readonly #to: Recipient;

  constructor(call: RexCall, signal: Signal, rewritten: RewrittenBody, leader: Pid, to: Recipient) {
    this.#call = call;
    this.#signal = signal;
    this.#rewritten = rewritten;
    this.#leader = leader;
    this.#to = to;
  }

  writeTo(out: TermWriter): void {
    const { label, callerStart, callerEnd, calledStart, argsEnd, verb } = this.#call;
    out.tupleHeader(label === GEN_CALL ? 3 : 2);
    if (label !== undefined) out.atom(label);
    if (callerEnd > callerStart) this.#copy(out, callerStart, callerEnd);
    out.tupleHeader(5);
    out.atom(verb);
    let at = calledStart;
    for (let i = 0; i < 3; i++) {
      this.#copy(out, at, argsEnd);
      at = skipTerm(this.#signal.bytes, at, argsEnd);
    }
    out.pid(this.#leader);
  }

  #copy(out: TermWriter, start: number, end: number): void {
    this.#rewritten.range(this.#signal, start, end, this.#to).writeTo(out);
  }
}
