import { nodeNames } from "../node-names.ts";
import {
  agentAddress,
  agentInstances,
  type ConsulInstance,
  catalogInstances,
  healthInstances,
} from "./answers.ts";
import { askConsul, type ConsulAccess } from "./consul-api.ts";

/** Which instances are meant: all of a name, or, of the agent only, the one with an id. */
export type ConsulService = { readonly id: string } | { readonly name: string };

/** What is asked of Consul, in full. */
export type ConsulLookup = LookupDetails &
  (
    | { readonly using: "agent"; readonly service: ConsulService }
    | { readonly using: "health" | "catalog"; readonly service: { readonly name: string } }
  );

interface LookupDetails {
  readonly access: ConsulAccess;
  readonly dc: string | undefined;
  readonly filter: string | undefined;
  readonly passing: boolean;
  /** What is the host of a node: an address, or the name of the Consul node. */
  readonly expected: "ip" | "host";
  /** First part of the node names, if it is not our own. */
  readonly nodeBasename: string | undefined;
}

/** One asking. */
export interface LookupRound {
  /** Wait until something is newer than this `X-Consul-Index`, at most `waitMs`. Not for `agent`, which cannot wait. */
  readonly index?: string | undefined;
  readonly waitMs: number;
  /** First part of our own name. */
  readonly basename: string;
  /** As the original: for `catalog` always the address of the Consul node. */
  readonly compat: boolean;
  readonly signal: AbortSignal;
  /** Hears of hosts that no node name can have. */
  unusable(host: string): void;
}

/** What was found. */
export interface LookupAnswer {
  readonly nodes: readonly string[];
  /** `X-Consul-Index`; undefined where waiting is not possible. */
  readonly index: string | undefined;
}

/** Consul adds up to a sixteenth to the time of a blocking query; the rest is for the way there and back. */
export function longestQueryMs(waitMs: number): number {
  return Math.ceil((waitMs * 17) / 16) + 10_000;
}

/** Asks once. @throws IsthmusError `HTTP_FAILED`, `HTTP_STATUS`, `HTTP_BODY_INVALID` */
export async function lookUp(lookup: ConsulLookup, round: LookupRound): Promise<LookupAnswer> {
  const { instances, index } =
    lookup.using === "agent" ? await askAgent(lookup, round) : await askServers(lookup, round);
  const hosts = instances.map((instance) => host(lookup, instance, round.compat)).filter((one) => one !== "");
  return { nodes: nodeNames(lookup.nodeBasename ?? round.basename, hosts, round.unusable), index };
}

function host(lookup: ConsulLookup, instance: ConsulInstance, compat: boolean): string {
  const { address, nodeAddress, nodeName } = instance;
  if (lookup.expected === "host" && lookup.using !== "agent") return nodeName;
  if (compat && lookup.using === "catalog") return nodeAddress;
  return address === "" ? nodeAddress : address;
}

interface Found {
  readonly instances: readonly ConsulInstance[];
  readonly index: string | undefined;
}

async function askServers(
  lookup: ConsulLookup & { using: "health" | "catalog" },
  round: LookupRound,
): Promise<Found> {
  const { using, access, service, dc, filter, passing } = lookup;
  const { index, waitMs, signal } = round;
  const { headers, value } = await askConsul(access, {
    path: `/${using}/service/${encodeURIComponent(service.name)}`,
    query: {
      dc,
      filter,
      passing: passing && using === "health" ? "true" : undefined,
      index,
      wait: index === undefined ? undefined : `${waitMs}ms`,
    },
    timeoutMs: index === undefined ? 10_000 : longestQueryMs(waitMs),
    signal,
  });
  return {
    instances: using === "health" ? healthInstances(value) : catalogInstances(value),
    index: usableIndex(headers["x-consul-index"]),
  };
}

/** An index of 0 would not make the next query wait. */
function usableIndex(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" && /^[1-9]\d{0,19}$/.test(header) ? header : undefined;
}

async function askAgent(lookup: ConsulLookup & { using: "agent" }, { signal }: LookupRound): Promise<Found> {
  const { access, service, dc, filter, passing } = lookup;
  const which =
    "id" in service ? `id/${encodeURIComponent(service.id)}` : `name/${encodeURIComponent(service.name)}`;
  const { status, value } = await askConsul(access, {
    path: `/agent/health/service/${which}`,
    query: { dc, filter },
    // the status tells how the instances fare: 429 for warning, 503 for critical; they are in the body all the same
    accept: [404, 429, 503],
    signal,
  });
  if (status === 404) return { instances: [], index: undefined };
  const instances = agentInstances(value, passing);
  if (instances.every(({ address }) => address !== "")) return { instances, index: undefined };
  const self = agentAddress((await askConsul(access, { path: "/agent/self", signal })).value);
  return { instances: instances.map((one) => ({ ...one, nodeAddress: self })), index: undefined };
}
