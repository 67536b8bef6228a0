import { parseNodeName } from "@isthmus/wire";
import { defineStrategy } from "../define.ts";
import { namePatterns } from "../name-pattern.ts";
import { type OptionsInput, option } from "../options.ts";
import { type Polling, startPolling } from "../poll.ts";
import { registeredNodes } from "./registered-nodes.ts";

const options = {
  /** Patterns such as `shop*`, of which the part before `@` must match one. @default all names */
  names: namePatterns,
  /** The part after `@` of the nodes' names. @default that of our own name */
  host: option.optional(option.text()),
  /** Where epmd listens. @default "127.0.0.1" */
  epmdHost: option.text({ default: "127.0.0.1" }),
  /** @default `ERL_EPMD_PORT` of the environment, or 4369 */
  epmdPort: option.optional(option.integer({ min: 1, max: 65_535 })),
  /** Between two rounds. Milliseconds. @default 5000 */
  pollingInterval: option.milliseconds({ default: 5000 }),
  /** Until epmd must have answered. Milliseconds. @default 5000 */
  timeout: option.milliseconds({ default: 5000 }),
};

/** Options of {@link localEpmd}. */
export type LocalEpmdStrategyOptions = OptionsInput<typeof options>;

/**
 * Every node of this host, hidden ones too, as its epmd knows them: libcluster's `Cluster.Strategy.LocalEpmd`, which
 * asks only once.
 */
export const localEpmd = defineStrategy({
  name: "local-epmd",
  aliases: ["Cluster.Strategy.LocalEpmd"],
  options,
  create({ names, host, epmdHost, epmdPort: port, pollingInterval, timeout: timeoutMs }) {
    const epmd = { host: epmdHost, timeoutMs, ...(port === undefined ? {} : { port }) };
    let polling: Polling | undefined;
    return {
      start(context) {
        const nodesHost = host ?? parseNodeName(context.self).host;
        polling = startPolling(context, {
          intervalMs: pollingInterval,
          // later than epmd's own deadline, whose error says more
          timeoutMs: timeoutMs + 1000,
          discover: async (signal) => ({
            nodes: await registeredNodes({ ...epmd, signal, clock: context.clock }, nodesHost, names),
          }),
        });
      },
      refresh: () => polling?.refresh(),
      stop: async () => polling?.stop(),
    };
  },
});
