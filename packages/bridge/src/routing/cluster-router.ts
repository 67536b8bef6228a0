// Over 400 lines: one signal has to be followed from one cluster to the other in one place.
import type { Connection, HiddenNode, Process, SignalRouter } from "@isthmus/core";
import { RewrittenBody, SIGNAL, type Signal, signalName, TermBody } from "@isthmus/core/channel";
import { Atom, atom, Pid, Reference } from "@isthmus/etf";
import { IsthmusError, isIsthmusError } from "@isthmus/wire";
import { type Decision, REASONS, VERDICT } from "../policy/decision.ts";
import { hasEvaluatedFun } from "../policy/funs.ts";
import { ADDRESSED, OPERATION, OPERATIONS } from "../policy/operation.ts";
import type { Decisions } from "../policy/policy.ts";
import { isKernelPid, mayBeLoader } from "../policy/reserved-names.ts";
import { IdentityIndex, type Standin } from "../translate/identity-index.ts";
import { type Place, Translator } from "../translate/translator.ts";
import type { Lane, RouterContext } from "./context.ts";
import type { ExportedName } from "./exported-name.ts";
import { startIoSink } from "./io-sink.ts";
import type { Refusal } from "./refusals.ts";
import {
  type LinkEnd,
  type LinkRecord,
  linkKey,
  type MonitorRecord,
  monitorKey,
  Relations,
} from "./relations.ts";
import { type Described, REX, RemoteCalls } from "./remote-calls.ts";
import { COMPRESSED, isOwn, operationOf, requestMonitor, runsSomething } from "./signal-operation.ts";

export { DEFAULT_ROUTER_LIMITS, type RouterContext, type RouterLimits } from "./context.ts";

const NOPROC = new TermBody().of(atom("noproc"));
const NO_CONNECTION = atom("noconnection");
const NOCONNECTION = new TermBody().of(NO_CONNECTION);
/** In the place of a reason that may not cross. */
const REFUSED = new TermBody().of(atom("refused"));
/** What a caller sees of a limit. */
const SYSTEM_LIMIT = new TermBody().of(atom("system_limit"));

/** Plain counters, read by whoever wants to show them. */
export interface RouterCounters {
  /** Signals carried from this cluster into another. */
  carried: number;
  /** Signals to processes that are gone, or whose node is. */
  undeliverable: number;
}

/** A name that a program has taken over; see {@link ClusterRouter.intercept}. */
export type Interceptor = (source: Connection, signal: Signal) => void;

/**
 * Carries signals out of one cluster. It sits before the bridge's own node there: what is addressed to a stand-in or an
 * exported name goes to the other cluster, translated and otherwise untouched; the rest is left to the node, which
 * answers as a BEAM answers for what it does not have.
 */
export class ClusterRouter implements SignalRouter, Place {
  /** The cluster's name in the configuration. */
  readonly id: string;
  readonly self: Atom;
  readonly index: IdentityIndex<Place>;
  readonly counters: RouterCounters = { carried: 0, undeliverable: 0 };
  readonly #context: RouterContext;
  readonly #exports = new Map<Atom, ExportedName<ClusterRouter>>();
  readonly #intercepted = new Map<Atom, Interceptor>();
  readonly #lanes = new Map<Place, Lane>();
  readonly #joined = new Set<ClusterRouter>();
  readonly #calls: RemoteCalls;
  #ioSink: Process | undefined;
  /** Whether a node of this cluster is connected. */
  readonly isUp = (node: Atom): boolean => this.node.connection(node) !== undefined;
  #node: HiddenNode | undefined;
  #waitingBytes = 0;
  #unlinkId = 0;
  /** Why the last signal was refused. */
  #lastVerdict: number = VERDICT.ALLOWED;

  /** @param nodeName the bridge's own node name in this cluster */
  constructor(id: string, nodeName: string, context: RouterContext) {
    this.id = id;
    this.self = atom(nodeName);
    this.#context = context;
    this.index = new IdentityIndex<Place>(this.self, context.firstIndex, context.limits.maxIdentities);
    this.#calls = new RemoteCalls({
      id,
      context,
      lane: (to) => this.#lane(to),
      back: (from) => from.#lane(this),
      full: (relations) => this.#full(relations),
      watch: (...args) => this.#watch(...args),
      remember: (...args) => this.#remember(...args),
      endFormer: (source, signal) => this.#demonitorFormer(source, signal),
      later: (...args) => this.#later(...args),
      carried: (source, target) => this.#carried(source, target),
      undeliverable: () => void this.counters.undeliverable++,
      refuse: (source, signal, target) => this.#refuse(source, signal, target),
      described: (source, operation, lane) => this.#described(source, operation, lane),
      notCarried: (error) => this.#notCarried(error),
    });
  }

  /** The bridge's creation in this cluster; 0, which no process has, until the node is there. */
  get creation(): number {
    return this.#node?.creation ?? 0;
  }

  get node(): HiddenNode {
    if (this.#node === undefined) throw new TypeError(`cluster ${this.id} has no node yet`);
    return this.#node;
  }

  /** The group leader of functions that processes of other clusters run here. */
  get ioSink(): Process {
    if (this.#ioSink?.alive !== true) this.#ioSink = startIoSink(this.node);
    return this.#ioSink;
  }

  /** Must be called before any signal comes. */
  attach(node: HiddenNode): void {
    this.#node = node;
  }

  /**
   * Takes the names of other clusters that this one may use, in the place of those it had, and the rules in
   * {@link RouterContext.policy}. Links, monitors and connections stay; a name that is the same as before keeps its
   * callers at their nodes.
   */
  configure(names: readonly ExportedName<ClusterRouter>[]): void {
    const before = new Map(this.#exports);
    this.#exports.clear();
    for (const name of names) {
      const same = before.get(name.as);
      this.#exports.set(name.as, same?.equals(name) ? same : name);
    }
    for (const other of this.#joined) this.#context.policy.join(this.id, other.id);
    this.#renewGates();
  }

  /** Lets processes of this cluster and of `other` address each other by pid, as a route does, whatever is configured. */
  join(other: ClusterRouter): void {
    this.#joined.add(other);
    other.#joined.add(this);
    this.#context.policy.join(this.id, other.id);
    this.#renewGates();
    other.#renewGates();
  }

  #renewGates(): void {
    for (const lane of this.#lanes.values()) lane.gate = this.#context.policy.gate(this.id, lane.to.id);
  }

  /** Hands every message to the registered name `name` to `interceptor`, undecoded; monitors of it see it alive. */
  intercept(name: Atom, interceptor: Interceptor): void {
    this.#intercepted.set(name, interceptor);
  }

  // ---- SignalRouter

  route(source: Connection, signal: Signal): boolean {
    const to = signal.to;
    if (to instanceof Atom) return this.#routeName(source, signal, to);
    if (to === undefined) return signal.kind === SIGNAL.SPAWN_REQUEST && this.#calls.route(source, signal);
    if (to.node !== this.self || to.creation === this.creation) return false;
    const standin = this.index.get(to.creation);
    if (standin === undefined) {
      this.#answer(source, signal, to, NOPROC);
      return true;
    }
    if (signal.kind === SIGNAL.SPAWN_REPLY) {
      this.#calls.reply(source, signal);
      return true;
    }
    const lane = this.#lane(standin.place as ClusterRouter);
    if (this.#admitsProcess(source, signal, to, standin, lane))
      this.#routeProcess(source, signal, to, standin, lane);
    return true;
  }

  up(connection: Connection): void {
    this.#context.relations.set(connection, new Relations());
  }

  down(connection: Connection): void {
    const relations = this.#context.relations;
    const own = relations.get(connection);
    if (own === undefined) return;
    relations.delete(connection);
    for (const link of own.links.values()) {
      const far = farEnd(link, connection);
      relations.get(far.connection)?.links.delete(far.key);
      if (far.connection === connection) continue;
      if (far.unlinking === undefined) this.#exitFar(far, NOCONNECTION);
      else this.#acknowledge(far, far.unlinking);
    }
    for (const monitor of own.watched.values()) {
      relations.get(monitor.watching)?.watching.delete(monitor);
      monitor.by?.release(monitor.watcher);
      if (monitor.watching !== connection) {
        monitor.watching.signals.down(monitor.shown, monitor.watcher, monitor.ref, NOCONNECTION);
      }
    }
    for (const monitor of own.watching) {
      relations.get(monitor.watched)?.watched.delete(monitor.key);
      monitor.by?.release(monitor.watcher);
      if (monitor.watched !== connection) {
        monitor.watched.signals.demonitor(monitor.watcherThere, monitor.target, monitor.refThere);
      }
    }
    for (const { asking, caller, ref } of own.spawns.values()) {
      if (asking.closeReason === undefined) asking.signals.spawnReply(ref, caller, 0, NO_CONNECTION);
    }
    for (const held of own.held) held.resume();
    for (const other of relations.values()) other.held.delete(connection);
  }

  writable(connection: Connection): void {
    const held = this.#context.relations.get(connection)?.held;
    if (held === undefined || held.size === 0) return;
    const sources = [...held];
    held.clear();
    for (const source of sources) source.resume();
  }

  // ---- to an exported name

  #routeName(source: Connection, signal: Signal, name: Atom): boolean {
    const interceptor = this.#intercepted.get(name);
    if (interceptor !== undefined) {
      if (signal.kind === SIGNAL.SEND) interceptor(source, signal);
      return true;
    }
    const exported = this.#exports.get(name);
    if (exported === undefined && name === REX && this.#context.policy.mayRun(this.id)) {
      return this.#calls.routeRex(source, signal);
    }
    if (exported === undefined) {
      if (signal.kind === SIGNAL.DEMONITOR) return this.#demonitorFormer(source, signal);
      if (this.node.processes.whereis(name) === undefined || runsSomething(signal))
        this.#refuse(source, signal, name.text);
      return false;
    }
    const caller = signal.from;
    if (!(caller instanceof Pid)) return true;
    const lane = this.#lane(exported.target);
    if (signal.kind === SIGNAL.DEMONITOR) {
      this.#demonitorName(source, signal, exported, lane);
      return true;
    }
    const there = exported.target.node;
    const node = exported.pick(caller, exported.target.isUp);
    const decisions = lane.gate.name(exported.name, source.peer, node);
    const operation = operationOf(signal, ADDRESSED.NAME);
    if (!this.#admits(source, signal, lane, decisions, operation, name)) {
      this.#answerRefused(source, signal, name, operation, lane, exported.nodes);
      return true;
    }
    const connection = there.connection(node);
    if (connection === undefined) {
      // what is sent after the monitor must find the same node
      if (signal.kind === SIGNAL.MONITOR) exported.hold(caller, node);
      this.#later(source, signal, exported.target, node, (copy, late) => {
        if (copy.kind === SIGNAL.MONITOR) exported.release(caller);
        if (late === undefined) this.#answer(source, copy, name, NOCONNECTION);
        else this.#deliverName(source, copy, exported, lane, late);
      });
      return true;
    }
    this.#deliverName(source, signal, exported, lane, connection);
    return true;
  }

  #deliverName(
    source: Connection,
    signal: Signal,
    exported: ExportedName<ClusterRouter>,
    lane: Lane,
    target: Connection,
  ): void {
    switch (signal.kind) {
      case SIGNAL.SEND:
        this.sendName(source, signal, signal.bodyStart, exported.target, target, exported.name);
        return;
      case SIGNAL.MONITOR:
        this.#monitor(source, signal, exported.as, exported.name, exported, lane, target);
        return;
      default:
        // links and exits are addressed to pids only; priority exits to names (OTP 28+) are not carried
        this.#refuse(source, signal, exported.as.text);
    }
  }

  /**
   * Sends one term of a signal's body to a registered name of another cluster.
   * @param start where the term begins in `signal.bytes`
   * @throws IsthmusError a code of the term codec when the term is malformed
   */
  sendName(
    source: Connection,
    signal: Signal,
    start: number,
    to: ClusterRouter,
    target: Connection,
    name: Atom,
  ): void {
    const lane = this.#lane(to);
    const from = signal.from;
    if (!(from instanceof Pid)) return;
    try {
      target.signals.sendName(
        lane.translator.pid(from),
        name,
        lane.body.range(signal, start, signal.bodyEnd),
        lane.token.tokenOf(signal),
      );
    } catch (error) {
      this.#notCarried(error);
      return;
    }
    this.#carried(source, target);
  }

  #demonitorName(
    source: Connection,
    signal: Signal,
    exported: ExportedName<ClusterRouter>,
    lane: Lane,
  ): void {
    const ref = signal.ref!;
    const key = monitorKey(lane.translator.reference(ref));
    for (const node of exported.nodes) {
      const target = exported.target.node.connection(node);
      const record = target === undefined ? undefined : this.#context.relations.get(target)?.watched.get(key);
      if (record !== undefined) {
        this.#endMonitor(record);
        return;
      }
    }
    for (const node of exported.nodes) {
      if (!exported.target.node.isConnecting(node)) continue;
      // the monitor itself still waits; this must come after it
      this.#later(source, signal, exported.target, node, (_copy, late) => {
        const record = late === undefined ? undefined : this.#context.relations.get(late)?.watched.get(key);
        if (record !== undefined) this.#endMonitor(record);
      });
    }
  }

  /** Ends a monitor of a name that was exported when it was made. */
  #demonitorFormer(source: Connection, signal: Signal): boolean {
    for (const lane of this.#lanes.values()) {
      const key = monitorKey(lane.translator.reference(signal.ref!));
      for (const { watched } of this.#context.relations.values()) {
        const record = watched.get(key);
        if (record === undefined || record.watching !== source || record.shown !== signal.to) continue;
        this.#endMonitor(record);
        return true;
      }
    }
    return false;
  }

  // ---- the policy

  /** Judges what is for a process of another cluster; answers for it when that may not be. */
  #admitsProcess(
    source: Connection,
    signal: Signal,
    to: Pid | Reference,
    standin: Standin<Place>,
    lane: Lane,
  ): boolean {
    const operation = operationOf(signal, addressing(to));
    // the ends of links and monitors follow from those that there are
    if (operation === undefined) return true;
    const { node } = standin.origin;
    const target = lane.to.node.connection(node);
    if (
      to instanceof Pid &&
      operation !== OPERATION.REPLY &&
      operation !== OPERATION.MONITOR &&
      isKernelPid(to.id, to.serial, target?.hidden ?? false)
    ) {
      this.#lastVerdict = VERDICT.DENIED;
      this.#context.refusals.record({
        ...this.#described(source, operation, lane),
        target: `a process of OTP on ${node.text}`,
        rule: "default:kernel",
      });
    } else if (this.#admits(source, signal, lane, lane.gate.pid(source.peer, node), operation, node)) {
      return true;
    }
    this.#answerRefused(source, signal, to, operation, lane, [node]);
    return false;
  }

  /** Whether a rule lets a signal pass. Makes no objects when it does. */
  #admits(
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
      // links and monitors are no messages
      verdict = signal.bodyEnd > 0 ? decision.judge(signal.bodyEnd - signal.bodyStart) : bare(decision);
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

  #audited(source: Connection, operation: number, lane: Lane, target: Atom, rule: string): Refusal {
    const shown = target.text.includes("@") ? `a process of ${target.text}` : target.text;
    return { ...this.#described(source, operation, lane), target: shown, rule };
  }

  #described(source: Connection, operation: number, lane: Lane): Described {
    return {
      cluster: this.id,
      to: lane.to.id,
      node: source.peer.text,
      operation: OPERATIONS[operation] ?? "compressed",
    };
  }

  /** Nobody waits for the answer to what was refused: monitors and links end, and those of a refused request. */
  #answerRefused(
    source: Connection,
    signal: Signal,
    to: Pid | Reference | Atom,
    operation: number | undefined,
    lane: Lane,
    nodes: readonly Atom[],
  ): void {
    this.#answer(source, signal, to, NOPROC);
    if (signal.kind !== SIGNAL.SEND) return;
    const ref = requestMonitor(signal, operation);
    if (ref === undefined) return;
    const limit = this.#lastVerdict === VERDICT.TOO_LARGE || this.#lastVerdict === VERDICT.TOO_MANY;
    const key = monitorKey(lane.translator.reference(ref));
    for (const node of nodes) {
      const target = lane.to.node.connection(node);
      const record = target && this.#context.relations.get(target)?.watched.get(key);
      if (record === undefined || record.watching !== source) continue;
      this.#endMonitor(record);
      source.signals.down(record.shown, record.watcher, record.ref, limit ? SYSTEM_LIMIT : NOPROC);
      return;
    }
  }

  /** A reason that goes to another cluster: without code in it, unless the policy lets that pass. */
  #reason(source: Connection, signal: Signal, lane: Lane, node: Atom): TermBody | RewrittenBody {
    if (
      hasEvaluatedFun(signal.bytes, signal.bodyStart, signal.bodyEnd) &&
      this.#context.policy.mode === "enforce" &&
      !lane.gate.pid(source.peer, node)[OPERATION.REPLY]!.funs
    ) {
      this.#context.refusals.record({
        ...this.#described(source, OPERATION.REPLY, lane),
        target: `a process of ${node.text}`,
        rule: "default:funs",
        reason: REASONS[VERDICT.FUN]!,
      });
      return REFUSED;
    }
    return lane.body.of(signal);
  }

  // ---- to a process

  #routeProcess(
    source: Connection,
    signal: Signal,
    to: Pid | Reference,
    standin: Standin<Place>,
    lane: Lane,
  ): void {
    const { node, creation } = standin.origin;
    const there = lane.to.node;
    if (node === lane.to.self) {
      this.#answer(source, signal, to, NOPROC);
      return;
    }
    const target = there.connection(node);
    if (target !== undefined) {
      this.#deliver(source, signal, to, creation, lane, target);
    } else if (opens(signal.kind) || there.isConnecting(node)) {
      this.#later(source, signal, lane.to, node, (copy, late) => {
        if (late === undefined) this.#answer(source, copy, to, NOCONNECTION);
        else this.#deliver(source, copy, to, creation, lane, late);
      });
    } else this.#answer(source, signal, to, NOCONNECTION);
  }

  #deliver(
    source: Connection,
    signal: Signal,
    to: Pid | Reference,
    creation: number,
    lane: Lane,
    target: Connection,
  ): void {
    if (creation !== target.peerCreation) {
      this.#answer(source, signal, to, NOPROC);
      return;
    }
    if (to instanceof Reference) {
      this.#deliverAlias(source, signal, new Reference(target.peer, creation, to.words), lane, target);
      return;
    }
    const process = new Pid(target.peer, to.id, to.serial, creation);
    const from = signal.from;
    switch (signal.kind) {
      case SIGNAL.SEND:
      case SIGNAL.EXIT2: {
        const sender = from instanceof Pid ? lane.translator.pid(from) : undefined;
        const body = lane.body.of(signal);
        const token = lane.token.tokenOf(signal);
        try {
          if (signal.kind === SIGNAL.SEND) target.signals.send(sender, process, body, token);
          else if (sender !== undefined) target.signals.exit2(sender, process, body, token);
        } catch (error) {
          this.#notCarried(error);
          return;
        }
        this.#carried(source, target);
        return;
      }
      case SIGNAL.MONITOR:
        this.#monitor(source, signal, to, process, undefined, lane, target);
        return;
      case SIGNAL.DEMONITOR: {
        const key = monitorKey(lane.translator.reference(signal.ref!));
        const record = this.#context.relations.get(target)?.watched.get(key);
        if (record !== undefined) this.#endMonitor(record);
        return;
      }
      case SIGNAL.DOWN:
        this.#down(source, signal, lane);
        return;
      case SIGNAL.LINK:
        this.#link(source, signal, to, process, lane, target);
        return;
      case SIGNAL.UNLINK:
        this.#unlink(source, signal, to);
        return;
      case SIGNAL.UNLINK_ACK:
        this.#unlinkAck(source, signal, to);
        return;
      case SIGNAL.EXIT:
        this.#exit(source, signal, to, lane);
        return;
      case SIGNAL.GROUP_LEADER:
        target.signals.groupLeader(lane.translator.pid(signal.groupLeader!), process);
        this.#carried(source, target);
        return;
      default:
        this.counters.undeliverable++;
    }
  }

  #deliverAlias(source: Connection, signal: Signal, alias: Reference, lane: Lane, target: Connection): void {
    const from = signal.from;
    if (signal.kind !== SIGNAL.SEND || !(from instanceof Pid)) {
      this.#refuse(source, signal, "an alias");
      return;
    }
    try {
      const sender = lane.translator.pid(from);
      target.signals.sendAlias(sender, alias, lane.body.of(signal), lane.token.tokenOf(signal));
    } catch (error) {
      this.#notCarried(error);
      return;
    }
    this.#carried(source, target);
  }

  // ---- monitors

  #monitor(
    source: Connection,
    signal: Signal,
    shown: Pid | Atom,
    target: Pid | Atom,
    by: ExportedName<ClusterRouter> | undefined,
    lane: Lane,
    watched: Connection,
  ): void {
    const watcher = signal.from as Pid;
    const ref = signal.ref!;
    const there = this.#context.relations.get(watched);
    const here = this.#context.relations.get(source);
    if (here === undefined || there === undefined) return;
    // with the reference of another node it would take that one's monitor away
    if (!isOwn(source, ref)) {
      this.counters.undeliverable++;
      return;
    }
    if (this.#full(here) || this.#full(there)) {
      this.#answer(source, signal, shown, NOCONNECTION);
      return;
    }
    this.#watch(source, watcher, ref, shown, target, by, lane, watched);
    this.#carried(source, watched);
  }

  #watch(
    source: Connection,
    watcher: Pid,
    ref: Reference,
    shown: Pid | Atom,
    target: Pid | Atom,
    by: ExportedName<ClusterRouter> | undefined,
    lane: Lane,
    watched: Connection,
  ): void {
    const watcherThere = lane.translator.pid(watcher);
    const refThere = lane.translator.reference(ref);
    const key = monitorKey(refThere);
    const record: MonitorRecord = {
      key,
      watching: source,
      watcher,
      ref,
      shown,
      watched,
      watcherThere,
      refThere,
      target,
      by,
    };
    watched.signals.monitor(watcherThere, target, refThere);
    this.#context.relations.get(source)?.watching.add(record);
    this.#context.relations.get(watched)?.watched.set(key, record);
    by?.hold(watcher, watched.peer);
  }

  /** The watcher took its monitor back. */
  #endMonitor(record: MonitorRecord): void {
    this.#forget(record);
    record.watched.signals.demonitor(record.watcherThere, record.target, record.refThere);
    this.#carried(record.watching, record.watched);
  }

  /** What was watched has ended. */
  #down(source: Connection, signal: Signal, lane: Lane): void {
    const record = this.#context.relations.get(source)?.watched.get(monitorKey(signal.ref!));
    if (record === undefined) {
      this.counters.undeliverable++;
      return;
    }
    const reason = this.#reason(source, signal, lane, record.watching.peer);
    record.watching.signals.down(record.shown, record.watcher, record.ref, reason);
    this.#forget(record);
    this.#carried(source, record.watching);
  }

  #forget(record: MonitorRecord): void {
    const relations = this.#context.relations;
    relations.get(record.watched)?.watched.delete(record.key);
    relations.get(record.watching)?.watching.delete(record);
    record.by?.release(record.watcher);
  }

  // ---- links

  #link(source: Connection, signal: Signal, to: Pid, process: Pid, lane: Lane, target: Connection): void {
    const from = signal.from as Pid;
    const here = this.#context.relations.get(source);
    const there = this.#context.relations.get(target);
    if (here === undefined || there === undefined) return;
    const key = linkKey(from, to);
    const known = here.links.get(key);
    const fromThere = lane.translator.pid(from);
    if (known !== undefined) {
      nearEnd(known, source, key).unlinking = undefined;
    } else if (this.#full(here) || this.#full(there)) {
      this.#answer(source, signal, to, NOCONNECTION);
      return;
    } else {
      this.#remember(source, from, to, target, process, fromThere);
    }
    target.signals.link(fromThere, process);
    this.#carried(source, target);
  }

  /** A link of `from`, of whom the other is `to`, with `process`, of whom the other is `fromThere`. */
  #remember(source: Connection, from: Pid, to: Pid, target: Connection, process: Pid, fromThere: Pid): void {
    const key = linkKey(from, to);
    const far = linkKey(process, fromThere);
    const record: LinkRecord = {
      ends: [
        { connection: source, own: from, other: to, key, unlinking: undefined },
        { connection: target, own: process, other: fromThere, key: far, unlinking: undefined },
      ],
    };
    this.#context.relations.get(source)?.links.set(key, record);
    this.#context.relations.get(target)?.links.set(far, record);
  }

  #unlink(source: Connection, signal: Signal, to: Pid): void {
    const from = signal.from as Pid;
    const key = linkKey(from, to);
    const record = this.#context.relations.get(source)?.links.get(key);
    if (record === undefined) {
      this.#answer(source, signal, to, NOPROC);
      return;
    }
    const near = nearEnd(record, source, key);
    const far = otherEnd(record, near);
    // OTP 23 gives no id, and takes none
    const id = signal.unlinkId ?? this.#nextUnlinkId();
    far.connection.signals.unlink(id, far.other, far.own);
    if (far.connection.signals.acknowledgesUnlink) near.unlinking = id;
    else {
      this.#forgetLink(record);
      this.#acknowledge(near, id);
    }
    this.#carried(source, far.connection);
  }

  #unlinkAck(source: Connection, signal: Signal, to: Pid): void {
    const key = linkKey(signal.from as Pid, to);
    const record = this.#context.relations.get(source)?.links.get(key);
    if (record === undefined) return;
    const asked = otherEnd(record, nearEnd(record, source, key));
    // an acknowledgement of an unlink that was followed by a new link means nothing
    if (asked.unlinking === undefined || asked.unlinking !== signal.unlinkId) return;
    this.#forgetLink(record);
    this.#acknowledge(asked, asked.unlinking);
    this.#carried(source, asked.connection);
  }

  #exit(source: Connection, signal: Signal, to: Pid, lane: Lane): void {
    const key = linkKey(signal.from as Pid, to);
    const record = this.#context.relations.get(source)?.links.get(key);
    if (record === undefined) {
      this.counters.undeliverable++;
      return;
    }
    const far = otherEnd(record, nearEnd(record, source, key));
    const reason = this.#reason(source, signal, lane, far.connection.peer);
    far.connection.signals.exit(far.other, far.own, reason, lane.token.tokenOf(signal));
    // while an unlink is under way its acknowledgement is still to come
    if (far.unlinking === undefined) this.#forgetLink(record);
    this.#carried(source, far.connection);
  }

  #exitFar(end: LinkEnd, reason: TermBody): void {
    end.connection.signals.exit(end.other, end.own, reason);
  }

  #acknowledge(end: LinkEnd, id: number | bigint): void {
    if (end.connection.signals.acknowledgesUnlink) end.connection.signals.unlinkAck(id, end.other, end.own);
  }

  #forgetLink(record: LinkRecord): void {
    for (const end of record.ends) this.#context.relations.get(end.connection)?.links.delete(end.key);
  }

  #full(relations: Relations): boolean {
    return relations.size >= this.#context.limits.maxRelations;
  }

  #nextUnlinkId(): number {
    this.#unlinkId = this.#unlinkId === Number.MAX_SAFE_INTEGER ? 1 : this.#unlinkId + 1;
    return this.#unlinkId;
  }

  // ---- what cannot be carried

  /** Answers in the place of a process that is not there, so that nobody waits for nothing. */
  #answer(source: Connection, signal: Signal, to: Pid | Reference | Atom, reason: TermBody): void {
    const from = signal.from;
    this.counters.undeliverable++;
    // a peer drops the connection over an exit or acknowledgement to a process of an earlier incarnation
    if (!(from instanceof Pid) || from.creation !== source.peerCreation || source.closeReason !== undefined)
      return;
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

  #refuse(source: Connection, signal: Signal, target: string): void {
    const operation = operationOf(signal, ADDRESSED.NAME);
    this.#context.refusals.record({
      cluster: this.id,
      node: source.peer.text,
      operation: (operation !== undefined && OPERATIONS[operation]) || signalName(signal.kind),
      target,
    });
  }

  /** A limit was met: the message is lost and counted. A malformed one is the sender's fault and closes its connection. */
  #notCarried(error: unknown): void {
    if (isIsthmusError(error) && error.code === "IDENTITY_LIMIT") {
      this.counters.undeliverable++;
      return;
    }
    throw error;
  }

  // ---- flow

  /** Keeps a signal until its node is connected, in order, and then runs `deliver` with a copy of it. */
  #later(
    source: Connection,
    signal: Signal,
    to: ClusterRouter,
    node: Atom,
    deliver: (copy: Signal, connection: Connection | undefined) => void,
  ): void {
    const copy = signal.detach();
    const size = copy.bytes.length;
    if (to.#waitingBytes + size > this.#context.limits.maxWaitingBytes) {
      deliver(copy, undefined);
      return;
    }
    to.#waitingBytes += size;
    to.node.whenConnected(node, (connection) => {
      to.#waitingBytes -= size;
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

  #carried(source: Connection, target: Connection): void {
    this.counters.carried++;
    if (!target.blocked) return;
    const held = this.#context.relations.get(target)?.held;
    if (held === undefined || held.has(source) || source.closeReason !== undefined) return;
    held.add(source);
    source.pause();
  }

  #lane(to: ClusterRouter): Lane {
    const known = this.#lanes.get(to);
    if (known !== undefined) return known;
    const translator = new Translator(this, to);
    const lane: Lane = {
      to,
      translator,
      body: new RewrittenBody(translator),
      token: new RewrittenBody(translator),
      gate: this.#context.policy.gate(this.id, to.id),
    };
    this.#lanes.set(to, lane);
    return lane;
  }
}

function addressing(to: Pid | Reference): number {
  if (to instanceof Reference) return ADDRESSED.ALIAS;
  return mayBeLoader(to.id, to.serial) ? ADDRESSED.LOADER : ADDRESSED.PID;
}

/** For signals that no limits are about. */
function bare(decision: Decision): number {
  return decision.allows ? VERDICT.ALLOWED : VERDICT.DENIED;
}

/** Signals that make a BEAM connect to the node they are for. */
function opens(kind: number): boolean {
  return kind === SIGNAL.SEND || kind === SIGNAL.LINK || kind === SIGNAL.MONITOR || kind === SIGNAL.EXIT2;
}

function nearEnd(record: LinkRecord, connection: Connection, key: string): LinkEnd {
  const [first, second] = record.ends;
  return first.connection === connection && first.key === key ? first : second;
}

function otherEnd(record: LinkRecord, end: LinkEnd): LinkEnd {
  const [first, second] = record.ends;
  return end === first ? second : first;
}

function farEnd(record: LinkRecord, connection: Connection): LinkEnd {
  const [first, second] = record.ends;
  return first.connection === connection ? second : first;
}
