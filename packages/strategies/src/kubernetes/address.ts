import { isIP } from "node:net";
import { strategiesError } from "../errors.ts";

/** What tells where the API is. */
export interface ApiPlace {
  /** Host, `host:port` or URL; undefined for the place that Kubernetes tells every container. */
  readonly master: string | undefined;
  /** The domain of the cluster, which a host name that is not complete gets. */
  readonly domain: string;
}

const SERVICE = "kubernetes.default.svc";

/**
 * The URL of the API, without a path. A host gets the domain of the cluster unless it ends with it, ends with a dot
 * (complete, as DNS has it) or is an IP address; a URL is taken as it is. Without `master` it is
 * `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, and if these are not set, the service `kubernetes`.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 */
export function apiUrl({ master, domain }: ApiPlace, env: Readonly<Record<string, string | undefined>>): URL {
  if (master === undefined) {
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
    return host
      ? parse(`https://${bracketed(host)}:${port || "443"}`)
      : parse(`https://${complete(SERVICE, domain)}`);
  }
  if (/^https?:\/\//.test(master)) return parse(master);
  if (isIP(master) === 6) return parse(`https://${bracketed(master)}`);
  const [, host = "", port = ""] = /^(\[.*\]|[^:]*)(:\d+)?$/.exec(master) ?? [];
  return parse(`https://${complete(host, domain)}${port}`, master);
}

function complete(host: string, domain: string): string {
  const asIs = host.endsWith(domain) || host.endsWith(".") || host.endsWith("]") || isIP(host) !== 0;
  return asIs || host === "" ? host : `${host}.${domain}`;
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

function parse(text: string, given = text): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.pathname === "/" && url.username === "" && url.search === "") return url;
  // it may hold a password, so it is not shown
  const shown = given.includes("@") ? "" : ` ${JSON.stringify(given.slice(0, 300))}`;
  throw strategiesError(
    "STRATEGY_OPTIONS_INVALID",
    `master${shown} is not the place of a Kubernetes API. Write host, host:port or https://host:port.`,
    { context: { strategy: "kubernetes", option: "master" } },
  );
}
