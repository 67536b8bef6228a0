import {
  type Clock,
  type IsthmusError,
  isIsthmusError,
  type Logger,
  silentLogger,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import { trunkError } from "./errors.ts";

/** What at most one process holds at a time, kept by a service that all of them can reach. */
export interface Lease {
  /**
   * Whether this process holds it. By the clock: it becomes false by itself before anybody else can hold it, even when
   * nothing else of the process has run meanwhile.
   */
  readonly held: boolean;
  /**
   * Waits until this process holds it, however long that takes; then it is renewed by itself.
   * @throws the signal's reason when it is aborted; nothing is held then
   */
  acquire(signal?: AbortSignal): Promise<void>;
  /**
   * Renews it now; not needed for it to be kept.
   * @throws IsthmusError `LEASE_LOST` when it is not held any more, `LEASE_FAILED` when the service cannot be asked
   */
  renew(): Promise<void>;
  /**
   * Gives it back, so that another process can hold it at once. Whatever it allows must have ended before. Does
   * nothing when it is not held. A service that cannot be reached does not matter: it forgets us by itself.
   */
  release(): Promise<void>;
  /**
   * Calls `listener` when it is not held any more though it was not released. What it allows must end before the call
   * returns.
   * @returns ends that
   */
  onLost(listener: (reason: IsthmusError) => void): () => void;
}

/** How a lease is kept in some service. Any call may fail; each ends by itself within a third of the time to live. */
export interface LeaseStore {
  /** What the lease is, for the log. */
  readonly description: string;
  /**
   * Tries to get it.
   * @returns `settleMs`: how long to wait before it counts, since a holder that lost it may not know yet; undefined
   * while another has it
   */
  tryAcquire(): Promise<{ readonly settleMs: number } | undefined>;
  /** @returns whether it was still ours when the service was asked */
  renew(): Promise<boolean>;
  /** Gives it back; whoever had it has ended what it allows. */
  release(): Promise<void>;
  /** Lets go of everything without a word of order: the next one must wait. */
  abandon(): void;
  /** To be called when it is lost, or may be free. */
  events: LeaseStoreEvents | undefined;
}

/** What a {@link LeaseStore} tells of its own accord. */
export interface LeaseStoreEvents {
  lost(cause: unknown): void;
  mayBeFree(): void;
}

/** Options of every lease. */
export interface LeaseOptions {
  /** What the lease is for, such as "isthmus/berlin": those that compete give the same name. */
  readonly name: string;
  /**
   * For how long the service believes in a holder that does not renew. The holder itself stops after two thirds of it.
   * Milliseconds. @default 10000
   */
  readonly ttlMs?: number;
  /** Time between two attempts to get it. Milliseconds. @default 1000 */
  readonly retryMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

const DEFAULT_TTL_MS = 10_000;

/** The time to live of these options. @throws IsthmusError `LEASE_OPTIONS_INVALID` */
export function leaseTtl({ ttlMs = DEFAULT_TTL_MS, name }: LeaseOptions, min: number, max: number): number {
  if (name === "" || name.length > 255) {
    throw trunkError("LEASE_OPTIONS_INVALID", "A lease needs a name of 1 to 255 characters.");
  }
  if (Number.isSafeInteger(ttlMs) && ttlMs >= min && ttlMs <= max) return ttlMs;
  throw trunkError(
    "LEASE_OPTIONS_INVALID",
    `The time to live of a lease must be ${min} to ${max} ms; it is ${ttlMs}.`,
    { context: { ttlMs } },
  );
}

/** A {@link Lease} in some service: gets it, renews it every third of its time to live, and stops in time. */
export class KeptLease implements Lease {
  readonly #store: LeaseStore;
  readonly #ttlMs: number;
  /** How long the holder trusts in a renewal. */
  readonly #holdMs: number;
  readonly #retryMs: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<(reason: IsthmusError) => void>();
  #state: "free" | "waiting" | "held" = "free";
  /** When the holder must stop, by the clock. */
  #until = 0;
  #renewTimer: Timer | undefined;
  #untilTimer: Timer | undefined;
  /** Ends the present wait of `acquire`. */
  #wake: (() => void) | undefined;
  #lostMeanwhile = false;

  constructor(store: LeaseStore, ttlMs: number, options: LeaseOptions) {
    this.#store = store;
    this.#ttlMs = ttlMs;
    this.#holdMs = (ttlMs * 2) / 3;
    this.#retryMs = options.retryMs ?? 1_000;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    store.events = {
      lost: (cause) => {
        this.#lostMeanwhile = true;
        if (this.#state === "held") this.#lose("the service took it away", cause);
        else this.#wake?.();
      },
      mayBeFree: () => this.#wake?.(),
    };
  }

  get held(): boolean {
    return this.#state === "held" && this.#clock.now() < this.#until;
  }

  async acquire(signal?: AbortSignal): Promise<void> {
    if (this.#state !== "free") {
      throw trunkError("LEASE_OPTIONS_INVALID", "The lease is held already, or waited for.");
    }
    this.#state = "waiting";
    const wake = (): void => this.#wake?.();
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (await this.#attempt(signal)) return;
        signal?.throwIfAborted();
        await this.#wait(this.#retryMs);
      }
    } catch (error) {
      this.#state = "free";
      this.#store.abandon();
      throw error;
    } finally {
      signal?.removeEventListener("abort", wake);
    }
  }

  async renew(): Promise<void> {
    if (this.#state !== "held") throw this.#notHeld();
    const asked = this.#clock.now();
    let kept: boolean;
    try {
      kept = await this.#store.renew();
    } catch (cause) {
      throw trunkError("LEASE_FAILED", `The lease ${this.#store.description} could not be renewed.`, {
        cause,
      });
    }
    if (this.#state !== "held") throw this.#notHeld();
    if (!kept) {
      this.#lose("another may have it", undefined);
      throw this.#notHeld();
    }
    // what counts is when we asked: the service believes in us for longer, never for less
    this.#keepUntil(asked);
  }

  async release(): Promise<void> {
    if (this.#state !== "held") return;
    this.#end();
    this.#logger.info({ lease: this.#store.description }, "giving the lease back");
    try {
      await this.#store.release();
    } catch (error) {
      this.#store.abandon();
      this.#logger.warn(
        { lease: this.#store.description, reason: messageOf(error) },
        "lease could not be given back; it runs out by itself",
      );
    }
  }

  onLost(listener: (reason: IsthmusError) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @returns whether it is held now */
  async #attempt(signal: AbortSignal | undefined): Promise<boolean> {
    try {
      this.#lostMeanwhile = false;
      let asked = this.#clock.now();
      const got = await this.#store.tryAcquire();
      if (got === undefined) return false;
      // one who lost it abruptly may believe in it for a while yet
      for (const settled = asked + got.settleMs; this.#clock.now() < settled; ) {
        await this.#wait(Math.min(this.#ttlMs / 3, settled - this.#clock.now()));
        if (signal?.aborted || this.#lostMeanwhile) return false;
        asked = this.#clock.now();
        if (!(await this.#store.renew())) return false;
      }
      const late = this.#clock.now() >= asked + this.#holdMs;
      if (late || this.#lostMeanwhile || signal?.aborted) return false;
      this.#state = "held";
      this.#keepUntil(asked);
      this.#logger.info({ lease: this.#store.description }, "lease acquired");
      return true;
    } catch (error) {
      this.#logger.warn(
        { lease: this.#store.description, reason: messageOf(error) },
        "lease cannot be asked for",
      );
      return false;
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(ms, () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        timer.cancel();
        resolve();
      };
    });
  }

  #keepUntil(asked: number): void {
    this.#until = asked + this.#holdMs;
    this.#untilTimer?.cancel();
    this.#untilTimer = this.#clock.after(this.#until - this.#clock.now(), () =>
      this.#lose("it could not be renewed in time", undefined),
    );
    this.#renewTimer?.cancel();
    this.#renewTimer = this.#clock.after(this.#ttlMs / 3, () => this.#renewByItself());
  }

  #renewByItself(): void {
    this.renew().catch((error: unknown) => {
      if (this.#state !== "held") return;
      this.#logger.warn(
        { lease: this.#store.description, reason: messageOf(error) },
        "lease could not be renewed; trying again",
      );
      this.#renewTimer = this.#clock.after(this.#ttlMs / 12, () => this.#renewByItself());
    });
  }

  #end(): void {
    this.#state = "free";
    this.#renewTimer?.cancel();
    this.#untilTimer?.cancel();
  }

  #lose(why: string, cause: unknown): void {
    if (this.#state !== "held") return;
    this.#end();
    const reason = trunkError("LEASE_LOST", `The lease ${this.#store.description} is lost: ${why}.`, {
      ...(cause === undefined ? {} : { cause }),
      context: { lease: this.#store.description },
    });
    this.#logger.warn({ lease: this.#store.description, reason: reason.message }, "lease lost");
    for (const listener of this.#listeners) listener(reason);
    this.#store.abandon();
  }

  #notHeld(): IsthmusError {
    return trunkError("LEASE_LOST", `The lease ${this.#store.description} is not held any more.`);
  }
}

function messageOf(error: unknown): string {
  if (isIsthmusError(error) && error.cause instanceof Error) return `${error.message} ${error.cause.message}`;
  return error instanceof Error ? error.message : String(error);
}
