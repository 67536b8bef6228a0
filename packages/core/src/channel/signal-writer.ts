import { FLAG } from "@isthmus/dist-handshake";
import type { Atom, Pid, Reference, Term, TermWriter } from "@isthmus/etf";
import { usesDistHeader } from "./frame-reader.ts";
import { ALTACT, OP } from "./opcodes.ts";

/**
 * Where the body of a signal comes from: a term to encode, or bytes to rewrite. Objects of this kind are made once
 * and refilled, so that the message path allocates nothing.
 */
export interface BodySource {
  /** Appends exactly one term, without a version byte. Whatever it throws leaves no trace in the output. */
  writeTo(out: TermWriter): void;
}

/** The seq_trace token of a signal, in the same manner; undefined for none. */
export type TokenSource = BodySource | undefined;

const EMPTY_ATOM = Buffer.from([119, 0]);
/** A BEAM cuts longer messages, too, and no shorter ones. */
const FRAGMENT_BYTES = 64 * 1024;
/** What stands before the terms in a frame with a header without atoms. */
const HEADER_BYTES = 3;

/**
 * Encodes signals for one peer, in the forms that the negotiated flags ask for. Each method appends one whole frame
 * with its length to {@link SignalWriter.out}, or throws and appends nothing.
 */
export class SignalWriter {
  readonly out: TermWriter;
  readonly #exitPayload: boolean;
  readonly #sendSender: boolean;
  readonly #unlinkId: boolean;
  readonly #alternate: boolean;
  readonly #header: boolean;
  readonly #fragments: boolean;
  readonly #written: () => void;
  /** Where the body of the frame being written begins; -1 for none, and then the frame is never cut. */
  #bodyAt = -1;
  #sequence = 0n;

  /**
   * @param flags what both ends support ({@link HandshakeOutcome.flags})
   * @param written called after each frame
   */
  constructor(out: TermWriter, flags: bigint, written: () => void) {
    this.out = out;
    this.#exitPayload = (flags & FLAG.EXIT_PAYLOAD) !== 0n;
    this.#sendSender = (flags & FLAG.SEND_SENDER) !== 0n;
    this.#unlinkId = (flags & FLAG.UNLINK_ID) !== 0n;
    this.#alternate = (flags & FLAG.ALTACT_SIG) !== 0n;
    this.#header = usesDistHeader(flags);
    this.#fragments = (flags & FLAG.FRAGMENTS) !== 0n;
    this.#written = written;
  }

  /** Whether an UNLINK to this peer is answered (OTP 24+); otherwise the link is gone at once. */
  get acknowledgesUnlink(): boolean {
    return this.#unlinkId;
  }

  /** A message to a pid. */
  send(from: Pid | undefined, to: Pid, body: BodySource, token?: TokenSource): void {
    const out = this.out;
    const mark = out.mark();
    try {
      if (from !== undefined && this.#sendSender) {
        this.#begin(token ? OP.SEND_SENDER_TT : OP.SEND_SENDER, token ? 4 : 3);
        out.pid(from);
      } else {
        this.#begin(token ? OP.SEND_TT : OP.SEND, token ? 4 : 3);
        out.copy(EMPTY_ATOM, 0, 2);
      }
      out.pid(to);
      token?.writeTo(out);
      this.#body(body);
    } catch (error) {
      out.truncate(mark);
      throw error;
    }
    this.#end(mark);
  }

  /** A message to a registered name. */
  sendName(from: Pid, name: Atom, body: BodySource, token?: TokenSource): void {
    const out = this.out;
    const mark = out.mark();
    try {
      this.#begin(token ? OP.REG_SEND_TT : OP.REG_SEND, token ? 5 : 4);
      out.pid(from);
      out.copy(EMPTY_ATOM, 0, 2);
      out.atom(name);
      token?.writeTo(out);
      this.#body(body);
    } catch (error) {
      out.truncate(mark);
      throw error;
    }
    this.#end(mark);
  }

  /** A message to an alias. */
  sendAlias(from: Pid, alias: Reference, body: BodySource, token?: TokenSource): void {
    const out = this.out;
    const mark = out.mark();
    try {
      if (this.#alternate) {
        this.#begin(OP.ALTACT_SIG_SEND, token ? 5 : 4);
        out.integer(token ? ALTACT.ALIAS | ALTACT.TOKEN : ALTACT.ALIAS);
      } else {
        this.#begin(token ? OP.ALIAS_SEND_TT : OP.ALIAS_SEND, token ? 4 : 3);
      }
      out.pid(from);
      out.reference(alias);
      token?.writeTo(out);
      this.#body(body);
    } catch (error) {
      out.truncate(mark);
      throw error;
    }
    this.#end(mark);
  }

  link(from: Pid, to: Pid): void {
    this.#pair(OP.LINK, from, to);
  }

  /** @param id nonzero, below 2^64; a peer without UNLINK_ID (OTP 23) gets the old form, without id and answer */
  unlink(id: number | bigint, from: Pid, to: Pid): void {
    if (!this.#unlinkId) this.#pair(OP.UNLINK, from, to);
    else this.#pairWithId(OP.UNLINK_ID, id, from, to);
  }

  unlinkAck(id: number | bigint, from: Pid, to: Pid): void {
    this.#pairWithId(OP.UNLINK_ID_ACK, id, from, to);
  }

  /** The exit of a linked process. `to` must be of the peer's present creation, or the peer drops the connection. */
  exit(from: Pid, to: Pid, reason: BodySource, token?: TokenSource): void {
    this.#exit(OP.PAYLOAD_EXIT, OP.PAYLOAD_EXIT_TT, OP.EXIT, OP.EXIT_TT, from, to, reason, token);
  }

  /** `exit/2`. */
  exit2(from: Pid, to: Pid, reason: BodySource, token?: TokenSource): void {
    this.#exit(OP.PAYLOAD_EXIT2, OP.PAYLOAD_EXIT2_TT, OP.EXIT2, OP.EXIT2_TT, from, to, reason, token);
  }

  groupLeader(leader: Pid, to: Pid): void {
    this.#pair(OP.GROUP_LEADER, leader, to);
  }

  monitor(from: Pid, target: Pid | Atom, ref: Reference): void {
    this.#monitoring(OP.MONITOR_P, from, target, ref);
  }

  demonitor(from: Pid, target: Pid | Atom, ref: Reference): void {
    this.#monitoring(OP.DEMONITOR_P, from, target, ref);
  }

  /** A monitored process ended. `from` is the name when it was monitored by name. */
  down(from: Pid | Atom, watcher: Pid, ref: Reference, reason: BodySource): void {
    const out = this.out;
    const mark = out.mark();
    try {
      this.#begin(
        this.#exitPayload ? OP.PAYLOAD_MONITOR_P_EXIT : OP.MONITOR_P_EXIT,
        this.#exitPayload ? 4 : 5,
      );
      out.term(from);
      out.pid(watcher);
      out.reference(ref);
      if (this.#exitPayload) this.#body(reason);
      else reason.writeTo(out);
    } catch (error) {
      out.truncate(mark);
      throw error;
    }
    this.#end(mark);
  }

  /** Asks the peer to spawn `module:function` with the arguments of `args` (a proper list of `arity` elements). */
  spawnRequest(
    ref: Reference,
    from: Pid,
    groupLeader: Pid,
    mfa: { readonly module: Atom; readonly function: Atom; readonly arity: number },
    options: Term,
    args: BodySource,
  ): void {
    const out = this.out;
    const mark = out.mark();
    try {
      this.#begin(OP.SPAWN_REQUEST, 6);
      out.reference(ref);
      out.pid(from);
      out.pid(groupLeader);
      out.tupleHeader(3);
      out.atom(mfa.module);
      out.atom(mfa.function);
      out.integer(mfa.arity);
      out.term(options);
      this.#body(args);
    } catch (error) {
      out.truncate(mark);
      throw error;
    }
    this.#end(mark);
  }

  /** @param flags 1 = link made, 2 = monitor made; 0 with an error atom as result */
  spawnReply(ref: Reference, to: Pid, flags: number, result: Pid | Atom): void {
    const out = this.out;
    const mark = out.mark();
    this.#begin(OP.SPAWN_REPLY, 5);
    out.reference(ref);
    out.pid(to);
    out.integer(flags);
    out.term(result);
    this.#end(mark);
  }

  #pair(op: number, from: Pid, to: Pid): void {
    const mark = this.out.mark();
    this.#begin(op, 3);
    this.out.pid(from);
    this.out.pid(to);
    this.#end(mark);
  }

  #pairWithId(op: number, id: number | bigint, from: Pid, to: Pid): void {
    const mark = this.out.mark();
    this.#begin(op, 4);
    this.out.integer(id);
    this.out.pid(from);
    this.out.pid(to);
    this.#end(mark);
  }

  #monitoring(op: number, from: Pid, target: Pid | Atom, ref: Reference): void {
    const mark = this.out.mark();
    this.#begin(op, 4);
    this.out.pid(from);
    this.out.term(target);
    this.out.reference(ref);
    this.#end(mark);
  }

  #exit(
    op: number,
    opToken: number,
    old: number,
    oldToken: number,
    from: Pid,
    to: Pid,
    reason: BodySource,
    token: TokenSource,
  ): void {
    const out = this.out;
    const mark = out.mark();
    try {
      if (this.#exitPayload) this.#begin(token ? opToken : op, token ? 4 : 3);
      else this.#begin(token ? oldToken : old, token ? 5 : 4);
      out.pid(from);
      out.pid(to);
      token?.writeTo(out);
      if (this.#exitPayload) this.#body(reason);
      else reason.writeTo(out);
    } catch (error) {
      out.truncate(mark);
      throw error;
    }
    this.#end(mark);
  }

  /** Room for the length, then the frame's start and the head of the control tuple. */
  #begin(op: number, arity: number): void {
    const out = this.out;
    this.#bodyAt = -1;
    out.ensure(11);
    const bytes = out.bytes;
    let at = out.position + 4;
    if (this.#header) {
      bytes[at++] = 131;
      bytes[at++] = 68;
      bytes[at++] = 0; // no atoms: they stand where they are used
    } else {
      bytes[at++] = 112;
      bytes[at++] = 131;
    }
    bytes[at++] = 104;
    bytes[at++] = arity;
    bytes[at++] = 97;
    bytes[at++] = op;
    out.position = at;
  }

  #body(body: BodySource): void {
    if (!this.#header) this.out.u8(131);
    this.#bodyAt = this.out.mark();
    body.writeTo(this.out);
  }

  #end(mark: number): void {
    const length = this.out.mark() - mark - 4;
    if (length > FRAGMENT_BYTES && this.#fragments && this.#bodyAt >= 0) this.#cut(mark, length);
    else this.out.patchU32(mark, length);
    this.#written();
  }

  /** Writes the frame again, in pieces (PROTOCOL 4.4). They follow one another, so the order of signals holds. */
  #cut(mark: number, length: number): void {
    const out = this.out;
    const terms = Buffer.from(out.bytes.subarray(out.position - length + HEADER_BYTES, out.position));
    // the control term must be whole in the first piece
    const control = this.#bodyAt - mark - 4 - HEADER_BYTES;
    const first = Math.min(terms.length, Math.max(FRAGMENT_BYTES, control));
    const count = 1 + Math.ceil((terms.length - first) / FRAGMENT_BYTES);
    if (count === 1) {
      out.patchU32(mark, length);
      return;
    }
    out.truncate(mark);
    this.#sequence = BigInt.asUintN(64, this.#sequence + 1n) || 1n;
    for (let number = count, at = 0; number >= 1; number--) {
      const end = number === count ? first : Math.min(terms.length, at + FRAGMENT_BYTES);
      const head = number === count ? 19 : 18;
      out.u32(head + end - at);
      out.u8(131);
      out.u8(number === count ? 69 : 70);
      out.u64(this.#sequence);
      out.u64(BigInt(number));
      if (number === count) out.u8(0);
      out.copy(terms, at, end);
      at = end;
    }
  }
}
