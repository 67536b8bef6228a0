import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { hostname } from "node:os";
import { systemClock } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import {
  KeptLease,
  type Lease,
  type LeaseOptions,
  type LeaseStore,
  type LeaseStoreEvents,
  leaseTtl,
} from "./lease.ts";

/** Options of {@link consulLease}. */
export interface ConsulLeaseOptions extends LeaseOptions {
  /** A Consul agent or server. @default "http://127.0.0.1:8500" */
  readonly url?: string;
  /** Needs `session:write` for the agent's node and `key:write` for the key. */
  readonly token?: string;
  /** Certificates to trust, PEM. @default the system's */
  readonly ca?: string | Buffer;
}

// what Consul allows for the time to live of a session, and for the delay of a lock
const MIN_TTL_MS = 10_000;
const MAX_TTL_MS = 60_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

/**
 * A lease that is a lock of a Consul session on the key `isthmus/lease/NAME` (HTTP API of Consul 1.8 and later).
 *
 * Consul ends the session when it is not renewed for `ttlMs`, up to twice as late; and lets nobody lock the key for
 * another `ttlMs` (the lock delay) when a session ended that held it. A holder that cannot renew has stopped by then.
 * @throws IsthmusError `LEASE_OPTIONS_INVALID`
 */
export function consulLease(options: ConsulLeaseOptions): Lease {
  const ttlMs = leaseTtl(options, MIN_TTL_MS, MAX_TTL_MS);
  return new KeptLease(new ConsulStore(options, ttlMs), ttlMs, options);
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

class ConsulStore implements LeaseStore {
  readonly description: string;
  events: LeaseStoreEvents | undefined;
  readonly #options: ConsulLeaseOptions;
  readonly #ttlMs: number;
  readonly #base: URL;
  readonly #key: string;
  #session: string | undefined;

  constructor(options: ConsulLeaseOptions, ttlMs: number) {
    this.#options = options;
    this.#ttlMs = ttlMs;
    this.description = `${options.name} (Consul)`;
    const url = options.url ?? "http://127.0.0.1:8500";
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw trunkError(
        "LEASE_OPTIONS_INVALID",
        "The address of Consul must be http://host:port or https://host:port.",
      );
    }
    this.#base = new URL(url);
    this.#key = `/kv/isthmus/lease/${options.name.split("/").map(encodeURIComponent).join("/")}`;
  }

  async tryAcquire(): Promise<{ readonly settleMs: number } | undefined> {
    const session = (await this.#alive()) ?? (await this.#begin());
    const holder = JSON.stringify({ host: hostname(), pid: process.pid });
    const { text } = await this.#ask("PUT", `${this.#key}?acquire=${session}`, holder);
    return text.trim() === "true" ? { settleMs: 0 } : undefined;
  }

  async renew(): Promise<boolean> {
    const session = await this.#alive();
    if (session === undefined) return false;
    // a key that someone deleted is free although the session lives
    const { status, text } = await this.#ask("GET", `${this.#key}?consistent`);
    return (
      status === 200 &&
      (JSON.parse(text) as readonly { readonly Session?: unknown }[])[0]?.Session === session
    );
  }

  async release(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    this.#session = undefined;
    // released by its holder the key is free at once; ended with it, it would be free only after the lock delay
    await this.#ask("PUT", `${this.#key}?release=${session}`);
    await this.#ask("PUT", `/session/destroy/${session}`);
  }

  abandon(): void {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    // sooner than by its time to live, if Consul can be reached; the lock delay still holds
    this.#ask("PUT", `/session/destroy/${session}`).catch(() => undefined);
  }

  /** Renews the session. @returns its id; undefined when Consul does not have it any more */
  async #alive(): Promise<string | undefined> {
    const session = this.#session;
    if (session === undefined) return undefined;
    const { status } = await this.#ask("PUT", `/session/renew/${session}`);
    if (status === 200) return session;
    if (this.#session === session) this.#session = undefined;
    return undefined;
  }

  async #begin(): Promise<string> {
    const seconds = `${Math.ceil(this.#ttlMs / 1000)}s`;
    const body = {
      Name: `isthmus ${this.#options.name}`,
      TTL: seconds,
      LockDelay: seconds,
      Behavior: "release",
    };
    const { text } = await this.#ask("PUT", "/session/create", JSON.stringify(body));
    const { ID: id } = JSON.parse(text) as { readonly ID?: unknown };
    if (typeof id !== "string") throw trunkError("LEASE_FAILED", "Consul began no session.");
    this.#session = id;
    return id;
  }

  async #ask(method: "GET" | "PUT", path: string, body?: string): Promise<Answer> {
    const answer = await this.#exchange(method, path, body);
    // 404: no such session, or no such key
    if (answer.status === 200 || answer.status === 404) return answer;
    const hint = answer.status === 403 ? " Check the token and its policies." : "";
    throw trunkError("LEASE_FAILED", `Consul answered with status ${answer.status}.${hint}`, {
      context: { status: answer.status, body: answer.text.slice(0, 300) },
    });
  }

  #exchange(method: "GET" | "PUT", path: string, body: string | undefined): Promise<Answer> {
    const { token, ca } = this.#options;
    const send = this.#base.protocol === "https:" ? tlsRequest : plainRequest;
    return new Promise((resolve, reject) => {
      const url = new URL(`${this.#base.pathname.replace(/\/$/, "")}/v1${path}`, this.#base);
      const request = send(url, {
        method,
        headers: {
          ...(token === undefined ? {} : { "x-consul-token": token }),
          ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
        },
        ...(ca === undefined ? {} : { ca }),
      });
      const timer = (this.#options.clock ?? systemClock).after(this.#ttlMs / 3, () =>
        request.destroy(new Error("its answer is late")),
      );
      request.once("close", () => timer.cancel());
      request.once("response", (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER_BYTES) request.destroy(new Error("its answer is too long"));
          else chunks.push(chunk);
        });
        response.once("error", reject);
        response.once("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
        );
      });
      request.once("error", (cause) =>
        reject(
          trunkError("LEASE_FAILED", `Consul at ${this.#base.host} does not answer: ${cause.message}.`, {
            cause,
          }),
        ),
      );
      request.end(body);
    });
  }
}
