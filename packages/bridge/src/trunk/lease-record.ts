import { trunkError } from "./errors.ts";

/** A `Lease` of `coordination.k8s.io/v1` as the API gives it; what we do not know of it is written back as it was. */
export type LeaseObject = Readonly<Record<string, unknown>>;

/** What a Lease says to those that compete for it, as client-go's leader election has it. */
export interface LeaseRecord {
  /** Empty when it was given back. */
  readonly holder: string;
  /** All of it. It is another text after each renewal. */
  readonly text: string;
  /** How long the holder may be believed in without a change. Milliseconds; undefined when it does not say. */
  readonly trustMs: number | undefined;
}

// of the API: both are int32
const MAX_INTEGER = 2 ** 31 - 1;

/** `value` as a Lease. @throws IsthmusError `LEASE_FAILED` */
export function leaseObject(value: unknown): LeaseObject {
  const object = members(value);
  const { resourceVersion } = members(object["metadata"]);
  // without it a write would overwrite whatever is there
  if (typeof resourceVersion === "string" && resourceVersion !== "") return object;
  throw trunkError("LEASE_FAILED", "The Kubernetes API answered with something that is no Lease.");
}

/** What is in it. */
export function leaseRecord(object: LeaseObject): LeaseRecord {
  const spec = members(object["spec"]);
  const { holderIdentity, leaseDurationSeconds: seconds, acquireTime, renewTime } = spec;
  const holder = typeof holderIdentity === "string" ? holderIdentity : "";
  const known = typeof seconds === "number" && seconds > 0;
  // client-go leaves one second and no name when it gives the lease back; any other clearing may have surprised a holder
  const givenBack = holder === "" && known && seconds <= 1;
  return {
    holder,
    text: JSON.stringify([holder, seconds, acquireTime, renewTime, transitions(spec)]),
    trustMs: givenBack ? 0 : known ? seconds * 1000 : undefined,
  };
}

/**
 * The Lease to write so that `holder` has it from now on.
 * @param object as it is; its `resourceVersion` makes the API refuse the write when somebody was faster
 * @param time see {@link microTime}
 */
export function heldLease(object: LeaseObject, holder: string, ttlMs: number, time: string): LeaseObject {
  const spec = members(object["spec"]);
  const renewal = spec["holderIdentity"] === holder;
  return {
    ...object,
    spec: {
      ...spec,
      holderIdentity: holder,
      leaseDurationSeconds: Math.ceil(ttlMs / 1000),
      acquireTime: renewal ? spec["acquireTime"] : time,
      renewTime: time,
      leaseTransitions: renewal ? transitions(spec) : Math.min(transitions(spec) + 1, MAX_INTEGER),
    },
  };
}

/** The Lease to write so that anybody can have it at once. */
export function freeLease(object: LeaseObject, time: string): LeaseObject {
  const spec = members(object["spec"]);
  return {
    ...object,
    spec: { ...spec, holderIdentity: "", leaseDurationSeconds: 1, acquireTime: time, renewTime: time },
  };
}

/** The Lease to create when there is none. */
export function newLease(
  metadata: { readonly name: string; readonly namespace: string },
  ...[holder, ttlMs, time]: readonly [holder: string, ttlMs: number, time: string]
): LeaseObject {
  const kind = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata };
  // the first holder is no change of holders
  return heldLease({ ...kind, spec: { leaseTransitions: -1 } }, holder, ttlMs, time);
}

/**
 * The time as the API's MicroTime. Nobody compares it with a clock: what counts is that it changes, so the digits below
 * the millisecond are those of a count.
 */
export function microTime(count: number): string {
  return `${new Date().toISOString().slice(0, -1)}${String(count % 1000).padStart(3, "0")}Z`;
}

function transitions(spec: LeaseObject): number {
  const { leaseTransitions: count } = spec;
  return typeof count === "number" && Number.isSafeInteger(count) ? count : 0;
}

function members(value: unknown): LeaseObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as LeaseObject) : {};
}
