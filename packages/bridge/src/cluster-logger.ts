import type { Logger } from "@isthmus/wire";

/** Says with everything that is logged which cluster of a bridge it is about, for parts that know of no clusters. */
export function clusterLogger(logger: Logger, cluster: string): Logger {
  return {
    debug: (fields, message) => logger.debug({ cluster, ...fields }, message),
    info: (fields, message) => logger.info({ cluster, ...fields }, message),
    warn: (fields, message) => logger.warn({ cluster, ...fields }, message),
    error: (fields, message) => logger.error({ cluster, ...fields }, message),
  };
}
