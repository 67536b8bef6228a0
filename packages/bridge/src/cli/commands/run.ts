import { loadConfig } from "../../config/config.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type LogChoice, serviceLogger } from "../service-logger.ts";
import { exitSoon, untilTold } from "../until-told.ts";

/**
 * `isthmus run`: resolves with the exit status when a signal has ended it; a second signal ends it at once. Errors that
 * nobody expected are logged and end it too.
 * @throws IsthmusError when the configuration is wrong, or the bridge cannot start
 */
export async function run(file: string, options: LogChoice): Promise<number> {
  const config = await loadConfig(file);
  const logger = serviceLogger(options, config.log);
  let daemon: Daemon | undefined;
  const ended = untilTold(logger, () => daemon?.stop());
  daemon = await startDaemon(config, { logger });
  const status = await ended;
  exitSoon(status);
  return status;
}
