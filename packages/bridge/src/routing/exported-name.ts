import type { Atom, Pid } from "@isthmus/etf";

/** How a name with several target nodes chooses among them. */
export type Balance = "first_up" | "round_robin";

/**
 * A name that one cluster may use and the process of another cluster that it stands for. Several target nodes are a
 * choice per caller: as long as a caller monitors the name (a `gen_server:call` does), all it sends to the name goes
 * to the node that was chosen for the monitor.
 */
export class ExportedName<Target extends object> {
  /** The name as the `from` cluster uses it. */
  readonly as: Atom;
  /** The cluster that has the process. */
  readonly target: Target;
  /** The registered name there. */
  readonly name: Atom;
  readonly nodes: readonly Atom[];
  readonly balance: Balance;
  readonly #held = new Map<string, { readonly node: Atom; count: number }>();
  #turn = 0;

  constructor(as: Atom, target: Target, name: Atom, nodes: readonly Atom[], balance: Balance) {
    this.as = as;
    this.target = target;
    this.name = name;
    this.nodes = nodes;
    this.balance = balance;
  }

  /** Whether `other` leads from the same name to the same process in the same way. */
  equals(other: ExportedName<Target>): boolean {
    return (
      this.as === other.as &&
      this.target === other.target &&
      this.name === other.name &&
      this.balance === other.balance &&
      this.nodes.length === other.nodes.length &&
      this.nodes.every((node, i) => node === other.nodes[i])
    );
  }

  /**
   * The node for a signal of `caller`: the one it is held to, else the first that is up (or the next in turn that
   * is), else the first of the list (or the next in turn), which is then dialed.
   */
  pick(caller: Pid, isUp: (node: Atom) => boolean): Atom {
    const nodes = this.nodes;
    if (nodes.length === 1) return nodes[0]!;
    if (this.#held.size > 0) {
      const held = this.#held.get(key(caller));
      if (held !== undefined) return held.node;
    }
    const start = this.balance === "round_robin" ? this.#turn++ % nodes.length : 0;
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[(start + i) % nodes.length]!;
      if (isUp(node)) return node;
    }
    return nodes[start]!;
  }

  /** `caller` monitors the name at `node`: what it sends goes there until {@link ExportedName.release}. */
  hold(caller: Pid, node: Atom): void {
    if (this.nodes.length === 1) return;
    const id = key(caller);
    const held = this.#held.get(id);
    if (held === undefined) this.#held.set(id, { node, count: 1 });
    else held.count++;
  }

  release(caller: Pid): void {
    if (this.#held.size === 0) return;
    const id = key(caller);
    const held = this.#held.get(id);
    if (held !== undefined && --held.count === 0) this.#held.delete(id);
  }
}

function key(pid: Pid): string {
  return `${pid.node.text} ${pid.creation} ${pid.id} ${pid.serial}`;
}
