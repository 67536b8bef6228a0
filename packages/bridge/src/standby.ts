import {
  type BackoffOptions,
  backoffDelay,
  type Clock,
  type IsthmusError,
  isIsthmusError,
  type Logger,
  silentLogger,
  systemClock,
} from "@isthmus/wire";
import type { Lease } from "./trunk/lease.ts";

/**
 * `standby`: waits for the lease. `starting`: has it, and starts. `active`: runs. `stopping`: ends what runs, because the
 * lease is lost or {@link Standby.stop} was called. `stopped`: for good.
 */
export type StandbyState = "standby" | "starting" | "active" | "stopping" | "stopped";

/** What runs while the lease is held. */
export interface Active {
  /**
   * Ends it. With a reason the lease is lost: as much as possible must have ended when the call returns, and all of it
   * when the promise settles. Without one there is time to be polite; a call with a reason may follow it.
   */
  close(lost?: IsthmusError): Promise<void>;
}

/** Options of {@link startStandby}. */
export interface StandbyOptions<T extends Active> {
  /** Says who runs. It must not be held or waited for. */
  readonly lease: Lease;
  /** Starts what may run once at a time. When it fails the lease is given back, and asked for again later. */
  readonly start: () => Promise<T>;
  /** Delays after starts that failed. @default 1 s to 30 s */
  readonly backoff?: BackoffOptions;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** How a {@link Standby} stands. */
export interface StandbyStatus {
  readonly state: StandbyState;
  /** Times that it became active. */
  readonly activations: number;
  /** Times that the lease was lost. */
  readonly losses: number;
  /** Why it was lost the last time, or why the last start failed. */
  readonly lastReason: { readonly code: string; readonly message: string } | undefined;
}

/**
 * Runs something in at most one of several processes: starts it when the lease is acquired, ends it when the lease is
 * lost, and then waits for the lease again.
 */
export function startStandby<T extends Active>(options: StandbyOptions<T>): Standby<T> {
  return new Standby(options);
}

/** One of several processes of which one is active. Made by {@link startStandby}. */
export class Standby<T extends Active> {
  readonly #options: StandbyOptions<T>;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #state: StandbyState = "standby";
  #active: T | undefined;
  #activations = 0;
  #losses = 0;
  #failures = 0;
  #lastReason: StandbyStatus["lastReason"];

  /** Use {@link startStandby}. */
  constructor(options: StandbyOptions<T>) {
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    // whoever waits for a turn has no connection that would keep the process alive
    const alive = setInterval(() => undefined, 2 ** 30);
    this.#running = this.#run().finally(() => clearInterval(alive));
  }

  /** See {@link StandbyState}. */
  get state(): StandbyState {
    return this.#state;
  }

  /** What runs; undefined unless the state is `active`. */
  get active(): T | undefined {
    return this.#active;
  }

  /** How it stands now. */
  status(): StandbyStatus {
    return {
      state: this.#state,
      activations: this.#activations,
      losses: this.#losses,
      lastReason: this.#lastReason,
    };
  }

  /** Ends what runs, politely, and gives the lease back. Any number of times. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { lease, backoff = { firstMs: 1_000, maxMs: 30_000 } } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#state = "standby";
      this.#logger.info({}, "waits for the lease");
      try {
        await lease.acquire(signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        break;
      }
      const failed = await this.#serve();
      await lease.release();
      if (failed && !signal.aborted)
        await this.#wait(backoffDelay(this.#failures++, backoff, Math.random()), signal);
    }
    this.#state = "stopped";
  }

  /** Runs for as long as the lease is held. @returns whether it could not start */
  async #serve(): Promise<boolean> {
    const { lease, start } = this.#options;
    const { signal } = this.#stopped;
    this.#state = "starting";
    let lost: IsthmusError | undefined;
    let ended = (): void => undefined;
    let running: T | undefined;
    let closing: Promise<void> | undefined;
    const forget = lease.onLost((reason) => {
      lost = reason;
      this.#losses++;
      this.#note(reason);
      if (running !== undefined) closing = this.#close(running, reason);
      ended();
    });
    try {
      running = await start();
      if (lost === undefined && !signal.aborted) {
        this.#state = "active";
        this.#active = running;
        this.#activations++;
        this.#failures = 0;
        this.#logger.info({}, "has the lease: active");
        await new Promise<void>((resolve) => {
          ended = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      closing ??= this.#close(running, lost);
      await closing;
      // the lease may have been lost while it ended politely
      if (lost !== undefined) await closing;
      return false;
    } catch (error) {
      this.#note(error);
      this.#logger.error(
        { code: this.#lastReason?.code, reason: this.#lastReason?.message },
        "has the lease, but cannot start",
      );
      return true;
    } finally {
      forget();
    }
  }

  async #close(running: T, lost: IsthmusError | undefined): Promise<void> {
    this.#state = "stopping";
    this.#active = undefined;
    try {
      await running.close(lost);
    } catch (error) {
      this.#logger.error({ err: error }, "what ran while the lease was held did not end in order");
    }
  }

  #note(error: unknown): void {
    const code = isIsthmusError(error) ? error.code : "UNEXPECTED";
    this.#lastReason = { code, message: error instanceof Error ? error.message : String(error) };
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(ms, resolve);
      signal.addEventListener(
        "abort",
        () => {
          timer.cancel();
          resolve();
        },
        { once: true },
      );
    });
  }
}
