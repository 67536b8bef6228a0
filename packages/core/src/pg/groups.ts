import type { Pid, Term } from "@isthmus/etf";
import { pidKey } from "../process/identity.ts";
import { groupOf } from "./group-key.ts";

/** A member of a group, and how often it joined without leaving. */
interface Membership {
  readonly pid: Pid;
  times: number;
}

/** Members of one group that one holder announced, by pid. */
type Members = Map<string, Membership>;

/** Who announced members: our own node, or the scope process of another. */
export class Holder {
  /** Its members, by the key of the group. */
  readonly groups = new Map<string, Members>();
  /** Memberships, each as often as it was announced. */
  size = 0;
  /** Bytes of the names of its groups. */
  nameBytes = 0;
  /** Name of its node. */
  readonly node: string;
  readonly limits: HolderLimits;

  constructor(node: string, limits: HolderLimits) {
    this.node = node;
    this.limits = limits;
  }
}

/** What one holder may announce; what is beyond is left out. */
export interface HolderLimits {
  readonly maxMembers: number;
  readonly maxNameBytes: number;
}

/** Members that joined a group, or left it. */
export interface PgEvent {
  readonly type: "join" | "leave";
  readonly group: Term;
  /** At least one; a process that joined twice is there twice. */
  readonly pids: readonly Pid[];
  /** Name of the node that announces them: theirs, unless it speaks for others; see {@link PgScope.announce}. */
  readonly node: string;
}

interface Group {
  readonly name: Term;
  readonly holders: Set<Holder>;
}

/** Who is in which group, and who says so. Tells each change, once it has been made. Pure. */
export class Groups {
  readonly #groups = new Map<string, Group>();
  readonly #changed: (event: PgEvent, key: string) => void;

  constructor(changed: (event: PgEvent, key: string) => void) {
    this.#changed = changed;
  }

  /** The members of a group, a process that joined twice being there twice; of one holder, or of all. */
  members(key: string, holder?: Holder): Pid[] {
    const pids: Pid[] = [];
    for (const each of holder === undefined ? (this.#groups.get(key)?.holders ?? []) : [holder]) {
      for (const { pid, times } of each.groups.get(key)?.values() ?? []) {
        for (let i = 0; i < times; i++) pids.push(pid);
      }
    }
    return pids;
  }

  /** The members of a group by the names of the nodes that announce them. */
  membersByNode(key: string): Map<string, Pid[]> {
    return new Map(
      Array.from(this.#groups.get(key)?.holders ?? [], (holder) => [holder.node, this.members(key, holder)]),
    );
  }

  /** All groups that have members. */
  keys(): IterableIterator<string> {
    return this.#groups.keys();
  }

  /** The name of a group that has members. */
  name(key: string): Term {
    return (this.#groups.get(key) as Group).name;
  }

  /** @returns how many were left out because of the holder's limits */
  add(holder: Holder, key: string, pids: readonly Pid[]): number {
    const { maxMembers, maxNameBytes } = holder.limits;
    let members = holder.groups.get(key);
    const isNew = members === undefined;
    const room = isNew && holder.nameBytes + key.length > maxNameBytes ? 0 : maxMembers - holder.size;
    const added = pids.slice(0, Math.max(0, room));
    if (added.length === 0) return pids.length;
    if (members === undefined) {
      members = new Map();
      holder.groups.set(key, members);
      holder.nameBytes += key.length;
    }
    for (const pid of added) {
      const id = pidKey(pid);
      const membership = members.get(id);
      if (membership === undefined) members.set(id, { pid, times: 1 });
      else membership.times++;
    }
    holder.size += added.length;
    const { name } = this.#held(holder, key);
    this.#changed({ type: "join", group: name, pids: added, node: holder.node }, key);
    return pids.length - added.length;
  }

  /** One membership fewer for each of `pids`. @returns those that had one */
  remove(holder: Holder, key: string, pids: readonly Pid[]): Pid[] {
    const members = holder.groups.get(key);
    if (members === undefined) return [];
    const removed = pids.filter((pid) => {
      const id = pidKey(pid);
      const membership = members.get(id);
      if (membership === undefined) return false;
      if (--membership.times === 0) members.delete(id);
      return true;
    });
    if (removed.length === 0) return removed;
    holder.size -= removed.length;
    const { name } = this.#groups.get(key) as Group;
    if (members.size === 0) this.#letGo(holder, key);
    this.#changed({ type: "leave", group: name, pids: removed, node: holder.node }, key);
    return removed;
  }

  /**
   * Makes `wanted` all that the holder has, by leaves first and joins then.
   * @returns how many were left out because of the holder's limits
   */
  replace(holder: Holder, wanted: ReadonlyMap<string, readonly Pid[]>): number {
    for (const key of [...holder.groups.keys()]) {
      const there = this.members(key, holder);
      this.remove(holder, key, without(there, wanted.get(key) ?? []));
    }
    let refused = 0;
    for (const [key, pids] of wanted) {
      const joined = without(pids, this.members(key, holder));
      if (joined.length > 0) refused += this.add(holder, key, joined);
    }
    return refused;
  }

  #held(holder: Holder, key: string): Group {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { name: groupOf(key), holders: new Set() };
      this.#groups.set(key, group);
    }
    group.holders.add(holder);
    return group;
  }

  #letGo(holder: Holder, key: string): void {
    holder.groups.delete(key);
    holder.nameBytes -= key.length;
    const group = this.#groups.get(key) as Group;
    group.holders.delete(holder);
    if (group.holders.size === 0) this.#groups.delete(key);
  }
}

/** `pids -- others`: each of `others` takes one away. */
function without(pids: readonly Pid[], others: readonly Pid[]): Pid[] {
  const times = new Map<string, number>();
  for (const pid of others) {
    const id = pidKey(pid);
    times.set(id, (times.get(id) ?? 0) + 1);
  }
  return pids.filter((pid) => {
    const id = pidKey(pid);
    const left = times.get(id) ?? 0;
    if (left > 0) times.set(id, left - 1);
    return left === 0;
  });
}
