import { nearest } from "@isthmus/wire";
import type { StrategyFactory } from "./define.ts";
import { strategiesError } from "./errors.ts";

/** Every strategy of this package: its names, and how it is loaded. A strategy that is not used is not loaded. */
const STRATEGIES: readonly {
  readonly name: string;
  readonly aliases: readonly string[];
  // biome-ignore lint/suspicious/noExplicitAny: each factory has options of its own
  readonly load: () => Promise<StrategyFactory<any>>;
}[] = [
  {
    name: "epmd",
    aliases: ["Cluster.Strategy.Epmd"],
    load: async () => (await import("./epmd/index.ts")).epmd,
  },
  {
    name: "local-epmd",
    aliases: ["Cluster.Strategy.LocalEpmd"],
    load: async () => (await import("./local-epmd/index.ts")).localEpmd,
  },
  {
    name: "erlang-hosts",
    aliases: ["Cluster.Strategy.ErlangHosts"],
    load: async () => (await import("./erlang-hosts/index.ts")).erlangHosts,
  },
  {
    name: "gossip",
    aliases: ["Cluster.Strategy.Gossip"],
    load: async () => (await import("./gossip/index.ts")).gossip,
  },
  {
    name: "kubernetes",
    aliases: ["Cluster.Strategy.Kubernetes"],
    load: async () => (await import("./kubernetes/index.ts")).kubernetes,
  },
  {
    name: "kubernetes-dns",
    aliases: ["Cluster.Strategy.Kubernetes.DNS"],
    load: async () => (await import("./kubernetes-dns/index.ts")).kubernetesDns,
  },
  {
    name: "kubernetes-dnssrv",
    aliases: ["Cluster.Strategy.Kubernetes.DNSSRV"],
    load: async () => (await import("./kubernetes-dnssrv/index.ts")).kubernetesDnssrv,
  },
  {
    name: "dns-poll",
    aliases: ["Cluster.Strategy.DNSPoll", "DNSCluster"],
    load: async () => (await import("./dns-poll/index.ts")).dnsPoll,
  },
  {
    name: "rancher",
    aliases: ["Cluster.Strategy.Rancher"],
    load: async () => (await import("./rancher/index.ts")).rancher,
  },
  {
    name: "ec2",
    aliases: ["ClusterEC2.Strategy.Tags", "Cluster.Strategy.EC2Tag"],
    load: async () => (await import("./ec2/index.ts")).ec2,
  },
  {
    name: "digitalocean",
    aliases: ["Cluster.Strategy.Droplet"],
    load: async () => (await import("./digitalocean/index.ts")).digitalocean,
  },
  {
    name: "consul",
    aliases: ["Cluster.Strategy.Consul"],
    load: async () => (await import("./consul/index.ts")).consul,
  },
  {
    name: "postgres",
    aliases: ["LibclusterPostgres.Strategy", "Cluster.Strategy.Postgres"],
    load: async () => (await import("./postgres/index.ts")).postgres,
  },
  { name: "custom", aliases: [], load: async () => (await import("./custom/index.ts")).custom },
];

/** The names of this package's strategies. */
export const STRATEGY_NAMES: readonly string[] = STRATEGIES.map(({ name }) => name);

/**
 * Loads a strategy by its name, or by the module name that libcluster or another program has for it, with or without
 * the prefix `Elixir.`; `_` and `-` are the same.
 * @throws IsthmusError `STRATEGY_UNKNOWN`
 */
export async function loadStrategy(name: string): Promise<StrategyFactory> {
  const wanted = name.replace(/^(Elixir\.|:)/, "");
  const plain = wanted.replaceAll("_", "-");
  const found = STRATEGIES.find((one) => one.name === plain || one.aliases.includes(wanted));
  if (found !== undefined) return found.load();
  const meant = nearest(plain, STRATEGY_NAMES);
  const hint = meant === undefined ? `There are ${STRATEGY_NAMES.join(", ")}.` : `Did you mean ${meant}?`;
  throw strategiesError("STRATEGY_UNKNOWN", `There is no strategy ${JSON.stringify(name)}. ${hint}`, {
    context: { strategy: name },
  });
}
