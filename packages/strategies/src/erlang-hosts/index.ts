import { defineStrategy } from "../define.ts";
import { registeredNodes } from "../local-epmd/registered-nodes.ts";
import { namePatterns } from "../name-pattern.ts";
import { type OptionsInput, option } from "../options.ts";
import { type Polling, startPolling } from "../poll.ts";
import { MAX_HOSTS, parseHostsFile } from "./hosts-file.ts";
import { HostsRound, PARALLEL_HOSTS } from "./hosts-round.ts";
import { hostsFilePaths, readFirst } from "./search-path.ts";

const DEFAULT_INTERVAL_MS = 5000;

const options = {
  /** The file. @default the first `.hosts.erlang` in the working directory, the home, and the root of Erlang */
  file: option.optional(option.text()),
  /** Patterns such as `shop*`, of which the part before `@` must match one. @default all names */
  names: namePatterns,
  /** Between two rounds. Milliseconds; `infinity`, libcluster's default, means ours. @default 5000 */
  pollingInterval: option.any<number>(
    "milliseconds, or infinity",
    (value) =>
      value === Number.POSITIVE_INFINITY || value === "infinity" || value === ":infinity"
        ? DEFAULT_INTERVAL_MS
        : option.milliseconds({ default: 0 }).parse(value),
    { default: DEFAULT_INTERVAL_MS, aliases: ["timeout"] },
  ),
  /** Until a host's epmd must have answered. Milliseconds. @default 5000 */
  hostTimeout: option.milliseconds({ default: 5000 }),
  /** Where each epmd listens. @default `ERL_EPMD_PORT` of the environment, or 4369 */
  epmdPort: option.optional(option.integer({ min: 1, max: 65_535 })),
};

/** Options of {@link erlangHosts}. */
export type ErlangHostsStrategyOptions = OptionsInput<typeof options>;

/**
 * Every node of the hosts in Erlang's file `.hosts.erlang`, as the hosts' epmds know them: libcluster's
 * `Cluster.Strategy.ErlangHosts`. The file is read anew in each round.
 */
export const erlangHosts = defineStrategy({
  name: "erlang-hosts",
  aliases: ["Cluster.Strategy.ErlangHosts"],
  options,
  create({ file, names, pollingInterval, hostTimeout, epmdPort: port }) {
    let polling: Polling | undefined;
    return {
      start(context) {
        const { logger, clock } = context;
        const epmd = { timeoutMs: hostTimeout, clock, ...(port === undefined ? {} : { port }) };
        const hosts = new HostsRound(logger, (host, signal) =>
          registeredNodes({ ...epmd, host, signal }, host, names),
        );
        polling = startPolling(context, {
          intervalMs: pollingInterval,
          // each host has its own deadline; this one is for what heeds none, such as a dead file system
          timeoutMs: hostTimeout * Math.ceil(MAX_HOSTS / PARALLEL_HOSTS) + 15_000,
          async discover(signal) {
            const { path, text } = await readFirst(file === undefined ? hostsFilePaths() : [file]);
            return { nodes: await hosts.run(parseHostsFile(text, path), signal) };
          },
        });
      },
      refresh: () => polling?.refresh(),
      stop: async () => polling?.stop(),
    };
  },
});
