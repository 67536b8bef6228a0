import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal, TermBody } from "@isthmus/core/channel";
import { type Atom, atom, Pid, Reference } from "@isthmus/etf";
import { closeReason } from "../translate/not-carried.ts";
import type { Lane, RouterContext } from "./context.ts";
import { homeOf } from "./home.ts";
import { monitorKey } from "./relations.ts";
import { beginningOf, isCurrent, requestMonitor } from "./signal-operation.ts";

/** Reasons that the bridge gives in the place of a process. */
export const NOPROC = new TermBody().of(atom("noproc"));
export const NO_CONNECTION = atom("noconnection");
export const NOCONNECTION = new TermBody().of(NO_CONNECTION);
/** In the place of a reason that may not cross. */
export const REFUSED = new TermBody().of(atom("refused"));
export const SYSTEM_LIMIT_REASON = atom("system_limit");
/** What a caller sees of a limit. */
export const SYSTEM_LIMIT = new TermBody().of(SYSTEM_LIMIT_REASON);

/** Plain counters, read by whoever wants to show them. */
export interface RouterCounters {
  /** Signals carried from this cluster into another. */
  carried: number;
  /** Long messages that went on while they came. */
  streamed: number;
  /** Signals to processes that are gone, or whose node is. */
  undeliverable: number;
}

/** What becomes of the signals of one cluster when they cannot go on at once, or at all. */
export class Flow {
  readonly counters: RouterCounters = { carried: 0, streamed: 0, undeliverable: 0 };
  readonly #context: RouterContext;
  #waitingBytes = 0;

  constructor(context: RouterContext) {
    this.#context = context;
  }

  /** Counts a signal that was carried; its sender waits when the target does not take more. */
  carried(source: Connection, target: Connection): void {
    this.counters.carried++;
    if (!target.blocked) return;
    const held = this.#context.relations.get(target)?.held;
    if (held === undefined || held.has(source) || source.closeReason !== undefined) return;
    held.add(source);
    source.pause();
  }

  /**
   * Keeps a signal for this cluster until `node` is connected with the home of its sender, in order, and then runs
   * `deliver` with a copy of it; without a connection, but with a reason, when there is none to be had.
   * @param lane the way to this cluster
   */
  later(
    source: Connection,
    signal: Signal,
    lane: Lane,
    node: Atom,
    deliver: (copy: Signal, connection: Connection | undefined, reason: TermBody) => void,
  ): void {
    const copy = signal.detach();
    const size = copy.bytes.length + copy.missingBytes;
    const part = copy.missingBytes > 0 && copy.kind === SIGNAL.SEND;
    if (part || this.#waitingBytes + size > this.#context.limits.maxWaitingBytes) {
      this.#notSent(source, copy);
      deliver(copy, undefined, NOCONNECTION);
      return;
    }
    this.#waitingBytes += size;
    const waiting = copy.kind === SIGNAL.MONITOR ? this.#context.relations.get(source)?.waiting : undefined;
    if (waiting !== undefined) waiting.set(monitorKey(copy.ref!), undefined);
    this.#whenHome(source, copy, lane, node, (connection) => {
      this.#waitingBytes -= size;
      let reason: TermBody | undefined;
      if (waiting !== undefined) {
        const key = monitorKey(copy.ref!);
        reason = waiting.get(key);
        waiting.delete(key);
      }
      // a sender that is gone can no longer watch or link anything; what it has sent still counts
      const late =
        source.closeReason !== undefined && copy.kind !== SIGNAL.SEND && copy.kind !== SIGNAL.EXIT2;
      try {
        if (connection === undefined) this.#notSent(source, copy);
        deliver(copy, late || reason !== undefined ? undefined : connection, reason ?? NOCONNECTION);
      } catch (error) {
        source.close(closeReason(error));
      }
    });
  }

  /** The sender's home may become another meanwhile: links and monitors by another name end the connection. */
  #whenHome(
    source: Connection,
    copy: Signal,
    lane: Lane,
    node: Atom,
    run: (connection: Connection | undefined) => void,
  ): void {
    const home = homeOf(lane, source, copy.from);
    home.whenConnected(node, (connection) => {
      if (homeOf(lane, source, copy.from) !== home) {
        this.#whenHome(source, copy, lane, node, run);
        return;
      }
      const { node: own } = lane.to;
      // a message may have any sender: what no mirror can bring, an answer above all, the bridge itself does. Of a call
      // the caller has been told that there is no connection
      const direct =
        connection === undefined &&
        home !== own &&
        copy.to !== undefined &&
        copy.kind === SIGNAL.SEND &&
        requestMonitor(copy, beginningOf(copy, copy.to)) === undefined;
      run(direct ? own.connection(node) : connection);
    });
  }

  /** Nobody waits for the answer to a request that was not sent, with a monitor that is still to be made. */
  #notSent(source: Connection, copy: Signal): void {
    const relations = this.#context.relations.get(source);
    if (relations === undefined || relations.waiting.size === 0) return;
    if (copy.kind !== SIGNAL.SEND || copy.to === undefined) return;
    const ref = requestMonitor(copy, beginningOf(copy, copy.to));
    if (ref !== undefined) relations.endWaiting(ref, NOCONNECTION);
  }

  /** Answers in the place of a process that is not there, so that nobody waits for nothing. */
  answer(source: Connection, signal: Signal, to: Pid | Reference | Atom, reason: TermBody): void {
    const from = signal.from;
    this.counters.undeliverable++;
    if (!(from instanceof Pid) || source.closeReason !== undefined) return;
    // a peer drops the connection over an exit or acknowledgement to a process of an earlier incarnation
    if (!isCurrent(source, from.creation)) return;
    switch (signal.kind) {
      case SIGNAL.LINK:
        if (to instanceof Pid) source.signals.exit(to, from, reason);
        return;
      case SIGNAL.MONITOR:
        if (!(to instanceof Reference)) source.signals.down(to, from, signal.ref!, reason);
        return;
      case SIGNAL.UNLINK:
        if (signal.unlinkId !== undefined && to instanceof Pid)
          source.signals.unlinkAck(signal.unlinkId, to, from);
        return;
      default:
    }
  }
}
