import { isIP, type Socket } from "node:net";
import { checkServerIdentity, connect, type PeerCertificate } from "node:tls";
import { WebSocket } from "ws";
import type { OpenWire } from "./dial.ts";
import { trunkError } from "./errors.ts";
import { SUBPROTOCOL } from "./frames.ts";
import { connectThroughProxy, type Environment, proxyFromEnvironment, proxyUrl } from "./http-proxy.ts";
import type { Wire } from "./wire.ts";
import { alternativeNames, WEB_SOCKET_OPTIONS, WebSocketWire } from "./ws-wire.ts";

/** TLS of the dialing side. PEM each. */
export interface WebSocketTls {
  /** Certificates to trust. @default the system's */
  readonly ca?: string | Buffer;
  /** Our own certificate and key, for a far site that asks for one. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly passphrase?: string;
  /** Name to ask the server for, and to check its certificate against. @default the URL's host */
  readonly servername?: string;
  /**
   * The far site's name: the certificate must have it, in place of the host's name. For sites that know each other by
   * certificate.
   */
  readonly site?: string;
}

/** Options of {@link webSocket}. */
export interface WebSocketOptions {
  /** `ws://host:port/path` or `wss://host:port/path`. */
  readonly url: string;
  readonly tls?: WebSocketTls;
  /** Address of an HTTP proxy, `http://user:password@host:port`; `false` for none. @default by the environment */
  readonly proxy?: string | false;
  /** Certificates to trust of a proxy that is reached over TLS, PEM. @default the system's */
  readonly proxyCa?: string | Buffer;
  /** Where `HTTPS_PROXY` and its like are looked up. @default process.env */
  readonly environment?: Environment;
  /** More headers of the request, for a gateway that asks for them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The way to a far site over WebSocket.
 * @throws IsthmusError `TRUNK_OPTIONS_INVALID`
 */
export function webSocket(options: WebSocketOptions): OpenWire {
  const url = checkedUrl(options.url);
  const proxy =
    options.proxy === undefined
      ? proxyFromEnvironment(url, options.environment ?? process.env)
      : options.proxy === false
        ? undefined
        : proxyUrl(options.proxy);
  return async (signal) => {
    signal.throwIfAborted();
    const tunnel =
      proxy === undefined ? undefined : await connectThroughProxy(proxy, url, signal, options.proxyCa);
    return open(url, options, tunnel, signal);
  };
}

function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === "ws:" || url.protocol === "wss:") && url.hash === "") return url;
  throw trunkError(
    "TRUNK_OPTIONS_INVALID",
    "The address of a trunk must be ws://host:port/path or wss://host:port/path.",
  );
}

function open(
  url: URL,
  options: WebSocketOptions,
  tunnel: Socket | undefined,
  signal: AbortSignal,
): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const tls = url.protocol === "wss:" ? tlsOptions(url, options.tls ?? {}) : {};
    const socket = new WebSocket(url, [SUBPROTOCOL], {
      ...WEB_SOCKET_OPTIONS,
      followRedirects: false,
      headers: { ...options.headers },
      ...tls,
      ...(tunnel === undefined
        ? {}
        : {
            createConnection: () => (url.protocol === "wss:" ? connect({ ...tls, socket: tunnel }) : tunnel),
          }),
    });
    const abort = (): void => {
      reject(signal.reason);
      tunnel?.destroy();
      socket.terminate();
    };
    let under: Socket | undefined;
    signal.addEventListener("abort", abort, { once: true });
    socket.once("upgrade", (response) => {
      under = response.socket;
      under.setNoDelay(true);
    });
    // stays for as long as the socket lives: an error after the promise has settled is told by the wire
    socket.on("error", (error) => {
      signal.removeEventListener("abort", abort);
      tunnel?.destroy();
      reject(
        trunkError(
          "TRUNK_UNREACHABLE",
          `The trunk at ${url.host}${url.pathname} cannot be reached: ${error.message}.`,
          {
            cause: error,
            context: { host: url.host },
          },
        ),
      );
    });
    socket.once("open", () => {
      signal.removeEventListener("abort", abort);
      resolve(new WebSocketWire(socket, under!, true));
    });
  });
}

function tlsOptions(url: URL, tls: WebSocketTls): object {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const servername = tls.servername ?? (isIP(host) === 0 ? host : "");
  const { site, ca, cert, key, passphrase } = tls;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    servername,
    minVersion: "TLSv1.2",
    checkServerIdentity: (_name: string, certificate: PeerCertificate) =>
      site === undefined
        ? checkServerIdentity(tls.servername ?? host, certificate)
        : checkSite(site, certificate),
  };
}

function checkSite(site: string, certificate: PeerCertificate): Error | undefined {
  const names = [certificate.subject?.CN ?? [], alternativeNames(certificate.subjectaltname)].flat();
  if (names.includes(site)) return undefined;
  return trunkError("TRUNK_AUTHENTICATION", `The certificate is not that of site ${site}.`, {
    context: { names },
  });
}
