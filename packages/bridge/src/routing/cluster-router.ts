// Over 400 lines: one signal has to be followed from one cluster to the other in one place.
import type { Connection, HiddenNode, SignalRouter } from "@isthmus/core";
import { RewrittenBody, SIGNAL, type Signal, signalName, TermBody } from "@isthmus/core/channel";
import { Atom, atom, Pid, Reference, TermReader } from "@isthmus/etf";
import { IsthmusError, isIsthmusError } from "@isthmus/wire";
import { IdentityIndex, type Standin } from "../translate/identity-index.ts";
import { type Place, Translator } from "../translate/translator.ts";
import type { ExportedName } from "./exported-name.ts";
import type { Refusals } from "./refusals.ts";
import {
  type LinkEnd,
  type LinkRecord,
  linkKey,
  type MonitorRecord,
  monitorKey,
  Relations,
} from "./relations.ts";

/** Longer argument lists are not looked into, only to say in the log what was refused. */
const MAX_SHOWN_ARGUMENTS = 16 * 1024;
const NOPROC = new TermBody().of(atom("noproc"));
const NOCONNECTION = new TermBody().of(atom("noconnection"));

/** What the routers of one bridge share. */
export interface RouterContext {
  readonly refusals: Refusals;
  readonly relations: Map<Connection, Relations>;
  readonly limits: RouterLimits;
  /** See {@link firstIndex}. */
  readonly firstIndex: number;
}

/** Bounds of what the bridge remembers. */
export interface RouterLimits {
  /** Node incarnations of other clusters that one cluster may be told of. @default 65536 */
  readonly maxIdentities: number;
  /** Links and monitors of one connection. @default 1000000 */
  readonly maxRelations: number;
  /** Bytes that may wait for one cluster's nodes to be connected. @default 64 MiB */
  readonly maxWaitingBytes: number;
}

export const DEFAULT_ROUTER_LIMITS: RouterLimits = {
  maxIdentities: 65_536,
  maxRelations: 1_000_000,
  maxWaitingBytes: 64 * 1024 * 1024,
};

/** The way from one cluster into another. Reused for every signal. */
interface Lane {
  readonly to: ClusterRouter;
  readonly translator: Translator;
  readonly body: RewrittenBody;
  readonly token: RewrittenBody;
}

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
  #node: HiddenNode | undefined;
  #waitingBytes = 0;
  #unlinkId = 0;

  /** @param nodeName the bridge's own node name in this cluster */
  constructor(id: string, nodeName: string, context: RouterContext) {
    this.id = id;
    this.self = atom(nodeName);
    this.#context = context;
    this.index = new IdentityIndex<Place>(this.self, context.firstIndex, context.limits.maxIdentities);
  }

  /** The bridge's creation in this cluster; 0, which no process has, until the node is there. */
  get creation(): number {
    return this.#node?.creation ?? 0;
  }

  get node(): HiddenNode {
    if (this.#node === undefined) throw new TypeError(`cluster ${this.id} has no node yet`);
    return this.#node;
  }

  /** Must be called before any signal comes. */
  attach(node: HiddenNode): void {
    this.#node = node;
  }

  /** Lets processes of this cluster and of `other` answer each other. Both directions, once per pair. */
  join(other: ClusterRouter): void {
    this.#lane(other);
    other.#lane(this);
  }

  /** Makes a process of another cluster available under a name. Joins the two clusters. */
  export(name: ExportedName<ClusterRouter>): void {
    this.join(name.target);
    this.#exports.set(name.as, name);
  }

  /** Hands every message to the registered name `name` to `interceptor`, undecoded; monitors of it see it alive. */
  intercept(name: Atom, interceptor: Interceptor): void {
    this.#intercepted.set(name, interceptor);
  }

  // ---- SignalRouter

  route(source: Connection, signal: Signal): boolean {
    const to = signal.to;
    if (to instanceof Atom) return this.#routeName(source, signal, to);
    if (to === undefined) {
      if (signal.kind === SIGNAL.SPAWN_REQUEST) this.#refuseSpawn(source, signal);
      return false;
    }
    if (to.node !== this.self || to.creation === this.creation) return false;
    const standin = this.index.get(to.creation);
    if (standin === undefined) {
      this.#answer(source, signal, to, NOPROC);
      return true;
    }
    const lane = this.#lanes.get(standin.place);
    if (lane === undefined || signal.kind === SIGNAL.GROUP_LEADER) {
      this.#refuse(source, signal, `a process of ${standin.origin.node.text}`);
      this.#answer(source, signal, to, NOPROC);
      return true;
    }
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
    if (exported === undefined) {
      if (signal.kind !== SIGNAL.DEMONITOR && this.node.processes.whereis(name) === undefined) {
        this.#refuse(source, signal, name.text);
      }
      return false;
    }
    const caller = signal.from;
    if (!(caller instanceof Pid)) return true;
    const lane = this.#lanes.get(exported.target)!;
    if (signal.kind === SIGNAL.DEMONITOR) {
      this.#demonitorName(source, signal, exported, lane);
      return true;
    }
    const there = exported.target.node;
    const node = exported.pick(caller, (candidate) => there.connection(candidate) !== undefined);
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
    const lane = this.#lanes.get(to);
    const from = signal.from;
    if (lane === undefined || !(from instanceof Pid)) return;
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
    if (this.#full(here) || this.#full(there)) {
      this.#answer(source, signal, shown, NOCONNECTION);
      return;
    }
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
    here.watching.add(record);
    there.watched.set(key, record);
    by?.hold(watcher, watched.peer);
    this.#carried(source, watched);
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
    record.watching.signals.down(record.shown, record.watcher, record.ref, lane.body.of(signal));
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
      const far = linkKey(process, fromThere);
      const record: LinkRecord = {
        ends: [
          { connection: source, own: from, other: to, key, unlinking: undefined },
          { connection: target, own: process, other: fromThere, key: far, unlinking: undefined },
        ],
      };
      here.links.set(key, record);
      there.links.set(far, record);
    }
    target.signals.link(fromThere, process);
    this.#carried(source, target);
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
    far.connection.signals.exit(far.other, far.own, lane.body.of(signal), lane.token.tokenOf(signal));
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
    this.#context.refusals.record({
      cluster: this.id,
      node: source.peer.text,
      operation: signalName(signal.kind),
      target,
    });
  }

  #refuseSpawn(source: Connection, signal: Signal): void {
    this.#refuse(source, signal, spawnTarget(signal));
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
    };
    this.#lanes.set(to, lane);
    return lane;
  }
}

/** What a spawn request would run; for `erpc` and `rpc` the function that they would call. */
function spawnTarget(signal: Signal): string {
  const asked = `${signal.module?.text}:${signal.function?.text}/${signal.arity}`;
  if (signal.module?.text !== "erpc" || signal.bodyEnd - signal.bodyStart > MAX_SHOWN_ARGUMENTS) return asked;
  const reader = new TermReader();
  reader.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
  const args = reader.term();
  // execute_call has a reference before module, function and arguments; execute_cast has not
  const [module, fun, list] = Array.isArray(args) ? args.slice(-3) : [];
  if (!(module instanceof Atom && fun instanceof Atom && Array.isArray(list))) return asked;
  return `${module.text}:${fun.text}/${list.length}`;
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
