import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal, type TermBody, targetOf } from "@isthmus/core/channel";
import { Atom, Pid, Reference } from "@isthmus/etf";
import { isDecodable } from "@isthmus/etf/raw";
import { LongMessage } from "../long/long-message.ts";
import { VERDICT } from "../policy/decision.ts";
import { ADDRESSED, OPERATION } from "../policy/operation.ts";
import { isLimit, undecodableReason } from "../translate/not-carried.ts";
import { EvaluatedFun } from "./admission.ts";
import type { Lane, RouterParts } from "./context.ts";
import type { ExportedName } from "./exported-name.ts";
import { NOCONNECTION, NOPROC, REFUSED, SYSTEM_LIMIT, SYSTEM_LIMIT_REASON } from "./flow.ts";
import { Links } from "./links.ts";
import { Monitors } from "./monitors.ts";
import {
  addressing,
  answeredAlias,
  answeredMonitor,
  beginningOf,
  isCurrent,
  isOwn,
  operationOf,
  requestMonitor,
} from "./signal-operation.ts";

/** Hands signals of one cluster, which may pass, to nodes of others. */
export class Deliveries {
  readonly monitors: Monitors;
  readonly links: Links;
  readonly #parts: RouterParts;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.monitors = new Monitors(parts);
    this.links = new Links(parts);
  }

  /** To a process or alias, `own` as its own cluster knows it, that the sender knows as `to`. */
  process(
    source: Connection,
    signal: Signal,
    to: Pid | Reference,
    own: Pid | Reference,
    lane: Lane,
    target: Connection,
  ): void {
    // a peer drops the connection over one that it cannot have given out
    if (!isCurrent(target, own.creation) || !isDecodable(own, targetOf(target))) {
      this.#parts.flow.answer(source, signal, to, NOPROC);
      return;
    }
    try {
      if (signal.missingBytes > 0 && signal.kind === SIGNAL.SEND) {
        const alias = this.#aliasOf(source, signal, lane, target);
        this.#stream(source, signal, alias ?? own, lane, target);
      } else if (own instanceof Reference) this.#alias(source, signal, own, lane, target);
      else this.#process(source, signal, to as Pid, own, lane, target);
    } catch (error) {
      this.notCarried(error, source, signal, lane, target);
    }
  }

  /** To the registered name `name`, which the sender knows as `shown`. */
  name(
    source: Connection,
    signal: Signal,
    shown: Atom,
    name: Atom,
    by: ExportedName | undefined,
    lane: Lane,
    target: Connection,
  ): void {
    switch (signal.kind) {
      case SIGNAL.SEND:
        this.sendName(source, signal, signal.bodyStart, name, lane, target);
        return;
      case SIGNAL.MONITOR:
        try {
          this.monitors.monitor(source, signal, shown, name, by, lane, target);
        } catch (error) {
          this.notCarried(error, source, signal, lane, target);
        }
        return;
      default:
        // links and exits are addressed to pids only; priority exits to names (OTP 28+) are not carried
        this.#parts.admission.refuse(source, signal, shown.text);
    }
  }

  /**
   * Sends one term of a signal's body to a registered name.
   * @param start where the term begins in `signal.bytes`
   * @throws IsthmusError a code of the term codec when the term is malformed
   */
  sendName(
    source: Connection,
    signal: Signal,
    start: number,
    name: Atom,
    lane: Lane,
    target: Connection,
  ): void {
    const from = signal.from;
    if (!(from instanceof Pid)) return;
    if (signal.missingBytes > 0) {
      this.#stream(source, signal, name, lane, target);
      return;
    }
    try {
      target.signals.sendName(
        lane.translator.pid(from),
        name,
        lane.body.range(signal, start, signal.bodyEnd, target),
        lane.token.tokenOf(signal, target),
      );
    } catch (error) {
      this.notCarried(error, source, signal, lane, target);
      return;
    }
    this.#parts.flow.carried(source, target);
  }

  /** Nobody waits for the answer to what was refused: monitors and links end, and those of a refused request. */
  refused(
    source: Connection,
    signal: Signal,
    to: Pid | Reference | Atom,
    operation: number | undefined,
  ): void {
    const { flow, admission } = this.#parts;
    flow.answer(source, signal, to, NOPROC);
    if (signal.kind !== SIGNAL.SEND) return;
    // there is somebody, who has answered
    const reason = operation === OPERATION.REPLY ? REFUSED : NOPROC;
    this.#notAnswered(source, signal, operation, admission.wasLimit ? SYSTEM_LIMIT : reason);
  }

  /** Ends the monitor of whoever waits for the answer to a message, or for the answer that it is. */
  #notAnswered(source: Connection, signal: Signal, operation: number | undefined, reason: TermBody): void {
    if (operation === OPERATION.REPLY) {
      const ref = answeredMonitor(signal);
      if (ref !== undefined) this.monitors.giveUpAnswered(source, ref, reason);
      return;
    }
    const ref = requestMonitor(signal, operation);
    if (ref !== undefined) this.monitors.giveUp(source, ref, reason);
  }

  /**
   * Refuses a signal of which only the beginning was kept, unless what is missing is only the reason of an end.
   * @returns whether it was refused
   */
  tooLong(source: Connection, signal: Signal): boolean {
    if (signal.kind === SIGNAL.EXIT || signal.kind === SIGNAL.DOWN) return false;
    const { admission } = this.#parts;
    const to = signal.to ?? source.peer;
    admission.refuseTooLong(source, signal, to instanceof Atom ? to.text : `a process of ${to.node.text}`);
    if (signal.kind === SIGNAL.SPAWN_REQUEST) {
      if (isOwn(source, signal.from))
        source.signals.spawnReply(signal.ref!, signal.from, 0, SYSTEM_LIMIT_REASON);
    } else this.refused(source, signal, to, beginningOf(signal, to));
    return true;
  }

  /**
   * A limit was met, or there is something in a signal that its target cannot decode: nobody waits for the answer to it.
   * @throws what is neither; a malformed signal is the sender's fault and closes its connection
   */
  notCarried(error: unknown, source: Connection, signal: Signal, lane: Lane, target: Connection): void {
    const { admission } = this.#parts;
    const reason = undecodableReason(error);
    if (reason === undefined && !isLimit(error)) throw error;
    const to = signal.to ?? target.peer;
    const operation = operationOf(signal, to instanceof Atom ? ADDRESSED.NAME : addressing(to));
    if (reason !== undefined) admission.recordUndecodable(source, operation, lane, target, reason);
    admission.refusedFor(reason === undefined ? VERDICT.TOO_MANY : VERDICT.DENIED);
    this.refused(source, signal, to, operation);
  }

  #process(source: Connection, signal: Signal, to: Pid, process: Pid, lane: Lane, target: Connection): void {
    const { flow } = this.#parts;
    const from = signal.from;
    switch (signal.kind) {
      case SIGNAL.SEND:
      case SIGNAL.EXIT2: {
        const sender = from instanceof Pid ? lane.translator.pid(from) : undefined;
        const body = lane.body.of(signal, target);
        const token = lane.token.tokenOf(signal, target);
        const alias = this.#aliasOf(source, signal, lane, target);
        if (alias !== undefined && sender !== undefined) target.signals.sendAlias(sender, alias, body, token);
        else if (signal.kind === SIGNAL.SEND) target.signals.send(sender, process, body, token);
        else if (sender !== undefined) target.signals.exit2(sender, process, body, token);
        flow.carried(source, target);
        return;
      }
      case SIGNAL.MONITOR:
        this.monitors.monitor(source, signal, to, process, undefined, lane, target);
        return;
      case SIGNAL.LINK:
        this.links.link(source, signal, to, process, lane, target);
        return;
      case SIGNAL.GROUP_LEADER:
        target.signals.groupLeader(lane.translator.pid(signal.groupLeader!), process);
        flow.carried(source, target);
        return;
      default:
        this.relation(source, signal, to, lane);
    }
  }

  /** What is about a link or monitor that there is: where it goes was decided when that was made. */
  relation(source: Connection, signal: Signal, to: Pid, lane: Lane): void {
    switch (signal.kind) {
      case SIGNAL.DEMONITOR:
        this.monitors.demonitor(source, signal.ref!);
        return;
      case SIGNAL.DOWN:
        this.monitors.down(source, signal, lane);
        return;
      case SIGNAL.UNLINK:
        this.links.unlink(source, signal, to);
        return;
      case SIGNAL.UNLINK_ACK:
        this.links.unlinkAck(source, signal, to);
        return;
      case SIGNAL.EXIT:
        this.links.exit(source, signal, to, lane);
        return;
      default:
        this.#parts.flow.counters.undeliverable++;
    }
  }

  /** The alias that an answer of an OTP 23 node is for: it was sent to the caller's pid, which may wait no more. */
  #aliasOf(source: Connection, signal: Signal, lane: Lane, target: Connection): Reference | undefined {
    if (!this.#parts.index.narrow || signal.kind !== SIGNAL.SEND || targetOf(source).wide) return undefined;
    const alias = answeredAlias(signal);
    const own = alias && lane.translator.reference(alias);
    return isOwn(target, own) ? own : undefined;
  }

  /** Sends a message of which only the beginning has come, and the rest as it comes. `to` is as its own cluster knows it. */
  #stream(
    source: Connection,
    signal: Signal,
    to: Pid | Reference | Atom,
    lane: Lane,
    target: Connection,
  ): void {
    const { context, flow, admission } = this.#parts;
    const relations = context.relations.get(source);
    const there = context.relations.get(target);
    if (relations === undefined || there === undefined || !(signal.from instanceof Pid)) return;
    const { pieces, barriers } = there;
    const sender = lane.translator.pid(signal.from);
    const head = signal.detach();
    const operation = operationOf(head, to instanceof Atom ? ADDRESSED.NAME : addressing(to));
    const long = new LongMessage({
      ...{ source, head, target, translator: lane.translator, addressed: { sender, to } },
      open: (events) =>
        pieces === undefined
          ? lane.to.carriers!.open(target.peer, barriers.reached(target), events)
          : pieces.outgoing.open(events),
      inspect: admission.inspector(source, operation, lane, target),
      begun: () => {
        flow.counters.streamed++;
      },
      refused: (error) => {
        if (!(error instanceof EvaluatedFun)) this.notCarried(error, source, head, lane, target);
        else {
          admission.refuseFun(error);
          this.refused(source, head, head.to!, operation);
        }
      },
      broken: () => {
        flow.counters.undeliverable++;
        this.#notAnswered(source, head, operation, NOCONNECTION);
      },
      ended: () => {
        if (relations.long === long) relations.long = undefined;
      },
    });
    relations.long = long;
    flow.carried(source, target);
  }

  #alias(source: Connection, signal: Signal, alias: Reference, lane: Lane, target: Connection): void {
    const { flow, admission } = this.#parts;
    const from = signal.from;
    if (signal.kind !== SIGNAL.SEND || !(from instanceof Pid)) {
      admission.refuse(source, signal, "an alias");
      return;
    }
    const sender = lane.translator.pid(from);
    const token = lane.token.tokenOf(signal, target);
    target.signals.sendAlias(sender, alias, lane.body.of(signal, target), token);
    flow.carried(source, target);
  }
}
