import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isIsthmusError } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";
import { type HttpRequest, httpJson, httpLines } from "../http/http-client.ts";
import { asLabel } from "./lookup.ts";

/** How the API is reached. */
export interface AccessOptions {
  readonly url: URL;
  /** The folder that Kubernetes mounts into every container: `token`, `ca.crt`, `namespace`. */
  readonly serviceAccountPath: string;
  /** In place of a file: what does not change. */
  readonly token?: string | undefined;
  /** Authorities to trust, PEM, in place of a file. */
  readonly ca?: string | Buffer | undefined;
  /** Files instead of those in the folder. */
  readonly tokenFile?: string | undefined;
  readonly caFile?: string | undefined;
  /** Our own certificate and its key, for an API that wants one. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly namespace?: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  /** Milliseconds for a whole answer. */
  readonly timeoutMs: number;
}

/** Parameters of a request. */
export type Query = Readonly<Record<string, string>>;

/** What is written, in place of a question. */
export interface Writing {
  readonly method: "POST" | "PUT";
  /** Sent as JSON. */
  readonly body: unknown;
}

/** The folder that Kubernetes mounts into every container. */
export const SERVICE_ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Longest list, or page of one: 500 pods of some 10 kB each are 5 MB; a cached list comes in one piece. */
const MAX_LIST_BYTES = 64 * 1024 * 1024;
/** Longest event: etcd holds objects of up to 1.5 MB, which are a little longer as JSON. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

/**
 * A Kubernetes API and our right to use it. The files are read for every request, since Kubernetes replaces the token
 * about every hour and the authority's certificate now and then.
 */
export class ApiAccess {
  readonly #options: AccessOptions;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /**
   * The namespace that was given, or our own.
   * @throws IsthmusError `DISCOVERY_FAILED`
   */
  async namespace(): Promise<string> {
    const { namespace, serviceAccountPath } = this.#options;
    if (namespace !== undefined) return namespace;
    const file = join(serviceAccountPath, "namespace");
    const own = asLabel((await read(file))?.toString("utf8").trim());
    if (own !== undefined) return own;
    throw failed(`${file} does not tell the namespace. Set the option namespace.`, { file });
  }

  /**
   * The JSON at a path; with `writing` what the API made of it.
   * @throws IsthmusError as `httpJson`, and `DISCOVERY_FAILED` for files that are missing or cannot be read
   */
  json(path: string, query: Query, signal: AbortSignal, writing?: Writing): Promise<unknown> {
    const { timeoutMs } = this.#options;
    return this.#authorized(path, query, (request) => {
      const options = { timeoutMs, maxBytes: MAX_LIST_BYTES, signal };
      if (writing === undefined) return httpJson({ ...request, ...options });
      const headers = { ...request.headers, "content-type": "application/json" };
      const { method, body } = writing;
      return httpJson({ ...request, ...options, headers, method, body: JSON.stringify(body) });
    });
  }

  /**
   * Calls `onLine` for each line at a path until the answer ends.
   * @param silenceMs a longer silence is a failure
   * @throws IsthmusError as `httpLines`, as {@link ApiAccess.json}, and what `onLine` throws
   */
  async lines(
    path: string,
    query: Query,
    options: { readonly signal: AbortSignal; readonly silenceMs: number },
    onLine: (line: string) => void,
  ): Promise<void> {
    const { signal, silenceMs: timeoutMs } = options;
    await this.#authorized(path, query, (request) =>
      httpLines({ ...request, timeoutMs, maxBytes: MAX_EVENT_BYTES, signal }, onLine),
    );
  }

  /** A token that is refused may have been replaced between our reading and sending it, so it is read once more. */
  async #authorized<T>(path: string, query: Query, send: (request: HttpRequest) => Promise<T>): Promise<T> {
    try {
      return await send(await this.#request(path, query));
    } catch (error) {
      if (statusOf(error) !== 401) throw error;
      return send(await this.#request(path, query));
    }
  }

  async #request(path: string, query: Query): Promise<HttpRequest> {
    const { url: base, serviceAccountPath, caFile, certFile, keyFile, insecureSkipTlsVerify } = this.#options;
    const url = new URL(path, base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    // Without encryption anyone on the way could keep the token. Plain HTTP is for `kubectl proxy`, which has its own.
    if (url.protocol === "http:") return { url };
    const [token, ca, cert, key] = await Promise.all([
      this.#token(),
      this.#options.ca ??
        (caFile === undefined ? read(join(serviceAccountPath, "ca.crt")) : needed(caFile, "ca_file")),
      certFile === undefined ? undefined : needed(certFile, "cert_file"),
      keyFile === undefined ? undefined : needed(keyFile, "key_file"),
    ]);
    return {
      url,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      rejectUnauthorized: !insecureSkipTlsVerify,
      // a complete name's dot is for the resolver; certificates are without it
      ...(url.hostname.endsWith(".") ? { servername: url.hostname.slice(0, -1) } : {}),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    };
  }

  /** Not needed beside a certificate of our own. */
  async #token(): Promise<string | undefined> {
    const { token: given, tokenFile, certFile, serviceAccountPath } = this.#options;
    if (given !== undefined) return given;
    const file = tokenFile ?? join(serviceAccountPath, "token");
    const token = (await read(file))?.toString("utf8").trim();
    if (token || (certFile !== undefined && tokenFile === undefined)) return token || undefined;
    throw failed(
      `There is no token in ${file}. The pod needs automountServiceAccountToken; elsewhere set token_file or cert_file.`,
      { file },
    );
  }
}

/** The HTTP status that an error is about. */
export function statusOf(error: unknown): number | undefined {
  const status = isIsthmusError(error) ? error.context["status"] : undefined;
  return typeof status === "number" ? status : undefined;
}

async function read(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw failed(`${file} cannot be read.`, { file }, cause);
  }
}

async function needed(file: string, option: string): Promise<Buffer> {
  const content = await read(file);
  if (content === undefined) throw failed(`${file} of ${option} is not there.`, { file });
  return content;
}

function failed(message: string, context: Readonly<Record<string, unknown>>, cause?: unknown): Error {
  return strategiesError("DISCOVERY_FAILED", message, { cause, context });
}
