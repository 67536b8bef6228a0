import { IsthmusError, isNodeName } from "@isthmus/wire";
import type { Strategy } from "./contract.ts";

/** Options of {@link epmd}. */
export interface EpmdStrategyOptions {
  /** Full node names, `name@host`. */
  readonly hosts: readonly string[];
}

/**
 * A fixed list of nodes, as libcluster's `Cluster.Strategy.Epmd`; where they listen is asked of their host's epmd when
 * they are connected. In libcluster a node that is down at start is not tried again unless `timeout` is set; a topology
 * here always tries again.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 */
export function epmd(options: EpmdStrategyOptions): Strategy {
  const nodes = [...options.hosts];
  const wrong = nodes.find((node) => !isNodeName(node));
  if (wrong !== undefined) {
    throw new IsthmusError("STRATEGY_OPTIONS_INVALID", `${JSON.stringify(wrong)} in hosts is not a node name. Write name@host.`);
  }
  return { start: (context) => context.report({ ok: true, nodes }) };
}
