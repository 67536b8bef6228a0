import { IsthmusError } from "@isthmus/wire";
import type { FakeClock } from "../../../../test/support/fake-clock.ts";

interface Lease {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What happens to one request. */
export interface Fate {
  /** Until it is carried out, and from then until it is answered. Milliseconds. */
  readonly there: number;
  readonly back: number;
  /** Whether it arrives, and whether its answer does. */
  readonly lost: "not" | "there" | "back";
}

/** Nothing happens to it. */
export const AT_ONCE: Fate = { there: 0, back: 0, lost: "not" };

/**
 * The API of Kubernetes for one Lease, without a network: what the real one, in test/trunk/lease-kubernetes.test.ts, was
 * seen to answer. Requests take the time of a fake clock.
 */
export class LeaseApi {
  lease: Lease | undefined;
  readonly #clock: FakeClock;
  #version = 100;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /**
   * One way to it.
   * @param hear runs what an answer brings about, in the process that asked
   * @param fate what happens to the next request
   */
  way(hear: (run: () => void) => void = (run) => run(), fate: () => Fate = () => AT_ONCE) {
    return {
      namespace: async () => "default",
      json: (
        path: string,
        _query: object,
        signal: AbortSignal,
        writing?: { readonly method: string; readonly body: unknown },
      ): Promise<unknown> =>
        new Promise((resolve, reject) => {
          signal.throwIfAborted();
          signal.addEventListener("abort", () => reject(signal.reason));
          const { there, back, lost } = fate();
          const arrives = (): void => {
            if (lost === "there") return;
            let answer: unknown;
            let error: unknown;
            try {
              answer = structuredClone(this.#carryOut(path, structuredClone(writing)));
            } catch (refusal) {
              error = refusal;
            }
            this.#after(back, () => {
              if (lost === "back") return;
              hear(() => (error === undefined ? resolve(answer) : reject(error)));
            });
          };
          // what was sent is carried out even if nobody waits for it any more
          this.#after(there, arrives);
        }),
    };
  }

  /** As `kubectl delete lease`. */
  remove(): void {
    this.lease = undefined;
  }

  #after(ms: number, run: () => void): void {
    if (ms === 0) run();
    else this.#clock.after(ms, run);
  }

  #carryOut(
    path: string,
    writing: { readonly method: string; readonly body: unknown } | undefined,
  ): Lease | undefined {
    const { lease } = this;
    if (!path.startsWith("/apis/coordination.k8s.io/v1/namespaces/default/leases")) throw refusal(404);
    if (writing === undefined) {
      if (lease === undefined) throw refusal(404);
      return lease;
    }
    const { metadata, spec } = writing.body as Lease;
    if (writing.method === "POST") {
      if (lease !== undefined || "resourceVersion" in metadata) throw refusal(409);
      const resourceVersion = String(++this.#version);
      this.lease = { metadata: { ...metadata, uid: `uid-${resourceVersion}`, resourceVersion }, spec };
      return this.lease;
    }
    // one that was deleted has another uid than any
    if (metadata["uid"] !== lease?.metadata["uid"]) throw refusal(409);
    if (metadata["resourceVersion"] !== lease?.metadata["resourceVersion"]) throw refusal(409);
    // a write that changes nothing makes no version
    if (JSON.stringify(spec) !== JSON.stringify(lease?.spec)) {
      this.lease = { metadata: { ...metadata, resourceVersion: String(++this.#version) }, spec };
    }
    return this.lease;
  }
}

function refusal(status: number): IsthmusError {
  return new IsthmusError("HTTP_STATUS", `It answered with status ${status}.`, { context: { status } });
}
