import { isIP } from "node:net";
import { asObject, asObjects, asText, type JsonObject } from "./json.ts";

/** Kinds of API objects that tell addresses. */
export const LOOKUPS = ["endpoints", "pods", "endpoint_slices"] as const;

/** One of {@link LOOKUPS}. */
export type Lookup = (typeof LOOKUPS)[number];

/**
 * Which pods count.
 *
 * | | pods | endpoints | endpoint_slices |
 * |---|---|---|---|
 * | `ready` | running, condition Ready, not being deleted | `addresses` | `ready` |
 * | `serving` | running, condition Ready, even while being deleted | `addresses` | `serving` |
 * | `running` | running, not being deleted | also `notReadyAddresses` | not `terminating` |
 * | `any` | whatever has an address | also `notReadyAddresses` | all |
 */
export const CONDITIONS = ["ready", "serving", "running", "any"] as const;

/** One of {@link CONDITIONS}. */
export type Condition = (typeof CONDITIONS)[number];

/** Where a pod is. */
export interface PodAddress {
  readonly ip: string;
  readonly namespace: string;
  /** The pod's own name in the service, as a StatefulSet gives it. */
  readonly hostname?: string | undefined;
  /** The service that makes the host name resolvable. */
  readonly service?: string | undefined;
  /** The pod's name. One pod may have an address of each family. */
  readonly pod?: string | undefined;
}

/** A name that DNS allows: a namespace, a service, a host. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** `value` when it is a DNS label (RFC 1123), of which host names are built. */
export function asLabel(value: unknown): string | undefined {
  return typeof value === "string" && LABEL.test(value) ? value : undefined;
}

/**
 * The addresses that one object of the API tells. Whatever is not as the API documents it is left out.
 * @param family for pods with an address of each family
 */
export function addressesOf(
  lookup: Lookup,
  object: JsonObject,
  condition: Condition,
  family: 4 | 6 | undefined,
): readonly PodAddress[] {
  if (lookup === "pods") return ofPod(object, condition, family);
  return lookup === "endpoints" ? ofEndpoints(object, condition) : ofSlice(object, condition);
}

/**
 * Leaves one address of each pod. A service of both families has slices of both, but a node has one name.
 * @param family what is kept of a pod that has both
 */
export function onePerPod(addresses: readonly PodAddress[], family: 4 | 6 = 4): readonly PodAddress[] {
  const chosen = new Map<string, PodAddress>();
  for (const address of addresses) {
    const { namespace, pod, ip } = address;
    const key = pod === undefined ? ip : `${namespace}/${pod}`;
    const other = chosen.get(key);
    if (other === undefined || (isIP(other.ip) !== family && isIP(ip) === family)) chosen.set(key, address);
  }
  return [...chosen.values()];
}

function ofPod(pod: JsonObject, condition: Condition, family: 4 | 6 | undefined): readonly PodAddress[] {
  const metadata = asObject(pod["metadata"]);
  const spec = asObject(pod["spec"]);
  const status = asObject(pod["status"]);
  if (!podCounts(metadata, status, condition)) return [];
  const all = asObjects(status["podIPs"]).map(({ ip }) => asText(ip));
  const wanted = family === undefined ? undefined : all.find((ip) => ip !== undefined && isIP(ip) === family);
  const found = address(wanted ?? status["podIP"], metadata["namespace"], {
    hostname: asLabel(spec["hostname"]),
    service: asLabel(spec["subdomain"]),
    pod: asText(metadata["name"]),
  });
  return found === undefined ? [] : [found];
}

function podCounts(metadata: JsonObject, status: JsonObject, condition: Condition): boolean {
  if (condition === "any") return true;
  if (status["phase"] !== "Running") return false;
  const leaving = asText(metadata["deletionTimestamp"]) !== undefined;
  if (condition === "running") return !leaving;
  const ready = asObjects(status["conditions"]).some(
    (one) => one["type"] === "Ready" && one["status"] === "True",
  );
  return ready && (condition === "serving" || !leaving);
}

function ofEndpoints(endpoints: JsonObject, condition: Condition): readonly PodAddress[] {
  const metadata = asObject(endpoints["metadata"]);
  const lists = condition === "ready" || condition === "serving" ? READY : READY_OR_NOT;
  return asObjects(endpoints["subsets"]).flatMap((subset) =>
    lists.flatMap((list) =>
      asObjects(subset[list]).flatMap((one) => {
        const target = asObject(one["targetRef"]);
        // an address that someone wrote by hand has no target; endpoints are in the namespace of their pods
        const found = address(one["ip"], target["namespace"] ?? metadata["namespace"], {
          hostname: asLabel(one["hostname"]),
          service: asLabel(metadata["name"]),
          pod: asText(target["name"]),
        });
        return found === undefined ? [] : [found];
      }),
    ),
  );
}

const READY = ["addresses"] as const;
const READY_OR_NOT = ["addresses", "notReadyAddresses"] as const;

function ofSlice(slice: JsonObject, condition: Condition): readonly PodAddress[] {
  const metadata = asObject(slice["metadata"]);
  const service = asLabel(asObject(metadata["labels"])["kubernetes.io/service-name"]);
  return asObjects(slice["endpoints"]).flatMap((endpoint) => {
    if (!endpointCounts(asObject(endpoint["conditions"]), condition)) return [];
    const target = asObject(endpoint["targetRef"]);
    const addresses = endpoint["addresses"];
    // the addresses of one endpoint are interchangeable, says the API; a node has one name
    const first: unknown = Array.isArray(addresses) ? addresses[0] : undefined;
    const found = address(first, target["namespace"] ?? metadata["namespace"], {
      hostname: asLabel(endpoint["hostname"]),
      service,
      pod: asText(target["name"]),
    });
    return found === undefined ? [] : [found];
  });
}

/** A condition that is not there: `ready` and `serving` hold, `terminating` does not (discovery.k8s.io/v1). */
function endpointCounts(conditions: JsonObject, condition: Condition): boolean {
  const { ready, serving = ready, terminating } = conditions;
  if (condition === "ready") return ready !== false;
  if (condition === "serving") return serving !== false;
  return condition === "any" || terminating !== true;
}

function address(
  ip: unknown,
  namespace: unknown,
  rest: Omit<PodAddress, "ip" | "namespace">,
): PodAddress | undefined {
  const where = asLabel(namespace);
  if (typeof ip !== "string" || isIP(ip) === 0 || where === undefined) return undefined;
  return { ip, namespace: where, ...rest };
}
