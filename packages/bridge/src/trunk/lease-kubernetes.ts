import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { type ApiAccess, kubernetesApi, statusOf, type Writing } from "@isthmus/strategies/kubernetes";
import { type Clock, type IsthmusError, isIsthmusError, systemClock, type Timer } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import {
  KeptLease,
  type Lease,
  type LeaseOptions,
  type LeaseStore,
  type LeaseStoreEvents,
  leaseTtl,
} from "./lease.ts";
import {
  freeLease,
  heldLease,
  type LeaseObject,
  type LeaseRecord,
  leaseObject,
  leaseRecord,
  microTime,
  newLease,
} from "./lease-record.ts";

/** Options of {@link kubernetesLease}. What is not given is as Kubernetes tells every container. */
export interface KubernetesLeaseOptions extends LeaseOptions {
  /** Name of the Lease object: lower-case letters, digits, `-` and `.`, such as "isthmus-berlin". */
  readonly name: string;
  /** Where it is. @default our own namespace */
  readonly namespace?: string;
  /** The API: `https://host:port`; or `http://`, for `kubectl proxy`, over which no token is sent. */
  readonly url?: string;
  /** Needs `get`, `create` and `update` of `leases` in `coordination.k8s.io`. */
  readonly token?: string;
  /** A file with the token. It is read for every request, since tokens are replaced. */
  readonly tokenFile?: string;
  /** Authorities to trust, PEM. */
  readonly ca?: string | Buffer;
  /** The folder of the service account. @default "/var/run/secrets/kubernetes.io/serviceaccount" */
  readonly serviceAccountPath?: string;
}

const MIN_TTL_MS = 3_000;
const MAX_TTL_MS = 600_000;
/** How often our own record is written until it is given up that somebody else writes into it, too. */
const MAX_WRITES = 4;

/**
 * A lease that is a `Lease` object of Kubernetes (`coordination.k8s.io/v1`), used as client-go's leader election does:
 * whoever writes its name into it has it, and the others wait until it was not renewed for `leaseDurationSeconds`. They
 * measure that by their own clocks, from when they saw the last renewal, so that clocks may be wrong. When two write at
 * once the API refuses one of them, by `resourceVersion`.
 * @throws IsthmusError `LEASE_OPTIONS_INVALID`
 */
export function kubernetesLease(options: KubernetesLeaseOptions): Lease {
  const ttlMs = leaseTtl(options, MIN_TTL_MS, MAX_TTL_MS);
  return new KeptLease(new KubernetesStore(access(options, ttlMs), options, ttlMs), ttlMs, options);
}

/** The store of {@link kubernetesLease}. */
export class KubernetesStore implements LeaseStore {
  readonly description: string;
  events: LeaseStoreEvents | undefined;
  readonly #api: Pick<ApiAccess, "namespace" | "json">;
  readonly #name: string;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  /** Nobody else uses it: a Lease that bears it is ours. */
  readonly #identity = `${hostname()}_${randomUUID()}`;
  readonly #underWay = new Set<AbortController>();
  #writes = 0;
  /** What we wrote last, as the API gave it back. */
  #own: LeaseObject | undefined;
  /** What another wrote, and until when that may be believed. */
  #seen: { readonly text: string; readonly until: number } | undefined;
  #expiry: Timer | undefined;
  /** We have asked for it to be created, and do not know whether it was. */
  #creating = false;
  /** Until then a holder may believe in itself whom we have never seen. */
  #notBefore = Number.NEGATIVE_INFINITY;

  /** @param ttlMs time to live, in place of that of the options */
  constructor(api: Pick<ApiAccess, "namespace" | "json">, options: LeaseOptions, ttlMs: number) {
    this.description = `${options.name} (Kubernetes)`;
    this.#api = api;
    this.#name = options.name;
    this.#ttlMs = ttlMs;
    this.#clock = options.clock ?? systemClock;
  }

  tryAcquire(): Promise<{ readonly settleMs: number } | undefined> {
    const began = this.#clock.now();
    this.#expiry?.cancel();
    return this.#within(this.#ttlMs / 3, async (signal) => {
      const found = await this.#read(signal);
      if (!this.#isFree(found && leaseRecord(found))) return undefined;
      if (found === undefined) this.#creating = true;
      const ours = found === undefined ? this.#create(signal) : this.#hold(found, signal);
      if ((await ours) === undefined) return undefined;
      this.#seen = undefined;
      // someone may have deleted it while another had it, who hears of that when it renews
      if (this.#creating) this.#notBefore = began + this.#ttlMs;
      this.#creating = false;
      return { settleMs: Math.max(0, this.#notBefore - began) };
    });
  }

  renew(): Promise<boolean> {
    // time for another attempt is left: one stalled connection shall not cost the lease
    const ms = this.#ttlMs / 6;
    return this.#within(ms, (signal) => this.#rewrite((object) => this.#hold(object, signal), signal));
  }

  async release(): Promise<void> {
    this.#endRequests();
    const ms = this.#ttlMs / 3;
    await this.#within(ms, (signal) => this.#rewrite((object) => this.#free(object, signal), signal));
    this.#own = undefined;
  }

  abandon(): void {
    // one that has arrived is carried out all the same; then our name is in it until it runs out
    this.#endRequests();
    this.#expiry?.cancel();
    this.#own = undefined;
  }

  #endRequests(): void {
    for (const one of this.#underWay) one.abort(failure("The request was given up."));
  }

  /** Whether we may write our name into it: nobody did yet, it was given back, or it has not been renewed for too long. */
  #isFree(record: LeaseRecord | undefined): boolean {
    if (record?.holder === this.#identity) return true;
    const now = this.#clock.now();
    if (record !== undefined) this.#creating = false;
    if (record !== undefined && record.text !== this.#seen?.text)
      this.#seen = { text: record.text, until: now + (record.trustMs ?? this.#ttlMs) };
    if (this.#seen === undefined || now >= this.#seen.until) return true;
    this.#expiry = this.#clock.after(this.#seen.until - now, () => this.events?.mayBeFree());
    return false;
  }

  /** @returns whether it was still ours */
  async #rewrite(
    write: (object: LeaseObject) => Promise<LeaseObject | undefined>,
    signal: AbortSignal,
  ): Promise<boolean> {
    let object = this.#own;
    for (let writes = 0; writes < MAX_WRITES; writes++) {
      if (object !== undefined) {
        if (leaseRecord(object).holder !== this.#identity) return false;
        if ((await write(object)) !== undefined) return true;
      }
      // changed by somebody, or by a request of our own whose answer did not arrive
      object = await this.#read(signal);
      if (object === undefined) return false;
    }
    throw failure("Others change it all the time.");
  }

  /** @returns undefined when there is none */
  async #read(signal: AbortSignal): Promise<LeaseObject | undefined> {
    return answered(this.#api.json(await this.#path(this.#name), {}, signal), 404);
  }

  /** Each of these: @returns what is there now; undefined when somebody was faster */
  async #create(signal: AbortSignal): Promise<LeaseObject | undefined> {
    const metadata = { name: this.#name, namespace: await this.#api.namespace() };
    const body = newLease(metadata, this.#identity, this.#ttlMs, this.#time());
    return this.#send("", { method: "POST", body }, signal, 409);
  }

  #hold(object: LeaseObject, signal: AbortSignal): Promise<LeaseObject | undefined> {
    const body = heldLease(object, this.#identity, this.#ttlMs, this.#time());
    return this.#send(this.#name, { method: "PUT", body }, signal, 404, 409);
  }

  #free(object: LeaseObject, signal: AbortSignal): Promise<LeaseObject | undefined> {
    const body = freeLease(object, this.#time());
    return this.#send(this.#name, { method: "PUT", body }, signal, 404, 409);
  }

  async #send(
    name: string,
    writing: Writing,
    signal: AbortSignal,
    ...faster: readonly number[]
  ): Promise<LeaseObject | undefined> {
    const object = await answered(this.#api.json(await this.#path(name), {}, signal, writing), ...faster);
    if (object !== undefined) this.#own = object;
    return object;
  }

  async #path(name: string): Promise<string> {
    const all = `/apis/coordination.k8s.io/v1/namespaces/${await this.#api.namespace()}/leases`;
    return name === "" ? all : `${all}/${name}`;
  }

  #time(): string {
    return microTime(this.#writes++);
  }

  /** An API that does not answer is as good as gone. */
  async #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ending = new AbortController();
    const timer = this.#clock.after(ms, () => ending.abort(failure("It does not answer in time.")));
    this.#underWay.add(ending);
    try {
      return await work(ending.signal);
    } catch (error) {
      throw explained(error);
    } finally {
      this.#underWay.delete(ending);
      timer.cancel();
    }
  }
}

function access(options: KubernetesLeaseOptions, ttlMs: number): ApiAccess {
  const { name, namespace, url, token, tokenFile, ca, serviceAccountPath } = options;
  const label = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
  const wrong = (message: string): IsthmusError => trunkError("LEASE_OPTIONS_INVALID", message);
  if (name.length > 253 || !name.split(".").every((part) => label.test(part)))
    throw wrong(`The name of a Lease in Kubernetes is made of lower-case letters, digits, "-" and ".".`);
  if (namespace !== undefined && !label.test(namespace))
    throw wrong("The namespace of a lease is not the name of a namespace.");
  const given = url !== undefined && URL.canParse(url) ? new URL(url) : undefined;
  if (url !== undefined && !(given && /^https?:\/\/[^/?#@]+\/?$/.test(url)))
    throw wrong("The address of the Kubernetes API must be https://host:port.");
  if (given?.protocol === "http:" && (token ?? tokenFile) !== undefined)
    throw wrong(
      "A token is not sent without encryption: write https:// in the address of the Kubernetes API.",
    );
  if (token !== undefined && tokenFile !== undefined)
    throw wrong("The lease has a token and a file for it; give one of them.");
  try {
    // the clock ends a request before that
    return kubernetesApi({ namespace, url, token, tokenFile, ca, serviceAccountPath, timeoutMs: ttlMs });
  } catch (cause) {
    if (!isIsthmusError(cause)) throw cause;
    throw trunkError("LEASE_OPTIONS_INVALID", `The Kubernetes API has no address. ${cause.message}`, {
      cause,
    });
  }
}

/** The Lease that came; undefined for one of these statuses. */
async function answered(
  answer: Promise<unknown>,
  ...none: readonly number[]
): Promise<LeaseObject | undefined> {
  try {
    return leaseObject(await answer);
  } catch (error) {
    if (none.includes(statusOf(error) ?? 0)) return undefined;
    throw error;
  }
}

const HINTS: Readonly<Record<number, string>> = {
  401: " Check the token.",
  403: " The service account needs a Role with the verbs get, create and update for leases of coordination.k8s.io.",
  404: " Check the namespace.",
};

function explained(error: unknown): unknown {
  if (!isIsthmusError(error) || error.code === "LEASE_FAILED") return error;
  const status = statusOf(error);
  const hint = (status === undefined ? undefined : HINTS[status]) ?? "";
  const { message, cause, context } = error;
  return trunkError("LEASE_FAILED", `${message}${hint}`, { cause, context });
}

function failure(message: string): IsthmusError {
  return trunkError("LEASE_FAILED", `The Kubernetes API does not keep the lease. ${message}`);
}
