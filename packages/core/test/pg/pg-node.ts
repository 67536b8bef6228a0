import type { Pid, Term } from "@isthmus/etf";
import { compareTermsExact, inspectTerm } from "@isthmus/etf";
import type { NodeEvent } from "../../src/node/node.ts";
import type { PgOptions } from "../../src/pg/options.ts";
import { type PgScope, startPg } from "../../src/pg/pg-scope.ts";
import type { PgNode } from "../../src/pg/scope-peers.ts";
import { LEFT, type Network, RIGHT, type TestNode, twoNodes } from "../process/network.ts";

/** A node in memory as pg sees it; `up` tells it of a connection that has been made. */
export interface UnitNode extends PgNode {
  up(node: string): void;
}

export function pgNode(node: TestNode): UnitNode {
  const listeners = new Set<(event: NodeEvent) => void>();
  return {
    name: node.self.text,
    processes: node.table,
    connection: (name) => node.connection(name),
    nodes: () =>
      Array.from(node.connections.keys(), ({ text }) => ({ node: text, hidden: true, creation: 1 })),
    onNodeEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    up(name) {
      for (const listener of listeners) listener({ type: "up", node: name, hidden: true, creation: 1 });
    },
  };
}

export interface Setup {
  readonly network: Network;
  readonly left: TestNode;
  readonly right: TestNode;
  readonly node: UnitNode;
  /** A scope of the left node. */
  readonly pg: PgScope;
}

/** Two nodes that are connected, the left one with a scope. */
export async function setup(options: PgOptions = {}): Promise<Setup> {
  const { network, left, right } = twoNodes();
  network.connect(LEFT, RIGHT);
  const node = pgNode(left);
  const pg = startPg(node, { clock: network.clock, logger: left.logger, ...options });
  await network.settle();
  return { network, left, right, node, pg };
}

/** Pids of a process in any order, as text. */
export const pids = (all: readonly Pid[]): string => inspectTerm([...all].sort(compareTermsExact));

export const shown = (term: Term): string => inspectTerm(term, { compact: true });
