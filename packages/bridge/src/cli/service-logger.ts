import type { Logger } from "@isthmus/wire";
import { createLogger, type LogOptions } from "../log.ts";
import { EXIT } from "./exit-status.ts";

/** What the command line says about the log, instead of the configuration. */
export interface LogChoice {
  readonly logLevel?: LogOptions["level"];
  readonly logFormat?: LogOptions["format"];
}

/** The logger of a command that runs on. Errors that nobody expected are logged from now on, and end the process. */
export function serviceLogger(
  { logLevel, logFormat }: LogChoice,
  configured: Pick<LogOptions, "level" | "format">,
): Logger {
  const logger = createLogger({
    level: logLevel ?? configured.level,
    format: logFormat ?? configured.format,
  });
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (err: unknown) => {
      logger.error({ err }, "an error that nobody expected: ending");
      process.exit(EXIT.FAILED);
    });
  }
  return logger;
}
