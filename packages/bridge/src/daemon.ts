import type { Logger } from "@isthmus/wire";
import { type Bridge, type BridgeStatus, startBridge } from "./bridge.ts";
import type { BridgeConfig } from "./config/config.ts";

/** A bridge that runs by a configuration. */
export interface Daemon {
  status(): BridgeStatus;
  /** Drains for as long as the configuration says, then ends everything. May be called again. */
  stop(): Promise<void>;
}

/** Starts what `isthmus run` runs. */
export async function startDaemon(
  config: BridgeConfig,
  options: { readonly logger: Logger },
): Promise<Daemon> {
  const { logger } = options;
  const bridge: Bridge = await startBridge({ clusters: config.clusters, routes: config.routes, logger });
  const { clusters, routes } = bridge.status();
  logger.info({ clusters: clusters.length, routes: routes.length }, "isthmus is up");
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    logger.info({ seconds: config.shutdown.drainSeconds }, "draining");
    await bridge.drain(config.shutdown.drainSeconds * 1000);
    await bridge.close();
    const { refused } = bridge.status();
    logger.info({ refused }, "isthmus has ended");
  };
  return {
    status: () => bridge.status(),
    stop: () => (stopping ??= stop()),
  };
}
