import { strategiesError } from "../errors.ts";
import { canonicalAddress } from "../node-names.ts";

/**
 * The first address of each container of a service. Containers that have none, since they are starting or use the
 * host's network, are left out.
 * @throws IsthmusError `HTTP_BODY_INVALID` when `body` is not the description of a service
 */
export function containerHosts(body: unknown, url: string): readonly string[] {
  const containers = field(body, "containers");
  if (!Array.isArray(containers)) {
    const message = `${url} does not describe a service with containers. Check base_url and service.`;
    throw strategiesError("HTTP_BODY_INVALID", message, { context: { url } });
  }
  return containers.flatMap((container: unknown) => {
    const ips = field(container, "ips");
    const [first] = Array.isArray(ips) ? ips : [];
    return typeof first === "string" && first !== "" ? canonicalAddress(first) : [];
  });
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
