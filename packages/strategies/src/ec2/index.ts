/**
 * The strategy `ec2`: running EC2 instances with a tag.
 *
 * @example
 * ```ts
 * const strategy = ec2({ tagName: "cluster", tagValue: "shop", nodeBasename: "shop", region: "eu-central-1" });
 * const topology = startTopology({ name: "shop", strategy, hooks });
 * ```
 * @packageDocumentation
 */
import { isNodeName } from "@isthmus/wire";
import type { Strategy, StrategyContext } from "../contract.ts";
import { defineStrategy } from "../define.ts";
import { nodeName, nodeNames } from "../node-names.ts";
import { type OptionsInput, option } from "../options.ts";
import { type Polling, startPolling } from "../poll.ts";
import { ec2Api } from "./ec2-api.ts";
import { Ec2Discovery, type Ec2Filters, type TagValue } from "./ec2-discovery.ts";
import { instanceMetadata } from "./instance-metadata.ts";

export type { Ec2Filters, TagValue } from "./ec2-discovery.ts";

/** Makes node names of the addresses that were found. */
export type IpToNodename = (addresses: readonly string[], nodeBasename: string) => readonly string[];

const OPTIONS = {
  tagName: option.text({ aliases: ["ec2_tagname"] }),
  tagValue: option.optional(
    option.any<TagValue>("a text, a list of texts, or a function", tagValueOption, {
      aliases: ["ec2_tagvalue"],
    }),
  ),
  nodeBasename: option.text({ default: "app", aliases: ["app_prefix"] }),
  ipType: option.oneOf(["private", "public", "ipv6"], { default: "private" }),
  ipToNodename: option.optional(option.fn<IpToNodename>()),
  filters: option.any("filter names with a text or a list of texts each", filtersOption, {
    default: {},
  }),
  region: option.optional(option.text()),
  endpoint: option.optional(option.any("an http or https URL", urlOption)),
  metadataEndpoint: option.optional(option.any("an http or https URL", urlOption)),
  pollingInterval: option.milliseconds({ default: 5000 }),
};

/** Options of {@link ec2}; docs/ec2.md describes each. */
export type Ec2Options = OptionsInput<typeof OPTIONS>;

/** Running EC2 instances that have a tag, as libcluster_ec2's `ClusterEC2.Strategy.Tags`. */
export const ec2 = defineStrategy({
  name: "ec2",
  aliases: ["ClusterEC2.Strategy.Tags", "Cluster.Strategy.EC2Tag"],
  options: OPTIONS,
  create(options): Strategy {
    const { nodeBasename, ipToNodename, pollingInterval: intervalMs } = options;
    nodeName(nodeBasename, "host");
    const { AWS_EC2_METADATA_SERVICE_ENDPOINT: usual } = process.env;
    const metadata = instanceMetadata(options.metadataEndpoint ?? (usual || "http://169.254.169.254"));
    const discovery = new Ec2Discovery(options, metadata, (region) => ec2Api(region, options.endpoint));
    const toNames = ipToNodename ?? namesOf;
    let polling: Polling | undefined;
    return {
      start(context) {
        polling = startPolling(context, {
          intervalMs,
          discover: async (signal) => ({
            nodes: usable(toNames(await discovery.addresses(signal), nodeBasename), context),
          }),
        });
      },
      refresh: () => polling?.refresh(),
      async stop() {
        await polling?.stop();
        discovery.close();
      },
    };
  },
});

function namesOf(addresses: readonly string[], basename: string): string[] {
  return nodeNames(basename, addresses);
}

/** What a function of the user's gave may be anything. */
function usable(names: readonly string[], { logger }: StrategyContext): string[] {
  return [...new Set(names)].filter((name) => {
    if (typeof name === "string" && isNodeName(name)) return true;
    logger.debug({ name }, "ip_to_nodename gave something that is not a node name");
    return false;
  });
}

function tagValueOption(value: unknown): TagValue | undefined {
  if (typeof value === "function") return value as TagValue;
  return texts(value) ? value : undefined;
}

function filtersOption(value: unknown): Ec2Filters | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.values(value).every(texts) ? (value as Ec2Filters) : undefined;
}

function texts(value: unknown): value is string | readonly string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.every((one) => typeof one === "string" && one !== "");
}

function urlOption(value: unknown): string | undefined {
  return typeof value === "string" && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
    ? value
    : undefined;
}
