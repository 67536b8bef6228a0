import type { Connection, PgScope, Process } from "@isthmus/core";
import type { Signal } from "@isthmus/core/channel";
import { Atom, atom, type Pid, type Term } from "@isthmus/etf";
import { IsthmusError, isIsthmusError } from "@isthmus/wire";
import { RESERVED_NAMES } from "../policy/reserved-names.ts";
import type { ClusterRouter, Spread } from "../routing/cluster-router.ts";
import type { MemberList } from "./member-list.ts";

const SHUTDOWN = atom("shutdown");

/** A message that has not reached all members yet. */
interface Waiting {
  readonly source: Connection;
  readonly signal: Signal;
  readonly targets: readonly Pid[];
  readonly spread: Spread;
}

/** What {@link FanOut} needs. */
export interface FanOutOptions {
  /** The cluster that sees the group, and the bridge's scope there. */
  readonly from: ClusterRouter;
  readonly scope: PgScope;
  /** The cluster that has the members. */
  readonly to: ClusterRouter;
  readonly group: Term;
  /** The members there. */
  readonly members: MemberList;
  /** It is a member itself, in the place of them. */
  readonly member: boolean;
  /** See `GroupOptions.named`. */
  readonly named: boolean;
}

/**
 * One process of the bridge's node stands for all members that a group has in another cluster: what is sent to it, or to
 * the name that it may have, is handed to each of them, undecoded and in order. It is there while there are members.
 */
export class FanOut {
  readonly #options: FanOutOptions;
  #process: Process | undefined;
  readonly #ends: (() => void)[] = [];
  /** In order. Their senders are not read from until they are gone. */
  readonly #waiting: Waiting[] = [];

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** The members have changed. */
  changed(): void {
    const there = this.#options.members.size > 0;
    if (there && this.#process === undefined) this.#start();
    else if (!there) this.close();
  }

  /** The process is gone; what waits still goes to whom it was for. */
  close(): void {
    for (const end of this.#ends.splice(0)) end();
    const process = this.#process;
    this.#process = undefined;
    if (process?.alive) process.exit(SHUTDOWN);
  }

  #start(): void {
    const { from, scope, group, member, named } = this.#options;
    // what reaches it otherwise, such as the exits of who links to it, is dropped
    const process = from.node.spawn({ trapExit: true, onMessage: () => undefined });
    const take = (source: Connection, signal: Signal): void => this.#take(source, signal);
    this.#process = process;
    this.#ends.push(from.taken.ofProcess(process.pid, take));
    if (named && group instanceof Atom && this.#isFree(group))
      this.#ends.push(from.taken.ofName(group, take));
    // the scope sees it end, and then it is no member any more
    if (member) scope.join(group, process);
  }

  /** Names of OTP's own, and of the bridge's processes, stay what they are. */
  #isFree(name: Atom): boolean {
    return !RESERVED_NAMES.has(name.text) && this.#options.from.node.processes.whereis(name) === undefined;
  }

  #take(source: Connection, signal: Signal): void {
    const { from, to, members } = this.#options;
    const targets = members.pids();
    const spread: Spread = { to, next: 0, judged: new Map() };
    if (this.#waiting.length === 0) {
      from.spread(source, signal, targets, spread);
      if (spread.next >= targets.length) return;
    }
    source.pause();
    this.#waiting.push({ source, signal: signal.detach(), targets, spread });
    if (this.#waiting.length === 1) void this.#continue();
  }

  /** Goes on when the node that holds it up takes more. */
  async #continue(): Promise<void> {
    const { from, to } = this.#options;
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined) return;
      const { source, signal, targets, spread } = first;
      // whatever was written in one turn leaves at its end, and only then it is known whether it was too much
      await new Promise((resolve) => setImmediate(resolve));
      await (spread.home ?? to.node).writable(targets[spread.next]!.node.text);
      try {
        from.spread(source, signal, targets, spread);
        if (spread.next < targets.length) continue;
      } catch (error) {
        // a message that is malformed is its sender's fault
        source.close(isIsthmusError(error) ? error : notSpread(error));
      }
      this.#waiting.shift();
      source.resume();
    }
  }
}

function notSpread(cause: unknown): IsthmusError {
  return new IsthmusError("CONTROL_MALFORMED", "A message to a process group could not be carried.", {
    cause,
  });
}
