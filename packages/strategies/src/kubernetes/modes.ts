import type { PodAddress } from "./lookup.ts";

/** How nodes call themselves: by address, by the pod's DNS name, by their host name in a service. */
export const MODES = ["ip", "dns", "hostname"] as const;

/** What the hosts of node names are made of. */
export interface Naming {
  readonly mode: (typeof MODES)[number];
  /** For `hostname`, instead of the service that the object belongs to. */
  readonly serviceName?: string | undefined;
  /** The domain of the cluster: `cluster.local`. */
  readonly domain: string;
}

/**
 * The host in the name of the node at an address: `10.0.0.5`, `10-0-0-5.shop.pod.cluster.local` or
 * `web-0.web.shop.svc.cluster.local` (Kubernetes DNS specification, 2.3 and 2.5).
 * @returns undefined when the pod has no such name: for `hostname`, without a host name or a service
 */
export function hostOf({ ip, namespace, hostname, service }: PodAddress, naming: Naming): string | undefined {
  const { mode, domain, serviceName = service } = naming;
  if (mode === "ip") return ip;
  if (mode === "dns") return `${ip.replaceAll(/[.:]/g, "-")}.${namespace}.pod.${domain}`;
  if (hostname === undefined || serviceName === undefined) return undefined;
  return `${hostname}.${serviceName}.${namespace}.svc.${domain}`;
}
