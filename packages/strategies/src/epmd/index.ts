import { isNodeName } from "@isthmus/wire";
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { type OptionsInput, option } from "../options.ts";

const INFINITY = /^:?infinity$/;

const options = {
  /** Full node names, `name@host`. */
  hosts: option.list(option.text()),
  /**
   * Taken for the sake of libcluster's configurations, and without effect: what is missing is always tried again, after
   * the delays of the topology's `backoff`. Milliseconds, or `infinity`.
   */
  timeout: option.any<number>(
    "milliseconds, or infinity",
    (value) => {
      if (value === Number.POSITIVE_INFINITY || (typeof value === "string" && INFINITY.test(value))) {
        return Number.POSITIVE_INFINITY;
      }
      const ms = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
      return Number.isSafeInteger(ms) && (ms as number) >= 0 ? (ms as number) : undefined;
    },
    { default: Number.POSITIVE_INFINITY },
  ),
};

/** Options of {@link epmd}. */
export type EpmdStrategyOptions = OptionsInput<typeof options>;

/**
 * A fixed list of nodes, as libcluster's `Cluster.Strategy.Epmd`. Where each of them listens is asked of the epmd on
 * its host when it is connected, by the connect hook. In libcluster a node that is down at start is not tried again
 * unless `timeout` is set; a topology here always tries again.
 */
export const epmd = defineStrategy({
  name: "epmd",
  aliases: ["Cluster.Strategy.Epmd"],
  options,
  create({ hosts }) {
    const nodes = [...new Set(hosts)];
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
  },
});
