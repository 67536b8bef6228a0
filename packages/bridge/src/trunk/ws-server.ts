import { once } from "node:events";
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Logger, silentLogger } from "@isthmus/wire";
import { WebSocketServer } from "ws";
import type { TrunkAcceptor } from "./acceptor.ts";
import { hasBufferutil } from "./bufferutil.ts";
import { trunkError } from "./errors.ts";
import { SUBPROTOCOL } from "./frames.ts";
import { WEB_SOCKET_OPTIONS, WebSocketWire } from "./ws-wire.ts";

/** TLS of the accepting side. PEM each. */
export interface WebSocketListenerTls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly passphrase?: string;
  /** Who may have signed the far sites' certificates. Given, each must have one. */
  readonly ca?: string | Buffer;
}

/** Options of {@link startWebSocketListener}. */
export interface WebSocketListenerOptions {
  /** Who takes the connections. */
  readonly acceptor: TrunkAcceptor;
  /** @default "0.0.0.0" */
  readonly host?: string;
  /** @default a free one */
  readonly port?: number;
  /** Path of the trunk. A GET of it followed by `/health` is answered with 200. @default "/trunk" */
  readonly path?: string;
  readonly tls?: WebSocketListenerTls;
  /** Most connections at once. @default 1024 */
  readonly maxConnections?: number;
  readonly logger?: Logger;
}

/** Takes connections of far sites. */
export interface WebSocketListener extends AsyncDisposable {
  readonly port: number;
  /** Takes no more connections and ends those that are there; links live on. Any number of times. */
  close(): Promise<void>;
}

/** How long a stranger may take for the TLS handshake, and for the request. */
const REQUEST_MS = 10_000;

/**
 * Listens for far sites over WebSocket.
 * @throws IsthmusError `TRUNK_OPTIONS_INVALID` when it cannot listen, or the certificate is none
 */
export async function startWebSocketListener(options: WebSocketListenerOptions): Promise<WebSocketListener> {
  const { acceptor, host = "0.0.0.0", port = 0, path = "/trunk", logger = silentLogger } = options;
  const webSockets = new WebSocketServer({
    noServer: true,
    ...WEB_SOCKET_OPTIONS,
    handleProtocols: () => SUBPROTOCOL,
  });
  const server = makeServer(options.tls, (request, response) => answer(path, request, response));
  server.maxConnections = options.maxConnections ?? 1024;
  server.requestTimeout = server.headersTimeout = REQUEST_MS;
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const status = refusal(acceptor, path, request);
    if (status !== undefined) {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    socket.setNoDelay(true);
    webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      acceptor.take(new WebSocketWire(webSocket, socket, false)),
    );
  });
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (cause) {
    throw trunkError("TRUNK_OPTIONS_INVALID", `The trunk cannot listen on ${host}, port ${port}.`, {
      cause,
      context: { host, port },
    });
  }
  const listening = (server.address() as AddressInfo).port;
  logger.info(
    { host, port: listening, path, tls: options.tls !== undefined, bufferutil: hasBufferutil() },
    "trunk listens",
  );
  const close = async (): Promise<void> => {
    for (const webSocket of webSockets.clients) {
      // one that takes leave already has the time of a close for it
      if (webSocket.readyState === webSocket.OPEN) webSocket.terminate();
    }
    server.closeAllConnections();
    if (!server.listening) return;
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: listening, close, [Symbol.asyncDispose]: close };
}

function makeServer(
  tls: WebSocketListenerTls | undefined,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  if (tls === undefined) return createPlainServer(onRequest);
  const { cert, key, passphrase, ca } = tls;
  try {
    return createTlsServer(
      {
        ...{ cert, key, minVersion: "TLSv1.2", handshakeTimeout: REQUEST_MS },
        ...(passphrase === undefined ? {} : { passphrase }),
        ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
      },
      onRequest,
    );
  } catch (cause) {
    throw trunkError("TRUNK_OPTIONS_INVALID", "The trunk's certificate or key cannot be used.", { cause });
  }
}

function answer(path: string, request: IncomingMessage, response: ServerResponse): void {
  const asked = pathOf(request);
  const status = asked === `${path}/health` ? 200 : asked === path ? 426 : 404;
  response.writeHead(status, status === 426 ? { upgrade: "websocket" } : {}).end();
}

/** The status line to refuse an upgrade with; undefined when it is welcome. */
function refusal(acceptor: TrunkAcceptor, path: string, request: IncomingMessage): string | undefined {
  if (pathOf(request) !== path) return "404 Not Found";
  const offered = request.headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim());
  if (!offered?.includes(SUBPROTOCOL)) return "400 Bad Request";
  return acceptor.full ? "503 Service Unavailable" : undefined;
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}
