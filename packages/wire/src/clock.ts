/** A running timer; `cancel` may be called any number of times. */
export interface Timer {
  /** It will not run any more. */
  cancel(): void;
}

/** Time as a parameter, so that protocol code can be tested without waiting. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. Only differences mean something. */
  now(): number;
  /** Calls `run` once, `ms` milliseconds from now. */
  after(ms: number, run: () => void): Timer;
}

/** The real clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const handle = setTimeout(run, ms);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
