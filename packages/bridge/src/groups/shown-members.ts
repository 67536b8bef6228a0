import type { PgScope } from "@isthmus/core";
import type { Pid, Term } from "@isthmus/etf";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import { pidKey } from "../translate/identifier.ts";
import { isLimit } from "../translate/not-carried.ts";

/** A member as the cluster that sees it knows it. */
interface Shown {
  readonly pid: Pid;
  times: number;
}

/** What {@link ShownMembers} needs. */
export interface ShownMembersOptions {
  /** The cluster that sees the group, and the bridge's scope there. */
  readonly from: ClusterRouter;
  readonly scope: PgScope;
  /** The cluster that has the members. */
  readonly to: ClusterRouter;
  readonly group: Term;
  /** Members could not be shown because a table is full. */
  readonly onLimit: (error: unknown) => void;
}

/** Announces the members that a group has in another cluster, each by its stand-in. */
export class ShownMembers {
  readonly #options: ShownMembersOptions;
  readonly #shown = new Map<string, Shown>();

  constructor(options: ShownMembersOptions) {
    this.#options = options;
  }

  add(pids: readonly Pid[]): void {
    const { scope, group, onLimit } = this.#options;
    const announced: Pid[] = [];
    for (const own of pids) {
      const key = pidKey(own);
      let shown = this.#shown.get(key);
      if (shown === undefined) {
        try {
          shown = { pid: this.#show(own), times: 0 };
        } catch (error) {
          if (!isLimit(error)) throw error;
          onLimit(error);
          continue;
        }
        this.#shown.set(key, shown);
      }
      shown.times++;
      announced.push(shown.pid);
    }
    scope.announce(group, announced);
  }

  remove(pids: readonly Pid[]): void {
    const { scope, group, from } = this.#options;
    const withdrawn: Pid[] = [];
    for (const own of pids) {
      const key = pidKey(own);
      const shown = this.#shown.get(key);
      if (shown === undefined) continue;
      withdrawn.push(shown.pid);
      if (--shown.times > 0) continue;
      this.#shown.delete(key);
      from.index.release(shown.pid);
    }
    // a scope that has ended has withdrawn everything
    if (withdrawn.length > 0 && scope.process.alive) scope.withdraw(group, withdrawn);
  }

  /** Those of the members that are to be shown in another way now are announced so, in the place of what they were. */
  renew(pids: readonly Pid[]): void {
    const { from, to } = this.#options;
    const changed = pids.filter((own) => {
      const shown = this.#shown.get(pidKey(own));
      try {
        return shown !== undefined && pidKey(to.show(own, from)) !== pidKey(shown.pid);
      } catch (error) {
        if (!isLimit(error)) throw error;
        // it is said when it is tried to announce them
        return true;
      }
    });
    this.remove(changed);
    this.add(changed);
  }

  /** Its pid in the cluster that sees it, which keeps its meaning until it is released. */
  #show(own: Pid): Pid {
    const { from, to } = this.#options;
    const pid = to.show(own, from);
    from.index.hold(pid);
    return pid;
  }
}
