import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import type { Socket } from "node:net";
import { trunkError } from "./errors.ts";

/** Environment variables by name, such as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a WebSocket URL by the usual variables: `HTTPS_PROXY` for `wss:`, `HTTP_PROXY` for `ws:`, else
 * `ALL_PROXY`; none for hosts in `NO_PROXY`. Names in lower case come first.
 * @throws IsthmusError `TRUNK_OPTIONS_INVALID` when the variable holds no address of a proxy
 */
export function proxyFromEnvironment(url: URL, environment: Environment): URL | undefined {
  const read = (name: string): string => environment[name.toLowerCase()] || environment[name] || "";
  const address = read(url.protocol === "wss:" ? "HTTPS_PROXY" : "HTTP_PROXY") || read("ALL_PROXY");
  if (address === "" || isExcepted(url, read("NO_PROXY"))) return undefined;
  return proxyUrl(address.includes("://") ? address : `http://${address}`);
}

/** @throws IsthmusError `TRUNK_OPTIONS_INVALID` */
export function proxyUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && (url.protocol === "http:" || url.protocol === "https:")) return url;
  // not shown: it may hold a password
  throw trunkError(
    "TRUNK_OPTIONS_INVALID",
    "The address of the proxy is none: it must be http://host:port or https://host:port.",
  );
}

/** `NO_PROXY`: `*`, or names, each with the domains below it, with or without a port. */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const [, name, port] = /^\*?\.?\[?(.*?)\]?(?::(\d+))?$/.exec(isIpv6(entry) ? `[${entry}]` : entry)!;
      if (port !== undefined && port !== portOf(url)) return false;
      return host === name || host.endsWith(`.${name}`);
    });
}

function isIpv6(entry: string): boolean {
  return !entry.startsWith("[") && entry.split(":").length > 2;
}

function portOf(url: URL): string {
  return url.port || (url.protocol === "wss:" ? "443" : "80");
}

/**
 * A connection to the URL's host through an HTTP proxy, by CONNECT.
 * @param ca certificates to trust of a proxy that is reached over TLS, PEM
 * @throws IsthmusError `TRUNK_UNREACHABLE`
 */
export function connectThroughProxy(
  proxy: URL,
  url: URL,
  signal: AbortSignal,
  ca?: string | Buffer,
): Promise<Socket> {
  const target = `${url.hostname}:${portOf(url)}`;
  const where = `${proxy.protocol}//${proxy.host}`;
  const failed = (why: string, cause?: unknown): Error =>
    trunkError("TRUNK_UNREACHABLE", `The proxy ${where} does not connect to ${target}: ${why}.`, {
      ...(cause === undefined ? {} : { cause }),
      context: { proxy: where, target },
    });
  return new Promise((resolve, reject) => {
    const send = proxy.protocol === "https:" ? tlsRequest : plainRequest;
    const request = send({
      host: proxy.hostname.replace(/^\[|\]$/g, ""),
      port: proxy.port || (proxy.protocol === "https:" ? 443 : 80),
      method: "CONNECT",
      path: target,
      headers: { host: target, ...authorization(proxy) },
      agent: false,
      signal,
      ...(ca === undefined ? {} : { ca }),
    });
    request.once("connect", (response, socket: Socket, head) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        reject(failed(`it answered with status ${response.statusCode}`));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once("response", (response) => {
      response.destroy();
      reject(failed(`it answered with status ${response.statusCode}`));
    });
    request.once("error", (error) => reject(failed(error.message, error)));
    request.end();
  });
}

function authorization(proxy: URL): Record<string, string> {
  if (proxy.username === "") return {};
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(user).toString("base64")}` };
}
