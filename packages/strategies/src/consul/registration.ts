import type { StrategyContext } from "../contract.ts";
import { type Polling, startPolling } from "../poll.ts";
import { askConsul, type ConsulAccess } from "./consul-api.ts";

/** Our own entry in the agent. */
export interface RegistrationOptions {
  readonly access: ConsulAccess;
  /** Name of the service. */
  readonly service: string;
  /** Where we are reached. @default the host of our node name */
  readonly address: string | undefined;
  /** Our distribution port. @default none */
  readonly port: number | undefined;
  readonly tags: readonly string[];
  /** Milliseconds without a sign of life from us until Consul takes us for dead. */
  readonly ttlMs: number;
}

/** Our entry, kept alive. */
export interface Registration extends Polling {
  /** Takes the entry out now. */
  drain(): void;
}

/** Consul takes no shorter time for it than a minute. */
const REMOVED_AFTER = "1m";
const FAREWELL_MS = 2000;

/**
 * Enters our node in the agent with a check that lasts for the TTL, renews it three times in that time, enters it again
 * when the agent has forgotten it, and takes it out when it is stopped.
 */
export function register(context: StrategyContext, options: RegistrationOptions): Registration {
  const { access, service, ttlMs, tags, port } = options;
  const id = `${service}-${context.self}`;
  const entry = {
    ID: id,
    Name: service,
    Address: options.address ?? context.self.slice(context.self.indexOf("@") + 1),
    ...(port === undefined ? {} : { Port: port }),
    Tags: tags,
    Meta: { node: context.self },
    Check: { TTL: `${ttlMs}ms`, Status: "passing", DeregisterCriticalServiceAfter: REMOVED_AFTER },
  };
  const polling = startPolling(context, {
    intervalMs: Math.ceil(ttlMs / 3),
    timeoutMs: Math.max(2000, ttlMs),
    async discover(signal) {
      const path = `/agent/check/pass/${encodeURIComponent(`service:${id}`)}`;
      // an unknown check: 500 up to Consul 1.10, 404 since
      const { status } = await askConsul(access, { path, method: "PUT", accept: [404, 500], signal });
      if (status === 404 || status === 500) {
        await askConsul(access, { path: "/agent/service/register", method: "PUT", body: entry, signal });
      }
      return { nodes: [] };
    },
  });
  const leave = async (): Promise<void> => {
    await polling.stop();
    try {
      const path = `/agent/service/deregister/${encodeURIComponent(id)}`;
      await askConsul(access, { path, method: "PUT", accept: [404, 500], timeoutMs: FAREWELL_MS });
    } catch (err) {
      context.logger.warn(
        { err, service: id },
        "our entry could not be taken out of Consul; it lapses by itself",
      );
    }
  };
  let left: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    left ??= leave();
    return left;
  };
  return { refresh: () => polling.refresh(), drain: () => void stop(), stop };
}
