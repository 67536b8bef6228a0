import type { PgScope } from "@isthmus/core";
import type { Pid, Term } from "@isthmus/etf";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import { FanOut } from "./fan-out.ts";
import type { GroupEntry } from "./group-entry.ts";
import { MemberList } from "./member-list.ts";
import { ShownMembers } from "./shown-members.ts";

/** What {@link SharedGroup} needs. */
export interface SharedGroupOptions {
  /** The entry that lets the group be seen. */
  readonly entry: GroupEntry;
  /** The cluster that sees it, and the bridge's scope there. */
  readonly from: ClusterRouter;
  readonly scope: PgScope;
  /** The cluster that has the members. */
  readonly to: ClusterRouter;
  readonly group: Term;
}

/** One group of a cluster that another one sees: its members there, and what stands for them here. */
export class SharedGroup {
  readonly entry: GroupEntry;
  readonly #members = new MemberList();
  readonly #shown: ShownMembers | undefined;
  readonly #fanOut: FanOut | undefined;

  constructor(options: SharedGroupOptions) {
    const { entry } = options;
    this.entry = entry;
    entry.groups++;
    const { form = "members", named = false } = entry.options;
    const members = this.#members;
    if (form === "members")
      this.#shown = new ShownMembers({ ...options, onLimit: (error) => entry.notShown(error) });
    if (form === "fan_out" || named) {
      this.#fanOut = new FanOut({ ...options, members, member: form === "fan_out", named });
    }
  }

  /** Memberships. */
  get size(): number {
    return this.#members.size;
  }

  /** They have joined. What is beyond the limits of the entry is left out. */
  add(pids: readonly Pid[]): void {
    const added = pids.slice(0, this.entry.room(this.size, pids.length));
    for (const pid of added) this.#members.add(pid);
    this.entry.members += added.length;
    this.#shown?.add(added);
    this.#fanOut?.changed();
  }

  /** They have left; who was no member is passed over. */
  remove(pids: readonly Pid[]): void {
    const removed = pids.filter((pid) => this.#members.remove(pid));
    this.entry.members -= removed.length;
    this.#shown?.remove(removed);
    this.#fanOut?.changed();
  }

  /** Makes `wanted` all members. */
  replace(wanted: readonly Pid[]): void {
    const { added, removed } = this.#members.difference(wanted);
    this.remove(removed);
    this.add(added);
  }

  /** Some members may have to be shown in another way than before. */
  renew(): void {
    this.#shown?.renew(this.#members.pids());
  }

  close(): void {
    this.remove(this.#members.pids());
    this.entry.groups--;
  }
}
