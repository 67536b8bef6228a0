import { loadConfig } from "../../config/config.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { createLogger, type LogOptions } from "../../log.ts";
import { EXIT } from "../exit-status.ts";

/** `isthmus run`: resolves with the exit status when a signal has ended it. A second signal ends it at once. */
export async function run(
  file: string,
  options: { readonly logLevel?: string; readonly logFormat?: string },
): Promise<number> {
  const config = loadConfig(file);
  const logger = createLogger({
    level: (options.logLevel as LogOptions["level"] | undefined) ?? config.log.level,
    format: (options.logFormat as LogOptions["format"] | undefined) ?? config.log.format,
  });
  let end: (status: number) => void = () => undefined;
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  let daemon: Daemon | undefined;
  let asked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (asked) {
      logger.warn({ signal }, "asked a second time: ending at once");
      process.exit(EXIT.FAILED);
    }
    asked = true;
    logger.info({ signal }, "asked to end");
    if (daemon === undefined) process.exit(EXIT.OK);
    daemon.stop().then(
      () => end(EXIT.OK),
      (err: unknown) => {
        logger.error({ err }, "the end was not orderly");
        end(EXIT.FAILED);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (err: unknown) => {
      logger.error({ err }, "an error that nobody expected: ending");
      process.exit(EXIT.FAILED);
    });
  }
  daemon = await startDaemon(config, { logger });
  return ended;
}
