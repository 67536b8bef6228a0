import type { EventEmitter } from "node:events";

const ignore = () => undefined;

/**
 * Swallows `error` events of a stream that is handed over, until the current turn has ended: its new owner waits for
 * a promise and cannot listen earlier, and an error without a listener would end the process. Such a stream is
 * `destroyed`, which the new owner sees.
 */
export function quietForThisTurn(stream: EventEmitter): void {
  stream.on("error", ignore);
  setImmediate(() => stream.removeListener("error", ignore));
}

/** Swallows all further `error` events of a stream that nobody uses any more. */
export function quietForGood(stream: EventEmitter): void {
  stream.on("error", ignore);
}
