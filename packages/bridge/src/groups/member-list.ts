import type { Pid } from "@isthmus/etf";
import { pidKey } from "../translate/identifier.ts";

/** Members of a group, each as often as it joined. */
export class MemberList {
  readonly #members = new Map<string, { readonly pid: Pid; times: number }>();
  #pids: readonly Pid[] | undefined;
  #size = 0;

  /** Memberships. */
  get size(): number {
    return this.#size;
  }

  add(pid: Pid): void {
    const key = pidKey(pid);
    const known = this.#members.get(key);
    if (known === undefined) this.#members.set(key, { pid, times: 1 });
    else known.times++;
    this.#size++;
    this.#pids = undefined;
  }

  /** One membership fewer. @returns false when there was none */
  remove(pid: Pid): boolean {
    const key = pidKey(pid);
    const known = this.#members.get(key);
    if (known === undefined) return false;
    if (--known.times === 0) this.#members.delete(key);
    this.#size--;
    this.#pids = undefined;
    return true;
  }

  /** All memberships. The same array until something changes. */
  pids(): readonly Pid[] {
    this.#pids ??= Array.from(this.#members.values(), ({ pid, times }) =>
      new Array<Pid>(times).fill(pid),
    ).flat();
    return this.#pids;
  }

  /** What makes this list into `wanted`. */
  difference(wanted: readonly Pid[]): { readonly added: Pid[]; readonly removed: Pid[] } {
    const left = new Map(Array.from(this.#members, ([key, { times }]) => [key, times]));
    const added = wanted.filter((pid) => {
      const key = pidKey(pid);
      const times = left.get(key) ?? 0;
      if (times > 0) left.set(key, times - 1);
      return times === 0;
    });
    const removed = Array.from(this.#members, ([key, { pid }]) =>
      new Array<Pid>(left.get(key) ?? 0).fill(pid),
    ).flat();
    return { added, removed };
  }
}
