import type { NodeTls } from "@isthmus/core";
import { type TlsSide, tlsClientOptions, tlsServerOptions } from "@isthmus/dist-handshake";
import { epmdResolver, staticResolver } from "@isthmus/epmd-client";
import type * as v from "valibot";
import type { ClusterOptions, DiscoveryOptions, FarClusterOptions, OwnClusterOptions } from "../options.ts";
import {
  clusterSchema,
  farClusterSchema,
  isFarInput,
  type TlsSideInput,
  topologySchema,
} from "./cluster-schema.ts";
import type { Examination } from "./examination.ts";
import { isLoopback } from "./meaning.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";
import { readTopology } from "./topology.ts";
import { withoutUndefined } from "./without-undefined.ts";

type ClusterInput = v.InferOutput<typeof clusterSchema>;
type DiscoveryInput = NonNullable<ClusterInput["discovery"]>;

/** The name of the topology of a cluster that has but one. */
const ONLY_TOPOLOGY = "discovery";
/** The strategy that is nothing but a list of nodes. */
const LIST_STRATEGIES: readonly string[] = ["epmd", "Cluster.Strategy.Epmd"];

/** A cluster as it was read. */
export interface ReadCluster {
  readonly options: ClusterOptions;
  /** Its strategies, by the names of their topologies. */
  readonly strategies: ReadonlyMap<string, string>;
}

/** The cluster that is written at `path`; undefined, with its problems, when it is none. */
export async function readCluster(
  examination: Examination,
  raw: unknown,
  path: KeyPath,
  epmdPort: number,
): Promise<ReadCluster | undefined> {
  if (isFarInput(raw)) {
    const options = examination.part(farClusterSchema, raw, path);
    return options && { options: options as FarClusterOptions, strategies: new Map() };
  }
  const cookie = isRecord(raw) ? examination.cookie(raw["cookie"], [...path, "cookie"]) : undefined;
  const cluster = examination.part(clusterSchema, raw, path);
  const discovery =
    cluster?.discovery && (await readDiscovery(examination, cluster.discovery, [...path, "discovery"]));
  const tls = cluster?.tls && readTls(examination, cluster.tls, cluster.node, [...path, "tls"]);
  if (cluster === undefined || cookie === undefined) return undefined;
  const options: OwnClusterOptions = {
    ...ownCluster(cluster, cookie, epmdPort),
    ...withoutUndefined({ discovery: discovery?.topologies, tls }),
  };
  return { options, strategies: discovery?.strategies ?? new Map() };
}

function ownCluster(
  cluster: ClusterInput,
  cookie: OwnClusterOptions["cookie"],
  epmdPort: number,
): OwnClusterOptions {
  const { host, port = epmdPort, register, embedded } = cluster.epmd ?? {};
  const ports = Object.entries(cluster.discovery?.ports ?? {});
  const fallback = epmdResolver({ port });
  return {
    node: cluster.node,
    cookie,
    listen: withoutUndefined({ host: cluster.listen?.host, port: cluster.listen?.port ?? 0 }),
    epmd: register === false ? false : { host: host ?? "127.0.0.1", port },
    embeddedEpmd: embedded ?? (host === undefined || isLoopback(host) ? "auto" : "never"),
    resolver:
      ports.length === 0
        ? fallback
        : staticResolver(Object.fromEntries(ports.map(([node, at]) => [node, { port: at }])), fallback),
    hosts: cluster.discovery?.hosts ?? [],
    ...withoutUndefined({ tickTimeSeconds: cluster.tick_time, narrow: cluster.narrow }),
  };
}

/** The topologies of a cluster, besides the list of its hosts. */
async function readDiscovery(
  examination: Examination,
  given: DiscoveryInput,
  path: KeyPath,
): Promise<{ topologies: Record<string, DiscoveryOptions>; strategies: Map<string, string> }> {
  const topologies: Record<string, DiscoveryOptions> = {};
  const strategies = new Map<string, string>();
  const add = async (
    name: string,
    input: v.InferOutput<typeof topologySchema>,
    at: KeyPath,
  ): Promise<void> => {
    const read = await readTopology(examination, input, at);
    if (read === undefined) return;
    const { strategyName, ...topology } = read;
    topologies[name] = topology;
    strategies.set(name, strategyName);
  };
  const { strategy, config, removal, guard, compat, topologies: several } = given;
  if (strategy === undefined) {
    for (const [key, value] of Object.entries({ config, removal, guard, compat })) {
      if (value !== undefined)
        examination.add([...path, key], "is of a strategy, and none is given; add strategy.", "key");
    }
  } else if (config !== undefined || !LIST_STRATEGIES.includes(strategy)) {
    const rest = { guard: guard ?? {}, compat: compat ?? false };
    await add(
      ONLY_TOPOLOGY,
      { strategy, config: config ?? {}, ...rest, ...withoutUndefined({ removal }) },
      path,
    );
  }
  for (const [name, one] of Object.entries(several ?? {})) {
    const at: KeyPath = [...path, "topologies", name];
    if (name === "hosts" || (name === ONLY_TOPOLOGY && strategies.has(name)))
      examination.add(at, "is a name that is taken; give the topology another one.", "key");
    const input = examination.part(topologySchema, one, at);
    if (input !== undefined) await add(name, input, at);
  }
  return { topologies, strategies };
}

/** The certificates of a cluster; undefined, with a problem, when they are of no use. */
function readTls(
  examination: Examination,
  given: NonNullable<ClusterInput["tls"]>,
  node: string,
  path: KeyPath,
): NodeTls | undefined {
  const { dial, accept, ...common } = given;
  const before = examination.yaml.problems.length;
  const both = readSide(examination, common, path);
  const sides = {
    dial: { ...both, ...(dial && readSide(examination, dial, [...path, "dial"])) },
    accept: { ...both, ...(accept && readSide(examination, accept, [...path, "accept"])) },
  };
  if (examination.yaml.problems.length > before || examination.yaml.isUnresolvedWithin(path))
    return undefined;
  const wrong = (message: string): void => examination.add(path, `is of no use. ${message}`, "key");
  return examination.attempt(() => {
    tlsServerOptions(sides.accept);
    tlsClientOptions(sides.dial, node);
    return sides;
  }, wrong);
}

function readSide(examination: Examination, given: TlsSideInput, path: KeyPath): TlsSide {
  const file = (name: string | undefined, ...key: KeyPath): Buffer | undefined =>
    examination.file(name, [...path, ...key]);
  const ca = given.ca?.flatMap(
    (name, i) => file(name, "ca", ...((given.ca?.length ?? 0) > 1 ? [i] : [])) ?? [],
  );
  const side = {
    cert: file(given.certificate, "certificate"),
    key: file(given.key, "key"),
    passphrase: examination.secret(given.passphrase, [...path, "passphrase"]),
    ca,
    verify: given.verify,
    failIfNoPeerCert: given.fail_if_no_peer_cert,
    serverName: given.server_name,
    minVersion: given.min_version,
    maxVersion: given.max_version,
    ciphers: given.ciphers,
    honorCipherOrder: given.honor_cipher_order,
    dhparam: file(given.dhparam, "dhparam"),
  };
  return withoutUndefined(side);
}
