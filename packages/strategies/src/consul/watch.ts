import type { StrategyContext } from "../contract.ts";
import { strategiesError } from "../errors.ts";
import { type PollAnswer, type Polling, startPolling } from "../poll.ts";
import { type ConsulLookup, type LookupAnswer, longestQueryMs, lookUp } from "./lookup.ts";

/** How a lookup is repeated. */
export interface WatchOptions {
  /** Delay between rounds where Consul cannot wait for a change. */
  readonly intervalMs: number;
  /** Longest wait for a change; 0 not to wait. */
  readonly waitMs: number;
  /** Whether there may be no instance where there were some before. */
  readonly emptyIsValid: boolean;
}

/** Least time between two queries, however often something changes. */
const REST_MS = 200;

/**
 * Keeps up with one lookup, by blocking queries where the endpoint has them, and reports to `context` what this lookup
 * alone gives.
 */
export function watchLookup(context: StrategyContext, lookup: ConsulLookup, options: WatchOptions): Polling {
  const { intervalMs, waitMs, emptyIsValid } = options;
  const { logger, clock, compat } = context;
  const basename = context.self.slice(0, context.self.indexOf("@"));
  let index: string | undefined;
  let known = 0;
  let hurry = new AbortController();

  const ask = (from: string | undefined, signal: AbortSignal): Promise<LookupAnswer> =>
    lookUp(lookup, {
      index: from,
      waitMs,
      basename,
      compat,
      signal,
      unusable: (host) => logger.debug({ host }, "Consul names a host that no node can have"),
    });

  const wait = async (from: string, signal: AbortSignal): Promise<LookupAnswer> => {
    const { signal: hurried } = hurry;
    try {
      return await ask(from, AbortSignal.any([signal, hurried]));
    } catch (error) {
      if (!hurried.aborted || signal.aborted) throw error;
      return ask(undefined, signal);
    }
  };

  const discover = async (signal: AbortSignal): Promise<PollAnswer> => {
    const began = clock.now();
    const from = index;
    // if this fails, an agent may have lost its state meanwhile, and never reach the index again: the next does not wait
    index = undefined;
    hurry = new AbortController();
    const { nodes, index: reached } = await (from === undefined ? ask(from, signal) : wait(from, signal));
    if (waitMs > 0 && reached !== undefined && !wentBack(from, reached)) index = reached;
    if (nodes.length === 0 && known > 0 && !emptyIsValid && !compat) throw emptied(lookup);
    if (nodes.length === 0 && known === 0) logger.debug({ using: lookup.using }, "Consul knows no instance");
    known = nodes.length;
    const waits = reached !== undefined && (from !== reached || clock.now() - began >= waitMs / 2);
    return waitMs > 0 && waits ? { nodes, nextMs: REST_MS } : { nodes };
  };

  const polling = startPolling(context, {
    intervalMs,
    timeoutMs: longestQueryMs(waitMs) + 15_000,
    discover,
  });
  return {
    refresh() {
      index = undefined;
      hurry.abort();
      polling.refresh();
    },
    stop: () => polling.stop(),
  };
}

/** Indexes are 64 bits wide. */
function wentBack(from: string | undefined, reached: string): boolean {
  return from !== undefined && BigInt(reached) < BigInt(from);
}

function emptied({ using, service }: ConsulLookup): Error {
  const which = "name" in service ? service.name : service.id;
  return strategiesError(
    "DISCOVERY_FAILED",
    `Consul (${using}) names no instance of ${which} any more. It answers like this, too, when the access token lacks ` +
      "service:read or node:read, and after the loss of its state. Set empty_is_valid if there may be none.",
    { context: { using, service: which } },
  );
}
