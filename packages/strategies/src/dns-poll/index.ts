import { defineStrategy } from "../define.ts";
import { dnsStrategy, type NodeSource } from "../dns/dns-strategy.ts";
import { isDomainName } from "../dns/domain-name.ts";
import { DNS_OPTIONS, recordTypes, upperTypes } from "../dns/options.ts";
import { strategiesError } from "../errors.ts";
import { type OptionsInput, option } from "../options.ts";

export type { HostsFunction } from "../dns/hosts.ts";
export type { ResolverChoice } from "../dns/options.ts";

/** A name, perhaps with the basename of the nodes on its hosts. */
export type DnsPollQuery = string | { readonly query: string; readonly basename: string };

const OPTIONS = {
  /** The names to ask for; each may have a basename of its own. */
  query: option.any("a domain name, or a list of them, each perhaps { query, basename }", readQueries),
  /** What stands before the `@`, for every query that does not say so itself. */
  nodeBasename: option.optional(option.text({ aliases: ["node_sname"] })),
  resourceTypes: recordTypes(["a", "aaaa", "srv"], ["a", "aaaa"]),
  /** Whether the search list of `resolv.conf` is used. */
  search: option.boolean({ default: false }),
  ...DNS_OPTIONS,
};

/** Options of {@link dnsPoll}. */
export type DnsPollOptions = OptionsInput<typeof OPTIONS>;

/** Nodes on every address that a domain name has, as libcluster's `Cluster.Strategy.DNSPoll` and dns_cluster. */
export const dnsPoll = defineStrategy({
  name: "dns-poll",
  aliases: ["Cluster.Strategy.DNSPoll", "DNSCluster"],
  options: OPTIONS,
  create(options) {
    const { query, nodeBasename, resourceTypes, search } = options;
    const types = upperTypes("dns-poll", resourceTypes);
    const queries: readonly DnsPollQuery[] = typeof query === "object" && "length" in query ? query : [query];
    const sources = queries.map((one): NodeSource => {
      const { query: name, basename = nodeBasename } = typeof one === "string" ? { query: one } : one;
      if (basename === undefined) {
        throw invalid("The strategy dns-poll needs node_basename: text that is not empty.", "nodeBasename");
      }
      return { basename, name, types, search, srv: "addresses" };
    });
    return dnsStrategy(sources, options);
  },
});

function readQueries(value: unknown): DnsPollQuery | readonly DnsPollQuery[] | undefined {
  if (!Array.isArray(value)) return readQuery(value);
  const queries = value.map(readQuery);
  return queries.length === 0 || queries.includes(undefined) ? undefined : (queries as DnsPollQuery[]);
}

function readQuery(value: unknown): DnsPollQuery | undefined {
  if (typeof value === "string") return isDomainName(value) ? value : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  const { query, basename, ...rest } = value as Record<string, unknown>;
  const valid =
    typeof query === "string" &&
    isDomainName(query) &&
    typeof basename === "string" &&
    basename !== "" &&
    Object.keys(rest).length === 0;
  return valid ? { query, basename } : undefined;
}

function invalid(message: string, optionName: string): Error {
  const context = { strategy: "dns-poll", option: optionName };
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, { context });
}
