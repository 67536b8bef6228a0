import type { Strategy, StrategyContext } from "../contract.ts";
import { nodeName, nodeNames } from "../node-names.ts";
import { type PollAnswer, type Polling, startPolling } from "../poll.ts";
import { HostFinder, type HostSource } from "./hosts.ts";
import { chooseResolver, type DnsOptions } from "./options.ts";

/** A name whose hosts have nodes of one basename. */
export interface NodeSource extends HostSource {
  readonly basename: string;
}

/**
 * A strategy that asks the domain name system again and again.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID` when a basename cannot be part of a node name
 */
export function dnsStrategy(sources: readonly NodeSource[], options: DnsOptions): Strategy {
  for (const { basename } of sources) nodeName(basename, "127.0.0.1");
  let polling: Polling | undefined;
  return {
    start(context) {
      const { logger, clock, compat } = context;
      const { emptyIsValid, pollingInterval: intervalMs } = options;
      const lookup = chooseResolver(options, clock);
      const finder = new HostFinder({ lookup, emptyIsValid, compat, logger, clock });
      const discover = async (signal: AbortSignal): Promise<PollAnswer> => {
        const { hosts, ttlMs } = await finder.find(sources, signal);
        const nodes = sources.flatMap(({ basename }, i) => namesOf(basename, hosts[i]!, context));
        return { nodes: [...new Set(nodes)], ...(ttlMs !== undefined && pause(ttlMs, options)) };
      };
      polling = startPolling(context, { intervalMs, discover });
    },
    refresh: () => polling?.refresh(),
    stop: async () => polling?.stop(),
  };
}

function namesOf(basename: string, hosts: readonly string[], { logger }: StrategyContext): readonly string[] {
  return nodeNames(basename, hosts, (host) =>
    logger.debug({ host }, "this host cannot be part of a node name, and is left out"),
  );
}

function pause(ttlMs: number, options: DnsOptions): { readonly nextMs?: number } {
  const { ttlDriven, minTtl, pollingInterval } = options;
  return ttlDriven ? { nextMs: Math.min(pollingInterval, Math.max(ttlMs, minTtl)) } : {};
}
