import type { Connection, HiddenNode } from "@isthmus/core";
import { SIGNAL, type Signal, TermBody } from "@isthmus/core/channel";
import { type Atom, atom, Pid, Reference } from "@isthmus/etf";
import { IsthmusError, isIsthmusError } from "@isthmus/wire";
import type { RouterContext } from "./context.ts";
import { isCurrent } from "./signal-operation.ts";

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
  /** Signals to processes that are gone, or whose node is. */
  undeliverable: number;
}

/** What becomes of the signals of one cluster when they cannot go on at once, or at all. */
export class Flow {
  readonly counters: RouterCounters = { carried: 0, undeliverable: 0 };
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
   * Keeps a signal for this cluster until `node` is connected with `home`, in order, and then runs `deliver` with a copy
   * of it; without a connection when there is none to be had.
   */
  later(
    source: Connection,
    signal: Signal,
    home: HiddenNode,
    node: Atom,
    deliver: (copy: Signal, connection: Connection | undefined) => void,
  ): void {
    const copy = signal.detach();
    const size = copy.bytes.length;
    if (this.#waitingBytes + size > this.#context.limits.maxWaitingBytes) {
      deliver(copy, undefined);
      return;
    }
    this.#waitingBytes += size;
    home.whenConnected(node, (connection) => {
      this.#waitingBytes -= size;
      // a sender that is gone can no longer watch or link anything; what it has sent still counts
      const late =
        source.closeReason !== undefined && copy.kind !== SIGNAL.SEND && copy.kind !== SIGNAL.EXIT2;
      try {
        deliver(copy, late ? undefined : connection);
      } catch (error) {
        source.close(
          isIsthmusError(error)
            ? error
            : new IsthmusError("CONTROL_MALFORMED", "A message could not be carried.", { cause: error }),
        );
      }
    });
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
