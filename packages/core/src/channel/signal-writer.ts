import { FLAG } from "@isthmus/dist-handshake";
import { type Atom, Pid, type Reference, type Term, type TermWriter } from "@isthmus/etf";
import { type BodySource, FrameWriter } from "./frame-writer.ts";
import { ALTACT, OP } from "./opcodes.ts";

/** The seq_trace token of a signal, in the same manner; undefined for none. */
export type TokenSource = BodySource | undefined;

const EMPTY_ATOM = Buffer.from([119, 0]);

/**
 * Encodes signals for one peer, in the forms that the negotiated flags ask for. Each method appends one whole frame
 * with its length, or throws and appends nothing.
 */
export class SignalWriter {
  /** The frames, until they are sent. */
  readonly frames: FrameWriter;
  readonly #exitPayload: boolean;
  readonly #sendSender: boolean;
  readonly #unlinkId: boolean;
  readonly #alternate: boolean;

  /**
   * @param flags what both ends support ({@link HandshakeOutcome.flags})
   * @param written called after each frame
   */
  constructor(out: TermWriter, flags: bigint, written: () => void) {
    this.frames = new FrameWriter(out, flags, written);
    this.#exitPayload = (flags & FLAG.EXIT_PAYLOAD) !== 0n;
    this.#sendSender = (flags & FLAG.SEND_SENDER) !== 0n;
    this.#unlinkId = (flags & FLAG.UNLINK_ID) !== 0n;
    this.#alternate = (flags & FLAG.ALTACT_SIG) !== 0n;
  }

  /** Whether an UNLINK to this peer is answered (OTP 24+); otherwise the link is gone at once. */
  get acknowledgesUnlink(): boolean {
    return this.#unlinkId;
  }

  /** A message to a pid. */
  send(from: Pid | undefined, to: Pid, body: BodySource, token?: TokenSource): void {
    const { out } = this.frames;
    try {
      if (from !== undefined && this.#sendSender) {
        this.frames.begin(token ? OP.SEND_SENDER_TT : OP.SEND_SENDER, token ? 4 : 3, from);
        out.pid(from);
      } else {
        this.frames.begin(token ? OP.SEND_TT : OP.SEND, token ? 4 : 3, from);
        out.copy(EMPTY_ATOM, 0, 2);
      }
      out.pid(to);
      token?.writeTo(out);
      this.frames.body(body);
    } catch (error) {
      this.frames.abandon();
      throw error;
    }
    this.frames.end();
  }

  /** A message to a registered name. */
  sendName(from: Pid, name: Atom, body: BodySource, token?: TokenSource): void {
    const { out } = this.frames;
    try {
      this.frames.begin(token ? OP.REG_SEND_TT : OP.REG_SEND, token ? 5 : 4, from);
      out.pid(from);
      out.copy(EMPTY_ATOM, 0, 2);
      out.atom(name);
      token?.writeTo(out);
      this.frames.body(body);
    } catch (error) {
      this.frames.abandon();
      throw error;
    }
    this.frames.end();
  }

  /** A message to an alias. */
  sendAlias(from: Pid, alias: Reference, body: BodySource, token?: TokenSource): void {
    const { out } = this.frames;
    try {
      if (this.#alternate) {
        this.frames.begin(OP.ALTACT_SIG_SEND, token ? 5 : 4, from);
        out.integer(token ? ALTACT.ALIAS | ALTACT.TOKEN : ALTACT.ALIAS);
      } else {
        this.frames.begin(token ? OP.ALIAS_SEND_TT : OP.ALIAS_SEND, token ? 4 : 3, from);
      }
      out.pid(from);
      out.reference(alias);
      token?.writeTo(out);
      this.frames.body(body);
    } catch (error) {
      this.frames.abandon();
      throw error;
    }
    this.frames.end();
  }

  /** Links two processes. */
  link(from: Pid, to: Pid): void {
    this.#pair(OP.LINK, from, to);
  }

  /** @param id nonzero, below 2^64; a peer without UNLINK_ID (OTP 23) gets the old form, without id and answer */
  unlink(id: number | bigint, from: Pid, to: Pid): void {
    if (!this.#unlinkId) this.#pair(OP.UNLINK, from, to);
    else this.#pairWithId(OP.UNLINK_ID, id, from, to);
  }

  /** UNLINK_ID came from `to`, and is done. Only for peers with {@link SignalWriter.acknowledgesUnlink}. */
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

  /** Makes `leader` the group leader of `to`. */
  groupLeader(leader: Pid, to: Pid): void {
    const { out } = this.frames;
    // the leader is not the one who sends this
    this.frames.begin(OP.GROUP_LEADER, 3, undefined);
    out.pid(leader);
    out.pid(to);
    this.frames.end();
  }

  /** Watches a process of the peer, by pid or name. */
  monitor(from: Pid, target: Pid | Atom, ref: Reference): void {
    this.#monitoring(OP.MONITOR_P, from, target, ref);
  }

  /** Watches no more. */
  demonitor(from: Pid, target: Pid | Atom, ref: Reference): void {
    this.#monitoring(OP.DEMONITOR_P, from, target, ref);
  }

  /** A monitored process ended. `from` is the name when it was monitored by name. */
  down(from: Pid | Atom, watcher: Pid, ref: Reference, reason: BodySource): void {
    const { out } = this.frames;
    try {
      this.frames.begin(
        this.#exitPayload ? OP.PAYLOAD_MONITOR_P_EXIT : OP.MONITOR_P_EXIT,
        this.#exitPayload ? 4 : 5,
        from instanceof Pid ? from : undefined,
      );
      out.term(from);
      out.pid(watcher);
      out.reference(ref);
      if (this.#exitPayload) this.frames.body(reason);
      else reason.writeTo(out);
    } catch (error) {
      this.frames.abandon();
      throw error;
    }
    this.frames.end();
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
    const { out } = this.frames;
    try {
      this.frames.begin(OP.SPAWN_REQUEST, 6, from);
      out.reference(ref);
      out.pid(from);
      out.pid(groupLeader);
      out.tupleHeader(3);
      out.atom(mfa.module);
      out.atom(mfa.function);
      out.integer(mfa.arity);
      out.term(options);
      this.frames.body(args);
    } catch (error) {
      this.frames.abandon();
      throw error;
    }
    this.frames.end();
  }

  /** @param flags 1 = link made, 2 = monitor made; 0 with an error atom as result */
  spawnReply(ref: Reference, to: Pid, flags: number, result: Pid | Atom): void {
    const { out } = this.frames;
    this.frames.begin(OP.SPAWN_REPLY, 5, undefined);
    out.reference(ref);
    out.pid(to);
    out.integer(flags);
    out.term(result);
    this.frames.end();
  }

  #pair(op: number, from: Pid, to: Pid): void {
    const { out } = this.frames;
    this.frames.begin(op, 3, from);
    out.pid(from);
    out.pid(to);
    this.frames.end();
  }

  #pairWithId(op: number, id: number | bigint, from: Pid, to: Pid): void {
    const { out } = this.frames;
    this.frames.begin(op, 4, from);
    out.integer(id);
    out.pid(from);
    out.pid(to);
    this.frames.end();
  }

  #monitoring(op: number, from: Pid, target: Pid | Atom, ref: Reference): void {
    const { out } = this.frames;
    this.frames.begin(op, 4, from);
    out.pid(from);
    out.term(target);
    out.reference(ref);
    this.frames.end();
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
    const { out } = this.frames;
    try {
      if (this.#exitPayload) this.frames.begin(token ? opToken : op, token ? 4 : 3, from);
      else this.frames.begin(token ? oldToken : old, token ? 5 : 4, from);
      out.pid(from);
      out.pid(to);
      token?.writeTo(out);
      if (this.#exitPayload) this.frames.body(reason);
      else reason.writeTo(out);
    } catch (error) {
      this.frames.abandon();
      throw error;
    }
    this.frames.end();
  }
}
