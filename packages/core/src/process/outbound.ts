import { FLAG } from "@isthmus/dist-handshake";
import { type Atom, encode, type Pid, type Reference, type Term, type TermWriter } from "@isthmus/etf";
import { TermBody } from "../channel/body.ts";
import type { BodySource } from "../channel/frame-writer.ts";
import type { Connection } from "../net/connection.ts";
import type { ProcessContext } from "./context.ts";
import type { ExitReason } from "./exit-reason.ts";
import type { LocalLoop } from "./local-loop.ts";

/** A request to spawn `module:function(args)`. */
export interface SpawnRequest {
  readonly ref: Reference;
  readonly from: Pid;
  readonly groupLeader: Pid;
  readonly module: Atom;
  readonly function: Atom;
  readonly args: readonly Term[];
  readonly options: Term;
}

/** What the signals among our own processes do; see {@link Inbound}. */
export interface LocalSignals {
  message(to: Pid, message: Term, token: Term | undefined): void;
  messageToName(to: Atom, message: Term, token: Term | undefined): void;
  messageToAlias(to: Reference, message: Term, token: Term | undefined): void;
  link(from: Pid, to: Pid): void;
  unlink(id: number | bigint | undefined, from: Pid, to: Pid): void;
  unlinkAck(id: number | bigint, from: Pid, to: Pid): void;
  exit(from: Pid, to: Pid, reason: Term): void;
  exit2(from: Pid, to: Pid, reason: Term): void;
  groupLeader(leader: Pid, to: Pid): void;
  monitor(from: Pid, to: Pid | Atom, ref: Reference): void;
  demonitor(from: Pid, to: Pid | Atom, ref: Reference): void;
  down(to: Pid, ref: Reference, reason: Term, from: Atom): void;
  spawnRequest(request: SpawnRequest): void;
  spawnReply(to: Pid, ref: Reference, flags: number, result: Pid | Atom, from: Atom): void;
}

/** What {@link Outbound} needs. */
export interface OutboundOptions {
  readonly context: ProcessContext;
  readonly loop: LocalLoop;
  readonly local: () => LocalSignals;
  /** No connection to a node could be made: what was meant for it is lost. */
  readonly lost: (node: Atom) => void;
  /** Messages (not other signals) that wait for one node to be connected. */
  readonly maxQueuedPerNode: number;
}

type Write = (connection: Connection) => void;

/** What waits for a node to be connected. */
interface Waiting {
  readonly writes: Write[];
  messages: number;
  dropped: number;
}

/** A term that was encoded before there was a connection. */
class EncodedBody implements BodySource {
  readonly #bytes: Buffer;

  constructor(term: Term) {
    this.#bytes = encode(term);
  }

  writeTo(out: TermWriter): void {
    out.copy(this.#bytes, 1, this.#bytes.length);
  }
}

/**
 * The way of signals from our processes to any process: on the node's connection when it is open; after it has been
 * made, in order with everything else that waits for that node; through the local loop when the node is ours.
 *
 * Those signals that only make sense on a connection that exists (the end of links and monitors, answers) do not make
 * one. What a BEAM would take for a protocol error is not sent (PROTOCOL 5.1: EXIT, UNLINK, UNLINK_ID and its
 * acknowledgement to a pid of another creation than the peer's).
 */
export class Outbound {
  readonly #context: ProcessContext;
  readonly #self: Atom;
  readonly #loop: LocalLoop;
  readonly #local: () => LocalSignals;
  readonly #lost: (node: Atom) => void;
  readonly #maxQueued: number;
  readonly #waiting = new Map<Atom, Waiting>();
  readonly #body = new TermBody();
  readonly #token = new TermBody();

  constructor(options: OutboundOptions) {
    this.#context = options.context;
    this.#self = options.context.self;
    this.#loop = options.loop;
    this.#local = options.local;
    this.#lost = options.lost;
    this.#maxQueued = options.maxQueuedPerNode;
  }

  /** @param token seq_trace token @throws IsthmusError a code of `@isthmus/etf` */
  send(from: Pid, to: Pid, message: Term, token?: Term): void {
    const node = to.node;
    if (node === this.#self) {
      this.#loop.push(() => this.#local().message(to, message, token));
      return;
    }
    const connection = this.#open(node);
    if (connection !== undefined) {
      connection.signals.send(from, to, this.#body.of(message), this.#tokenOf(token));
      return;
    }
    const body = new EncodedBody(message);
    this.#keepMessage(node, ({ signals }) => signals.send(from, to, body, this.#tokenOf(token)));
  }

  /** @throws IsthmusError a code of `@isthmus/etf` */
  sendName(from: Pid, name: Atom, node: Atom, message: Term, token?: Term): void {
    if (node === this.#self) {
      this.#loop.push(() => this.#local().messageToName(name, message, token));
      return;
    }
    const connection = this.#open(node);
    if (connection !== undefined) {
      connection.signals.sendName(from, name, this.#body.of(message), this.#tokenOf(token));
      return;
    }
    const body = new EncodedBody(message);
    this.#keepMessage(node, ({ signals }) => signals.sendName(from, name, body, this.#tokenOf(token)));
  }

  /** A peer that knows no aliases (OTP 23) gets nothing. @throws IsthmusError a code of `@isthmus/etf` */
  sendAlias(from: Pid, alias: Reference, message: Term, token?: Term): void {
    const node = alias.node;
    if (node === this.#self) {
      this.#loop.push(() => this.#local().messageToAlias(alias, message, token));
      return;
    }
    const connection = this.#open(node);
    if (connection !== undefined) {
      if (knowsAliases(connection))
        connection.signals.sendAlias(from, alias, this.#body.of(message), this.#tokenOf(token));
      return;
    }
    const body = new EncodedBody(message);
    this.#keepMessage(node, (opened) => {
      if (knowsAliases(opened)) opened.signals.sendAlias(from, alias, body, this.#tokenOf(token));
    });
  }

  /** Whether a message to an alias on `node` would arrive: false for a connected node that knows none. */
  aliasesWork(node: Atom): boolean {
    const connection = node === this.#self ? undefined : this.#context.connection(node);
    return connection === undefined || knowsAliases(connection);
  }

  /** @throws IsthmusError a code of `@isthmus/etf` */
  exit2(from: Pid, to: Pid, reason: Term, token?: Term): void {
    if (to.node === this.#self) {
      this.#loop.push(() => this.#local().exit2(from, to, reason));
      return;
    }
    const body = new EncodedBody(reason);
    this.#connecting(to.node, ({ signals }) => signals.exit2(from, to, body, this.#tokenOf(token)));
  }

  link(from: Pid, to: Pid): void {
    if (to.node === this.#self) this.#loop.push(() => this.#local().link(from, to));
    else this.#connecting(to.node, ({ signals }) => signals.link(from, to));
  }

  /** @param settled called when no acknowledgement will come, because the peer sends none or is gone */
  unlink(id: number, from: Pid, to: Pid, settled: () => void): void {
    if (to.node === this.#self) {
      this.#loop.push(() => this.#local().unlink(id, from, to));
      return;
    }
    this.#existing(to.node, (connection) => {
      const present = to.creation === connection.peerCreation;
      if (present) connection.signals.unlink(id, from, to);
      if (!present || !connection.signals.acknowledgesUnlink) settled();
    });
  }

  unlinkAck(id: number | bigint, from: Pid, to: Pid): void {
    if (to.node === this.#self) this.#loop.push(() => this.#local().unlinkAck(id, from, to));
    else this.#toPresent(to, ({ signals }) => signals.unlinkAck(id, from, to));
  }

  /** The exit of a linked process. */
  exit(from: Pid, to: Pid, reason: ExitReason, token?: Term): void {
    if (to.node === this.#self) this.#loop.push(() => this.#local().exit(from, to, reason.term));
    else this.#toPresent(to, ({ signals }) => signals.exit(from, to, reason, this.#tokenOf(token)));
  }

  monitor(from: Pid, target: Pid | Atom, node: Atom, ref: Reference): void {
    if (node === this.#self) this.#loop.push(() => this.#local().monitor(from, target, ref));
    else this.#connecting(node, ({ signals }) => signals.monitor(from, target, ref));
  }

  demonitor(from: Pid, target: Pid | Atom, node: Atom, ref: Reference): void {
    if (node === this.#self) this.#loop.push(() => this.#local().demonitor(from, target, ref));
    else this.#existing(node, ({ signals }) => signals.demonitor(from, target, ref));
  }

  /** @param from the pid, or the name by which it was monitored */
  down(from: Pid | Atom, watcher: Pid, ref: Reference, reason: ExitReason): void {
    if (watcher.node === this.#self)
      this.#loop.push(() => this.#local().down(watcher, ref, reason.term, this.#self));
    else this.#existing(watcher.node, ({ signals }) => signals.down(from, watcher, ref, reason));
  }

  groupLeader(leader: Pid, to: Pid): void {
    if (to.node === this.#self) this.#loop.push(() => this.#local().groupLeader(leader, to));
    else this.#connecting(to.node, ({ signals }) => signals.groupLeader(leader, to));
  }

  /**
   * @param unsupported called when the peer has no SPAWN_REQUEST (OTP 22, old C nodes)
   * @throws IsthmusError a code of `@isthmus/etf` when the arguments cannot be encoded
   */
  spawnRequest(node: Atom, request: SpawnRequest, unsupported: () => void): void {
    if (node === this.#self) {
      this.#loop.push(() => this.#local().spawnRequest(request));
      return;
    }
    const { ref, from, groupLeader, module, function: name, args, options } = request;
    const body = new EncodedBody(args);
    const mfa = { module, function: name, arity: args.length };
    this.#connecting(node, (connection) => {
      if (!spawns(connection)) unsupported();
      else connection.signals.spawnRequest(ref, from, groupLeader, mfa, options, body);
    });
  }

  spawnReply(ref: Reference, to: Pid, flags: number, result: Pid | Atom): void {
    if (to.node === this.#self)
      this.#loop.push(() => this.#local().spawnReply(to, ref, flags, result, this.#self));
    else this.#existing(to.node, ({ signals }) => signals.spawnReply(ref, to, flags, result));
  }

  /** Makes a connection to `node` if there is none. */
  connect(node: Atom): void {
    if (node !== this.#self) this.#connecting(node, () => undefined);
  }

  #tokenOf(token: Term | undefined): TermBody | undefined {
    return token === undefined ? undefined : this.#token.of(token);
  }

  #toPresent(to: Pid, write: Write): void {
    this.#existing(to.node, (connection) => {
      if (to.creation === connection.peerCreation) write(connection);
    });
  }

  /** The open connection that signals may go out on now: none while earlier ones still wait. */
  #open(node: Atom): Connection | undefined {
    return this.#waiting.size > 0 && this.#waiting.has(node) ? undefined : this.#context.connection(node);
  }

  #connecting(node: Atom, write: Write): void {
    const connection = this.#open(node);
    if (connection !== undefined) write(connection);
    else this.#keep(node, write);
  }

  /** Only if there is a connection, or one being made for signals before this one. */
  #existing(node: Atom, write: Write): void {
    const waiting = this.#waiting.get(node);
    if (waiting !== undefined) {
      waiting.writes.push(write);
      return;
    }
    const connection = this.#context.connection(node);
    if (connection !== undefined) write(connection);
  }

  #keepMessage(node: Atom, write: Write): void {
    const waiting = this.#waiting.get(node);
    if (waiting !== undefined && waiting.messages >= this.#maxQueued) {
      if (waiting.dropped++ === 0) {
        this.#context.logger.warn(
          { node: node.text, limit: this.#maxQueued },
          "too many messages wait for a node to be connected: further ones are dropped",
        );
      }
      return;
    }
    this.#keep(node, write).messages++;
  }

  #keep(node: Atom, write: Write): Waiting {
    let waiting = this.#waiting.get(node);
    if (waiting !== undefined) {
      waiting.writes.push(write);
      return waiting;
    }
    waiting = { writes: [write], messages: 0, dropped: 0 };
    this.#waiting.set(node, waiting);
    const kept = waiting;
    this.#context.whenConnected(node, (connection) => this.#connected(node, kept, connection));
    return waiting;
  }

  #connected(node: Atom, waiting: Waiting, connection: Connection | undefined): void {
    if (connection === undefined) {
      this.#waiting.delete(node);
      this.#lost(node);
      return;
    }
    // nobody's code runs in here, so the list does not grow while it is gone through
    for (const write of waiting.writes) write(connection);
    this.#waiting.delete(node);
  }
}

function knowsAliases(connection: Connection): boolean {
  return (connection.flags & FLAG.ALIAS) !== 0n;
}

function spawns(connection: Connection): boolean {
  return (connection.flags & FLAG.SPAWN) !== 0n;
}
