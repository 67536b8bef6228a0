import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ApiObject } from "./objects.ts";

/** One request that came. */
export interface Seen {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly watch: boolean;
  readonly authorization: string | undefined;
  readonly answer: ServerResponse;
}

interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  readonly object: ApiObject;
}

interface Watcher {
  readonly collection: string;
  readonly selector: string;
  readonly answer: ServerResponse;
}

const COLLECTIONS: Readonly<Record<string, string>> = {
  Pod: "/api/v1/namespaces/NS/pods",
  Endpoints: "/api/v1/namespaces/NS/endpoints",
  EndpointSlice: "/apis/discovery.k8s.io/v1/namespaces/NS/endpointslices",
};

/**
 * As much of a Kubernetes API as discovery needs, as its documentation ("API concepts") has it: lists in pages, label
 * selectors, watches from a version on, bookmarks, Status objects. Faults are made with {@link ApiServer.intercept}.
 */
export class ApiServer {
  readonly seen: Seen[] = [];
  /** Tokens that are accepted. */
  readonly tokens = new Set(["first-token"]);
  /** Answers a request itself by giving true. */
  intercept: ((request: Seen) => boolean) | undefined;
  readonly #server: Server;
  readonly #objects = new Map<string, ApiObject>();
  readonly #watchers = new Set<Watcher>();
  #log: Change[] = [];
  #version = 1000;
  #oldest = 1000;

  /** @param identity with `ca`, clients may show a certificate of that authority in place of a token */
  static async start(identity: {
    readonly cert: string;
    readonly key: string;
    readonly ca?: string;
    readonly host?: string;
  }): Promise<ApiServer> {
    const { cert, key, ca, host = "127.0.0.1" } = identity;
    const server = createServer({
      ...{ cert, key },
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }),
    });
    server.listen(0, host);
    await once(server, "listening");
    return new ApiServer(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, answer) => this.#serve(request, answer));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get lists(): readonly Seen[] {
    return this.seen.filter(({ watch }) => !watch);
  }

  get watches(): readonly Seen[] {
    return this.seen.filter(({ watch }) => watch);
  }

  /** Watches that are open. */
  get watching(): number {
    return this.#watchers.size;
  }

  get version(): string {
    return String(this.#version);
  }

  put(object: ApiObject): void {
    const key = keyOf(object);
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    this.#change(type, object);
  }

  remove(object: ApiObject): void {
    this.#change("DELETED", this.#objects.get(keyOf(object)) ?? object);
  }

  /** Something happens that no watcher here is told of, so that versions move on. */
  elsewhere(): void {
    this.#version += 1;
  }

  /** Sends every watcher a bookmark. */
  bookmark(kind: string): void {
    const apiVersion = kind === "EndpointSlice" ? "discovery.k8s.io/v1" : "v1";
    const metadata = { resourceVersion: this.version, creationTimestamp: null };
    this.send(`${JSON.stringify({ type: "BOOKMARK", object: { kind, apiVersion, metadata, spec: {} } })}\n`);
  }

  /** Writes raw text to every watcher. */
  send(text: string | Uint8Array): void {
    for (const { answer } of this.#watchers) answer.write(text);
  }

  /** Ends every watch: as at its `timeoutSeconds`, or as when a connection breaks. */
  endWatches(how: "end" | "cut" = "end"): void {
    for (const { answer } of this.#watchers) {
      if (how === "end") answer.end();
      else answer.destroy();
    }
    this.#watchers.clear();
  }

  /** Forgets what happened until now, as etcd's compaction does. */
  compact(): void {
    this.#log = [];
    this.#oldest = this.#version;
  }

  /** May be called again. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  #change(type: Change["type"], given: ApiObject): void {
    const version = ++this.#version;
    const object = { ...given, metadata: { ...given.metadata, resourceVersion: String(version) } };
    if (type === "DELETED") this.#objects.delete(keyOf(object));
    else this.#objects.set(keyOf(object), object);
    const change = { type, version, object };
    this.#log.push(change);
    for (const watcher of this.#watchers) tell(watcher, change);
  }

  #serve(request: IncomingMessage, answer: ServerResponse): void {
    const url = new URL(request.url ?? "/", "https://api");
    const query = Object.fromEntries(url.searchParams);
    const path = decodeURIComponent(url.pathname);
    const { authorization } = request.headers;
    const seen: Seen = { path, query, watch: query["watch"] === "true", authorization, answer };
    this.seen.push(seen);
    if (this.intercept?.(seen)) return;
    const { authorized } = request.socket as TLSSocket;
    const known = authorized || this.tokens.has(authorization?.replace(/^Bearer /, "") ?? "");
    if (!known) refuse(answer, 401, "Unauthorized", "Unauthorized");
    else if (seen.watch) this.#watch(seen);
    else if (query["continue"] !== undefined && query["resourceVersion"] !== undefined) {
      refuse(answer, 400, "BadRequest", "specifying resource version is not allowed when using continue");
    } else this.#list(seen);
  }

  #list({ path, query, answer }: Seen): void {
    const token = query["continue"];
    const page = token === undefined ? { version: this.#version, from: 0 } : unpack(token);
    if (page.version < this.#oldest) {
      refuse(
        answer,
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list",
      );
      return;
    }
    const all = [...this.#objects.values()]
      .filter((object) => collectionOf(object) === path && matches(object, query["labelSelector"] ?? ""))
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    // a list from the memory comes whole, whatever limit says
    const limit = query["resourceVersion"] === "0" ? all.length : Number(query["limit"] ?? all.length);
    const end = page.from + limit;
    const rest = Math.max(0, all.length - end);
    const kind = kindOf(path);
    json(answer, 200, {
      kind: `${kind}List`,
      apiVersion: kind === "EndpointSlice" ? "discovery.k8s.io/v1" : "v1",
      metadata: {
        resourceVersion: String(page.version),
        ...(rest === 0
          ? {}
          : { continue: pack({ version: page.version, from: end }), remainingItemCount: rest }),
      },
      // items of a list do not say their kind
      items: all.slice(page.from, end).map(({ kind: _, apiVersion: __, ...item }) => item),
    });
  }

  #watch({ path, query, answer }: Seen): void {
    const from = Number(query["resourceVersion"] ?? this.#version);
    answer.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
    answer.flushHeaders();
    if (from < this.#oldest) {
      const message = `too old resource version: ${from} (${this.#oldest})`;
      answer.end(`${JSON.stringify({ type: "ERROR", object: status(410, "Expired", message) })}\n`);
      return;
    }
    const watcher: Watcher = { collection: path, selector: query["labelSelector"] ?? "", answer };
    for (const change of this.#log) if (change.version > from) tell(watcher, change);
    this.#watchers.add(watcher);
    answer.once("close", () => this.#watchers.delete(watcher));
  }
}

/** Answers with a Status object. */
export function refuse(answer: ServerResponse, code: number, reason: string, message: string): void {
  json(answer, code, status(code, reason, message));
}

/** The Status object that says why not. */
export function status(code: number, reason: string, message: string): object {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code };
}

function json(answer: ServerResponse, code: number, body: object): void {
  answer.writeHead(code, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
}

function tell({ collection, selector, answer }: Watcher, { type, object }: Change): void {
  if (collectionOf(object) !== collection || !matches(object, selector)) return;
  answer.write(`${JSON.stringify({ type, object })}\n`);
}

function collectionOf({ kind, metadata }: ApiObject): string | undefined {
  return COLLECTIONS[kind]?.replace("NS", metadata.namespace);
}

function kindOf(path: string): string {
  if (path.endsWith("/endpointslices")) return "EndpointSlice";
  return path.endsWith("/pods") ? "Pod" : "Endpoints";
}

function keyOf(object: ApiObject): string {
  return `${collectionOf(object)}/${object.metadata.name}`;
}

/** Selectors of the form `a=b,c=d`. */
function matches({ metadata: { labels = {} } }: ApiObject, selector: string): boolean {
  return selector.split(",").every((one) => {
    const [key = "", value] = one.split(/==?/);
    return one === "" || labels[key] === value;
  });
}

function pack(page: { readonly version: number; readonly from: number }): string {
  return Buffer.from(JSON.stringify(page)).toString("base64url");
}

function unpack(token: string): { readonly version: number; readonly from: number } {
  return JSON.parse(Buffer.from(token, "base64url").toString());
}
