import { loadConfig } from "../../config/config.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { createLogger, type LogOptions } from "../../log.ts";
import { EXIT } from "../exit-status.ts";

/** What the command line says instead of the configuration. */
export interface RunOptions {
  readonly logLevel?: LogOptions["level"];
  readonly logFormat?: LogOptions["format"];
}

/** How long something that was left open may keep the process alive after an orderly end. */
const LINGER_MS = 1000;

/**
 * `isthmus run`: resolves with the exit status when a signal has ended it; a second signal ends it at once. Errors that
 * nobody expected are logged and end it too.
 * @throws IsthmusError when the configuration is wrong, or the bridge cannot start
 */
export async function run(file: string, options: RunOptions): Promise<number> {
  const config = loadConfig(file);
  const logger = createLogger({
    level: options.logLevel ?? config.log.level,
    format: options.logFormat ?? config.log.format,
  });
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (err: unknown) => {
      logger.error({ err }, "an error that nobody expected: ending");
      process.exit(EXIT.FAILED);
    });
  }
  const { promise, resolve } = withResolvers<number>();
  let daemon: Daemon | undefined;
  let asked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (asked) {
      logger.warn({ signal }, "told a second time to end: ending at once");
      process.exit(EXIT.FAILED);
    }
    asked = true;
    logger.info({ signal }, "told to end");
    // While it starts there is nothing to be polite about.
    if (daemon === undefined) process.exit(EXIT.OK);
    daemon.stop().then(
      () => resolve(EXIT.OK),
      (err: unknown) => {
        logger.error({ err }, "the end was not in order");
        resolve(EXIT.FAILED);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  daemon = await startDaemon(config, { logger });
  const status = await promise;
  setTimeout(() => process.exit(status), LINGER_MS).unref();
  return status;
}

function withResolvers<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
