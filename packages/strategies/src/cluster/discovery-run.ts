import { backoffDelay, type Clock, type Logger, type Timer } from "@isthmus/wire";
import type { Discovery, Strategy } from "../contract.ts";
import { coded, strategiesError } from "../errors.ts";

/** Options of {@link DiscoveryRun}. */
export interface DiscoveryRunOptions {
  /** Of the topology. */
  readonly name: string;
  readonly self: string;
  readonly strategy: Strategy;
  /** Makes the strategy anew after its start has failed; without it a strategy that fails to start stays as it is. */
  readonly remake?: (() => Strategy | Promise<Strategy>) | undefined;
  readonly compat: boolean;
  readonly report: (discovery: Discovery) => void;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

const RESTART = { firstMs: 1000, maxMs: 30_000 };

/** One strategy at work, from its start to its end. */
export class DiscoveryRun {
  readonly #options: DiscoveryRunOptions;
  #strategy: Strategy;
  #abort = new AbortController();
  readonly #beginning: NodeJS.Immediate;
  /** Whether the strategy's `start` was called: before that it is left alone. */
  #begun = false;
  #draining = false;
  #failedStarts = 0;
  #restart: Timer | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: DiscoveryRunOptions) {
    this.#options = options;
    this.#strategy = options.strategy;
    // In a later turn, so that whoever awaits the start of a cluster can add listeners first.
    this.#beginning = setImmediate(() => this.#start());
  }

  refresh(): void {
    if (this.#begun) this.#attempt(() => this.#strategy.refresh?.());
  }

  /** Announces us no more. */
  drain(): void {
    this.#draining = true;
    if (this.#begun) this.#attempt(() => this.#strategy.drain?.());
  }

  /** Resolves when the strategy has ended. Nothing is reported from now on. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  #attempt(run: () => void): void {
    if (this.#stopped !== undefined) return;
    try {
      run();
    } catch (error) {
      this.#failed(error);
    }
  }

  #start(): void {
    if (this.#stopped !== undefined) return;
    this.#begun = true;
    const { self, compat, logger, clock, report } = this.#options;
    const abort = new AbortController();
    this.#abort = abort;
    const { signal } = abort;
    const context = {
      self,
      report: (discovery: Discovery): void => {
        if (signal.aborted) return;
        if (discovery.ok) this.#failedStarts = 0;
        report(discovery);
      },
      logger,
      clock,
      signal,
      compat,
    };
    // Not waited for: a strategy may take any time until its first answer, and `stop` must not wait for that.
    const started = (async () => this.#strategy.start(context))();
    if (this.#draining) this.drain();
    started.catch((error: unknown) => {
      if (signal.aborted) return;
      this.#failed(error);
      if (this.#options.remake !== undefined) void this.#again(abort, this.#options.remake);
    });
  }

  /** Ends the strategy that failed to start, and makes another a while later. */
  async #again(failed: AbortController, remake: () => Strategy | Promise<Strategy>): Promise<void> {
    this.#begun = false;
    await this.#end(failed, this.#strategy);
    this.#remakeLater(remake);
  }

  #remakeLater(remake: () => Strategy | Promise<Strategy>): void {
    if (this.#stopped !== undefined) return;
    const { clock, random } = this.#options;
    const delay = backoffDelay(this.#failedStarts++, RESTART, random());
    this.#restart = clock.after(delay, async () => {
      try {
        this.#strategy = await remake();
        this.#start();
      } catch (error) {
        this.#failed(error);
        this.#remakeLater(remake);
      }
    });
  }

  #failed(error: unknown): void {
    if (this.#stopped !== undefined) return;
    const message = `The discovery strategy of ${this.#options.name} failed.`;
    this.#options.report({ ok: false, error: coded(error, "STRATEGY_FAILED", message) });
  }

  async #stop(): Promise<void> {
    clearImmediate(this.#beginning);
    this.#restart?.cancel();
    const begun = this.#begun;
    this.#begun = false;
    if (begun) await this.#end(this.#abort, this.#strategy);
  }

  async #end(abort: AbortController, strategy: Strategy): Promise<void> {
    const { name: topology, logger } = this.#options;
    abort.abort(
      strategiesError("CONNECT_ABORTED", `The topology ${topology} was stopped.`, { context: { topology } }),
    );
    try {
      await strategy.stop();
    } catch (error) {
      logger.warn({ topology, err: error }, "the discovery strategy did not stop as it should");
    }
  }
}
