import type { StrategyContext } from "../contract.ts";
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { nodeName, nodeNames } from "../node-names.ts";
import { type OptionsInput, option } from "../options.ts";
import { type Polling, startPolling } from "../poll.ts";
import { DropletApi } from "./droplet-api.ts";
import { type HealthCheck, HealthChecks } from "./health.ts";

export type { HealthCheck } from "./health.ts";

const OPTIONS = {
  /** An access token with the right to read droplets. */
  token: option.text({ secret: true }),
  /** Only droplets with this tag. */
  tagName: option.optional(option.text()),
  /** Only droplets of this name. */
  name: option.optional(option.text()),
  network: option.oneOf(["private", "public"], { default: "private" }),
  ipv6: option.boolean({ default: false }),
  /** What stands before the `@`; without it each droplet's name. */
  nodeBasename: option.optional(option.text()),
  /** `{ port, timeout, failures }`: only droplets that accept connections. */
  healthCheck: option.optional(
    option.any<HealthCheck>(
      "a TCP check: port, and if you like timeout (500) and failures (3)",
      readHealthCheck,
    ),
  ),
  pollingInterval: option.milliseconds({ default: 5000, min: 100 }),
  baseUrl: option.any("an http: or https: URL", readUrl, { default: "https://api.digitalocean.com" }),
  /** Milliseconds for each page. */
  timeout: option.milliseconds({ default: 10_000, max: 30_000 }),
};

/** Options of {@link digitalocean}. */
export type DigitaloceanOptions = OptionsInput<typeof OPTIONS>;

/** A round may take that long: several pages, and the health checks. */
const ROUND_TIMEOUT_MS = 60_000;

/** Nodes on droplets of DigitalOcean, as libcluster_droplet's `Cluster.Strategy.Droplet`. */
export const digitalocean = defineStrategy({
  name: "digitalocean",
  aliases: ["Cluster.Strategy.Droplet"],
  options: OPTIONS,
  create(options) {
    const { tagName, name, nodeBasename, healthCheck, pollingInterval: intervalMs } = options;
    if (tagName !== undefined && name !== undefined) {
      const message = "tag_name and name of digitalocean exclude each other. Give one.";
      throw strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { strategy: "digitalocean" } });
    }
    if (nodeBasename !== undefined) nodeName(nodeBasename, "127.0.0.1");
    let polling: Polling | undefined;
    return {
      start(context) {
        const { clock, compat, logger } = context;
        const { timeout: timeoutMs, ...wanted } = options;
        const api = new DropletApi({ ...wanted, timeoutMs, clock });
        const checks =
          healthCheck && new HealthChecks({ ...healthCheck, ...(compat && { failures: 1 }) }, clock);
        const discover = async (signal: AbortSignal): Promise<{ nodes: readonly string[] }> => {
          const running = await api.list(signal, (droplet) =>
            logger.debug({ droplet }, "this droplet has no address of the wanted kind, and is left out"),
          );
          const droplets = checks === undefined ? running : await checks.healthy(running, signal);
          const nodes = droplets.flatMap((droplet) =>
            namesOf(nodeBasename ?? droplet.name, droplet.address, context),
          );
          return { nodes: [...new Set(nodes)] };
        };
        polling = startPolling(context, { intervalMs, timeoutMs: ROUND_TIMEOUT_MS, discover });
      },
      refresh: () => polling?.refresh(),
      stop: async () => polling?.stop(),
    };
  },
});

function namesOf(basename: string, address: string, { logger }: StrategyContext): readonly string[] {
  return nodeNames(basename, [address], (host) =>
    logger.debug({ basename, host }, "this is no node name, and is left out"),
  );
}

/** Also as libcluster_droplet has it: a list of `tcp` and the rest. */
function readHealthCheck(value: unknown): HealthCheck | undefined {
  const given: unknown =
    Array.isArray(value) && isTcp(value[0]) ? Object.assign({}, ...value.slice(1)) : value;
  if (typeof given !== "object" || given === null) return undefined;
  const { type = "tcp", port, timeout = 500, failures = 3, ...rest } = given as Record<string, unknown>;
  const check = { port: Number(port), timeout: Number(timeout), failures: Number(failures) };
  const within = (n: number, max: number): boolean => Number.isInteger(n) && n >= 1 && n <= max;
  const valid =
    isTcp(type) &&
    Object.keys(rest).length === 0 &&
    within(check.port, 65_535) &&
    within(check.timeout, 30_000) &&
    within(check.failures, 100);
  return valid ? check : undefined;
}

function isTcp(value: unknown): boolean {
  return value === "tcp" || value === ":tcp";
}

function readUrl(value: unknown): string | undefined {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const { protocol, username, password, search, hash } = new URL(value);
  const plain = ["http:", "https:"].includes(protocol) && `${username}${password}${search}${hash}` === "";
  return plain ? value : undefined;
}
