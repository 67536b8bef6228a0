import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import { Metrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";
import type { DaemonStatus } from "./status.ts";

/** Options of {@link startAdmin}. */
export interface AdminOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly status: () => DaemonStatus;
  readonly readiness: () => Readiness;
  readonly logger: Logger;
}

/** Serves the state of a bridge over HTTP. */
export interface Admin {
  readonly port: number;
  /** Ends it, and what is under way. May be called again. */
  close(): Promise<void>;
}

// whoever asks is near, and asks for little
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const IDLE_MS = 30_000;
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_CONNECTIONS = 64;

const JSON_TYPE = "application/json; charset=utf-8";
const PATHS = ["/livez", "/readyz", "/metrics", "/status"] as const;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * Serves `/livez`, `/readyz`, `/metrics` and `/status`, to GET and HEAD.
 * @throws IsthmusError `ADMIN_LISTEN_FAILED`
 */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { host, port, logger } = options;
  const metrics = new Metrics();
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      // nobody has to send anything; what comes all the same is not kept
      request.resume();
      serve(request, response, options, metrics).catch((err: unknown) => {
        logger.error({ err, path: request.url }, "the administration could not answer");
        if (response.headersSent) response.destroy();
        else respond(request, response, { status: 500, type: "text/plain", body: "internal error\n" });
      });
    },
  );
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = REQUEST_MS;
  server.keepAliveTimeout = IDLE_MS;
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, host, port);
  const { port: listening } = server.address() as AddressInfo;
  logger.info({ host, port: listening }, "administration listens");
  return {
    port: listening,
    async close() {
      metrics.close();
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw bridgeError(
      "ADMIN_LISTEN_FAILED",
      `The administration cannot listen on ${host}, port ${port} (${code}). Give admin.listen another host or port.`,
      { cause, context: { host, port } },
    );
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
  metrics: Metrics,
): Promise<void> {
  const { method, url = "" } = request;
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    respond(request, response, { status: 405, type: "text/plain", body: "only GET and HEAD\n" });
    return;
  }
  respond(request, response, await answer(url.split("?", 1)[0]!, options, metrics));
}

async function answer(path: string, options: AdminOptions, metrics: Metrics): Promise<Answer> {
  if (path === "/livez") return { status: 200, type: "text/plain", body: "ok\n" };
  if (path === "/readyz") {
    const readiness = options.readiness();
    return { status: readiness.ready ? 200 : 503, ...json(readiness) };
  }
  if (path === "/status") return { status: 200, ...json(options.status()) };
  if (path === "/metrics") {
    const body = await metrics.collect(options.status(), options.readiness());
    return { status: 200, type: metrics.contentType, body };
  }
  return { status: 404, type: "text/plain", body: `there are ${PATHS.join(", ")}\n` };
}

function json(value: unknown): Pick<Answer, "type" | "body"> {
  // numbers of Erlang may be larger than JSON's
  const text = JSON.stringify(
    value,
    (_key, item: unknown) => (typeof item === "bigint" ? `${item}` : item),
    2,
  );
  return { type: JSON_TYPE, body: `${text}\n` };
}

function respond(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
