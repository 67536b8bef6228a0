import { ApiAccess, SERVICE_ACCOUNT_PATH } from "./access.ts";
import { apiUrl } from "./address.ts";

/** Options of {@link kubernetesApi}. What is not given is as Kubernetes tells every container. */
export interface KubernetesApiOptions {
  /** Host, `host:port` or URL. */
  readonly url?: string | undefined;
  /** A token that does not change. */
  readonly token?: string | undefined;
  /** A file with the token; it is read for every request. */
  readonly tokenFile?: string | undefined;
  /** Authorities to trust, PEM. */
  readonly ca?: string | Buffer | undefined;
  /** @default our own */
  readonly namespace?: string | undefined;
  /** The folder of the service account. @default "/var/run/secrets/kubernetes.io/serviceaccount" */
  readonly serviceAccountPath?: string | undefined;
  /** For a whole answer. Milliseconds. @default 15000 */
  readonly timeoutMs?: number;
}

/**
 * A Kubernetes API, for what else a program does with it. Over plain HTTP, which is for `kubectl proxy`, no token is sent.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 */
export function kubernetesApi(options: KubernetesApiOptions = {}): ApiAccess {
  const { url: master, serviceAccountPath = SERVICE_ACCOUNT_PATH, timeoutMs = 15_000 } = options;
  const domain = process.env["CLUSTER_DOMAIN"] || "cluster.local";
  return new ApiAccess({
    ...options,
    ...{ serviceAccountPath, timeoutMs, insecureSkipTlsVerify: false },
    url: apiUrl({ master, domain }, process.env),
  });
}
