import type { Atom, Pid } from "@isthmus/etf";
import type { ClusterRouter } from "./cluster-router.ts";
import type { NodeChoice } from "./node-choice.ts";

/** A name that one cluster may use and the process of another cluster that it stands for. */
export class ExportedName {
  /** The name as the `from` cluster uses it. */
  readonly as: Atom;
  /** The cluster that has the process. */
  readonly target: ClusterRouter;
  /** The registered name there. */
  readonly name: Atom;
  readonly choice: NodeChoice;

  constructor(as: Atom, target: ClusterRouter, name: Atom, choice: NodeChoice) {
    this.as = as;
    this.target = target;
    this.name = name;
    this.choice = choice;
  }

  /** Whether `other` leads from the same name to the same process in the same way. */
  equals(other: ExportedName): boolean {
    return (
      this.as === other.as &&
      this.target === other.target &&
      this.name === other.name &&
      this.choice.equals(other.choice)
    );
  }

  /** The node for a signal of `caller`; see {@link NodeChoice.pick}. */
  pick(caller: Pid): Atom | undefined {
    return this.choice.pick(caller, this.as);
  }

  /** `caller` monitors the name at `node`. */
  hold(caller: Pid, node: Atom): void {
    this.choice.hold(caller, this.as, node);
  }

  release(caller: Pid): void {
    this.choice.release(caller, this.as);
  }
}
