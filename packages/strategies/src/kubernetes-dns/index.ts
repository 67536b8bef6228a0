import { defineStrategy } from "../define.ts";
import { dnsStrategy } from "../dns/dns-strategy.ts";
import { DNS_OPTIONS, domainName, recordTypes, upperTypes } from "../dns/options.ts";
import { type OptionsInput, option } from "../options.ts";

export type { HostsFunction } from "../dns/hosts.ts";
export type { ResolverChoice } from "../dns/options.ts";

const OPTIONS = {
  /** The name of a headless service, short or whole; the search list of `resolv.conf` is used. */
  service: domainName,
  /** What stands before the `@`. */
  applicationName: option.text(),
  resourceTypes: recordTypes(["a", "aaaa"], ["a"]),
  ...DNS_OPTIONS,
};

/** Options of {@link kubernetesDns}. */
export type KubernetesDnsOptions = OptionsInput<typeof OPTIONS>;

/** Nodes on every address of a headless Kubernetes service, as libcluster's `Cluster.Strategy.Kubernetes.DNS`. */
export const kubernetesDns = defineStrategy({
  name: "kubernetes-dns",
  aliases: ["Cluster.Strategy.Kubernetes.DNS"],
  options: OPTIONS,
  create(options) {
    const { service: name, applicationName: basename, resourceTypes } = options;
    const types = upperTypes("kubernetes-dns", resourceTypes);
    return dnsStrategy([{ basename, name, types, search: true, srv: "name" }], options);
  },
});
