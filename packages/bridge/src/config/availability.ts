import { type Clock, type Logger, silentLogger, systemClock } from "@isthmus/wire";
import type * as v from "valibot";
import type { Lease } from "../trunk/lease.ts";
import { consulLease } from "../trunk/lease-consul.ts";
import { kubernetesLease } from "../trunk/lease-kubernetes.ts";
import { postgresLease } from "../trunk/lease-postgres.ts";
import type { Examination } from "./examination.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";
import { leaseSchema } from "./trunk-schema.ts";
import { withoutUndefined } from "./without-undefined.ts";

type LeaseInput = v.InferOutput<typeof leaseSchema>;

/** Several bridges, of which one runs. */
export interface AvailabilityConfig {
  readonly lease: LeaseInput["lease"];
  /** What those that compete have in common. */
  readonly name: string;
  /** Makes the lease that says which of them runs. */
  readonly open: (surroundings: { readonly logger: Logger; readonly clock: Clock }) => Lease;
}

type Open = AvailabilityConfig["open"];
type Read = (examination: Examination, given: LeaseInput, common: { readonly name: string }) => Open;

const AT: KeyPath = ["high_availability"];

/** Each lease, and the keys that are for it besides those of all. */
const LEASES: Readonly<
  Record<LeaseInput["lease"], { readonly keys: readonly (keyof LeaseInput)[]; readonly read: Read }>
> = {
  consul: { keys: ["url", "token", "ca"], read: consul },
  postgres: { keys: ["database"], read: postgres },
  kubernetes: { keys: ["url", "token", "token_file", "ca", "namespace"], read: kubernetes },
};
const OWN_KEYS = new Set(Object.values(LEASES).flatMap(({ keys }) => keys));

/** The lease that is written in a file; undefined, with its problems, when it is none. */
export function readAvailability(examination: Examination, raw: unknown): AvailabilityConfig | undefined {
  const given = examination.part(leaseSchema, raw, AT);
  if (given === undefined) return undefined;
  const { lease, name } = given;
  const ttlMs = given.ttl_seconds === undefined ? undefined : given.ttl_seconds * 1000;
  const common = withoutUndefined({ name, ttlMs });
  if (isRecord(raw)) {
    for (const key of OWN_KEYS)
      if (key in raw && !LEASES[lease].keys.includes(key))
        examination.add([...AT, key], `has no meaning for ${lease}; take it out.`, "key");
  }
  const open = LEASES[lease].read(examination, given, common);
  // a lease does nothing before it is acquired
  const usable = examination.attempt(
    () => open({ logger: silentLogger, clock: systemClock }),
    (message) => examination.add(AT, `is not right. ${message}`, "key"),
  );
  return usable && { lease, name, open };
}

function consul(examination: Examination, given: LeaseInput, common: { readonly name: string }): Open {
  const token = examination.secret(given.token, [...AT, "token"]);
  const ca = examination.file(given.ca, [...AT, "ca"]);
  const own = withoutUndefined({ url: given.url, token, ca });
  return (surroundings) => consulLease({ ...common, ...surroundings, ...own });
}

function kubernetes(examination: Examination, given: LeaseInput, common: { readonly name: string }): Open {
  const token = examination.secret(given.token, [...AT, "token"]);
  const ca = examination.file(given.ca, [...AT, "ca"]);
  // read when it is needed: where the file is looked at there may be none
  const tokenFile = given.token_file === undefined ? undefined : examination.path(given.token_file);
  const own = withoutUndefined({ url: given.url, token, tokenFile, ca, namespace: given.namespace });
  return (surroundings) => kubernetesLease({ ...common, ...surroundings, ...own });
}

function postgres(examination: Examination, given: LeaseInput, common: { readonly name: string }): Open {
  const at: KeyPath = [...AT, "database"];
  const { url, password, ca, ...same } = given.database ?? {};
  const database = {
    ...same,
    connectionString: examination.secret(url, [...at, "url"]),
    password: examination.secret(password, [...at, "password"]),
    ssl: ca === undefined ? undefined : { ca: examination.file(ca, [...at, "ca"])?.toString("utf8") },
  };
  // what is not there is taken from PGHOST and its like, which a key without a value would hide
  const known = withoutUndefined(database);
  return (surroundings) => postgresLease({ ...common, ...surroundings, database: known });
}
