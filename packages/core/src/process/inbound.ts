import { type Atom, Pid, type Reference, type Term } from "@isthmus/etf";
import { NOPROC } from "./atoms.ts";
import { ExitReason } from "./exit-reason.ts";
import { referenceKey, referenceNumber } from "./identity.ts";
import type { LocalSignals, Outbound, SpawnRequest } from "./outbound.ts";
import type { Registry } from "./registry.ts";

const NO_PROCESS = new ExitReason(NOPROC);

/** An answer to a request to spawn, or that none will come. */
export interface SpawnWaiter {
  readonly node: Atom;
  /** @param result the new pid, or an error */
  replied(flags: number, result: Pid | Atom): void;
  lost(): void;
}

/** What {@link Inbound} needs. */
export interface InboundOptions {
  readonly registry: Registry;
  /** Answers go this way. */
  readonly outbound: Outbound;
  readonly spawn: (request: SpawnRequest) => void;
}

/**
 * What a signal does when it arrives at one of our processes, whether it came over a connection or from another local
 * process; and what is answered when there is no such process.
 */
export class Inbound implements LocalSignals {
  /** Requests to spawn that wait for an answer, by reference number. */
  readonly spawning = new Map<number, SpawnWaiter>();
  readonly #registry: Registry;
  readonly #outbound: Outbound;
  readonly #spawn: (request: SpawnRequest) => void;

  constructor(options: InboundOptions) {
    this.#registry = options.registry;
    this.#outbound = options.outbound;
    this.#spawn = options.spawn;
  }

  message(to: Pid, message: Term, token: Term | undefined): void {
    this.#registry.find(to)?.deliver(message, token);
  }

  messageToName(to: Atom, message: Term, token: Term | undefined): void {
    this.#registry.whereis(to)?.deliver(message, token);
  }

  messageToAlias(to: Reference, message: Term, token: Term | undefined): void {
    this.#registry.aliasOf(to)?.process.aliasMessageArrived(referenceNumber(to), message, token);
  }

  link(from: Pid, to: Pid): void {
    const process = this.#registry.find(to);
    if (process === undefined) this.#outbound.exit(to, from, NO_PROCESS);
    else process.linkArrived(from);
  }

  /** Acknowledged in any case, unless it is the old form without an id. */
  unlink(id: number | bigint | undefined, from: Pid, to: Pid): void {
    this.#registry.find(to)?.unlinkArrived(from);
    if (id !== undefined) this.#outbound.unlinkAck(id, to, from);
  }

  unlinkAck(id: number | bigint, from: Pid, to: Pid): void {
    this.#registry.find(to)?.unlinkAckArrived(from, id);
  }

  exit(from: Pid, to: Pid, reason: Term): void {
    this.#registry.find(to)?.exitArrived(from, reason);
  }

  exit2(from: Pid, to: Pid, reason: Term): void {
    this.#registry.find(to)?.exit2Arrived(from, reason);
  }

  groupLeader(leader: Pid, to: Pid): void {
    this.#registry.find(to)?.groupLeaderArrived(leader);
  }

  monitor(from: Pid, to: Pid | Atom, ref: Reference): void {
    const process = to instanceof Pid ? this.#registry.find(to) : this.#registry.whereis(to);
    if (process === undefined) this.#outbound.down(to, from, ref, NO_PROCESS);
    else process.watchArrived(from, ref, to);
  }

  demonitor(_from: Pid, to: Pid | Atom, ref: Reference): void {
    const process =
      to instanceof Pid ? this.#registry.find(to) : this.#registry.watchedByName.get(referenceKey(ref));
    process?.unwatchArrived(ref);
  }

  down(to: Pid, ref: Reference, reason: Term, from: Atom): void {
    this.#registry.find(to)?.downArrived(ref, reason, from);
  }

  spawnRequest(request: SpawnRequest): void {
    this.#spawn(request);
  }

  spawnReply(_to: Pid, ref: Reference, flags: number, result: Pid | Atom, from: Atom): void {
    const number = this.#registry.references.number(ref);
    const waiter = this.spawning.get(number);
    if (waiter === undefined || waiter.node !== from) return;
    this.spawning.delete(number);
    waiter.replied(flags, result);
  }
}
