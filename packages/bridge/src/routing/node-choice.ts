import { type Atom, atom, type Pid } from "@isthmus/etf";
import { pattern } from "../policy/pattern.ts";
import { pidKey } from "../translate/identifier.ts";
import type { Neighbours } from "./neighbours.ts";

/** How a name with several target nodes chooses among them. */
export type Balance = "first_up" | "round_robin";

/** What {@link NodeChoice} looks at. */
export type Reachable = Pick<Neighbours, "version" | "has" | "names">;

/**
 * The nodes that have what a route or rule is about, and which of them a signal goes to. A node is given by its name,
 * and is then dialled when it is needed; or by a pattern, of which those count that are connected. Several nodes are a
 * choice per caller: as long as a caller monitors a name (a `gen_server:call` does), all it sends to the name goes to
 * the node that was chosen for the monitor.
 */
export class NodeChoice {
  readonly balance: Balance;
  readonly #given: readonly string[];
  readonly #among: Reachable;
  readonly #held = new Map<string, { readonly node: Atom; count: number }>();
  readonly #changes: boolean;
  #nodes: readonly Atom[] = [];
  #version = -1;
  #turn = 0;

  /** @param nodes names and patterns */
  constructor(nodes: readonly string[], balance: Balance, among: Reachable) {
    this.#given = nodes;
    this.balance = balance;
    this.#among = among;
    this.#changes = nodes.some((node) => node.includes("*"));
    if (!this.#changes) this.#nodes = nodes.map((node) => atom(node));
  }

  /** Whether `other` chooses among the same nodes in the same way. */
  equals(other: NodeChoice): boolean {
    return (
      this.#among === other.#among &&
      this.balance === other.balance &&
      JSON.stringify(this.#given) === JSON.stringify(other.#given)
    );
  }

  /** Those that there are now, in order of preference. */
  get nodes(): readonly Atom[] {
    if (this.#changes && this.#version !== this.#among.version) {
      this.#nodes = this.#fitting();
      this.#version = this.#among.version;
    }
    return this.#nodes;
  }

  /**
   * The node for what `caller` sends to `name`: the one it is held to, else the first that is up (or the next in turn
   * that is), else the first of the list (or the next in turn), which is then dialled. Undefined when there is none.
   */
  pick(caller: Pid, name: Atom): Atom | undefined {
    if (this.#held.size > 0) {
      const held = this.#held.get(key(caller, name));
      if (held !== undefined) return held.node;
    }
    const { nodes } = this;
    if (nodes.length < 2) return nodes[0];
    const start = this.balance === "round_robin" ? this.#turn++ % nodes.length : 0;
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[(start + i) % nodes.length]!;
      if (this.#among.has(node)) return node;
    }
    return nodes[start];
  }

  /** `caller` monitors `name` at `node`: what it sends goes there until {@link NodeChoice.release}. */
  hold(caller: Pid, name: Atom, node: Atom): void {
    if (!this.#changes && this.#nodes.length < 2) return;
    const id = key(caller, name);
    const held = this.#held.get(id);
    if (held === undefined) this.#held.set(id, { node, count: 1 });
    else held.count++;
  }

  /** Takes back one {@link NodeChoice.hold}. */
  release(caller: Pid, name: Atom): void {
    if (this.#held.size === 0) return;
    const id = key(caller, name);
    const held = this.#held.get(id);
    if (held !== undefined && --held.count === 0) this.#held.delete(id);
  }

  #fitting(): Atom[] {
    const connected = this.#among.names();
    const nodes = new Set<Atom>();
    for (const given of this.#given) {
      const { literal, matches } = pattern(given);
      if (literal) nodes.add(atom(given));
      else for (const node of connected) if (matches(node.text)) nodes.add(node);
    }
    return [...nodes];
  }
}

function key(caller: Pid, name: Atom): string {
  return `${pidKey(caller)} ${name.text}`;
}
