import type { Clock, IsthmusError, Timer } from "@isthmus/wire";
import type { DialLimit } from "./cluster/dial-limit.ts";
import type { RetryDelays } from "./cluster/retry-delays.ts";
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
  /**
   * @param failures attempts that failed before
   * @param durationMs how long our attempt took; undefined when none was under way
   */
  connected(node: string, failures: number, durationMs: number | undefined): void;
  failed(failure: FailedAttempt): void;
  lost(node: string, reason: IsthmusError | undefined): void;
}

/** Options of {@link Dialler}. */
export interface DiallerOptions {
  readonly node: string;
  readonly connect: (node: string, signal: AbortSignal) => Promise<void>;
  readonly delays: RetryDelays;
  /** Milliseconds that an attempt may take. */
  readonly timeoutMs: number;
  readonly limit: DialLimit;
  readonly clock: Clock;
  readonly events: DiallerEvents;
}

type State =
  | { readonly is: "idle" }
  /** It waits for room among the attempts that run. */
  | { readonly is: "queued"; readonly leave: () => void }
  | Connecting
  | { readonly is: "waiting"; readonly timer: Timer; readonly until: number }
  | { readonly is: "connected"; readonly since: number }
  | { readonly is: "ended" };

interface Connecting {
  readonly is: "connecting";
  readonly since: number;
  readonly abort: AbortController;
  readonly deadline: Timer;
  /** Makes room for another attempt. */
  readonly leave: () => void;
}

const IDLE: State = { is: "idle" };

/** Keeps one node connected: dials, waits after a failure, dials again after a loss. */
export class Dialler {
  readonly #options: DiallerOptions;
  #state: State = IDLE;
  #resting = false;
  /** Failed attempts since it was connected last. */
  #failures = 0;
  #error: IsthmusError | undefined;
  /** Losses in a row of connections that did not last. */
  #quickLosses = 0;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  get state(): "connected" | "connecting" | "waiting" | "idle" {
    const { is } = this.#state;
    if (is === "queued") return "waiting";
    return is === "ended" ? "idle" : is;
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
    if (this.#state.is === "queued") return 0;
    return this.#state.is === "waiting"
      ? Math.max(0, this.#state.until - this.#options.clock.now())
      : undefined;
  }

  /** Tells how it is; does what that asks for. */
  observe(connected: boolean, reason?: IsthmusError): void {
    const state = this.#state;
    if (state.is === "ended") return;
    if (connected) this.#connected();
    else if (state.is === "connected") this.#lost(state.since, reason);
    else if (state.is === "idle" && !this.#resting) this.#dial();
  }

  /** Ends the wait for the next attempt: the next {@link Dialler.observe} dials. */
  hurry(): void {
    if (this.#state.is !== "waiting") return;
    this.#state.timer.cancel();
    this.#state = IDLE;
  }

  /** No more attempts until {@link Dialler.wake}; one under way is aborted. A connection stays. */
  rest(): void {
    this.#resting = true;
    if (this.#state.is !== "connected") this.#leave(IDLE);
  }

  wake(): void {
    this.#resting = false;
  }

  /** No more attempts; one under way is aborted. */
  end(): void {
    this.#leave({ is: "ended" });
  }

  /** Gives up what is under way. */
  #leave(next: State): void {
    const state = this.#state;
    this.#state = next;
    if (state.is === "waiting") state.timer.cancel();
    if (state.is === "queued") state.leave();
    if (state.is === "connecting") {
      const { node } = this.#options;
      this.#over(state);
      state.abort.abort(
        strategiesError("CONNECT_ABORTED", `The connection to ${node} is not wanted any more.`, {
          context: { node },
        }),
      );
    }
  }

  #dial(): void {
    let admitted = false;
    const leave = this.#options.limit.enter((made) => {
      admitted = true;
      this.#attempt(made);
    });
    if (!admitted) this.#state = { is: "queued", leave };
  }

  #attempt(leave: () => void): void {
    const { node, connect, clock, timeoutMs } = this.#options;
    const abort = new AbortController();
    const deadline = clock.after(timeoutMs, () => {
      const message = `No connection to ${node} could be made within ${timeoutMs} ms.`;
      const error = strategiesError("CONNECT_TIMEOUT", message, { context: { node, timeoutMs } });
      // A hook that does not heed the signal is not waited for.
      if (this.#state === state) this.#failed(state, error);
      abort.abort(error);
    });
    const state: Connecting = { is: "connecting", since: clock.now(), abort, deadline, leave };
    this.#state = state;
    const attempt = async (): Promise<void> => connect(node, abort.signal);
    // An attempt that is overtaken (by a connection from the other side, or the end) has nothing more to say.
    attempt().then(
      () => {
        if (this.#state === state) this.#connected();
      },
      (cause: unknown) => {
        if (this.#state === state) this.#failed(state, cause);
      },
    );
  }

  #over(attempt: Connecting): void {
    attempt.deadline.cancel();
    attempt.leave();
  }

  #connected(): void {
    const state = this.#state;
    if (state.is === "connected") return;
    const { clock, events, node } = this.#options;
    const now = clock.now();
    const failures = this.#failures;
    this.#failures = 0;
    this.#error = undefined;
    this.#state = { is: "connected", since: now };
    if (state.is === "waiting") state.timer.cancel();
    if (state.is === "queued") state.leave();
    if (state.is === "connecting") this.#over(state);
    events.connected(node, failures, state.is === "connecting" ? now - state.since : undefined);
  }

  #failed(attempt: Connecting, cause: unknown): void {
    const { node, delays, events } = this.#options;
    const error = coded(cause, "CONNECT_FAILED", `No connection to ${node} could be made.`);
    const changed = this.#error?.code !== error.code;
    this.#failures += 1;
    this.#error = error;
    const retryMs = delays.afterFailure(this.#failures);
    this.#wait(retryMs);
    this.#over(attempt);
    events.failed({ node, attempt: this.#failures, error, changed, retryMs });
  }

  /**
   * The first attempt after a loss comes at once. Connections that end as soon as they are made would make that a
   * busy loop, so these get the delays of failed attempts.
   */
  #lost(since: number, reason: IsthmusError | undefined): void {
    const { node, delays, clock, events } = this.#options;
    this.#quickLosses = clock.now() - since < delays.lastingMs ? this.#quickLosses + 1 : 0;
    if (this.#resting) this.#state = IDLE;
    else this.#wait(delays.afterLoss(this.#quickLosses));
    events.lost(node, reason);
  }

  /** A wait of 0 lets whoever reports a loss finish first: a new connection may be about to replace the old one. */
  #wait(ms: number): void {
    const { clock } = this.#options;
    const timer = clock.after(ms, () => {
      if (this.#state.is === "waiting" && this.#state.timer === timer) this.#dial();
    });
    this.#state = { is: "waiting", timer, until: clock.now() + ms };
  }
}
