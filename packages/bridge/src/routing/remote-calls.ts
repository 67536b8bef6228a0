import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal, TermBody } from "@isthmus/core/channel";
import { type Atom, atom, Pid, type Reference } from "@isthmus/etf";
import { type Decision, REASONS, VERDICT } from "../policy/decision.ts";
import { OPERATION } from "../policy/operation.ts";
import type { RpcRule } from "../policy/policy.ts";
import type { PolicyRule } from "../policy/rule.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import type { Lane, RouterContext } from "./context.ts";
import { ExportedName } from "./exported-name.ts";
import { type MonitorRecord, monitorKey, type Relations } from "./relations.ts";
import { hasFun, type RemoteCall, RexBody, rexCall, spawnedCall } from "./remote-call.ts";
import { isOwn, requestMonitor, runsSomething } from "./signal-operation.ts";

export const REX: Atom = atom("rex");
const LINK = atom("link");
const MONITOR = atom("monitor");
const LINK_FLAG = 1;
const MONITOR_FLAG = 2;
const NO_CONNECTION = atom("noconnection");
const NOCONNECTION = new TermBody().of(NO_CONNECTION);
const SYSTEM_LIMIT_REASON = atom("system_limit");
const SYSTEM_LIMIT = new TermBody().of(SYSTEM_LIMIT_REASON);

/** What {@link RemoteCalls} needs of the router that it belongs to. */
export interface RemoteCallHost {
  readonly id: string;
  readonly context: RouterContext;
  /** The way into another cluster. */
  lane(to: ClusterRouter): Lane;
  /** The way from there. */
  back(from: ClusterRouter): Lane;
  /** Whether a connection has all the links and monitors that it may have. */
  full(relations: Relations): boolean;
  /** Monitors `target` for `watcher`, who knows it as `shown`. */
  watch(
    source: Connection,
    watcher: Pid,
    ref: Reference,
    shown: Atom,
    target: Atom,
    by: undefined,
    lane: Lane,
    watched: Connection,
  ): void;
  /** Takes down that there is a link. */
  remember(source: Connection, from: Pid, to: Pid, target: Connection, process: Pid, fromThere: Pid): void;
  /** Ends the monitor that `signal`, a demonitor, means, if there is one. */
  endFormer(source: Connection, signal: Signal): boolean;
  /** Keeps a signal until its node is connected. */
  later(
    source: Connection,
    signal: Signal,
    to: ClusterRouter,
    node: Atom,
    deliver: (copy: Signal, connection: Connection | undefined) => void,
  ): void;
  carried(source: Connection, target: Connection): void;
  undeliverable(): void;
  /** Tells the audit log what is not there. */
  refuse(source: Connection, signal: Signal, target: string): void;
  /** What the audit log says of every signal. */
  described(source: Connection, operation: number, lane: Lane): Described;
  /** @throws what is not the limit of identities */
  notCarried(error: unknown): void;
}

/** Who has asked for what, and of whom. */
export interface Described {
  readonly cluster: string;
  readonly to: string;
  readonly node: string;
  readonly operation: string;
}

/** Runs functions of other clusters for processes of one: what `rpc` rules of the policy allow (PROTOCOL 7.3, 8.3). */
export class RemoteCalls {
  readonly #host: RemoteCallHost;
  /** Who runs the functions of a rule. */
  readonly #runners = new WeakMap<PolicyRule, ExportedName<ClusterRouter>>();

  constructor(host: RemoteCallHost) {
    this.#host = host;
  }

  /** @returns false to have the bridge's own node answer, for which no function exists */
  route(source: Connection, signal: Signal): boolean {
    const from = signal.from;
    const call = spawnedCall(signal);
    const way = call && this.#mayRun(source, call);
    if (call === undefined || way === undefined || !isOwn(source, from) || !isOwn(source, signal.ref!)) {
      const asked = `${signal.module?.text}:${signal.function?.text}/${signal.arity}`;
      this.#host.refuse(source, signal, call?.mfa ?? asked);
      return false;
    }
    const lane = this.#host.lane(this.#host.context.router(way.to));
    if (!this.#admitsCall(source, signal, lane, call, way.decision)) {
      source.signals.spawnReply(signal.ref!, from, 0, SYSTEM_LIMIT_REASON);
      return true;
    }
    this.#run(source, signal, lane, way, from, (copy, target) => {
      if (target !== undefined) this.#spawn(source, copy, lane, target, from);
      else if (source.closeReason === undefined) source.signals.spawnReply(copy.ref!, from, 0, NO_CONNECTION);
    });
    return true;
  }

  #spawn(source: Connection, signal: Signal, lane: Lane, target: Connection, caller: Pid): void {
    const ref = signal.ref!;
    const here = this.#host.context.relations.get(source);
    const there = this.#host.context.relations.get(target);
    if (here === undefined || there === undefined) return;
    if (this.#host.full(here) || this.#host.full(there)) {
      source.signals.spawnReply(ref, caller, 0, SYSTEM_LIMIT_REASON);
      return;
    }
    const callerThere = lane.translator.pid(caller);
    const refThere = lane.translator.reference(ref);
    // sizes and priorities of processes are not for others to choose
    const options = Array.isArray(signal.options)
      ? signal.options.filter((option) => option === LINK || option === MONITOR)
      : [];
    try {
      target.signals.spawnRequest(
        refThere,
        callerThere,
        this.#groupLeader(lane, target, signal.groupLeader),
        { module: signal.module!, function: signal.function!, arity: signal.arity },
        options,
        lane.body.of(signal),
      );
    } catch (error) {
      this.#host.notCarried(error);
      source.signals.spawnReply(ref, caller, 0, SYSTEM_LIMIT_REASON);
      return;
    }
    there.spawns.set(monitorKey(refThere), {
      asking: source,
      caller,
      ref,
      callerThere,
      refThere,
      show: (made) => this.#host.back(lane.to).translator.pid(made),
    });
    this.#host.carried(source, target);
  }

  /** `source` has made a process, or not; links and monitors that came with it are remembered as any. */
  reply(source: Connection, signal: Signal): void {
    const relations = this.#host.context.relations;
    const there = relations.get(source);
    const key = monitorKey(signal.ref!);
    const record = there?.spawns.get(key);
    const made = signal.result;
    if (there === undefined || record === undefined || made === undefined) {
      this.#host.undeliverable();
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
    if (here === undefined) {
      // nobody is there any more who would hear of it
      if (watched) source.signals.demonitor(callerThere, made, refThere);
      if (linked) source.signals.exit(callerThere, made, NOCONNECTION);
      return;
    }
    const shown = record.show(made);
    asking.signals.spawnReply(ref, caller, signal.flags & (LINK_FLAG | MONITOR_FLAG), shown);
    if (watched) {
      const monitor: MonitorRecord = {
        key,
        watching: asking,
        watcher: caller,
        ref,
        shown,
        watched: source,
        watcherThere: callerThere,
        refThere,
        target: made,
        by: undefined,
      };
      here.watching.add(monitor);
      there.watched.set(key, monitor);
    }
    if (linked) this.#host.remember(asking, caller, shown, source, made, callerThere);
    this.#host.carried(source, asking);
  }

  /** Messages to `rex`, by which C nodes and older ways of `rpc` run functions. */
  routeRex(source: Connection, signal: Signal): boolean {
    // it never ends, so a monitor of it waits for nothing but what is called
    if (signal.kind === SIGNAL.DEMONITOR) this.#host.endFormer(source, signal);
    if (signal.kind === SIGNAL.DEMONITOR || signal.kind === SIGNAL.MONITOR) return true;
    const from = signal.from;
    if (signal.kind !== SIGNAL.SEND || !isOwn(source, from)) return false;
    const call = rexCall(signal);
    const way = call && this.#mayRun(source, call);
    if (call === undefined || way === undefined) {
      if (runsSomething(signal)) this.#host.refuse(source, signal, call?.mfa ?? REX.text);
      return false;
    }
    const lane = this.#host.lane(this.#host.context.router(way.to));
    const asked = call.operation === OPERATION.CALL ? requestMonitor(signal, OPERATION.CALL) : undefined;
    const ref = asked !== undefined && isOwn(source, asked) ? asked : undefined;
    if (!this.#admitsCall(source, signal, lane, call, way.decision)) {
      if (ref !== undefined) source.signals.down(REX, from, ref, SYSTEM_LIMIT);
      return true;
    }
    this.#run(source, signal, lane, way, from, (copy, target) => {
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
    const here = this.#host.context.relations.get(source);
    const there = this.#host.context.relations.get(target);
    if (call === undefined || here === undefined || there === undefined) return;
    const leader = this.#groupLeader(lane, target, undefined);
    try {
      const sender = lane.translator.pid(from);
      // the caller watches the bridge: that it is told when the node is lost, the bridge watches for it
      if (ref !== undefined && !this.#host.full(here) && !this.#host.full(there)) {
        this.#host.watch(source, from, ref, REX, REX, undefined, lane, target);
      }
      target.signals.sendName(sender, REX, new RexBody(call, signal, lane.body, leader));
    } catch (error) {
      this.#host.notCarried(error);
      return;
    }
    this.#host.carried(source, target);
  }

  #mayRun(source: Connection, { mfa, operation }: RemoteCall): RpcRule | undefined {
    return this.#host.context.policy.rpc(this.#host.id, mfa, source.peer.text, operation);
  }

  #admitsCall(source: Connection, signal: Signal, lane: Lane, call: RemoteCall, decision: Decision): boolean {
    let verdict = decision.judge(signal.bodyEnd - signal.bodyStart);
    if (verdict === VERDICT.ALLOWED && !decision.funs && hasFun(signal.bytes, call.argsStart, call.argsEnd))
      verdict = VERDICT.FUN;
    const { rule } = decision;
    const audited = { ...this.#host.described(source, call.operation, lane), target: call.mfa, rule };
    if (verdict === VERDICT.ALLOWED) {
      decision.allowed++;
      if (decision.audit) this.#host.context.refusals.allow(audited);
      return true;
    }
    decision.refused++;
    const refusal = { ...audited, reason: verdict === VERDICT.FUN ? "a fun" : REASONS[verdict]! };
    if (this.#host.context.policy.mode === "log" && verdict !== VERDICT.FUN) {
      this.#host.context.refusals.note(refusal);
      return true;
    }
    this.#host.context.refusals.record(refusal);
    return false;
  }

  /** Hands a call to one of the nodes of its rule, once that is connected. */
  #run(
    source: Connection,
    signal: Signal,
    lane: Lane,
    { rule }: RpcRule,
    caller: Pid,
    deliver: (copy: Signal, target: Connection | undefined) => void,
  ): void {
    let nodes = this.#runners.get(rule);
    if (nodes === undefined) {
      const atoms = (rule.nodes ?? []).map((node) => atom(node));
      nodes = new ExportedName(REX, lane.to, REX, atoms, rule.balance ?? "first_up");
      this.#runners.set(rule, nodes);
    }
    const node = nodes.pick(caller, lane.to.isUp);
    const target = lane.to.node.connection(node);
    if (target !== undefined) deliver(signal, target);
    else this.#host.later(source, signal, lane.to, node, deliver);
  }

  /** The caller's own, where the policy lets io requests go back to it; else one that drops what is printed. */
  #groupLeader(lane: Lane, target: Connection, asked: Pid | undefined): Pid {
    const back = this.#host.back(lane.to).gate.pid(target.peer, asked?.node ?? target.peer)[OPERATION.IO]!;
    if (asked !== undefined && back.allows) return lane.translator.pid(asked);
    return lane.to.ioSink.pid;
  }
}
