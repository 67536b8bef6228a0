import type { Connection } from "@isthmus/core";
import { type RewrittenBody, type Signal, signalName, type TermBody } from "@isthmus/core/channel";
import { type Atom, Pid, type Reference } from "@isthmus/etf";
import { type Decision, REASONS, VERDICT } from "../policy/decision.ts";
import { hasEvaluatedFun } from "../policy/funs.ts";
import { ADDRESSED, OPERATION, OPERATIONS } from "../policy/operation.ts";
import type { Decisions } from "../policy/policy.ts";
import { isKernelPid } from "../policy/reserved-names.ts";
import { isLimit, undecodableReason } from "../translate/not-carried.ts";
import type { Lane, RouterContext } from "./context.ts";
import { REFUSED } from "./flow.ts";
import type { Refusal } from "./refusals.ts";
import { COMPRESSED, operationOf } from "./signal-operation.ts";

/** Who has asked for what, and of whom. */
export interface Described {
  readonly cluster: string;
  readonly to: string;
  readonly node: string;
  readonly operation: string;
  readonly mirror?: string;
}

/** A fun of `erl_eval` was found in a long message. */
export class EvaluatedFun extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super("a fun of erl_eval");
    this.refusal = refusal;
  }
}

/** The rules, as they are asked for the signals of one cluster, and what is told of that. */
export class Admission {
  readonly #id: string;
  /** The bridge's name in the cluster. */
  readonly #self: string;
  readonly #context: RouterContext;
  /** Why the last signal was refused. */
  #lastVerdict: number = VERDICT.ALLOWED;
  /** Whether the last message that a rule was asked about may have funs of `erl_eval` in it. */
  #lastFuns = false;

  /** @param id the cluster */
  constructor(id: string, self: Atom, context: RouterContext) {
    this.#id = id;
    this.#self = self.text;
    this.#context = context;
  }

  /** Whether the last signal was refused because of a limit, not for what it is. */
  get wasLimit(): boolean {
    return this.#lastVerdict === VERDICT.TOO_LARGE || this.#lastVerdict === VERDICT.TOO_MANY;
  }

  /** Takes down why a signal is not carried after all. */
  refusedFor(verdict: number): void {
    this.#lastVerdict = verdict;
  }

  /** Whether a process of another cluster, `own` as that cluster knows it, may be asked for `operation`. */
  process(
    source: Connection,
    signal: Signal,
    own: Pid | Reference,
    lane: Lane,
    operation: number | undefined,
  ): boolean {
    // the ends of links and monitors follow from those that there are
    if (operation === undefined) return true;
    const { node } = own;
    if (
      own instanceof Pid &&
      operation !== OPERATION.REPLY &&
      operation !== OPERATION.MONITOR &&
      isKernelPid(own.id, own.serial, lane.to.node.connection(node)?.hidden ?? false)
    ) {
      this.#lastVerdict = VERDICT.DENIED;
      this.#context.refusals.record({
        ...this.described(source, operation, lane),
        target: `a process of OTP on ${node.text}`,
        rule: "default:kernel",
      });
      return false;
    }
    return this.signal(source, signal, lane, lane.gate.pid(source.peer, node), operation, node);
  }

  /** Whether a rule lets a signal pass. Makes no objects when it does. */
  signal(
    source: Connection,
    signal: Signal,
    lane: Lane,
    decisions: Decisions,
    operation: number | undefined,
    target: Atom,
  ): boolean {
    // what no rule can allow: it is answered later as what it is
    if (operation === undefined) return true;
    const decision = operation === COMPRESSED ? undefined : decisions[operation]!;
    let verdict: number = VERDICT.DENIED;
    if (decision !== undefined) {
      this.#lastFuns = decision.funs;
      // links and monitors are no messages
      verdict =
        signal.bodyEnd > 0
          ? decision.judge(signal.bodyEnd - signal.bodyStart + signal.missingBytes)
          : bare(decision);
      if (
        verdict === VERDICT.ALLOWED &&
        !decision.funs &&
        hasEvaluatedFun(signal.bytes, signal.bodyStart, signal.bodyEnd)
      ) {
        verdict = VERDICT.FUN;
      }
      if (verdict === VERDICT.ALLOWED) {
        decision.allowed++;
        if (decision.audit)
          this.#context.refusals.allow(this.#audited(source, operation!, lane, target, decision.rule));
        return true;
      }
      decision.refused++;
    }
    const audited = this.#audited(source, operation, lane, target, decision?.rule ?? "default:compressed");
    const refusal = verdict === VERDICT.DENIED ? audited : { ...audited, reason: REASONS[verdict]! };
    this.#lastVerdict = verdict;
    // what was never carried is not carried for a trial either
    if (
      this.#context.policy.mode === "log" &&
      decision !== undefined &&
      operation !== OPERATION.GROUP_LEADER
    ) {
      this.#context.refusals.note(refusal);
      return true;
    }
    this.#context.refusals.record(refusal);
    return false;
  }

  /**
   * Looks for funs of `erl_eval` in the rest of a long message, which has just been let pass.
   * @returns what looks at each part of it, and throws when it has found one; undefined when there is nothing to look for
   */
  inspector(
    source: Connection,
    operation: number | undefined,
    lane: Lane,
    target: Connection,
  ): ((bytes: Buffer, start: number, end: number) => void) | undefined {
    if (this.#lastFuns || operation === undefined) return undefined;
    const refusal = this.#funRefusal(source, operation, lane, target);
    let noted = false;
    return (bytes, start, end) => {
      if (noted || !hasEvaluatedFun(bytes, start, end)) return;
      if (this.#context.policy.mode !== "log") throw new EvaluatedFun(refusal);
      noted = true;
      this.#context.refusals.note(refusal);
    };
  }

  /** Tells the audit log of such a fun. */
  refuseFun({ refusal }: EvaluatedFun): void {
    this.#lastVerdict = VERDICT.FUN;
    this.#context.refusals.record(refusal);
  }

  /**
   * Hands `send` the reason that goes to another cluster: without code in it, unless the policy lets that pass, and
   * without what `target` cannot decode.
   */
  sendReason(
    source: Connection,
    signal: Signal,
    lane: Lane,
    target: Connection,
    send: (reason: TermBody | RewrittenBody) => void,
  ): void {
    try {
      send(this.#reason(source, signal, lane, target));
    } catch (error) {
      const reason = undecodableReason(error);
      if (reason === undefined && !isLimit(error)) throw error;
      if (reason !== undefined) this.recordUndecodable(source, OPERATION.REPLY, lane, target, reason);
      send(REFUSED);
    }
  }

  /** What the audit log says of every signal. */
  described(source: Connection, operation: number, lane: Lane): Described {
    return {
      ...this.#asked(source),
      to: lane.to.id,
      operation: OPERATIONS[operation] ?? "compressed",
    };
  }

  /** Tells the audit log what is not there. */
  refuse(source: Connection, signal: Signal, target: string): void {
    const operation = operationOf(signal, ADDRESSED.NAME);
    this.#context.refusals.record({
      ...this.#asked(source),
      operation: (operation !== undefined && OPERATIONS[operation]) || signalName(signal.kind),
      target,
    });
  }

  /** Tells the audit log of a message of which only the beginning was kept. */
  refuseTooLong(source: Connection, signal: Signal, target: string): void {
    this.#lastVerdict = VERDICT.TOO_LARGE;
    this.#context.refusals.record({
      ...this.#asked(source),
      operation: signalName(signal.kind),
      target,
      rule: "limits:max_message_bytes",
      reason: REASONS[VERDICT.TOO_LARGE]!,
    });
  }

  /** Tells the audit log what a node cannot decode. */
  recordUndecodable(
    source: Connection,
    operation: number | undefined,
    lane: Lane,
    target: Connection,
    reason: string,
  ): void {
    this.#context.refusals.record({
      ...this.described(source, operation ?? OPERATION.INFO, lane),
      target: `a process of ${target.peer.text}`,
      rule: "default:undecodable",
      reason,
    });
  }

  #reason(source: Connection, signal: Signal, lane: Lane, target: Connection): TermBody | RewrittenBody {
    const node = target.peer;
    if (signal.missingBytes > 0) {
      this.refuseTooLong(source, signal, `a process of ${node.text}`);
      return REFUSED;
    }
    if (
      this.#context.policy.mode === "enforce" &&
      !lane.gate.pid(source.peer, node)[OPERATION.REPLY]!.funs &&
      hasEvaluatedFun(signal.bytes, signal.bodyStart, signal.bodyEnd)
    ) {
      this.#context.refusals.record(this.#funRefusal(source, OPERATION.REPLY, lane, target));
      return REFUSED;
    }
    return lane.body.of(signal, target);
  }

  #funRefusal(source: Connection, operation: number, lane: Lane, target: Connection): Refusal {
    return {
      ...this.described(source, operation, lane),
      target: `a process of ${target.peer.text}`,
      rule: "default:funs",
      reason: REASONS[VERDICT.FUN]!,
    };
  }

  #audited(source: Connection, operation: number, lane: Lane, target: Atom, rule: string): Refusal {
    const shown = target.text.includes("@") ? `a process of ${target.text}` : target.text;
    return { ...this.described(source, operation, lane), target: shown, rule };
  }

  #asked({ peer, localName }: Connection): Pick<Described, "cluster" | "node" | "mirror"> {
    const asked = { cluster: this.#id, node: peer.text };
    return localName === this.#self ? asked : { ...asked, mirror: localName };
  }
}

/** For signals that no limits are about. */
function bare(decision: Decision): number {
  return decision.allows ? VERDICT.ALLOWED : VERDICT.DENIED;
}
