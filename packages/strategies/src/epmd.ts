import { isNodeName } from "@isthmus/wire";
import type { Strategy } from "./contract.ts";
import { strategiesError } from "./errors.ts";

/** Options of {@link epmd}. */
export interface EpmdStrategyOptions {
  /** Full node names, `name@host`. */
  readonly hosts: readonly string[];
}

/**
 * A fixed list of nodes, as libcluster's `Cluster.Strategy.Epmd`. Where each of them listens is asked of the epmd on
 * its host when it is connected, by the connect hook. In libcluster a node that is down at start is not tried again
 * unless `timeout` is set; a topology here always tries again.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 */
export function epmd(options: EpmdStrategyOptions): Strategy {
  const nodes = [...new Set(options.hosts)];
  const wrong = nodes.find((node) => !isNodeName(node));
  if (wrong !== undefined) {
    throw strategiesError(
      "STRATEGY_OPTIONS_INVALID",
      `${JSON.stringify(wrong)} in hosts is not a node name. Write it as name@host.`,
      { context: { host: wrong } },
    );
  }
  return {
    start: (context) => context.report({ ok: true, nodes }),
    stop: async () => undefined,
  };
}
