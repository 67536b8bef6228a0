import { type BackoffOptions, backoffDelay, type Timer } from "@isthmus/wire";
import type { Strategy, StrategyContext } from "./contract.ts";
import { coded, strategiesError } from "./errors.ts";

/** What one round found. */
export interface PollAnswer {
  readonly nodes: readonly string[];
  /**
   * Milliseconds until the next round instead of the interval: what is left of a TTL; 0 after a query that blocks
   * until something changes.
   */
  readonly nextMs?: number;
}

/** Options of {@link startPolling}. */
export interface PollOptions {
  /** From the end of one round to the begin of the next, give or take a tenth. */
  readonly intervalMs: number;
  /** A round that takes longer is aborted and has failed. @default 15000 */
  readonly timeoutMs?: number;
  /** Finds the nodes. What it rejects with is reported as a failure. */
  discover(signal: AbortSignal): Promise<PollAnswer>;
  /** A number in [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** A running loop of rounds. */
export interface Polling {
  /** Begins a round now, or as soon as the present one has ended. */
  refresh(): void;
  /** Aborts the present round; resolves when it has ended. */
  stop(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const LONGEST_BACKOFF_MS = 30_000;

/**
 * Asks a source again and again, one round at a time, and reports what each gave. After failures the delay grows from
 * the interval, doubling, to 30 seconds or the interval if that is longer.
 */
export function startPolling(context: StrategyContext, options: PollOptions): Polling {
  return new PollLoop(context, options);
}

/** A strategy that does nothing but poll. */
export function pollingStrategy(options: PollOptions): Strategy {
  let polling: Polling | undefined;
  return {
    start(context) {
      polling = startPolling(context, options);
    },
    refresh: () => polling?.refresh(),
    stop: async () => polling?.stop(),
  };
}

class PollLoop implements Polling {
  readonly #context: StrategyContext;
  readonly #options: PollOptions;
  readonly #backoff: BackoffOptions;
  readonly #random: () => number;
  readonly #onAbort = (): void => void this.stop();
  #failures = 0;
  #timer: Timer | undefined;
  #round: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  /** Whether another round was asked for while one was under way. */
  #again = false;
  #stopped = false;

  constructor(context: StrategyContext, options: PollOptions) {
    const { intervalMs } = options;
    this.#context = context;
    this.#options = options;
    this.#backoff = { firstMs: intervalMs, maxMs: Math.max(LONGEST_BACKOFF_MS, intervalMs) };
    this.#random = options.random ?? Math.random;
    if (context.signal.aborted) this.#stopped = true;
    else {
      context.signal.addEventListener("abort", this.#onAbort, { once: true });
      this.#begin();
    }
  }

  refresh(): void {
    if (this.#stopped) return;
    if (this.#round === undefined) this.#begin();
    else this.#again = true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#context.signal.removeEventListener("abort", this.#onAbort);
    this.#timer?.cancel();
    this.#round?.abort.abort(strategiesError("DISCOVERY_FAILED", "The strategy was stopped."));
    await this.#round?.ended;
  }

  #begin(): void {
    this.#timer?.cancel();
    this.#again = false;
    const abort = new AbortController();
    this.#round = { abort, ended: this.#run(abort) };
  }

  async #run(abort: AbortController): Promise<void> {
    const { intervalMs, timeoutMs = DEFAULT_TIMEOUT_MS, discover } = this.#options;
    const deadline = this.#context.clock.after(timeoutMs, () => {
      const message = `The source did not answer within ${timeoutMs} ms.`;
      abort.abort(strategiesError("DISCOVERY_FAILED", message, { context: { timeoutMs } }));
    });
    let delay: number;
    try {
      const { nodes, nextMs } = await untilAborted(begin(discover, abort.signal), abort.signal);
      this.#failures = 0;
      delay = nextMs ?? intervalMs * (0.9 + 0.2 * this.#random());
      if (!this.#stopped) this.#context.report({ ok: true, nodes });
    } catch (cause) {
      delay = backoffDelay(this.#failures++, this.#backoff, this.#random());
      const error = coded(cause, "DISCOVERY_FAILED", "The nodes could not be found out.");
      if (!this.#stopped) this.#context.report({ ok: false, error });
    } finally {
      deadline.cancel();
      this.#round = undefined;
    }
    if (this.#stopped) return;
    if (this.#again) this.#begin();
    else this.#timer = this.#context.clock.after(delay, () => this.#begin());
  }
}

/** What `work` gives, or a rejection as soon as `signal` is aborted: `work` may not heed it. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener("abort", aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}

/** Calls `discover`; what it throws becomes a rejection. */
async function begin(discover: PollOptions["discover"], signal: AbortSignal): Promise<PollAnswer> {
  return discover(signal);
}
