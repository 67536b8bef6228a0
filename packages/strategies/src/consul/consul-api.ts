import type { IncomingHttpHeaders } from "node:http";
import { strategiesError } from "../errors.ts";
import { httpRequest } from "../http/http-client.ts";

/** A Consul agent or server, and who asks it. */
export interface ConsulAccess {
  /** Its query string is kept in every request. */
  readonly baseUrl: string;
  readonly token: string | undefined;
  readonly ca: string | undefined;
  readonly rejectUnauthorized: boolean;
}

/** One request; `path` begins after `/v1`. */
export interface ConsulRequest {
  readonly path: string;
  readonly method?: "GET" | "PUT";
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Statuses besides 2xx that are answers, not failures. */
  readonly accept?: readonly number[];
  /** @default 10000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What Consul said. */
export interface ConsulAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The JSON of the answer; undefined when there is none. */
  readonly value: unknown;
}

/**
 * Asks Consul.
 * @throws IsthmusError `HTTP_FAILED`, `HTTP_STATUS`, `HTTP_BODY_INVALID`
 */
export async function askConsul(access: ConsulAccess, request: ConsulRequest): Promise<ConsulAnswer> {
  const { path, method = "GET", body, accept = [], timeoutMs = 10_000, signal } = request;
  const {
    status,
    headers,
    body: text,
  } = await httpRequest({
    url: address(access.baseUrl, path, request.query ?? {}),
    method,
    headers: {
      accept: "application/json",
      ...(access.token === undefined ? {} : { "x-consul-token": access.token }),
    },
    timeoutMs,
    rejectUnauthorized: access.rejectUnauthorized,
    ...(access.ca === undefined ? {} : { ca: access.ca }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  if ((status < 200 || status > 299) && !accept.includes(status)) throw refused(status, path, text);
  return { status, headers, value: method === "GET" ? json(status, path, text) : undefined };
}

function address(baseUrl: string, path: string, query: Readonly<Record<string, string | undefined>>): URL {
  const url = new URL(baseUrl);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1${path}`;
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

function json(status: number, path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // "unknown service" and the like come as plain text
    if (status === 404) return undefined;
    if (status > 299) throw refused(status, path, text);
    throw strategiesError(
      "HTTP_BODY_INVALID",
      `Consul's answer to /v1${path} is not JSON. Check base_url: another service may answer there.`,
      { cause, context: { path } },
    );
  }
}

function refused(status: number, path: string, text: string): Error {
  const hint = status === 401 || status === 403 ? " Check the access token and its policies." : "";
  return strategiesError("HTTP_STATUS", `Consul answered /v1${path} with status ${status}.${hint}`, {
    context: { path, status, body: text.slice(0, 500) },
  });
}
