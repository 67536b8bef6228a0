import { defineStrategy } from "../define.ts";
import { httpJson } from "../http/http-client.ts";
import { nodeName, nodeNames } from "../node-names.ts";
import { type OptionsInput, option } from "../options.ts";
import { type Polling, startPolling } from "../poll.ts";
import { containerHosts } from "./containers.ts";

const OPTIONS = {
  /** What stands before the `@`. */
  nodeBasename: option.text(),
  pollingInterval: option.milliseconds({ default: 5000, min: 100 }),
  /** The metadata service, with the version of its interface. */
  baseUrl: option.any("an http: or https: URL", readUrl, {
    default: "http://rancher-metadata/latest",
  }),
  /** The service whose containers have the nodes; `stacks/STACK/services/NAME` for another than our own. */
  service: option.text({ default: "self/service" }),
  /** Milliseconds for an answer. */
  timeout: option.milliseconds({ default: 10_000, max: 14_000 }),
};

/** Options of {@link rancher}. */
export type RancherOptions = OptionsInput<typeof OPTIONS>;

/** Nodes on every container of a Rancher 1.x service, as libcluster's `Cluster.Strategy.Rancher`. */
export const rancher = defineStrategy({
  name: "rancher",
  aliases: ["Cluster.Strategy.Rancher"],
  options: OPTIONS,
  create(options) {
    const { nodeBasename, pollingInterval: intervalMs, baseUrl, service, timeout: timeoutMs } = options;
    nodeName(nodeBasename, "127.0.0.1");
    const url = `${baseUrl.replace(/\/+$/, "")}/${service.replace(/^\/+/, "")}`;
    let polling: Polling | undefined;
    return {
      start(context) {
        const { compat, logger } = context;
        const discover = async (signal: AbortSignal): Promise<{ nodes: readonly string[] }> => {
          const hosts = await httpJson({ url, timeoutMs, signal })
            .then((body) => containerHosts(body, url))
            .catch((error: unknown) => {
              if (!compat || signal.aborted) throw error;
              logger.warn({ err: error }, "the metadata service cannot be asked: this counts as no nodes");
              return [];
            });
          const unusable = (host: string): void =>
            logger.debug({ host }, "this host cannot be part of a node name, and is left out");
          return { nodes: nodeNames(nodeBasename, hosts, unusable) };
        };
        polling = startPolling(context, { intervalMs, discover });
      },
      refresh: () => polling?.refresh(),
      stop: async () => polling?.stop(),
    };
  },
});

function readUrl(value: unknown): string | undefined {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const { protocol, username, password, search, hash } = new URL(value);
  const plain = ["http:", "https:"].includes(protocol) && `${username}${password}${search}${hash}` === "";
  return plain ? value : undefined;
}
