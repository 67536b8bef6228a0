import { type BackoffOptions, backoffDelay, type Clock, type IsthmusError, type Timer } from "@isthmus/wire";
import { coded, strategiesError } from "./errors.ts";

/** An attempt that failed. */
export interface FailedAttempt {
  readonly node: string;
  /** Counts from 1 since the node was connected last. */
  readonly attempt: number;
  readonly error: IsthmusError;
  /** Whether the attempt before failed with another code, or there was none. */
  readonly changed: boolean;
  /** Milliseconds until the next attempt. */
  readonly retryMs: number;
}

/** What becomes of a {@link Dialler}'s node. */
export interface DiallerEvents {
  /** @param failures attempts that failed before */
  connected(node: string, failures: number): void;
  failed(failure: FailedAttempt): void;
  lost(node: string, retryMs: number): void;
}

/** Options of {@link Dialler}. */
export interface DiallerOptions {
  readonly node: string;
  readonly connect: (node: string, signal: AbortSignal) => Promise<void>;
  readonly backoff: BackoffOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: DiallerEvents;
}

type State =
  | { readonly is: "connecting"; readonly abort: AbortController }
  | { readonly is: "waiting"; readonly timer: Timer; readonly until: number }
  | { readonly is: "connected"; readonly since: number }
  | { readonly is: "ended" };

/** Keeps one node connected: dials, waits after a failure, dials again after a loss. */
export class Dialler {
  readonly #options: DiallerOptions;
  #state: State | undefined;
  /** Failed attempts since it was connected last. */
  #failures = 0;
  #error: IsthmusError | undefined;
  /** Losses in a row of connections that did not last. */
  #quickLosses = 0;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  get state(): "connected" | "connecting" | "waiting" {
    const is = this.#state?.is;
    return is === "connected" || is === "connecting" ? is : "waiting";
  }

  get failures(): number {
    return this.#failures;
  }

  /** Why the last attempt failed; undefined while connected. */
  get error(): IsthmusError | undefined {
    return this.#error;
  }

  /** Milliseconds until the next attempt, when one is waited for. */
  get retryMs(): number | undefined {
    return this.#state?.is === "waiting"
      ? Math.max(0, this.#state.until - this.#options.clock.now())
      : undefined;
  }

  /** Tells how it is; does what that asks for. */
  observe(connected: boolean): void {
    const state = this.#state;
    if (state?.is === "ended") return;
    if (connected) this.#connected();
    else if (state === undefined) this.#dial();
    else if (state.is === "connected") this.#lost(state.since);
  }

  /** Ends the wait for the next attempt. */
  hurry(): void {
    if (this.#state?.is !== "waiting") return;
    this.#state.timer.cancel();
    this.#state = undefined;
  }

  /** No more attempts; one under way is aborted. */
  end(): void {
    const state = this.#state;
    this.#state = { is: "ended" };
    if (state?.is === "waiting") state.timer.cancel();
    if (state?.is === "connecting") {
      const { node } = this.#options;
      state.abort.abort(
        strategiesError("CONNECT_ABORTED", `The connection to ${node} is not wanted any more.`, {
          context: { node },
        }),
      );
    }
  }

  #dial(): void {
    const { node, connect } = this.#options;
    const state: State = { is: "connecting", abort: new AbortController() };
    this.#state = state;
    const attempt = async (): Promise<void> => connect(node, state.abort.signal);
    // An attempt that is overtaken (by a connection from the other side, or the end) has nothing more to say.
    attempt().then(
      () => {
        if (this.#state === state) this.#connected();
      },
      (cause: unknown) => {
        if (this.#state === state) this.#failed(cause);
      },
    );
  }

  #connected(): void {
    const state = this.#state;
    if (state?.is === "connected") return;
    if (state?.is === "waiting") state.timer.cancel();
    this.#state = { is: "connected", since: this.#options.clock.now() };
    const failures = this.#failures;
    this.#failures = 0;
    this.#error = undefined;
    this.#options.events.connected(this.#options.node, failures);
  }

  #failed(cause: unknown): void {
    const { node, backoff, random, events } = this.#options;
    const error = coded(cause, "CONNECT_FAILED", `No connection to ${node} could be made.`);
    const retryMs = backoffDelay(this.#failures, backoff, random());
    const changed = this.#error?.code !== error.code;
    this.#failures += 1;
    this.#error = error;
    this.#wait(retryMs);
    events.failed({ node, attempt: this.#failures, error, changed, retryMs });
  }

  /**
   * The first attempt after a loss comes at once. Connections that end as soon as they are made would make that a
   * busy loop, so these get the delays of failed attempts.
   */
  #lost(since: number): void {
    const { node, backoff, clock, random, events } = this.#options;
    this.#quickLosses = clock.now() - since < backoff.maxMs ? this.#quickLosses + 1 : 0;
    const retryMs = this.#quickLosses <= 1 ? 0 : backoffDelay(this.#quickLosses - 2, backoff, random());
    this.#wait(retryMs);
    events.lost(node, retryMs);
  }

  /** A wait of 0 lets whoever reports a loss finish first: a new connection may be about to replace the old one. */
  #wait(ms: number): void {
    const { clock } = this.#options;
    const timer = clock.after(ms, () => {
      if (this.#state?.is === "waiting" && this.#state.timer === timer) this.#dial();
    });
    this.#state = { is: "waiting", timer, until: clock.now() + ms };
  }
}
