import { type Atom, Pid, Reference, type Term, type TermLimits, TermReader } from "@isthmus/etf";
import { SIGNAL } from "../channel/opcodes.ts";
import type { Signal } from "../channel/signal.ts";
import { coreError } from "../errors.ts";
import type { Connection } from "../net/connection.ts";
import { SHUTDOWN } from "./atoms.ts";
import type { ProcessContext } from "./context.ts";
import type { ProcessHost } from "./host.ts";
import { referenceNumber } from "./identity.ts";
import { Inbound, type SpawnWaiter } from "./inbound.ts";
import { LocalLoop } from "./local-loop.ts";
import { LocalProcess } from "./local-process.ts";
import { Outbound, type SpawnRequest } from "./outbound.ts";
import type { SpawnOptions } from "./process.ts";
import { Registry } from "./registry.ts";

/** Bounds of a process table. */
export interface ProcessLimits {
  /** Living processes, as `+P` of a BEAM; what peers start through exposed functions counts. @default 262144 */
  readonly maxProcesses: number;
  /** Messages that wait for one node while it is being connected. @default 10000 */
  readonly maxQueuedPerNode: number;
  /**
   * Links and monitors between our processes and those of one node, those that it holds and those that we hold; when
   * it asks for more, its connection is closed with `RELATION_LIMIT`. @default 1000000
   */
  readonly maxRelationsPerNode: number;
  /** Bounds of the terms in messages, reasons and arguments. */
  readonly terms?: Partial<TermLimits>;
}

/** The bounds when none are given. */
export const DEFAULT_PROCESS_LIMITS: ProcessLimits = {
  maxProcesses: 262_144,
  maxQueuedPerNode: 10_000,
  maxRelationsPerNode: 1_000_000,
};

/** Processes and the signals between them and the world; without the services that OTP has on top of that. */
export class Runtime implements ProcessHost {
  readonly context: ProcessContext;
  readonly registry: Registry;
  readonly outbound: Outbound;
  readonly loop: LocalLoop;
  running = 0;
  /** What a request to spawn does. Set before the first one can come. */
  onSpawnRequest: (request: SpawnRequest) => void = () => undefined;
  /** The process that is the group leader of those that were given none. Set before it is asked for. */
  groupLeader: () => Pid = () => {
    throw coreError("NO_PROCESS", "There is no group leader.");
  };
  readonly #inbound: Inbound;
  readonly #limits: ProcessLimits;
  /** One for all signals: a term is read whole before anybody's code runs. */
  readonly #reader: TermReader;
  #closed = false;

  constructor(context: ProcessContext, limits: ProcessLimits) {
    this.context = context;
    this.#limits = limits;
    this.#reader = new TermReader(limits.terms);
    this.registry = new Registry(context, limits.maxProcesses);
    this.loop = new LocalLoop((error) =>
      context.logger.error({ error }, "a signal between local processes failed"),
    );
    this.outbound = new Outbound({
      context,
      loop: this.loop,
      // the two need each other: what arrives is answered, and what goes to a local process arrives
      local: () => this.#inbound,
      lost: (node) => {
        for (const tell of this.#lose(node)) this.loop.push(tell);
      },
      maxQueuedPerNode: limits.maxQueuedPerNode,
    });
    this.#inbound = new Inbound({
      registry: this.registry,
      outbound: this.outbound,
      spawn: (request) => this.onSpawnRequest(request),
    });
  }

  defaultGroupLeader(): Pid {
    return this.groupLeader();
  }

  /** @throws IsthmusError `NODE_CLOSED`, `PROCESS_LIMIT`, `OPTION_INVALID`, `NAME_TAKEN` */
  spawn(options: SpawnOptions): LocalProcess {
    if (this.#closed)
      throw coreError("NODE_CLOSED", `${this.context.self.text} is closed: no process can be spawned.`);
    return new LocalProcess(this, options);
  }

  /** Sends a request to spawn; `waiter` is told the answer, or that none will come. */
  requestSpawn(node: Atom, request: SpawnRequest, waiter: SpawnWaiter, unsupported: () => void): void {
    this.#inbound.spawning.set(referenceNumber(request.ref), waiter);
    try {
      this.outbound.spawnRequest(node, request, () => {
        this.abandonSpawn(request.ref);
        unsupported();
      });
    } catch (error) {
      this.abandonSpawn(request.ref);
      throw error;
    }
  }

  /** Nobody waits for the answer any more. */
  abandonSpawn(ref: Reference): void {
    this.#inbound.spawning.delete(referenceNumber(ref));
  }

  /**
   * A signal for a process of ours. Whoever it is for, it is carried out before this returns.
   * @throws IsthmusError when the signal violates the protocol, and then the connection is to be closed:
   * `CONTROL_MALFORMED`, `RELATION_LIMIT`, a code of `@isthmus/etf`. Never what handlers throw.
   */
  signal(connection: Connection, signal: Signal): void {
    const inbound = this.#inbound;
    switch (signal.kind) {
      case SIGNAL.SEND:
        this.#message(signal);
        return;
      case SIGNAL.LINK:
        this.#checkRelations(connection.peer);
        inbound.link(signal.from as Pid, this.#ours(signal));
        return;
      case SIGNAL.UNLINK:
        inbound.unlink(signal.unlinkId, signal.from as Pid, this.#ours(signal));
        return;
      case SIGNAL.UNLINK_ACK:
        inbound.unlinkAck(signal.unlinkId as number | bigint, signal.from as Pid, this.#ours(signal));
        return;
      case SIGNAL.EXIT: {
        const process = this.registry.find(this.#ours(signal));
        process?.exitArrived(signal.from as Pid, this.#body(signal, process.copyBinaries));
        return;
      }
      case SIGNAL.EXIT2: {
        const process = this.#addressed(signal);
        process?.exit2Arrived(signal.from as Pid, this.#body(signal, process.copyBinaries));
        return;
      }
      case SIGNAL.GROUP_LEADER:
        inbound.groupLeader(signal.groupLeader as Pid, signal.to as Pid);
        return;
      case SIGNAL.MONITOR:
        this.#checkRelations(connection.peer);
        inbound.monitor(
          signal.from as Pid,
          signal.to instanceof Pid ? this.#ours(signal) : (signal.to as Atom),
          signal.ref as Reference,
        );
        return;
      case SIGNAL.DEMONITOR:
        inbound.demonitor(
          signal.from as Pid,
          signal.to instanceof Pid ? this.#ours(signal) : (signal.to as Atom),
          signal.ref as Reference,
        );
        return;
      case SIGNAL.DOWN: {
        const process = this.registry.find(this.#ours(signal));
        process?.downArrived(
          signal.ref as Reference,
          this.#body(signal, process.copyBinaries),
          connection.peer,
        );
        return;
      }
      case SIGNAL.SPAWN_REQUEST:
        this.#spawnRequest(signal);
        return;
      case SIGNAL.SPAWN_REPLY:
        inbound.spawnReply(
          this.#ours(signal),
          signal.ref as Reference,
          signal.flags,
          signal.result as Pid | Atom,
          connection.peer,
        );
        return;
    }
  }

  /** `noconnection` for everything that was with `node`. */
  connectionLost(node: Atom): void {
    for (const tell of this.#lose(node)) {
      // when a handler has closed the connection, nothing may run within it
      if (this.running > 0) this.loop.push(tell);
      else tell();
    }
  }

  /** Ends every process with reason `shutdown`; there will be no new ones. */
  close(): void {
    this.#closed = true;
    for (const process of this.registry.processes()) process.end(SHUTDOWN);
  }

  #message(signal: Signal): void {
    const to = signal.to;
    const token = signal.tokenEnd === 0 ? undefined : this.#token(signal);
    if (to instanceof Pid) {
      const process = this.registry.find(to);
      process?.deliver(this.#body(signal, process.copyBinaries), token);
    } else if (to instanceof Reference) {
      const process = this.registry.aliasOf(to)?.process;
      process?.aliasMessageArrived(referenceNumber(to), this.#body(signal, process.copyBinaries), token);
    } else {
      const process = this.registry.whereis(to as Atom);
      process?.deliver(this.#body(signal, process.copyBinaries), token);
    }
  }

  #token(signal: Signal): Term {
    this.#reader.reset(signal.bytes, signal.tokenStart, signal.tokenEnd, signal.atomRefs);
    return this.#reader.term();
  }

  /** Whom an exit signal of OTP 28 and later, which may go to a name or an alias, is for. */
  #addressed(signal: Signal): LocalProcess | undefined {
    const to = signal.to;
    if (to instanceof Pid) return this.registry.find(to);
    return to instanceof Reference ? this.registry.aliasOf(to)?.process : this.registry.whereis(to as Atom);
  }

  #spawnRequest(signal: Signal): void {
    const args = this.#body(signal, false);
    if (!Array.isArray(args) || args.length !== signal.arity) {
      throw malformed(signal, "the arguments of a spawn request are not a list of the announced length");
    }
    this.#inbound.spawnRequest({
      ref: signal.ref as Reference,
      from: signal.from as Pid,
      groupLeader: signal.groupLeader as Pid,
      module: signal.module as Atom,
      function: signal.function as Atom,
      args,
      options: signal.options,
    });
  }

  #body(signal: Signal, copy: boolean): Term {
    const reader = this.#reader;
    if (copy) {
      const own = Buffer.from(signal.bytes.subarray(signal.bodyStart, signal.bodyEnd));
      reader.reset(own, 0, own.length, signal.atomRefs);
    } else {
      reader.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
    }
    return reader.term();
  }

  /** The addressed pid, which must be of this node, if of an earlier incarnation. */
  #ours(signal: Signal): Pid {
    const to = signal.to as Pid;
    if (to.node !== this.context.self) throw malformed(signal, `it is for a process of ${to.node.text}`);
    return to;
  }

  #checkRelations(peer: Atom): void {
    const limit = this.#limits.maxRelationsPerNode;
    if (this.registry.relations(peer) < limit) return;
    throw coreError(
      "RELATION_LIMIT",
      `There are ${limit} links and monitors with ${peer.text}; more are not allowed. Raise the limit if that is expected.`,
      { context: { node: peer.text, limit } },
    );
  }

  #lose(node: Atom): (() => void)[] {
    const news = this.registry.neighbours(node).flatMap((process) => process.nodeLost(node));
    for (const [number, waiter] of this.#inbound.spawning) {
      if (waiter.node !== node) continue;
      this.#inbound.spawning.delete(number);
      news.push(() => waiter.lost());
    }
    return news;
  }
}

function malformed(signal: Signal, what: string): Error {
  return coreError("CONTROL_MALFORMED", `The peer sent a signal that cannot be: ${what}.`, {
    context: { op: signal.op },
  });
}
