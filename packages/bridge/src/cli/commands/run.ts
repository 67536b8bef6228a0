import { loadConfig } from "../../config/config.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { createLogger, type LogOptions } from "../../log.ts";
import { EXIT } from "../exit-status.ts";
import { untilTold } from "../until-told.ts";

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
  const config = await loadConfig(file);
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
  let daemon: Daemon | undefined;
  const ended = untilTold(logger, () => daemon?.stop());
  daemon = await startDaemon(config, { logger });
  const status = await ended;
  setTimeout(() => process.exit(status), LINGER_MS).unref();
  return status;
}
