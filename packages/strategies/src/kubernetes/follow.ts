import { type BackoffOptions, backoffDelay, isIsthmusError, type Timer } from "@isthmus/wire";
import type { StrategyContext } from "../contract.ts";
import { coded, strategiesError } from "../errors.ts";
import { type ApiAccess, statusOf } from "./access.ts";
import { Inventory } from "./inventory.ts";
import type { JsonObject } from "./json.ts";
import { list, resourceOf, type Selection } from "./list.ts";
import type { Lookup, PodAddress } from "./lookup.ts";
import { type WatchEnd, watch } from "./watch.ts";

/** What is followed, and how. */
export interface FollowOptions {
  readonly api: Pick<ApiAccess, "namespace" | "json" | "lines">;
  readonly lookup: Lookup;
  readonly selector: string;
  /** Lists may come from the API server's memory. */
  readonly cached: boolean;
  /** Whether to watch at all. */
  readonly watch: boolean;
  /** Between two lists without a watch, and the first delay after a failure. Milliseconds. */
  readonly intervalMs: number;
  /** Between two lists with a watch. Milliseconds. */
  readonly resyncMs: number;
  /** The addresses in one object. */
  read(object: JsonObject): readonly PodAddress[];
  /** The nodes at all addresses. */
  names(addresses: readonly PodAddress[]): readonly string[];
  /** A number in [0, 1). @default Math.random */
  readonly random?: () => number;
}

/** Changes come in bursts, such as a deployment; what comes within this time is told at once. */
const TOGETHER_MS = 100;
/** Delays after watches that ended as they should not. */
const WATCH_BACKOFF: BackoffOptions = { firstMs: 1000, maxMs: 30_000 };
/** A watch that lasted so long worked, even if nothing happened. */
const STEADY_MS = 10_000;
/** After this time we may have been allowed to watch. */
const FORBIDDEN_MS = 300_000;
const LONGEST_BACKOFF_MS = 30_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * Keeps up with the objects of a selection: lists them, then watches for changes, and lists again when the watch
 * cannot go on, and now and then to be sure. Where it may not watch it lists at intervals.
 */
export class Follower {
  readonly #context: StrategyContext;
  readonly #options: FollowOptions;
  readonly #random: () => number;
  readonly #inventory: Inventory;
  readonly #stop = new AbortController();
  readonly #onAbort = (): void => void this.stop();
  readonly #ended: Promise<void>;
  /** The wait or watch that follows a list; ends when a new list is wanted. */
  #phase = new AbortController();
  #report: Timer | undefined;
  /** Lists that failed in a row. */
  #failures = 0;
  /** Watches in a row that ended as they should not. */
  #setbacks = 0;
  /** When a watch may be tried again. */
  #watchFrom = Number.NEGATIVE_INFINITY;

  constructor(context: StrategyContext, options: FollowOptions) {
    this.#context = context;
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#inventory = new Inventory(options.read);
    if (context.signal.aborted) this.#stop.abort();
    else context.signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#ended = this.#run();
  }

  /** Lists anew, now or as soon as the present list is there. */
  refresh(): void {
    this.#phase.abort();
  }

  async stop(): Promise<void> {
    this.#context.signal.removeEventListener("abort", this.#onAbort);
    this.#stop.abort(strategiesError("DISCOVERY_FAILED", "The strategy was stopped."));
    this.#phase.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#phase = new AbortController();
      const phase = this.#phase.signal;
      try {
        const [selection, version] = await this.#list(signal);
        this.#failures = 0;
        await this.#follow(selection, version, phase);
      } catch (error) {
        if (!signal.aborted) await this.#pause(this.#failed(error), phase);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<[Selection, string | undefined]> {
    const { api, lookup, selector, cached } = this.#options;
    const selection: Selection = { lookup, selector, namespace: await api.namespace() };
    const { objects, version } = await list(api, selection, { cached, signal }, () =>
      this.#inventory.newList(),
    );
    this.#inventory.replace(objects);
    if (!signal.aborted) this.#tell();
    return [selection, version];
  }

  /** Resolves when it is time for a new list. */
  async #follow(selection: Selection, from: string | undefined, phase: AbortSignal): Promise<void> {
    const { resyncMs, intervalMs } = this.#options;
    // not all clients that were started together list together
    const resyncIn = resyncMs * (0.9 + 0.2 * this.#random());
    const resync = this.#mayWatch() ? this.#context.clock.after(resyncIn, () => this.refresh()) : undefined;
    try {
      // without a version there is nothing to watch from
      for (let version = from; version !== undefined && this.#mayWatch(); ) {
        const end = await this.#watch(selection, version, phase);
        if (end === undefined) return;
        version = end.version;
        if (end.how === "forbidden") this.#forbidden(selection, end);
        else if (end.how !== "closed" || this.#setbacks > 0) {
          const retryMs = backoffDelay(this.#setbacks - 1, WATCH_BACKOFF, this.#random());
          this.#logSetback(end, retryMs);
          await this.#pause(retryMs, phase);
          if (end.how === "expired" || this.#setbacks > 1) return;
        }
      }
      await this.#pause(intervalMs * (0.9 + 0.2 * this.#random()), phase);
    } finally {
      resync?.cancel();
      this.#flush();
    }
  }

  /** One watch; undefined when it was ended from here. */
  async #watch(selection: Selection, from: string, phase: AbortSignal): Promise<WatchEnd | undefined> {
    const { clock } = this.#context;
    const handler = {
      put: (object: JsonObject) => {
        this.#inventory.put(object);
        this.#tellSoon();
      },
      remove: (object: JsonObject) => {
        this.#inventory.remove(object);
        this.#tellSoon();
      },
    };
    const began = clock.now();
    try {
      const end = await watch(this.#options.api, selection, { from, signal: phase }, handler);
      const worked = end.useful || clock.now() - began >= STEADY_MS;
      if (worked) this.#setbacks = 0;
      if (!worked || end.how !== "closed") this.#setbacks += 1;
      return end;
    } catch (error) {
      if (phase.aborted) return undefined;
      throw error;
    }
  }

  #mayWatch(): boolean {
    return this.#options.watch && this.#context.clock.now() >= this.#watchFrom;
  }

  #forbidden({ lookup, namespace }: Selection, { error }: WatchEnd): void {
    const { logger, clock } = this.#context;
    const resource = resourceOf(lookup);
    const log = this.#watchFrom === Number.NEGATIVE_INFINITY ? "warn" : "debug";
    this.#watchFrom = clock.now() + FORBIDDEN_MS;
    logger[log](
      { resource, namespace, intervalMs: this.#options.intervalMs, err: error },
      "not allowed to watch, so it is asked at intervals; add the verb watch to the Role",
    );
  }

  #logSetback({ how, error }: WatchEnd, retryMs: number): void {
    const log = this.#setbacks === 3 ? "warn" : "debug";
    const fields = { how, retryMs, inARow: this.#setbacks, ...(error === undefined ? {} : { err: error }) };
    this.#context.logger[log](fields, "the watch on the Kubernetes API ended");
  }

  /** Tells of a failure. @returns milliseconds until the next attempt */
  #failed(cause: unknown): number {
    const context = this.#context;
    const { intervalMs } = this.#options;
    const bounds = { firstMs: intervalMs, maxMs: Math.max(LONGEST_BACKOFF_MS, intervalMs) };
    const error = coded(cause, "DISCOVERY_FAILED", "The Kubernetes API could not be asked.");
    if (context.compat && statusOf(error) === 403) {
      context.logger.warn({ code: error.code }, `cannot query kubernetes (unauthorized): ${error.message}`);
      this.#inventory.replace(this.#inventory.newList());
      this.#tell();
      return intervalMs;
    }
    const retryMs = backoffDelay(this.#failures++, bounds, this.#random());
    context.report({ ok: false, error });
    return Math.max(retryMs, retryAfterMs(error));
  }

  #tellSoon(): void {
    this.#report ??= this.#context.clock.after(TOGETHER_MS, () => this.#flush());
  }

  #flush(): void {
    if (this.#report === undefined) return;
    this.#report.cancel();
    this.#report = undefined;
    if (!this.#stop.signal.aborted && this.#inventory.settle()) this.#tell();
  }

  #tell(): void {
    this.#context.report({ ok: true, nodes: this.#options.names(this.#inventory.addresses()) });
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = this.#context.clock.after(ms, end);
      signal.addEventListener("abort", end, { once: true });
    });
  }
}

/** What the API asks for in `Retry-After`, when it has too much to do. */
function retryAfterMs(error: unknown): number {
  const seconds = isIsthmusError(error) ? Number(error.context["retryAfter"]) : 0;
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds) * 1000, LONGEST_RETRY_AFTER_MS) : 0;
}
