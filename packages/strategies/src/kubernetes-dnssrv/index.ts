import { defineStrategy } from "../define.ts";
import { dnsStrategy } from "../dns/dns-strategy.ts";
import { isDomainName } from "../dns/domain-name.ts";
import { DNS_OPTIONS, domainName } from "../dns/options.ts";
import { strategiesError } from "../errors.ts";
import { type OptionsInput, option } from "../options.ts";

export type { HostsFunction } from "../dns/hosts.ts";
export type { ResolverChoice } from "../dns/options.ts";

const OPTIONS = {
  /** The short name of a headless service. */
  service: domainName,
  namespace: domainName,
  /** What stands before the `@`. */
  applicationName: option.text(),
  /** @default `CLUSTER_DOMAIN` of the environment, else `cluster.local` */
  clusterDomain: option.optional(domainName),
  ...DNS_OPTIONS,
};

/** Options of {@link kubernetesDnssrv}. */
export type KubernetesDnssrvOptions = OptionsInput<typeof OPTIONS>;

/**
 * Nodes on every pod of a stateful set, by the names that the SRV records of its headless service give, as libcluster's
 * `Cluster.Strategy.Kubernetes.DNSSRV`.
 */
export const kubernetesDnssrv = defineStrategy({
  name: "kubernetes-dnssrv",
  aliases: ["Cluster.Strategy.Kubernetes.DNSSRV"],
  options: OPTIONS,
  create(options) {
    const { service, namespace, applicationName: basename } = options;
    const { clusterDomain = process.env["CLUSTER_DOMAIN"] || "cluster.local" } = options;
    const name = `${service}.${namespace}.svc.${clusterDomain}`;
    if (!isDomainName(name)) {
      const message = `${JSON.stringify(name)} is not a domain name. Correct service, namespace and cluster_domain.`;
      throw strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { name } });
    }
    return dnsStrategy([{ basename, name, types: ["SRV"], search: false, srv: "name" }], options);
  },
});
