import type { Connection, HiddenNode } from "@isthmus/core";
import type { Signal } from "@isthmus/core/channel";
import type { Atom } from "@isthmus/etf";
import { reachedWithin } from "./barriers.ts";
import type { Lane, RouterContext } from "./context.ts";
import { homeOf } from "./home.ts";

/** Nothing is read from a node for longer, because another has not taken what it sent before. */
const HOLD_MS = 2000;

/** Where messages without a sender went. */
interface Way {
  readonly lane: Lane;
  readonly home: HiddenNode;
  readonly nodes: Set<Atom>;
}

/**
 * A BEAM does not say who sends what it has sent while it was still connecting: it did not know yet whether the peer takes
 * senders (dist.c, pending connections). Towards OTP 23 such messages go over the connection of the node's mirror, but what
 * the same process sends later goes over the bridge's own when its pid is one that OTP 23 cannot read. So that waits until
 * they have arrived.
 */
export class UnnamedSenders {
  readonly #context: RouterContext;
  readonly #ways = new Map<Connection, Way>();

  constructor(context: RouterContext) {
    this.#context = context;
  }

  /** Whether there may be something to wait for. */
  get some(): boolean {
    return this.#ways.size > 0;
  }

  /** A message to `node` without a sender goes by way of `home`. */
  sent(source: Connection, lane: Lane, home: HiddenNode, node: Atom): void {
    if (home === lane.to.node || !lane.to.index.narrow) return;
    const way = this.#ways.get(source);
    if (way?.home === home) way.nodes.add(node);
    else this.#ways.set(source, { lane, home, nodes: new Set([node]) });
  }

  /** Whether a signal would go another way than what was sent before, which may not have arrived. */
  overtaken(source: Connection, { from }: Signal): boolean {
    const way = this.#ways.get(source);
    return way !== undefined && from !== undefined && homeOf(way.lane, source, from) !== way.home;
  }

  /** Reads nothing from `source` until that has arrived, and runs `go` then. */
  async wait(source: Connection, go: () => void): Promise<void> {
    const { home, nodes } = this.#ways.get(source) as Way;
    this.#ways.delete(source);
    source.pause();
    source.suspend();
    const arrived = Promise.all(Array.from(nodes, (node) => this.#arrived(home, node)));
    await reachedWithin(this.#context.clock, HOLD_MS, arrived);
    go();
    source.resume();
  }

  /** The connection is lost. */
  lost(source: Connection): void {
    this.#ways.delete(source);
  }

  /** Behind what waits for the connection, and what was sent on it. */
  #arrived(home: HiddenNode, node: Atom): Promise<void> {
    return new Promise((resolve) => {
      home.whenConnected(node, (connection) => {
        const relations = connection && this.#context.relations.get(connection);
        if (relations === undefined) resolve();
        else resolve(relations.barriers.reached(connection!));
      });
    });
  }
}
