import type { Logger } from "@isthmus/wire";
import { EXIT } from "./exit-status.ts";

/** How long something that was left open may keep the process alive after an orderly end. */
const LINGER_MS = 1000;

/**
 * Waits for SIGTERM or SIGINT, then for the polite end; a second signal ends at once.
 * @param end begins the polite end; undefined while there is nothing to be polite about, because it still starts
 * @returns the exit status
 */
export function untilTold(logger: Logger, end: () => Promise<void> | undefined): Promise<number> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) {
        logger.warn({ signal }, "told a second time to end: ending at once");
        process.exit(EXIT.FAILED);
      }
      asked = true;
      logger.info({ signal }, "told to end");
      const ending = end();
      if (ending === undefined) process.exit(EXIT.OK);
      ending.then(
        () => resolve(EXIT.OK),
        (err: unknown) => {
          logger.error({ err }, "the end was not in order");
          resolve(EXIT.FAILED);
        },
      );
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}

/** After an orderly end: ends the process although something that was left open would keep it alive. */
export function exitSoon(status: number): void {
  setTimeout(() => process.exit(status), LINGER_MS).unref();
}
