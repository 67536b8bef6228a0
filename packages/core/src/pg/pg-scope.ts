import { atom, Pid, type Reference, type Term } from "@isthmus/etf";
import type { Timer } from "@isthmus/wire";
import { coreError } from "../errors.ts";
import { SHUTDOWN } from "../process/atoms.ts";
import { pidKey } from "../process/identity.ts";
import type { Process } from "../process/process.ts";
import { groupKey } from "./group-key.ts";
import { Groups, Holder } from "./groups.ts";
import { type Change, readMessage } from "./messages.ts";
import { type CompletePgOptions, completeOptions, type PgOptions } from "./options.ts";
import { type PgMonitor, type PgMonitorOptions, PgMonitors } from "./pg-monitor.ts";
import { type PgNode, ScopePeers } from "./scope-peers.ts";

/** A process of this node, to join a group. */
export type PgMember = Process | Pid;

/** A process of ours that is a member. */
interface LocalMember {
  readonly pid: Pid;
  readonly monitor: Reference;
  /** How often it is in each group, by key. */
  readonly groups: Map<string, number>;
}

const UNLIMITED = { maxMembers: Number.POSITIVE_INFINITY, maxNameBytes: Number.POSITIVE_INFINITY };

/**
 * Takes part in a scope of OTP's process groups, `pg`, together with all nodes that `node` is connected to, now or
 * later. A node may have several scopes of different names.
 * @throws IsthmusError `OPTION_INVALID`, `NAME_TAKEN` when a process of the node has the scope's name, `NODE_CLOSED`
 */
export function startPg(node: PgNode, options: PgOptions = {}): PgScope {
  return new PgScope(node, completeOptions(options));
}

/**
 * A scope of process groups, as `pg` of OTP 23 to 29 has them: each node announces its own members to the others and
 * keeps a list of all. Members of this node are processes of this node; they leave when they end. Members of another
 * node leave when that node, or its scope, is lost.
 *
 * The name of a group is any term, and a group is there while it has members. A string is a binary in Erlang:
 * `"workers"` is `<<"workers">>`; for `workers` use `atom("workers")`.
 */
export class PgScope implements Disposable {
  /** The process that speaks for this node, registered under the name of the scope. */
  readonly process: Process;
  readonly #node: PgNode;
  readonly #options: CompletePgOptions;
  /** What this node announces. */
  readonly #own: Holder;
  readonly #members = new Map<string, LocalMember>();
  readonly #monitors: PgMonitors;
  readonly #groups: Groups;
  readonly #peers: ScopePeers;

  /** Use {@link startPg}. */
  constructor(node: PgNode, options: CompletePgOptions) {
    this.#node = node;
    this.#options = options;
    this.#own = new Holder(node.name, UNLIMITED);
    this.#monitors = new PgMonitors(options.logger);
    this.#groups = new Groups((event, key) => this.#monitors.put(event, key));
    const process = node.processes.spawn({
      name: options.scope,
      trapExit: true,
      onMessage: (message) => this.#message(message),
      onExit: () => {
        stopListening();
        timer.cancel();
        this.#ended();
      },
    });
    this.process = process;
    const tell = (): void => this.#monitors.tell();
    this.#peers = new ScopePeers({
      ...options,
      node,
      process,
      groups: this.#groups,
      own: this.#own,
      onGone: tell,
    });
    const stopListening = node.onNodeEvent((event) => {
      if (event.type === "up") this.#peers.discover(atom(event.node));
    });
    const askAll = (): Timer => {
      for (const { node: name } of node.nodes()) this.#peers.discover(atom(name));
      return options.clock.after(options.discoverIntervalMs, () => {
        timer = askAll();
      });
    };
    let timer = askAll();
  }

  /** Name of the scope. */
  get scope(): string {
    return this.#options.scope.text;
  }

  /** The other nodes that are known to have this scope. */
  nodes(): string[] {
    return this.#peers.nodes().map(({ text }) => text);
  }

  /**
   * Makes processes of this node members of a group. One that joins twice is there twice, and has to leave twice.
   * @throws IsthmusError `OPTION_INVALID` for a process of another node, `PROCESS_DEAD` when the scope is closed, a code
   * of `@isthmus/etf` when the name cannot be encoded
   */
  join(group: Term, members: PgMember | readonly PgMember[]): void {
    const pids = this.#local(members);
    const key = groupKey(group);
    if (pids.length === 0) return;
    this.#groups.add(this.#own, key, pids);
    for (const pid of pids) {
      const { groups } = this.#watch(pid);
      groups.set(key, (groups.get(key) ?? 0) + 1);
    }
    this.#changed([{ group: this.#groups.name(key), add: pids, remove: [] }]);
  }

  /**
   * Takes back one {@link PgScope.join} of each of the processes.
   * @returns false when none of them was a member
   * @throws IsthmusError as {@link PgScope.join}
   */
  leave(group: Term, members: PgMember | readonly PgMember[]): boolean {
    const pids = this.#local(members);
    const key = groupKey(group);
    const left = this.#groups.remove(this.#own, key, pids);
    for (const pid of left) this.#unwatch(pid, key);
    if (left.length > 0) this.#changed([{ group, add: [], remove: left }]);
    return left.length > 0;
  }

  /**
   * Makes processes that are none of this node's members of a group in its name: those of other nodes, or pids of this
   * node's name with another creation, which a router stands behind. For programs between nodes that do not know each
   * other. Nobody watches them: {@link PgScope.withdraw} must follow when they end. All of them leave when the scope is
   * closed, and on another node when the connection to it is lost.
   * @throws IsthmusError `OPTION_INVALID` for a process of this node, which has to join; else as {@link PgScope.join}
   */
  announce(group: Term, pids: readonly Pid[]): void {
    this.#mustLive();
    this.#foreign(pids);
    const key = groupKey(group);
    if (pids.length === 0) return;
    this.#groups.add(this.#own, key, pids);
    this.#changed([{ group: this.#groups.name(key), add: pids, remove: [] }]);
  }

  /**
   * Takes back one {@link PgScope.announce} of each of the processes.
   * @returns false when none of them was announced
   * @throws IsthmusError as {@link PgScope.announce}
   */
  withdraw(group: Term, pids: readonly Pid[]): boolean {
    this.#mustLive();
    this.#foreign(pids);
    const left = this.#groups.remove(this.#own, groupKey(group), pids);
    if (left.length > 0) this.#changed([{ group, add: [], remove: left }]);
    return left.length > 0;
  }

  /** The members of a group on all nodes, in no particular order; one that joined twice is there twice. */
  members(group: Term): Pid[] {
    return this.#groups.members(groupKey(group));
  }

  /** As {@link PgScope.members}, by the names of the nodes that announce them; this node is one of those. */
  membersByNode(group: Term): Map<string, Pid[]> {
    return this.#groups.membersByNode(groupKey(group));
  }

  /** As {@link PgScope.members}, but only those that this node announces. */
  localMembers(group: Term): Pid[] {
    return this.#groups.members(groupKey(group), this.#own);
  }

  /** All groups, with binaries as Buffers. */
  groups(): Term[] {
    return Array.from(this.#groups.keys(), (key) => this.#groups.name(key));
  }

  /** All groups in which this node announces members. */
  localGroups(): Term[] {
    return Array.from(this.#own.groups.keys(), (key) => this.#groups.name(key));
  }

  /** Watches all groups, as `pg:monitor_scope/1` does. @throws IsthmusError `PROCESS_DEAD` when the scope is closed */
  monitorScope(options: PgMonitorOptions = {}): PgMonitor {
    this.#mustLive();
    const members = Array.from(
      this.#groups.keys(),
      (key) => [this.#groups.name(key), this.#groups.members(key)] as const,
    );
    return this.#monitors.open(members, undefined, options);
  }

  /** Watches one group, as `pg:monitor/2` does. @throws IsthmusError as {@link PgScope.join} */
  monitor(group: Term, options: PgMonitorOptions = {}): PgMonitor {
    this.#mustLive();
    const key = groupKey(group);
    const pids = this.#groups.members(key);
    return this.#monitors.open(pids.length > 0 ? [[group, pids]] : [], key, options);
  }

  /** Ends it: our members leave, here and on the other nodes, and monitors end. Any number of times. */
  close(): void {
    if (this.process.alive) this.process.exit(SHUTDOWN);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #message(term: Term): void {
    const message = readMessage(term);
    const { logger } = this.#options;
    if (message === undefined) {
      logger.debug({ scope: this.scope }, "a message that is none of pg's was ignored");
      return;
    }
    try {
      this.#peers.receive(message);
    } catch (error) {
      const node = message.peer.node.text;
      logger.warn({ scope: this.scope, node, error }, "a message of pg with an impossible group was ignored");
    }
    this.#monitors.tell();
  }

  #changed(changes: readonly Change[]): void {
    this.#peers.announce(changes);
    this.#monitors.tell();
  }

  #watch(pid: Pid): LocalMember {
    const id = pidKey(pid);
    let member = this.#members.get(id);
    if (member === undefined) {
      const monitor = this.process.monitor(pid, { onDown: () => this.#memberEnded(id) });
      member = { pid, monitor, groups: new Map() };
      this.#members.set(id, member);
    }
    return member;
  }

  #unwatch(pid: Pid, key: string): void {
    const id = pidKey(pid);
    const { groups, monitor } = this.#members.get(id) as LocalMember;
    const times = (groups.get(key) as number) - 1;
    if (times > 0) groups.set(key, times);
    else groups.delete(key);
    if (groups.size > 0) return;
    this.process.demonitor(monitor);
    this.#members.delete(id);
  }

  #memberEnded(id: string): void {
    const { pid, groups } = this.#members.get(id) as LocalMember;
    this.#members.delete(id);
    const changes = Array.from(groups, ([key, times]): Change => {
      const pids = new Array<Pid>(times).fill(pid);
      return { group: this.#groups.name(key), add: [], remove: this.#groups.remove(this.#own, key, pids) };
    });
    this.#changed(changes);
  }

  #ended(): void {
    this.#members.clear();
    this.#groups.replace(this.#own, new Map());
    this.#peers.close();
    this.#monitors.tell();
    this.#monitors.close();
  }

  #local(members: PgMember | readonly PgMember[]): Pid[] {
    this.#mustLive();
    const pids = [members].flat().map((member) => (member instanceof Pid ? member : member.pid));
    const foreign = pids.find(({ node }) => node.text !== this.#node.name);
    if (foreign !== undefined) {
      throw coreError(
        "OPTION_INVALID",
        `A process of ${foreign.node.text} cannot join or leave here: let it do so on its own node.`,
      );
    }
    return pids;
  }

  #foreign(pids: readonly Pid[]): void {
    const { creation } = this.process.pid;
    if (pids.every((pid) => pid.node.text !== this.#node.name || pid.creation !== creation)) return;
    throw coreError("OPTION_INVALID", "A process of this node cannot be announced: let it join.");
  }

  #mustLive(): void {
    if (this.process.alive) return;
    throw coreError("PROCESS_DEAD", `The scope ${this.scope} has ended. Start it anew with startPg.`);
  }
}
