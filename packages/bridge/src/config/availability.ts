import { type Clock, type Logger, silentLogger, systemClock } from "@isthmus/wire";
import type * as v from "valibot";
import type { Lease } from "../trunk/lease.ts";
import { consulLease } from "../trunk/lease-consul.ts";
import { postgresLease } from "../trunk/lease-postgres.ts";
import type { Examination } from "./examination.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";
import { leaseSchema } from "./trunk-schema.ts";

type LeaseInput = v.InferOutput<typeof leaseSchema>;

/** Several bridges, of which one runs. */
export interface AvailabilityConfig {
  readonly lease: "consul" | "postgres";
  /** What those that compete have in common. */
  readonly name: string;
  /** Makes the lease that says which of them runs. */
  readonly open: (surroundings: { readonly logger: Logger; readonly clock: Clock }) => Lease;
}

type Open = AvailabilityConfig["open"];

const AT: KeyPath = ["high_availability"];
const FOR_CONSUL = ["url", "token", "ca"] as const;

/** The lease that is written in a file; undefined, with its problems, when it is none. */
export function readAvailability(examination: Examination, raw: unknown): AvailabilityConfig | undefined {
  const given = examination.part(leaseSchema, raw, AT);
  if (given === undefined) return undefined;
  const { lease, name } = given;
  const common = {
    name,
    ...(given.ttl_seconds === undefined ? {} : { ttlMs: given.ttl_seconds * 1000 }),
  };
  if (isRecord(raw)) {
    for (const key of lease === "consul" ? ["database"] : FOR_CONSUL)
      if (key in raw) examination.add([...AT, key], `has no meaning for ${lease}; take it out.`, "key");
  }
  const open = lease === "consul" ? consul(examination, given, common) : postgres(examination, given, common);
  // a lease does nothing before it is acquired
  const usable = examination.attempt(
    () => open({ logger: silentLogger, clock: systemClock }),
    (message) => examination.add(AT, `is not right. ${message}`, "key"),
  );
  return usable && { lease, name, open };
}

function consul(examination: Examination, given: LeaseInput, common: { readonly name: string }): Open {
  const token = examination.secret(given.token, [...AT, "token"]);
  const ca = given.ca === undefined ? undefined : examination.file(given.ca, [...AT, "ca"]);
  return (surroundings) =>
    consulLease({
      ...common,
      ...surroundings,
      ...(given.url === undefined ? {} : { url: given.url }),
      ...(token === undefined ? {} : { token }),
      ...(ca === undefined ? {} : { ca }),
    });
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
  const known = Object.fromEntries(Object.entries(database).filter(([, value]) => value !== undefined));
  return (surroundings) => postgresLease({ ...common, ...surroundings, database: known });
}
