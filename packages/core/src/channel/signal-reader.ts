import { Atom, Pid, type TermLimits, TermReader } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { ALTACT, OP, SIGNAL, type SignalKind } from "./opcodes.ts";
import { Signal } from "./signal.ts";

const MAX_UNLINK_ID = (1n << 64n) - 1n;

/**
 * Decodes the control message of one frame into a {@link Signal}, folding the many forms of the protocol (with and
 * without token, reason in the control message or as payload, OTP 28's alternate signals) into the few things they
 * mean. The body stays undecoded. Checks what a BEAM checks (PROTOCOL section 5), so that a malformed or alien
 * message closes the connection instead of reaching anybody.
 */
export class SignalReader {
  readonly signal = new Signal();
  readonly #reader: TermReader;
  readonly #peer: Atom;

  /** @param peer node name of the other end: only its own pids may link, monitor or exit */
  constructor(peer: Atom, limits?: Partial<TermLimits>) {
    this.#peer = peer;
    this.#reader = new TermReader(limits);
  }

  /**
   * Reads a control term that starts at `start`, and finds the body behind it.
   * @param versioned whether a version byte (131) stands before the body, as in pass-through framing
   * @throws IsthmusError `CONTROL_MALFORMED`, `CONTROL_NOT_OWN`, or a code of the term codec
   */
  read(bytes: Buffer, start: number, end: number, versioned: boolean, atomRefs?: readonly Atom[]): Signal {
    const reader = this.#reader;
    const signal = this.signal;
    reader.reset(bytes, start, end, atomRefs);
    signal.bytes = bytes;
    signal.missingBytes = 0;
    signal.atomRefs = atomRefs;
    signal.bodyEnd = 0;
    signal.tokenEnd = 0;
    const arity = reader.tupleHeader();
    const op = reader.integer();
    if (typeof op !== "number") throw malformed(0, arity);
    signal.op = op;
    let body = false;
    switch (op) {
      case OP.SEND:
      case OP.SEND_TT:
        this.#expect(op, arity, op === OP.SEND ? 3 : 4);
        signal.kind = SIGNAL.SEND;
        signal.from = undefined;
        reader.skip();
        signal.to = reader.pid();
        if (op === OP.SEND_TT) this.#token();
        body = true;
        break;
      case OP.SEND_SENDER:
      case OP.SEND_SENDER_TT:
        this.#expect(op, arity, op === OP.SEND_SENDER ? 3 : 4);
        signal.kind = SIGNAL.SEND;
        signal.from = reader.pid();
        signal.to = reader.pid();
        if (op === OP.SEND_SENDER_TT) this.#token();
        body = true;
        break;
      case OP.REG_SEND:
      case OP.REG_SEND_TT:
        this.#expect(op, arity, op === OP.REG_SEND ? 4 : 5);
        signal.kind = SIGNAL.SEND;
        signal.from = reader.pid();
        reader.skip();
        signal.to = reader.atom();
        if (op === OP.REG_SEND_TT) this.#token();
        body = true;
        break;
      case OP.ALIAS_SEND:
      case OP.ALIAS_SEND_TT:
        this.#expect(op, arity, op === OP.ALIAS_SEND ? 3 : 4);
        signal.kind = SIGNAL.SEND;
        signal.from = reader.pid();
        signal.to = reader.reference();
        if (op === OP.ALIAS_SEND_TT) this.#token();
        body = true;
        break;
      case OP.ALTACT_SIG_SEND:
        this.#alternate(arity);
        body = true;
        break;
      case OP.LINK:
        this.#expect(op, arity, 3);
        this.#ownPair(SIGNAL.LINK);
        break;
      case OP.UNLINK:
        this.#expect(op, arity, 3);
        signal.unlinkId = undefined;
        this.#ownPair(SIGNAL.UNLINK);
        break;
      case OP.UNLINK_ID:
      case OP.UNLINK_ID_ACK: {
        this.#expect(op, arity, 4);
        const id = reader.integer();
        if (id <= 0 || id > MAX_UNLINK_ID) throw malformed(op, arity);
        signal.unlinkId = id;
        this.#ownPair(op === OP.UNLINK_ID ? SIGNAL.UNLINK : SIGNAL.UNLINK_ACK);
        break;
      }
      case OP.EXIT:
      case OP.EXIT2:
        this.#expect(op, arity, 4);
        this.#ownPair(op === OP.EXIT ? SIGNAL.EXIT : SIGNAL.EXIT2);
        this.#reasonInControl();
        break;
      case OP.EXIT_TT:
      case OP.EXIT2_TT:
        this.#expect(op, arity, 5);
        this.#ownPair(op === OP.EXIT_TT ? SIGNAL.EXIT : SIGNAL.EXIT2);
        this.#token();
        this.#reasonInControl();
        break;
      case OP.PAYLOAD_EXIT:
      case OP.PAYLOAD_EXIT2:
        this.#expect(op, arity, 3);
        this.#ownPair(op === OP.PAYLOAD_EXIT ? SIGNAL.EXIT : SIGNAL.EXIT2);
        body = true;
        break;
      case OP.PAYLOAD_EXIT_TT:
      case OP.PAYLOAD_EXIT2_TT:
        this.#expect(op, arity, 4);
        this.#ownPair(op === OP.PAYLOAD_EXIT_TT ? SIGNAL.EXIT : SIGNAL.EXIT2);
        this.#token();
        body = true;
        break;
      case OP.GROUP_LEADER:
        this.#expect(op, arity, 3);
        signal.kind = SIGNAL.GROUP_LEADER;
        signal.from = undefined;
        signal.groupLeader = reader.pid();
        signal.to = reader.pid();
        break;
      case OP.MONITOR_P:
      case OP.DEMONITOR_P:
        this.#expect(op, arity, 4);
        signal.kind = op === OP.MONITOR_P ? SIGNAL.MONITOR : SIGNAL.DEMONITOR;
        signal.from = this.#own(reader.pid(), op);
        signal.to = this.#pidOrAtom(op);
        signal.ref = reader.reference();
        break;
      case OP.MONITOR_P_EXIT:
      case OP.PAYLOAD_MONITOR_P_EXIT:
        this.#expect(op, arity, op === OP.MONITOR_P_EXIT ? 5 : 4);
        signal.kind = SIGNAL.DOWN;
        signal.from = this.#pidOrAtom(op);
        signal.to = reader.pid();
        signal.ref = reader.reference();
        if (op === OP.MONITOR_P_EXIT) this.#reasonInControl();
        else body = true;
        break;
      case OP.SPAWN_REQUEST:
      case OP.SPAWN_REQUEST_TT:
        this.#expect(op, arity, op === OP.SPAWN_REQUEST ? 6 : 7);
        this.#spawnRequest(op);
        body = true;
        break;
      case OP.SPAWN_REPLY:
      case OP.SPAWN_REPLY_TT: {
        this.#expect(op, arity, op === OP.SPAWN_REPLY ? 5 : 6);
        signal.kind = SIGNAL.SPAWN_REPLY;
        signal.from = undefined;
        signal.ref = reader.reference();
        signal.to = reader.pid();
        const flags = reader.integer();
        if (typeof flags !== "number") throw malformed(op, arity);
        signal.flags = flags;
        signal.result = this.#pidOrAtom(op);
        if (op === OP.SPAWN_REPLY_TT) this.#token();
        break;
      }
      default:
        throw malformed(op, arity);
    }
    if (body) this.#body(bytes, end, versioned);
    return signal;
  }

  #body(bytes: Buffer, end: number, versioned: boolean): void {
    const reader = this.#reader;
    let at = reader.offset;
    if (versioned && at < end) at = bytes[at] === 131 ? at + 1 : end;
    if (at >= end) {
      throw coreError("CONTROL_MALFORMED", "A control message came without the term that belongs to it.", {
        context: { op: this.signal.op },
      });
    }
    this.signal.bodyStart = at;
    this.signal.bodyEnd = end;
  }

  #expect(op: number, arity: number, wanted: number): void {
    if (arity !== wanted) throw malformed(op, arity);
  }

  #token(): void {
    this.signal.tokenStart = this.#reader.offset;
    this.#reader.skip();
    this.signal.tokenEnd = this.#reader.offset;
  }

  #reasonInControl(): void {
    this.signal.bodyStart = this.#reader.offset;
    this.#reader.skip();
    this.signal.bodyEnd = this.#reader.offset;
  }

  #ownPair(kind: SignalKind): void {
    const signal = this.signal;
    signal.kind = kind;
    signal.from = this.#own(this.#reader.pid(), signal.op);
    signal.to = this.#reader.pid();
  }

  #own(pid: Pid, op: number): Pid {
    if (pid.node !== this.#peer) {
      throw coreError(
        "CONTROL_NOT_OWN",
        `The peer ${this.#peer.text} used a pid of ${pid.node.text} as if it were its own.`,
        { context: { op } },
      );
    }
    return pid;
  }

  #pidOrAtom(op: number): Pid | Atom {
    const term = this.#reader.term();
    if (term instanceof Pid || term instanceof Atom) return term;
    throw malformed(op, 0);
  }

  #spawnRequest(op: number): void {
    const reader = this.#reader;
    const signal = this.signal;
    signal.kind = SIGNAL.SPAWN_REQUEST;
    signal.ref = reader.reference();
    signal.from = reader.pid();
    signal.to = undefined;
    signal.groupLeader = reader.pid();
    this.#expect(op, reader.tupleHeader(), 3);
    signal.module = reader.atom();
    signal.function = reader.atom();
    const arity = reader.integer();
    if (typeof arity !== "number" || arity < 0 || arity > 255) throw malformed(op, 3);
    signal.arity = arity;
    signal.options = reader.term();
    if (op === OP.SPAWN_REQUEST_TT) this.#token();
  }

  /** OTP 28+: `{37, Flags, From, To, [Token], ...}`; further elements are ignored. */
  #alternate(arity: number): void {
    const reader = this.#reader;
    const signal = this.signal;
    if (arity < 4) throw malformed(OP.ALTACT_SIG_SEND, arity);
    const flags = reader.integer();
    if (flags < 0) throw malformed(OP.ALTACT_SIG_SEND, arity);
    const bits = typeof flags === "bigint" ? Number(flags & 31n) : flags % 32;
    signal.from = reader.pid();
    switch (bits & (ALTACT.ALIAS | ALTACT.NAME)) {
      case ALTACT.ALIAS:
        signal.to = reader.reference();
        break;
      case ALTACT.NAME:
        signal.to = reader.atom();
        break;
      case 0:
        signal.to = reader.pid();
        break;
      default:
        throw malformed(OP.ALTACT_SIG_SEND, arity);
    }
    signal.kind = (bits & ALTACT.EXIT) === 0 ? SIGNAL.SEND : SIGNAL.EXIT2;
    let rest = arity - 4;
    if ((bits & ALTACT.TOKEN) !== 0) {
      if (rest < 1) throw malformed(OP.ALTACT_SIG_SEND, arity);
      this.#token();
      rest--;
    }
    for (; rest > 0; rest--) reader.skip();
  }
}

function malformed(op: number, arity: number): Error {
  return coreError("CONTROL_MALFORMED", `The peer sent a control message that the protocol does not have.`, {
    context: { op, arity },
  });
}
