import type { Connection, HiddenNode, Process, SignalRouter } from "@isthmus/core";
import { RewrittenBody, SIGNAL, type Signal, targetOf } from "@isthmus/core/channel";
import { Atom, atom, Pid, type Reference } from "@isthmus/etf";
import type { PieceTaker } from "@isthmus/wire";
import type { Carriers } from "../long/carriers.ts";
import { IncomingPieces } from "../long/incoming-pieces.ts";
import { OutgoingPieces, PIECES } from "../long/outgoing-pieces.ts";
import { ADDRESSED } from "../policy/operation.ts";
import { IdentityIndex } from "../translate/identity-index.ts";
import { closeReason, isLimit } from "../translate/not-carried.ts";
import { type Place, Translator } from "../translate/translator.ts";
import { Admission } from "./admission.ts";
import { NOBODY } from "./barriers.ts";
import type { Lane, RouterContext, RouterParts } from "./context.ts";
import { Deliveries } from "./deliveries.ts";
import type { ExportedName } from "./exported-name.ts";
import { type Export, Exports } from "./exports.ts";
import { Flow, NO_CONNECTION, NOCONNECTION, NOPROC, type RouterCounters } from "./flow.ts";
import { homeOf } from "./home.ts";
import { startIoSink } from "./io-sink.ts";
import { NameRoutes, NET_KERNEL } from "./name-routes.ts";
import { Neighbours } from "./neighbours.ts";
import { Relations } from "./relations.ts";
import { type Mirrored, REX, RemoteCalls } from "./remote-calls.ts";
import { addressing, isTellable, operationOf, runsSomething } from "./signal-operation.ts";
import { type Spread, spreadSignal } from "./spread.ts";
import { TakenMessages } from "./taken-messages.ts";
import { UnnamedSenders } from "./unnamed-senders.ts";

export { DEFAULT_ROUTER_LIMITS, type RouterContext, type RouterLimits } from "./context.ts";
export type { RouterCounters } from "./flow.ts";
export type { Spread } from "./spread.ts";

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
  /** Messages to processes of the bridge's own node that go further. */
  readonly taken = new TakenMessages();
  /** The nodes that the bridge's own node is connected to. */
  readonly neighbours: Neighbours;
  /** Our nodes here that stand for nodes of other clusters, by their names; see {@link MirrorRouter}. */
  readonly mirrors = new Map<Atom, HiddenNode>();
  readonly #parts: RouterParts;
  readonly #deliveries: Deliveries;
  readonly #calls: RemoteCalls;
  readonly #names: NameRoutes;
  readonly #exports = new Exports();
  readonly #intercepted = new Map<Atom, Interceptor>();
  readonly #lanes = new Map<Place, Lane>();
  readonly #joined = new Set<ClusterRouter>();
  readonly #unnamed: UnnamedSenders;
  #ioSink: Process | undefined;
  #carriers: Carriers | undefined;
  #node: HiddenNode | undefined;

  /** @param nodeName the bridge's own node name in this cluster */
  constructor(id: string, nodeName: string, context: RouterContext) {
    this.id = id;
    this.self = atom(nodeName);
    const { maxIdentities, maxNarrowed } = context.limits;
    this.index = new IdentityIndex<Place>(this.self, context.firstIndex, maxIdentities, maxNarrowed);
    this.neighbours = new Neighbours(() => this.node);
    this.#parts = {
      id,
      context,
      index: this.index,
      flow: new Flow(context),
      admission: new Admission(id, this.self, context),
    };
    this.#unnamed = new UnnamedSenders(context);
    this.#deliveries = new Deliveries(this.#parts);
    this.#calls = new RemoteCalls({
      parts: this.#parts,
      deliveries: this.#deliveries,
      lane: (to) => this.lane(to),
      back: (from) => from.lane(this),
    });
    this.#names = new NameRoutes(this.#parts, this.#deliveries, this.#calls, (to) => this.lane(to));
  }

  /** The bridge's creation in this cluster; 0, which no process has, until the node is there. */
  get creation(): number {
    return this.#node?.creation ?? 0;
  }

  get node(): HiddenNode {
    if (this.#node === undefined) throw new TypeError(`cluster ${this.id} has no node yet`);
    return this.#node;
  }

  get counters(): RouterCounters {
    return this.#parts.flow.counters;
  }

  /** Signals that come from here may have to wait for those they are for. */
  get flow(): Flow {
    return this.#parts.flow;
  }

  /** The group leader of functions that processes of other clusters run here. */
  get ioSink(): Process {
    if (this.#ioSink?.alive !== true) this.#ioSink = startIoSink(this.node);
    return this.#ioSink;
  }

  /** Connections for long messages to nodes of this cluster; undefined where these are gathered. */
  get carriers(): Carriers | undefined {
    return this.#carriers;
  }

  /** Must be called before any signal comes. */
  attach(node: HiddenNode, carriers?: Carriers): void {
    this.#node = node;
    this.#carriers = carriers;
  }

  /**
   * Takes the names of other clusters that this one may use, in the place of those it had, and the rules in
   * {@link RouterContext.policy}. Links, monitors and connections stay; a name that is the same as before keeps its
   * callers at their nodes.
   */
  configure(names: readonly Export[]): void {
    this.#exports.configure(names);
    for (const other of this.#joined) this.#parts.context.policy.join(this.id, other.id);
    this.#renewGates();
  }

  /** Lets processes of this cluster and of `other` address each other by pid, as a route does, whatever is configured. */
  join(other: ClusterRouter): void {
    this.#joined.add(other);
    other.#joined.add(this);
    this.#parts.context.policy.join(this.id, other.id);
    this.#renewGates();
    other.#renewGates();
  }

  #renewGates(): void {
    for (const lane of this.#lanes.values()) lane.gate = this.#parts.context.policy.gate(this.id, lane.to.id);
  }

  /** Hands every message to the registered name `name` to `interceptor`, undecoded; monitors of it see it alive. */
  intercept(name: Atom, interceptor: Interceptor): void {
    this.#intercepted.set(name, interceptor);
  }

  /** Resolves when every node that the bridge's own node is connected to has taken all that was sent to it, or is lost. */
  async settled(): Promise<void> {
    const { relations } = this.#parts.context;
    const all = this.node.nodes().map(({ node }) => {
      const connection = this.node.connection(atom(node));
      return connection && relations.get(connection)?.barriers.reached(connection);
    });
    await Promise.all(all);
  }

  /** The way into another cluster. */
  lane(to: ClusterRouter): Lane {
    const known = this.#lanes.get(to);
    if (known !== undefined) return known;
    const translator = new Translator(this, to);
    const lane: Lane = {
      to,
      translator,
      body: new RewrittenBody(translator),
      token: new RewrittenBody(translator),
      gate: this.#parts.context.policy.gate(this.id, to.id),
    };
    this.#lanes.set(to, lane);
    return lane;
  }

  // ---- SignalRouter

  /** @param mirrored given for what came to a mirror */
  route(source: Connection, signal: Signal, mirrored?: Mirrored): boolean {
    if (signal.to === PIECES && source.joinsBridges) {
      const pieces = this.#parts.context.relations.get(source)?.pieces;
      const long = (head: Signal): PieceTaker["next"] | undefined => this.long(source, head, mirrored);
      if (pieces === undefined || !pieces.incoming.take(signal, long)) return true;
    }
    if (signal.from === NOBODY && signal.kind === SIGNAL.DOWN) {
      if (this.#parts.context.relations.get(source)?.barriers.down(signal.ref!) === true) return true;
    }
    if (this.#unnamed.some && this.#unnamed.overtaken(source, signal)) {
      this.#carryLater(source, signal.detach(), mirrored);
      return true;
    }
    return this.#carry(source, signal, mirrored, false);
  }

  /** Messages to processes and names of nodes that are connected go on while they come. */
  long(source: Connection, signal: Signal, mirrored?: Mirrored): PieceTaker["next"] | undefined {
    const relations = this.#parts.context.relations.get(source);
    if (relations === undefined || !this.#goesOn(source, signal, mirrored)) return undefined;
    this.#carry(source, signal, mirrored, true);
    const { long } = relations;
    // nobody takes what was refused
    return (bytes, start, end, left) => long?.take(bytes, start, end, left);
  }

  up(connection: Connection): void {
    this.neighbours.changed();
    if (!targetOf(connection).wide) this.index.becomeNarrow();
    const { relations } = this.#parts.context;
    relations.set(connection, new Relations(connection.joinsBridges ? this.#pieces(connection) : undefined));
  }

  down(connection: Connection): void {
    this.neighbours.changed();
    const { relations } = this.#parts.context;
    const own = relations.get(connection);
    if (own === undefined) return;
    relations.delete(connection);
    own.long?.lost();
    own.pieces?.outgoing.lost();
    own.barriers.lost();
    this.#unnamed.lost(connection);
    this.#deliveries.links.lost(connection, own);
    this.#deliveries.monitors.lost(connection, own);
    for (const { asking, caller, ref } of own.spawns.values()) {
      if (asking.closeReason === undefined) asking.signals.spawnReply(ref, caller, 0, NO_CONNECTION);
    }
    for (const held of own.held) held.resume();
    for (const other of relations.values()) other.held.delete(connection);
  }

  writable(connection: Connection): void {
    const own = this.#parts.context.relations.get(connection);
    if (own === undefined) return;
    own.pieces?.outgoing.writable();
    const { held } = own;
    const sources = [...held];
    held.clear();
    for (const source of sources) source.resume();
  }

  /** Long messages from and to another bridge. */
  #pieces(connection: Connection): NonNullable<Relations["pieces"]> {
    const { relations, limits, clock } = this.#parts.context;
    return {
      incoming: new IncomingPieces({
        source: connection,
        givenUp: () => relations.get(connection)?.long?.lost(),
        // identifiers may have become longer on the way
        maxBytes: 2 * limits.maxMessageBytes,
      }),
      outgoing: new OutgoingPieces(connection, clock),
    };
  }

  /** When what was sent before has arrived. */
  #carryLater(source: Connection, copy: Signal, mirrored: Mirrored | undefined): void {
    void this.#unnamed.wait(source, () => {
      if (source.closeReason !== undefined) return;
      try {
        if (this.#carry(source, copy, mirrored, false) || copy.missingBytes > 0) return;
        const node = mirrored === undefined ? this.node : this.mirrors.get(mirrored.name);
        node?.processes.signal(source, copy);
      } catch (error) {
        source.close(closeReason(error));
      }
    });
  }

  /** @param goesOn whether what is missing of the signal comes */
  #carry(source: Connection, signal: Signal, mirrored: Mirrored | undefined, goesOn: boolean): boolean {
    try {
      if (signal.missingBytes > 0 && !goesOn && this.#deliveries.tooLong(source, signal)) return true;
      return this.#route(source, signal, mirrored);
    } catch (error) {
      // what has no answer, such as the end of a monitor that never was
      if (!isLimit(error)) throw error;
      this.counters.undeliverable++;
      return true;
    }
  }

  #route(source: Connection, signal: Signal, mirrored: Mirrored | undefined): boolean {
    const to = signal.to;
    if (to instanceof Atom) {
      return mirrored === undefined
        ? this.#routeName(source, signal, to)
        : this.#names.mirrored(source, signal, to, mirrored);
    }
    if (to === undefined)
      return signal.kind === SIGNAL.SPAWN_REQUEST && this.#calls.route(source, signal, mirrored);
    if (to.node !== (mirrored?.name ?? this.self)) return false;
    // a mirror has no processes
    if (mirrored === undefined && to.creation === this.creation) return this.#routeOwn(source, signal, to);
    this.#routeStandin(source, signal, to);
    return true;
  }

  /** Whether a message can be carried while it comes. Asks no rule, and changes nothing. */
  #goesOn(source: Connection, signal: Signal, mirrored: Mirrored | undefined): boolean {
    const { to, from } = signal;
    if (signal.kind !== SIGNAL.SEND || !(from instanceof Pid) || to === undefined) return false;
    if (this.#unnamed.some && this.#unnamed.overtaken(source, signal)) return false;
    if (to instanceof Atom) {
      if (!isTellable(signal, ADDRESSED.NAME)) return false;
      if (mirrored !== undefined)
        return (
          to !== REX &&
          to !== NET_KERNEL &&
          this.#streams(source, from, this.lane(mirrored.to), mirrored.node)
        );
      const exported = this.#intercepted.has(to) ? undefined : this.#exported(to);
      if (exported === undefined) return false;
      const lane = this.lane(exported.target);
      return exported.choice.nodes.every((node) => this.#streams(source, from, lane, node));
    }
    if (to.node !== (mirrored?.name ?? this.self)) return false;
    if (mirrored === undefined && to.creation === this.creation) return false;
    const owner = this.index.owner(to);
    if (owner === undefined) return false;
    const own = this.index.own(to, owner);
    if (!isTellable(signal, addressing(own))) return false;
    return this.#streams(source, from, this.lane(owner.place as ClusterRouter), own.node);
  }

  /** Whether `node` takes messages while they come. */
  #streams(source: Connection, from: Pid, lane: Lane, node: Atom): boolean {
    const target = homeOf(lane, source, from).connection(node);
    if (target === undefined) return false;
    if (target.joinsBridges) return true;
    const sending = this.#parts.context.relations.get(target)?.long;
    // its answer to the barrier would not be read: two that wait for each other would do so for good
    if (sending !== undefined && !sending.sent) return false;
    return lane.to.carriers?.available(node) === true;
  }

  /** For a process of the bridge itself. Nobody else ends one. */
  #routeOwn(source: Connection, signal: Signal, to: Pid | Reference): boolean {
    if (!(to instanceof Pid)) return false;
    if (this.taken.process(source, signal, to)) return true;
    if (signal.kind !== SIGNAL.EXIT2) return false;
    this.#parts.admission.refuse(source, signal, "a process of the bridge");
    return true;
  }

  // ---- to a name

  #routeName(source: Connection, signal: Signal, name: Atom): boolean {
    const interceptor = this.#intercepted.get(name);
    if (interceptor !== undefined) {
      if (signal.kind === SIGNAL.SEND) interceptor(source, signal);
      return true;
    }
    const exported = this.#exported(name);
    if (exported !== undefined) {
      this.#names.exported(source, signal, exported);
      return true;
    }
    if (name === REX && this.#parts.context.policy.mayRun(this.id))
      return this.#calls.routeRex(source, signal);
    if (this.taken.name(source, signal, name)) return true;
    // it was exported when the monitor was made
    if (signal.kind === SIGNAL.DEMONITOR) return this.#deliveries.monitors.demonitor(source, signal.ref!);
    if (this.node.processes.whereis(name) === undefined || runsSomething(signal))
      this.#parts.admission.refuse(source, signal, name.text);
    return false;
  }

  /** Patterns do not mean the bridge's own processes. */
  #exported(name: Atom): ExportedName | undefined {
    const exact = this.#exports.named(name);
    if (exact !== undefined || this.#exports.exact) return exact;
    return this.node.processes.whereis(name) === undefined ? this.#exports.fitting(name) : undefined;
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
    this.#deliveries.sendName(source, signal, start, name, this.lane(to), target);
  }

  // ---- to a process

  #routeStandin(source: Connection, signal: Signal, to: Pid | Reference): void {
    const { flow, admission } = this.#parts;
    const owner = this.index.owner(to);
    if (owner === undefined) {
      flow.answer(source, signal, to, NOPROC);
      return;
    }
    if (signal.kind === SIGNAL.SPAWN_REPLY) {
      this.#calls.reply(source, signal);
      return;
    }
    const lane = this.lane(owner.place as ClusterRouter);
    const own = this.index.own(to, owner);
    const operation = operationOf(signal, addressing(own));
    if (!admission.process(source, signal, own, lane, operation)) {
      this.#deliveries.refused(source, signal, to, operation);
      return;
    }
    const { node } = own;
    if (node === lane.to.self) {
      flow.answer(source, signal, to, NOPROC);
      return;
    }
    const home = homeOf(lane, source, signal.from);
    if (signal.from === undefined) this.#unnamed.sent(source, lane, home, node);
    const target = home.connection(node);
    if (target !== undefined) {
      this.#deliveries.process(source, signal, to, own, lane, target);
    } else if (opens(signal.kind) || home.isConnecting(node)) {
      lane.to.flow.later(source, signal, lane, node, (copy, late, reason) => {
        if (late !== undefined) this.#deliveries.process(source, copy, to, own, lane, late);
        else if (isOfRelation(copy.kind)) this.#deliveries.relation(source, copy, to as Pid, lane);
        else flow.answer(source, copy, to, reason);
      });
    } else if (isOfRelation(signal.kind)) {
      // it may be of a link or monitor under the bridge's name, and the sender's mirror not be connected at all
      this.#deliveries.relation(source, signal, to as Pid, lane);
    } else flow.answer(source, signal, to, NOCONNECTION);
  }

  /** How `to` knows a process of this cluster. @throws IsthmusError `IDENTITY_LIMIT`, `TERM_NOT_FOR_TARGET` */
  show(pid: Pid, to: ClusterRouter): Pid {
    return this.lane(to).translator.pid(pid);
  }

  /** Hands a message to several processes of another cluster; see {@link spreadSignal}. */
  spread(source: Connection, signal: Signal, targets: readonly Pid[], spread: Spread): void {
    spreadSignal(this.#parts, this.#deliveries, this.lane(spread.to), source, signal, targets, spread);
  }
}

/** Signals about a link or monitor that there is, whose connections are known. */
function isOfRelation(kind: number): boolean {
  return (
    kind === SIGNAL.DEMONITOR ||
    kind === SIGNAL.DOWN ||
    kind === SIGNAL.UNLINK ||
    kind === SIGNAL.UNLINK_ACK ||
    kind === SIGNAL.EXIT
  );
}

/** Signals that make a BEAM connect to the node they are for. */
function opens(kind: number): boolean {
  return kind === SIGNAL.SEND || kind === SIGNAL.LINK || kind === SIGNAL.MONITOR || kind === SIGNAL.EXIT2;
}
