import * as v from "valibot";
import { COOKIE_KEYS, cookieSchema } from "./cookie-schema.ts";
import {
  flag,
  isRecord,
  map,
  nodeName,
  oneOf,
  oneOrMany,
  port,
  secret,
  secretFile,
  text,
  whole,
} from "./schema-parts.ts";
import { topologyEntries, topologyKeys } from "./topology-schema.ts";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

const listen = { host: v.optional(text("an address")), port: v.optional(port(0)) };
const epmd = {
  host: v.optional(text("a host")),
  port: v.optional(port(1)),
  register: v.optional(flag),
  embedded: v.optional(oneOf("auto", "always", "never")),
};

const versions = oneOf("TLSv1.2", "TLSv1.3");
/** What holds for both roles, and what a role may have of its own. */
const tlsSide = {
  certificate: v.optional(text("the path of a file")),
  key: v.optional(text("the path of a file")),
  passphrase: v.optional(secret),
  ca: v.optional(oneOrMany(text("the path of a file"))),
  verify: v.optional(flag),
  fail_if_no_peer_cert: v.optional(flag),
  server_name: v.optional(v.union([v.literal(false), text("a name, or false")], "must be a name, or false.")),
  min_version: v.optional(versions),
  max_version: v.optional(versions),
  ciphers: v.optional(text("names of OpenSSL's ciphers, with colons between them")),
  honor_cipher_order: v.optional(flag),
  dhparam: v.optional(text("the path of a file")),
};
const tlsSideSchema = map(tlsSide);
const tls = { ...tlsSide, dial: v.optional(tlsSideSchema), accept: v.optional(tlsSideSchema) };

/** What {@link tlsSide} makes of a part of a file. */
export type TlsSideInput = v.InferOutput<typeof tlsSideSchema>;

const discovery = {
  strategy: v.optional(topologyEntries.strategy),
  config: v.optional(topologyEntries.config.wrapped),
  removal: topologyEntries.removal,
  guard: v.optional(topologyEntries.guard.wrapped),
  compat: v.optional(flag),
  topologies: v.optional(
    v.custom<Record<string, unknown>>(isRecord, "must be a map of names to topologies."),
  ),
  hosts: v.optional(v.array(nodeName, "must be a list of node names."), []),
  ports: v.optional(v.record(v.string(), port(1), "must be a map of node names to ports.")),
};

/** One of several topologies. */
export const topologySchema = map(topologyEntries);

const cluster = {
  node: nodeName,
  cookie: cookieSchema,
  listen: v.optional(map(listen)),
  epmd: v.optional(map(epmd)),
  tls: v.optional(map(tls)),
  discovery: v.optional(map(discovery)),
  tick_time: v.optional(whole("seconds", 1, 86_400)),
  narrow: v.optional(flag),
};

/** A cluster that the bridge is in. */
export const clusterSchema = map(cluster);

const far = {
  site: text("the name of a site"),
  joins: v.optional(text("the name of a cluster")),
  as: v.optional(text("the name of a cluster")),
};

/** A cluster of another site. */
export const farClusterSchema = map(far);

/** Whether what is written for a cluster is one of another site, right or wrong. */
export function isFarInput(raw: unknown): boolean {
  return isRecord(raw) && "site" in raw;
}

/** The keys of a cluster of another site. */
export const FAR_KEYS: readonly string[] = Object.keys(far);

/** The keys that may stand in each place. */
export const CLUSTER_KEYS: Readonly<Record<string, readonly string[]>> = {
  "clusters.*": Object.keys(cluster),
  "clusters.*.cookie": COOKIE_KEYS,
  "clusters.*.listen": Object.keys(listen),
  "clusters.*.epmd": Object.keys(epmd),
  "clusters.*.tls": Object.keys(tls),
  "clusters.*.tls.passphrase": Object.keys(secretFile),
  "clusters.*.tls.dial": Object.keys(tlsSide),
  "clusters.*.tls.dial.passphrase": Object.keys(secretFile),
  "clusters.*.tls.accept": Object.keys(tlsSide),
  "clusters.*.tls.accept.passphrase": Object.keys(secretFile),
  "clusters.*.discovery": Object.keys(discovery),
  ...topologyKeys("clusters.*.discovery"),
  "clusters.*.discovery.topologies.*": Object.keys(topologyEntries),
  ...topologyKeys("clusters.*.discovery.topologies.*"),
};
