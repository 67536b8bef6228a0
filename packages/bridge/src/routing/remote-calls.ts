import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal } from "@isthmus/core/channel";
import { type Atom, atom, Pid, type Reference } from "@isthmus/etf";
import { type Decision, REASONS, VERDICT } from "../policy/decision.ts";
import { OPERATION } from "../policy/operation.ts";
import type { PolicyRule } from "../policy/rule.ts";
import { isLimit } from "../translate/not-carried.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import type { Lane, RouterParts } from "./context.ts";
import type { Deliveries } from "./deliveries.ts";
import { NO_CONNECTION, NOCONNECTION, SYSTEM_LIMIT, SYSTEM_LIMIT_REASON } from "./flow.ts";
import { homeOf } from "./home.ts";
import { NodeChoice } from "./node-choice.ts";
import { isFull, monitorKey, type SpawnRecord } from "./relations.ts";
import { hasFun, type RemoteCall, RexBody, rexCall, spawnedCall } from "./remote-call.ts";
import { isOwn, requestMonitor, runsSomething } from "./signal-operation.ts";

export const REX: Atom = atom("rex");
const LINK = atom("link");
const MONITOR = atom("monitor");
const LINK_FLAG = 1;
const MONITOR_FLAG = 2;

/** A node of another cluster that a mirror stands for. */
export interface Mirrored {
  /** Name of the mirror. */
  readonly name: Atom;
  /** The cluster that has the node. */
  readonly to: ClusterRouter;
  readonly node: Atom;
}

/** What {@link RemoteCalls} needs of the router that it belongs to. */
export interface RemoteCallHost {
  readonly parts: RouterParts;
  readonly deliveries: Deliveries;
  /** The way into another cluster. */
  lane(to: ClusterRouter): Lane;
  /** The way from there. */
  back(from: ClusterRouter): Lane;
}

/** By what a call may run, and where. */
interface Way {
  readonly lane: Lane;
  readonly decision: Decision;
  /** One of these nodes runs it; or the one that a mirror stands for. */
  readonly nodes: NodeChoice | Atom;
}

/** Runs functions of other clusters for processes of one: what `rpc` rules of the policy allow (PROTOCOL 7.3, 8.3). */
export class RemoteCalls {
  readonly #host: RemoteCallHost;
  readonly #parts: RouterParts;
  /** Who runs the functions of a rule. */
  readonly #runners = new WeakMap<PolicyRule, NodeChoice>();

  constructor(host: RemoteCallHost) {
    this.#host = host;
    this.#parts = host.parts;
  }

  /**
   * @param mirrored given when it was asked of a mirror
   * @returns false to have our own node answer, for which no function exists
   */
  route(source: Connection, signal: Signal, mirrored?: Mirrored): boolean {
    const from = signal.from;
    const call = spawnedCall(signal);
    const way = call && this.#way(source, call, mirrored);
    if (call === undefined || way === undefined || !isOwn(source, from) || !isOwn(source, signal.ref!)) {
      const asked = `${signal.module?.text}:${signal.function?.text}/${signal.arity}`;
      this.#parts.admission.refuse(source, signal, call?.mfa ?? asked);
      return false;
    }
    const { lane } = way;
    if (!this.#admitsCall(source, signal, lane, call, way.decision)) {
      source.signals.spawnReply(signal.ref!, from, 0, SYSTEM_LIMIT_REASON);
      return true;
    }
    this.#run(source, signal, way, from, (copy, target) => {
      if (target !== undefined) this.#spawn(source, copy, lane, target, from);
      else if (source.closeReason === undefined) source.signals.spawnReply(copy.ref!, from, 0, NO_CONNECTION);
    });
    return true;
  }

  #spawn(source: Connection, signal: Signal, lane: Lane, target: Connection, caller: Pid): void {
    const ref = signal.ref!;
    const { context } = this.#parts;
    const here = context.relations.get(source);
    const there = context.relations.get(target);
    if (here === undefined || there === undefined) return;
    if (isFull(here, context) || isFull(there, context)) {
      source.signals.spawnReply(ref, caller, 0, SYSTEM_LIMIT_REASON);
      return;
    }
    let callerThere: Pid;
    let refThere: Reference;
    // sizes and priorities of processes are not for others to choose
    const options = Array.isArray(signal.options)
      ? signal.options.filter((option) => option === LINK || option === MONITOR)
      : [];
    try {
      callerThere = lane.translator.pid(caller);
      refThere = lane.translator.reference(ref);
      target.signals.spawnRequest(
        refThere,
        callerThere,
        this.#groupLeader(lane, target, signal.groupLeader),
        { module: signal.module!, function: signal.function!, arity: signal.arity },
        options,
        lane.body.of(signal, target),
      );
    } catch (error) {
      this.#host.deliveries.notCarried(error, source, signal, lane, target);
      source.signals.spawnReply(ref, caller, 0, SYSTEM_LIMIT_REASON);
      return;
    }
    there.spawns.set(monitorKey(refThere), {
      asking: source,
      caller,
      ref,
      callerThere,
      refThere,
      here: this.#parts.index,
      there: lane.to.index,
      show: (made) => this.#host.back(lane.to).translator.pid(made),
    });
    this.#parts.flow.carried(source, target);
  }

  /** `source` has made a process, or not; links and monitors that came with it are remembered as any. */
  reply(source: Connection, signal: Signal): void {
    const relations = this.#parts.context.relations;
    const there = relations.get(source);
    const key = monitorKey(signal.ref!);
    const record = there?.spawns.get(key);
    const made = signal.result;
    if (there === undefined || record === undefined || made === undefined) {
      this.#parts.flow.counters.undeliverable++;
      return;
    }
    there.spawns.delete(key);
    const { asking, caller, ref, callerThere, refThere } = record;
    const here = relations.get(asking);
    if (!(made instanceof Pid) || made.node !== source.peer) {
      const error = made instanceof Pid ? NO_CONNECTION : made;
      if (here !== undefined) asking.signals.spawnReply(ref, caller, 0, error);
      return;
    }
    const linked = (signal.flags & LINK_FLAG) !== 0;
    const watched = (signal.flags & MONITOR_FLAG) !== 0;
    const shown = here && this.#shown(record, made, asking);
    if (here === undefined || shown === undefined) {
      if (here !== undefined) asking.signals.spawnReply(ref, caller, 0, SYSTEM_LIMIT_REASON);
      // nobody is there any more who would hear of it
      if (watched) source.signals.demonitor(callerThere, made, refThere);
      if (linked) source.signals.exit(callerThere, made, NOCONNECTION);
      return;
    }
    asking.signals.spawnReply(ref, caller, signal.flags & (LINK_FLAG | MONITOR_FLAG), shown);
    if (watched) {
      this.#host.deliveries.monitors.remember({
        key,
        ownKey: monitorKey(ref),
        watching: asking,
        watcher: caller,
        ref,
        shown,
        watched: source,
        watcherThere: callerThere,
        refThere,
        target: made,
        here: record.here,
        there: record.there,
        by: undefined,
      });
    }
    if (linked)
      this.#host.deliveries.links.remember(
        asking,
        caller,
        shown,
        source,
        made,
        callerThere,
        record.here,
        record.there,
      );
    this.#parts.flow.carried(source, asking);
  }

  /**
   * How the caller's node knows a new process: under the name of whom it has asked, the bridge or a mirror, since an exit
   * under another one ends the connection. Undefined when there is no room for it.
   */
  #shown(record: SpawnRecord, made: Pid, asking: Connection): Pid | undefined {
    try {
      const { node, id, serial, creation } = record.show(made);
      return new Pid(node.text === asking.localName ? node : atom(asking.localName), id, serial, creation);
    } catch (error) {
      if (isLimit(error)) return undefined;
      throw error;
    }
  }

  /** Messages to `rex`, by which C nodes and older ways of `rpc` run functions. */
  routeRex(source: Connection, signal: Signal, mirrored?: Mirrored): boolean {
    // it never ends, so a monitor of it waits for nothing but what is called
    if (signal.kind === SIGNAL.DEMONITOR) this.#host.deliveries.monitors.demonitor(source, signal.ref!);
    if (signal.kind === SIGNAL.DEMONITOR || signal.kind === SIGNAL.MONITOR) return true;
    const from = signal.from;
    if (signal.kind !== SIGNAL.SEND || !isOwn(source, from)) return false;
    const call = rexCall(signal);
    const way = call && this.#way(source, call, mirrored);
    if (call === undefined || way === undefined) {
      if (runsSomething(signal)) this.#parts.admission.refuse(source, signal, call?.mfa ?? REX.text);
      return false;
    }
    const { lane } = way;
    const asked = call.operation === OPERATION.CALL ? requestMonitor(signal, OPERATION.CALL) : undefined;
    const ref = asked !== undefined && isOwn(source, asked) ? asked : undefined;
    if (!this.#admitsCall(source, signal, lane, call, way.decision)) {
      if (ref !== undefined) source.signals.down(REX, from, ref, SYSTEM_LIMIT);
      return true;
    }
    this.#run(source, signal, way, from, (copy, target) => {
      if (target !== undefined) this.#callRex(source, copy, lane, target, from, ref);
      else if (ref !== undefined && source.closeReason === undefined)
        source.signals.down(REX, from, ref, NOCONNECTION);
    });
    return true;
  }

  #callRex(
    source: Connection,
    signal: Signal,
    lane: Lane,
    target: Connection,
    from: Pid,
    ref: Reference | undefined,
  ): void {
    const call = rexCall(signal);
    const { context } = this.#parts;
    const here = context.relations.get(source);
    const there = context.relations.get(target);
    if (call === undefined || here === undefined || there === undefined) return;
    if (ref !== undefined && (isFull(here, context) || isFull(there, context))) {
      source.signals.down(REX, from, ref, SYSTEM_LIMIT);
      return;
    }
    const leader = this.#groupLeader(lane, target, undefined);
    try {
      const sender = lane.translator.pid(from);
      // the caller watches the bridge: that it is told when the node is lost, the bridge watches for it
      if (ref !== undefined && !here.watching.has(monitorKey(ref))) {
        this.#host.deliveries.monitors.watch(source, from, ref, REX, REX, undefined, lane, target);
      }
      target.signals.sendName(sender, REX, new RexBody(call, signal, lane.body, leader, target));
    } catch (error) {
      this.#host.deliveries.notCarried(error, source, signal, lane, target);
      return;
    }
    this.#parts.flow.carried(source, target);
  }

  #way(source: Connection, { mfa, operation }: RemoteCall, mirrored: Mirrored | undefined): Way | undefined {
    const { id, context } = this.#parts;
    const { policy } = context;
    const sender = source.peer.text;
    if (mirrored !== undefined) {
      const { to, node } = mirrored;
      const decision = policy.rpcAt(id, to.id, mfa, sender, node.text, operation);
      return decision && { lane: this.#host.lane(to), decision, nodes: node };
    }
    const found = policy.rpc(id, mfa, sender, operation);
    if (found === undefined) return undefined;
    const { to, rule, decision } = found;
    const lane = this.#host.lane(context.router(to));
    return { lane, decision, nodes: this.#runner(rule, lane.to) };
  }

  #runner(rule: PolicyRule, to: ClusterRouter): NodeChoice {
    let nodes = this.#runners.get(rule);
    if (nodes === undefined) {
      nodes = new NodeChoice(rule.nodes ?? [], rule.balance ?? "first_up", to.neighbours);
      this.#runners.set(rule, nodes);
    }
    return nodes;
  }

  #admitsCall(source: Connection, signal: Signal, lane: Lane, call: RemoteCall, decision: Decision): boolean {
    let verdict = decision.judge(signal.bodyEnd - signal.bodyStart);
    if (verdict === VERDICT.ALLOWED && !decision.funs && hasFun(signal.bytes, call.argsStart, call.argsEnd))
      verdict = VERDICT.FUN;
    const { rule } = decision;
    const audited = {
      ...this.#parts.admission.described(source, call.operation, lane),
      target: call.mfa,
      rule,
    };
    if (verdict === VERDICT.ALLOWED) {
      decision.allowed++;
      if (decision.audit) this.#parts.context.refusals.allow(audited);
      return true;
    }
    decision.refused++;
    const refusal = { ...audited, reason: verdict === VERDICT.FUN ? "a fun" : REASONS[verdict]! };
    if (this.#parts.context.policy.mode === "log" && verdict !== VERDICT.FUN) {
      this.#parts.context.refusals.note(refusal);
      return true;
    }
    this.#parts.context.refusals.record(refusal);
    return false;
  }

  /** Hands a call to one of the nodes that may run it, once that is connected. */
  #run(
    source: Connection,
    signal: Signal,
    { lane, nodes }: Way,
    caller: Pid,
    deliver: (copy: Signal, target: Connection | undefined) => void,
  ): void {
    const home = homeOf(lane, source, caller);
    const node = nodes instanceof NodeChoice ? nodes.pick(caller, REX) : nodes;
    const target = node && home.connection(node);
    if (node === undefined || target !== undefined) deliver(signal, target);
    else lane.to.flow.later(source, signal, lane, node, deliver);
  }

  /** The caller's own, where the policy lets io requests go back to it; else one that drops what is printed. */
  #groupLeader(lane: Lane, target: Connection, asked: Pid | undefined): Pid {
    const back = this.#host.back(lane.to).gate.pid(target.peer, asked?.node ?? target.peer)[OPERATION.IO]!;
    if (asked !== undefined && back.allows) return lane.translator.pid(asked);
    return lane.to.ioSink.pid;
  }
}
