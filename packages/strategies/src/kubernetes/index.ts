import type { Strategy, StrategyContext } from "../contract.ts";
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { nodeName, nodeNames } from "../node-names.ts";
import { type OptionsInput, type OptionsOf, option } from "../options.ts";
import { ApiAccess, SERVICE_ACCOUNT_PATH } from "./access.ts";
import { apiUrl } from "./address.ts";
import { Follower } from "./follow.ts";
import { asObject, type JsonObject } from "./json.ts";
import {
  addressesOf,
  asLabel,
  CONDITIONS,
  LOOKUPS,
  type Lookup,
  onePerPod,
  type PodAddress,
} from "./lookup.ts";
import { hostOf, MODES } from "./modes.ts";

export { type ApiAccess, type Query, statusOf, type Writing } from "./access.ts";
export { type KubernetesApiOptions, kubernetesApi } from "./api.ts";

const label = (expected: string) => option.any<string>(`${expected}: a DNS label`, asLabel);

const options = {
  /** The part before `@` of every node's name. */
  nodeBasename: option.text({ aliases: ["kubernetes_node_basename"] }),
  /** Label selector of the services or pods: `app=shop`. */
  selector: option.text({ aliases: ["kubernetes_selector"] }),
  /** Where they are. @default our own namespace, as the service account folder tells it */
  namespace: option.optional({ ...label("a namespace"), aliases: ["kubernetes_namespace"] }),
  /** Which objects tell the addresses. @default "endpoints" */
  ipLookupMode: option.oneOf(LOOKUPS, { default: "endpoints", aliases: ["kubernetes_ip_lookup_mode"] }),
  /** How the nodes call themselves. @default "ip" */
  mode: option.oneOf(MODES, { default: "ip" }),
  /** The service in host names. @default the one that the object belongs to */
  serviceName: option.optional({ ...label("a service"), aliases: ["kubernetes_service_name"] }),
  /** First part of the cluster's domain, which is `<name>.local`. @default "cluster" */
  clusterName: option.text({ default: "cluster", aliases: ["kubernetes_cluster_name"] }),
  /** The whole domain of the cluster. @default `CLUSTER_DOMAIN` of the environment, or `<clusterName>.local` */
  clusterDomain: option.optional(option.text()),
  /** The API: host, `host:port` or URL. @default what Kubernetes tells every container */
  master: option.optional(option.text({ aliases: ["kubernetes_master"] })),
  /** @default "/var/run/secrets/kubernetes.io/serviceaccount" */
  serviceAccountPath: option.text({
    default: SERVICE_ACCOUNT_PATH,
    aliases: ["kubernetes_service_account_path"],
  }),
  /** Lists may come from the API server's memory. @default false */
  useCachedResources: option.boolean({ default: false, aliases: ["kubernetes_use_cached_resources"] }),
  /** Between two lists where there is no watch; first delay after a failure. @default 5000 */
  pollingInterval: option.milliseconds({ default: 5000 }),
  /** Whether to be told of changes instead of asking again and again. @default true; false with `compat` */
  watch: option.optional(option.boolean()),
  /** Between two lists while watching, to be sure. @default 600000 */
  resyncInterval: option.milliseconds({ default: 600_000 }),
  /** Which pods count. @default "ready"; for pods "running", with `compat` "any" */
  condition: option.optional(option.oneOf(CONDITIONS)),
  /** Which address of a pod that has both. @default pods: the pod's first; else "ipv4" */
  ipFamily: option.optional(option.oneOf(["ipv4", "ipv6"])),
  /** Until an answer is there. @default 15000 */
  requestTimeout: option.milliseconds({ default: 15_000 }),
  /** Files instead of those of the service account. */
  tokenFile: option.optional(option.text()),
  caFile: option.optional(option.text()),
  /** Our certificate and key, PEM. */
  certFile: option.optional(option.text()),
  keyFile: option.optional(option.text()),
  /** Takes any certificate: whoever answers gets the token. @default false */
  insecureSkipTlsVerify: option.boolean({ default: false }),
};

type Options = OptionsOf<typeof options>;

/** Options of {@link kubernetes}. */
export type KubernetesOptions = OptionsInput<typeof options>;

/**
 * The nodes that a Kubernetes API knows, as libcluster's `Cluster.Strategy.Kubernetes`: the pods behind services, or
 * pods themselves, with a label. It watches, so that changes are known at once.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 *
 * @example
 * ```ts
 * const strategy = kubernetes({ nodeBasename: "shop", selector: "app=shop", ipLookupMode: "endpoint_slices" });
 * ```
 */
export const kubernetes = defineStrategy({
  name: "kubernetes",
  aliases: ["Cluster.Strategy.Kubernetes"],
  options,
  create(given: Options): Strategy {
    // tells of a wrong basename, or a wrong place, now and not at the first answer
    nodeName(given.nodeBasename, "host");
    apiUrl({ master: given.master, domain: domainOf(given) }, process.env);
    if ((given.certFile === undefined) !== (given.keyFile === undefined)) {
      throw strategiesError("STRATEGY_OPTIONS_INVALID", "cert_file and key_file of kubernetes go together.", {
        context: { strategy: "kubernetes", option: given.certFile === undefined ? "cert_file" : "key_file" },
      });
    }
    let follower: Follower | undefined;
    return {
      start(context) {
        follower = follow(context, given);
      },
      refresh: () => follower?.refresh(),
      stop: async () => follower?.stop(),
    };
  },
});

function follow(context: StrategyContext, given: Options): Follower {
  const { ipLookupMode: lookup, selector } = given;
  const { compat } = context;
  const condition = given.condition ?? defaultCondition(lookup, compat);
  const family = given.ipFamily === undefined ? undefined : given.ipFamily === "ipv6" ? 6 : 4;
  const domain = domainOf(given);
  // libcluster asks the service by name, and does not heed CLUSTER_DOMAIN in names of nodes
  const master = given.master ?? (compat ? "kubernetes.default.svc" : undefined);
  const naming = { ...given, domain: compat ? `${given.clusterName}.local` : domain };
  const warnIfCut = cutWarner(context);
  return new Follower(context, {
    api: new ApiAccess({
      ...given,
      url: apiUrl({ master, domain }, process.env),
      timeoutMs: given.requestTimeout,
    }),
    lookup,
    selector,
    cached: given.useCachedResources,
    watch: given.watch ?? !compat,
    intervalMs: given.pollingInterval,
    resyncMs: given.resyncInterval,
    read: (object) => {
      warnIfCut(object);
      return addressesOf(lookup, object, condition, family);
    },
    names: (addresses) => namesOf(context, given.nodeBasename, onePerPod(addresses, family), naming),
  });
}

function domainOf({ clusterDomain, clusterName }: Options): string {
  return clusterDomain ?? (process.env["CLUSTER_DOMAIN"] || `${clusterName}.local`);
}

/**
 * A service's pods count when they are ready. Pods are asked for by those whose readiness waits for the cluster, so
 * there readiness does not count.
 */
function defaultCondition(lookup: Lookup, compat: boolean): (typeof CONDITIONS)[number] {
  if (lookup !== "pods") return "ready";
  return compat ? "any" : "running";
}

function namesOf(
  { logger }: StrategyContext,
  basename: string,
  addresses: readonly PodAddress[],
  naming: Parameters<typeof hostOf>[1],
): readonly string[] {
  const hosts = addresses.map((address) => hostOf(address, naming));
  const nameless = addresses.filter((_, index) => hosts[index] === undefined);
  if (nameless[0] !== undefined) {
    const { ip, pod } = nameless[0];
    logger.debug(
      { count: nameless.length, ip, pod },
      "pods without a host name in a service are left out; a StatefulSet gives them one",
    );
  }
  return nodeNames(
    basename,
    hosts.filter((host) => host !== undefined),
    (host) => logger.debug({ host }, "no node name can be made with this host"),
  );
}

/** Endpoints hold a thousand addresses at most, and say so when there are more. */
function cutWarner({ logger }: StrategyContext): (object: JsonObject) => void {
  let warned = false;
  return (object) => {
    const { annotations, name } = asObject(object["metadata"]);
    if (warned || asObject(annotations)["endpoints.kubernetes.io/over-capacity"] !== "truncated") return;
    warned = true;
    logger.warn(
      { endpoints: name },
      "these endpoints hold a part of the addresses only; use endpoint_slices",
    );
  };
}
