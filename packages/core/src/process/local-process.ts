// Longer than most: one process, whose parts (links, monitors, mailbox, aliases) are files of their own, but whose end
// touches all of them.
import { type Atom, Pid, Reference, type Term, Tuple, tuple } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { type Address, type ProcessAddress, resolveAddress, resolveProcess, toAtom } from "./address.ts";
import { DOWN, EXIT, KILL, KILLED, MAILBOX_FULL, NOCONNECTION, NODEDOWN, NORMAL, PROCESS } from "./atoms.ts";
import { crashReason, describe, ExitReason } from "./exit-reason.ts";
import type { ProcessHost } from "./host.ts";
import { pidParts, referenceKey, referenceNumber, samePid } from "./identity.ts";
import { Links } from "./links.ts";
import { Mailbox, type ReceiveOptions } from "./mailbox.ts";
import { type Monitor, Monitors } from "./monitors.ts";
import type { AliasOptions, Down, MonitorOptions, Process, SpawnOptions } from "./process.ts";
import { replyTagNumber } from "./reply-tag.ts";
import { TraceToken } from "./trace-token.ts";

/** @default of {@link SpawnOptions.mailboxLimit} */
const DEFAULT_MAILBOX_LIMIT = 10_000;

/** A process of this node, with what its surroundings do to it. Programs see it as {@link Process}. */
export class LocalProcess implements Process {
  /** See {@link pidNumber}. */
  readonly number: number;
  trapExit: boolean;
  readonly copyBinaries: boolean;
  alive = true;
  exitReason: Term | undefined;
  /** Names it is registered under; kept by the registry. */
  readonly names = new Set<Atom>();
  readonly links = new Links();
  readonly monitors = new Monitors();
  readonly #host: ProcessHost;
  readonly #onMessage: SpawnOptions["onMessage"];
  readonly #onExit: SpawnOptions["onExit"];
  readonly #mailbox: Mailbox | undefined;
  readonly #exitOnOverflow: boolean;
  #overflowLogged = false;
  /** Made by the first message with a token: hardly any process needs one. */
  #trace: TraceToken | undefined;
  #pid: Pid | undefined;
  #groupLeader: Pid | undefined;
  #aliases: Set<number> | undefined;
  /** Relations per node other than ours. */
  #relations: Map<Atom, number> | undefined;
  #nodeMonitors: Map<Atom, number> | undefined;
  /** Who waits for a reply sent to the pid, by the number of the reference in its tag. */
  #replies: Map<number, (reply: Term) => void> | undefined;
  #exitListeners: Set<(reason: Term) => void> | undefined;
  #exited: Promise<Term> | undefined;

  /** @throws IsthmusError `PROCESS_LIMIT`, `OPTION_INVALID`, `NAME_TAKEN` */
  constructor(host: ProcessHost, options: SpawnOptions) {
    const limit = options.mailboxLimit ?? DEFAULT_MAILBOX_LIMIT;
    if (!(limit >= 1)) throw coreError("OPTION_INVALID", `mailboxLimit must be 1 or more, not ${limit}.`);
    this.#host = host;
    this.#onMessage = options.onMessage;
    this.#onExit = options.onExit;
    this.trapExit = options.trapExit ?? false;
    this.copyBinaries = options.copyBinaries ?? false;
    this.#mailbox =
      options.onMessage === undefined
        ? new Mailbox(host.context.clock, limit, (token) => this.#received(token))
        : undefined;
    this.#exitOnOverflow = options.mailboxOverflow === "exit";
    this.#groupLeader = options.groupLeader;
    this.number = host.registry.number();
    if (options.name !== undefined) host.registry.register(toAtom(options.name), this);
    host.registry.add(this.number, this);
  }

  get pid(): Pid {
    // made late: a node learns its creation from epmd after its first processes were made
    if (this.#pid === undefined) {
      const { id, serial } = pidParts(this.number);
      this.#pid = new Pid(this.#host.context.self, id, serial, this.#host.context.creation);
    }
    return this.#pid;
  }

  get exited(): Promise<Term> {
    this.#exited ??= new Promise((resolve) => this.whenExited(resolve));
    return this.#exited;
  }

  get groupLeader(): Pid {
    return this.#groupLeader ?? this.#host.defaultGroupLeader();
  }

  get mailboxSize(): number {
    return this.#mailbox?.size ?? 0;
  }

  get dropped(): number {
    return this.#mailbox?.dropped ?? 0;
  }

  get traceToken(): Tuple | undefined {
    return this.#trace?.term;
  }

  set traceToken(token: Tuple | undefined) {
    this.#received(token);
  }

  // What the process does.

  send(to: Address, message: Term): void {
    this.#mustLive();
    const outbound = this.#host.outbound;
    const token = this.#trace?.next(this.pid);
    if (to instanceof Pid) {
      outbound.send(this.pid, to, message, token);
      return;
    }
    const target = resolveAddress(to, this.#host.context.self);
    if (target instanceof Pid) outbound.send(this.pid, target, message, token);
    else if (target instanceof Reference) outbound.sendAlias(this.pid, target, message, token);
    else outbound.sendName(this.pid, target.name, target.node, message, token);
  }

  receive<T extends Term = Term>(options: ReceiveOptions<T> = {}): Promise<T> {
    if (this.#mailbox === undefined) {
      return Promise.reject(
        coreError(
          "OPTION_INVALID",
          "A process with onMessage has no mailbox to receive from. Spawn it without.",
        ),
      );
    }
    if (!this.alive) return Promise.reject(this.#dead());
    return this.#mailbox.receive(options).then((message) => {
      if (this.#mailbox?.size === 0) this.#overflowLogged = false;
      return message as T;
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Term> {
    return {
      next: async () => {
        if (!this.alive) return { done: true, value: undefined };
        try {
          return { done: false, value: await this.receive() };
        } catch (error) {
          if (!this.alive) return { done: true, value: undefined };
          throw error;
        }
      },
      return: async () => ({ done: true, value: undefined }),
    };
  }

  link(to: Pid): void {
    this.#mustLive();
    if (samePid(to, this.pid)) return;
    const { send, added } = this.links.link(to);
    if (added) this.#relate(to.node);
    if (send) this.#host.outbound.link(this.pid, to);
  }

  unlink(from: Pid): void {
    this.#mustLive();
    const id = this.links.unlink(from);
    if (id === 0) return;
    this.#host.outbound.unlink(id, this.pid, from, () => this.unlinkAckArrived(from, id));
  }

  monitor(target: ProcessAddress, options: MonitorOptions = {}): Reference {
    this.#mustLive();
    const { registry, outbound, context } = this.#host;
    const resolved = resolveProcess(target, context.self);
    const { node } = resolved;
    const { alias, onDown, onMessage } = options;
    const ref = registry.references.next();
    const number = referenceNumber(ref);
    this.monitors.held.set(number, { ref, target: resolved, node, alias, onDown });
    this.#relate(node);
    if (alias !== undefined) {
      this.#addAlias(number, alias === "reply", onMessage);
    }
    outbound.monitor(this.pid, resolved instanceof Pid ? resolved : resolved.name, node, ref);
    return ref;
  }

  /** A monitor that the peer set up together with the process that it spawned. */
  adoptMonitor(ref: Reference, target: Pid, onDown: ((down: Down) => void) | undefined): void {
    this.monitors.held.set(referenceNumber(ref), {
      ref,
      target,
      node: target.node,
      alias: undefined,
      onDown,
    });
    this.#relate(target.node);
  }

  demonitor(ref: Reference, options: { readonly flush?: boolean } = {}): void {
    this.#mustLive();
    const number = this.#host.registry.references.number(ref);
    const monitor = this.monitors.held.get(number);
    if (monitor !== undefined) {
      this.#endMonitor(number, monitor);
      const { target, node } = monitor;
      this.#host.outbound.demonitor(this.pid, target instanceof Pid ? target : target.name, node, ref);
    }
    if (options.flush) this.#mailbox?.remove((message) => isDownOf(message, ref));
  }

  monitorNode(node: string | Atom): void {
    this.#mustLive();
    const name = toAtom(node);
    this.#nodeMonitors ??= new Map();
    this.#nodeMonitors.set(name, (this.#nodeMonitors.get(name) ?? 0) + 1);
    this.#relate(name);
    this.#host.outbound.connect(name);
  }

  demonitorNode(node: string | Atom): void {
    this.#mustLive();
    const name = toAtom(node);
    const count = this.#nodeMonitors?.get(name) ?? 0;
    if (count === 0) return;
    this.#nodeMonitors?.set(name, count - 1);
    this.#unrelate(name, 1);
  }

  alias(options: AliasOptions = {}): Reference {
    this.#mustLive();
    const ref = this.#host.registry.references.next();
    this.#addAlias(referenceNumber(ref), options.once ?? false, options.onMessage);
    return ref;
  }

  unalias(alias: Reference): boolean {
    this.#mustLive();
    return this.#removeAlias(this.#host.registry.references.number(alias));
  }

  exit(reason: Term = NORMAL): void {
    this.#mustLive();
    this.end(reason);
  }

  exitOther(to: Pid, reason: Term): void {
    this.#mustLive();
    this.#host.outbound.exit2(this.pid, to, reason, this.#trace?.next(this.pid));
  }

  setGroupLeader(of: Pid, leader: Pid): void {
    this.#mustLive();
    this.#host.outbound.groupLeader(leader, of);
  }

  // What is done to it.

  /** A message, whichever way it was addressed. @param token its seq_trace token */
  deliver(message: Term, token?: Term): void {
    if (this.#replies !== undefined && this.#takeReply(message)) return;
    const handler = this.#onMessage;
    if (handler === undefined) {
      this.#keep(message, token);
      return;
    }
    this.#received(token);
    const host = this.#host;
    host.running++;
    try {
      const result = handler(message, this);
      if (result !== undefined) this.#watch(result);
    } catch (error) {
      this.#crash(error);
    } finally {
      host.running--;
    }
  }

  aliasMessageArrived(number: number, message: Term, token?: Term): void {
    const alias = this.#host.registry.aliases.get(number);
    if (alias === undefined) return;
    if (alias.once) {
      const monitor = this.monitors.held.get(number);
      if (monitor === undefined) this.#removeAlias(number);
      else this.demonitor(monitor.ref);
    }
    if (alias.onMessage === undefined) this.deliver(message, token);
    else this.#call(alias.onMessage, message);
  }

  linkArrived(from: Pid): void {
    if (this.links.linkArrived(from)) this.#relate(from.node);
  }

  unlinkArrived(from: Pid): void {
    if (this.links.unlinkArrived(from)) this.#unrelate(from.node, 1);
  }

  unlinkAckArrived(from: Pid, id: number | bigint): void {
    if (this.links.ackArrived(from, id)) this.#unrelate(from.node, 1);
  }

  /** The end of a linked process. */
  exitArrived(from: Pid, reason: Term): void {
    const { deliver, removed } = this.links.exitArrived(from);
    if (removed) this.#unrelate(from.node, 1);
    if (deliver) this.#linkBroken(from, reason);
  }

  /** `exit/2`. */
  exit2Arrived(from: Pid, reason: Term): void {
    if (reason === KILL) this.end(KILLED);
    else if (this.trapExit) this.deliver(tuple(EXIT, from, reason));
    else if (reason !== NORMAL || samePid(from, this.pid)) this.end(reason);
  }

  /** Somebody monitors this process. @param via the pid or the name that was asked for */
  watchArrived(pid: Pid, ref: Reference, via: Pid | Atom): void {
    if (!this.monitors.watch({ pid, ref, via })) return;
    this.#relate(pid.node);
    if (!(via instanceof Pid)) this.#host.registry.watchedByName.set(referenceKey(ref), this);
  }

  unwatchArrived(ref: Reference): void {
    const watcher = this.monitors.unwatch(ref);
    if (watcher === undefined) return;
    this.#unrelate(watcher.pid.node, 1);
    if (!(watcher.via instanceof Pid)) this.#host.registry.watchedByName.delete(referenceKey(ref));
  }

  /** @param from the node that says so; references can be guessed, so only the watched process's own is believed */
  downArrived(ref: Reference, reason: Term, from: Atom): void {
    const number = this.#host.registry.references.number(ref);
    const monitor = this.monitors.held.get(number);
    if (monitor === undefined || monitor.node !== from) return;
    this.#endMonitor(number, monitor);
    this.#tellDown(monitor, reason);
  }

  groupLeaderArrived(leader: Pid): void {
    this.#groupLeader = leader;
  }

  /**
   * The connection with `node` is gone: forgets everything that was with it.
   * @returns what is to be told to this process, to be run in this order
   */
  nodeLost(node: Atom): (() => void)[] {
    const links = this.links.dropNode(node);
    const monitors = this.monitors.dropNode(node);
    const nodeMonitors = this.#nodeMonitors?.get(node) ?? 0;
    this.#nodeMonitors?.delete(node);
    for (const ref of monitors.byName) this.#host.registry.watchedByName.delete(referenceKey(ref));
    for (const { ref, alias } of monitors.held) this.#monitorAliasEnds(referenceNumber(ref), alias);
    this.#unrelate(node, links.known + monitors.known + nodeMonitors);
    const news: (() => void)[] = [];
    for (const pid of links.linked) news.push(() => this.#linkBroken(pid, NOCONNECTION));
    for (const monitor of monitors.held) news.push(() => this.#tellDown(monitor, NOCONNECTION));
    for (let i = 0; i < nodeMonitors; i++) news.push(() => this.deliver(tuple(NODEDOWN, node)));
    return news.map((tell) => () => {
      if (this.alive) tell();
    });
  }

  /** Ends it. Any number of times. */
  end(reason: Term): void {
    if (!this.alive) return;
    this.alive = false;
    this.exitReason = reason;
    const { registry, outbound } = this.#host;
    registry.remove(this.number);
    for (const name of [...this.names]) registry.unregister(name);
    for (const number of this.#aliases ?? []) registry.aliases.delete(number);
    const pid = this.pid;
    const told = new ExitReason(reason);
    for (const peer of this.links.linked()) outbound.exit(pid, peer, told, this.#trace?.next(pid));
    for (const { pid: watcher, ref, via } of this.monitors.watchers.values()) {
      outbound.down(via, watcher, ref, told);
      if (!(via instanceof Pid)) registry.watchedByName.delete(referenceKey(ref));
    }
    for (const { ref, target, node } of this.monitors.held.values()) {
      outbound.demonitor(pid, target instanceof Pid ? target : target.name, node, ref);
    }
    for (const [node, count] of this.#relations ?? []) registry.unrelate(node, this, count, true);
    this.#relations = undefined;
    this.#mailbox?.close(this.#dead());
    this.#tellExit(reason);
  }

  /** Calls `run` when the process ends; at once when it has. @returns a function that takes it back */
  whenExited(run: (reason: Term) => void): () => void {
    if (!this.alive) {
      run(this.exitReason as Term);
      return () => undefined;
    }
    this.#exitListeners ??= new Set();
    this.#exitListeners.add(run);
    return () => this.#exitListeners?.delete(run);
  }

  /** Gives a reply that comes to the pid, tagged with `ref` or `[alias | ref]`, to `run` in place of the mailbox. */
  expectReply(ref: Reference, run: (reply: Term) => void): void {
    this.#replies ??= new Map();
    this.#replies.set(referenceNumber(ref), run);
  }

  forgetReply(ref: Reference): void {
    this.#replies?.delete(referenceNumber(ref));
    if (this.#replies?.size === 0) this.#replies = undefined;
  }

  #takeReply(message: Term): boolean {
    if (!(message instanceof Tuple) || message.size !== 2) return false;
    const number = replyTagNumber(message.elements[0] as Term, this.#host.registry.references);
    const run = this.#replies?.get(number);
    if (run === undefined) return false;
    run(message.elements[1] as Term);
    return true;
  }

  /** A message with this token is handled now. */
  #received(token: Term | undefined): void {
    if (token === undefined && this.#trace === undefined) return;
    this.#trace ??= new TraceToken();
    this.#trace.received(token);
  }

  #keep(message: Term, token: Term | undefined): void {
    const mailbox = this.#mailbox as Mailbox;
    if (mailbox.put(message, token)) return;
    if (this.#exitOnOverflow) {
      this.end(MAILBOX_FULL);
      return;
    }
    if (this.#overflowLogged) return;
    this.#overflowLogged = true;
    this.#host.context.logger.warn(
      { code: "MAILBOX_FULL", pid: describe(this.pid), waiting: mailbox.size },
      "a mailbox is full: further messages to this process are dropped until it receives",
    );
  }

  #linkBroken(from: Pid, reason: Term): void {
    if (this.trapExit) this.deliver(tuple(EXIT, from, reason));
    else if (reason !== NORMAL) this.end(reason);
  }

  #tellDown(monitor: Monitor, reason: Term): void {
    const { ref, target, onDown } = monitor;
    if (onDown !== undefined) this.#call(onDown, { ref, target, reason });
    else {
      const object = target instanceof Pid ? target : tuple(target.name, target.node);
      this.deliver(tuple(DOWN, ref, PROCESS, object, reason));
    }
  }

  #endMonitor(number: number, monitor: Monitor): void {
    this.monitors.held.delete(number);
    this.#unrelate(monitor.node, 1);
    this.#monitorAliasEnds(number, monitor.alias);
  }

  #monitorAliasEnds(number: number, mode: Monitor["alias"]): void {
    if (mode !== undefined && mode !== "explicit") this.#removeAlias(number);
  }

  #addAlias(number: number, once: boolean, onMessage: ((message: Term) => void) | undefined): void {
    this.#aliases ??= new Set();
    this.#aliases.add(number);
    this.#host.registry.aliases.set(number, { process: this, once, onMessage });
  }

  #removeAlias(number: number): boolean {
    return this.#aliases?.delete(number) === true && this.#host.registry.aliases.delete(number);
  }

  #relate(node: Atom): void {
    if (node === this.#host.context.self) return;
    this.#relations ??= new Map();
    this.#relations.set(node, (this.#relations.get(node) ?? 0) + 1);
    this.#host.registry.relate(node, this);
  }

  #unrelate(node: Atom, count: number): void {
    const left = (this.#relations?.get(node) ?? 0) - count;
    if (this.#relations === undefined || left + count <= 0) return;
    if (left > 0) this.#relations.set(node, left);
    else this.#relations.delete(node);
    this.#host.registry.unrelate(node, this, count, left <= 0);
  }

  /** Runs a callback of this process under the same rule as its handler. */
  #call<T>(run: (value: T) => unknown, value: T): void {
    this.#host.running++;
    try {
      const result = run(value);
      if (result !== undefined) this.#watch(result);
    } catch (error) {
      this.#crash(error);
    } finally {
      this.#host.running--;
    }
  }

  /** A handler that returned a promise is not waited for; but if it fails, the process does. */
  #watch(result: unknown): void {
    if (result instanceof Promise) result.catch((error: unknown) => this.#crash(error));
  }

  #crash(error: unknown): void {
    if (!this.alive) return;
    const reason = crashReason(error);
    if (reason !== NORMAL) {
      this.#host.context.logger.error(
        { pid: describe(this.pid), reason: describe(reason), error },
        "a process ended because its code threw",
      );
    }
    this.end(reason);
  }

  #tellExit(reason: Term): void {
    const listeners = this.#exitListeners;
    this.#exitListeners = undefined;
    const told = [...(listeners ?? [])];
    if (this.#onExit !== undefined) told.push((why) => this.#onExit?.(why, this));
    for (const run of told) {
      try {
        run(reason);
      } catch (error) {
        this.#host.context.logger.error(
          { pid: describe(this.pid), error },
          "what was to run at the end of a process threw",
        );
      }
    }
  }

  #mustLive(): void {
    if (!this.alive) throw this.#dead();
  }

  #dead(): Error {
    const reason = this.exitReason as Term;
    return coreError("PROCESS_DEAD", `The process ${describe(this.pid)} has ended: ${describe(reason)}.`, {
      context: { reason },
    });
  }
}

function isDownOf(message: Term, ref: Reference): boolean {
  if (!(message instanceof Tuple) || message.size !== 5 || message.elements[0] !== DOWN) return false;
  const found = message.elements[1];
  return found instanceof Reference && referenceKey(found) === referenceKey(ref);
}
