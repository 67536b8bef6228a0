import type { IsthmusError } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";

/** What can be asked for. */
export type DnsRecordType = "A" | "AAAA" | "SRV";

/** One record of an answer. Addresses are in the form that Erlang prints, names are without the final dot. */
export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | {
      readonly type: "SRV";
      readonly target: string;
      readonly port: number;
      readonly priority: number;
      readonly weight: number;
    };

/** What a name server said about a name. That it said nothing of use is an error instead. */
export interface DnsAnswer {
  /** `nodata`: the name exists, without records of this type. `nxdomain`: it does not exist. */
  readonly outcome: "found" | "nodata" | "nxdomain";
  /** Empty unless `found`. */
  readonly records: readonly DnsRecord[];
  /** How long that holds, milliseconds; for the negative outcomes as RFC 2308 says. Undefined when not known. */
  readonly ttlMs: number | undefined;
}

/** A question. */
export interface DnsQuery {
  /** A final dot makes it absolute, whatever `search` says. */
  readonly name: string;
  readonly type: DnsRecordType;
  /** Whether the search list is used, as `inet_res:getbyname` does and `inet_res:lookup` does not. */
  readonly search: boolean;
  /** Ends the query; it rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Asks the domain name system. */
export interface DnsResolver {
  /** @throws IsthmusError `DISCOVERY_FAILED` when no server answers the question; `context.reason` says why */
  resolve(query: DnsQuery): Promise<DnsAnswer>;
}

/** Why a question was not answered. */
export type DnsFailureReason =
  | "timeout"
  | "unreachable"
  | "servfail"
  | "refused"
  | "referral"
  | "alias_loop"
  | "invalid"
  | "other";

/** A question that was not answered. */
export function dnsFailure(
  query: Pick<DnsQuery, "name" | "type">,
  reason: DnsFailureReason,
  what: string,
  cause?: unknown,
): IsthmusError {
  const { name, type } = query;
  return strategiesError(
    "DISCOVERY_FAILED",
    `The ${type} records of ${name} could not be asked for: ${what}.`,
    {
      cause,
      context: { name, type, reason },
    },
  );
}
