import type { HiddenNode } from "@isthmus/core";
import { type Atom, atom } from "@isthmus/etf";

/** The nodes of a cluster that are connected, for those who choose among them. */
export class Neighbours {
  /** Another number whenever a node comes or goes. */
  version = 0;
  readonly #node: () => HiddenNode;

  /** @param node the bridge's own node in the cluster */
  constructor(node: () => HiddenNode) {
    this.#node = node;
  }

  /** A node has come or gone. */
  changed(): void {
    this.version++;
  }

  has(node: Atom): boolean {
    return this.#node().connection(node) !== undefined;
  }

  /** The names of those that are no bridges, in order. */
  names(): Atom[] {
    const node = this.#node();
    return node
      .nodes()
      .map(({ node: name }) => atom(name))
      .filter((name) => node.connection(name)?.joinsBridges === false)
      .sort((one, other) => (one.text < other.text ? -1 : 1));
  }
}
