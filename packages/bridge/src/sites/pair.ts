import { isNodeName } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import { type BridgeOptions, type FarClusterOptions, isFar } from "../options.ts";
import { isName } from "../trunk/codec.ts";

/**
 * A cluster of ours and one of another site. For both bridges they are a cluster of two nodes, the bridges; both sides
 * give the two nodes the same names.
 */
export interface ClusterPair {
  /** What we call the far cluster. */
  readonly id: string;
  /** The other site. */
  readonly site: string;
  /** Our cluster, and what the other site calls its own. */
  readonly own: string;
  readonly far: string;
  /** Our node, and the only other one. */
  readonly node: string;
  readonly peer: string;
  /** The trunk's channels, from us and to us. */
  readonly outgoing: string;
  readonly incoming: string;
}

/**
 * The pairs that these options name.
 * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`
 */
export function clusterPairs({ clusters, trunk }: Pick<BridgeOptions, "clusters" | "trunk">): ClusterPair[] {
  const own = Object.keys(clusters).filter((id) => !isFar(clusters[id]!));
  const pairs: ClusterPair[] = [];
  for (const [id, options] of Object.entries(clusters)) {
    if (!isFar(options)) continue;
    if (trunk === undefined)
      throw invalid(`Cluster ${id} is of site ${options.site}, but there is no trunk.`);
    if (!Object.hasOwn(trunk.sites, options.site))
      throw invalid(`Cluster ${id} is of site ${options.site}, to which the trunk knows no way.`);
    const pair = pairOf(id, options, joined(id, options, own), trunk.site);
    if (pairs.some(({ site, outgoing }) => site === pair.site && outgoing === pair.outgoing))
      throw invalid(`Cluster ${pair.far} of site ${pair.site} is joined with ${pair.own} twice.`);
    pairs.push(pair);
  }
  return pairs;
}

/**
 * A far cluster and ours cross the trunk as a pair; a third cluster of ours would appear there as that one of the pair.
 * @throws IsthmusError `BRIDGE_OPTIONS_INVALID` when something leads from a far cluster, or to one, that is of another pair
 */
export function checkPaired(pairs: readonly ClusterPair[], what: string, from: string, to: string): void {
  for (const { id, own } of pairs) {
    const other = id === from ? to : id === to ? from : own;
    if (other !== own)
      throw invalid(`${what} leads from ${from} to ${to}, but ${id} is joined with ${own} and no other.`);
  }
}

function joined(id: string, { joins }: FarClusterOptions, own: readonly string[]): string {
  const cluster = joins ?? (own.length === 1 ? own[0] : undefined);
  if (cluster === undefined) throw invalid(`Cluster ${id} must say which cluster of ours it joins.`);
  if (!own.includes(cluster)) throw invalid(`Cluster ${id} joins ${cluster}, which is no cluster of ours.`);
  return cluster;
}

function pairOf(
  id: string,
  { site, as: far = id }: FarClusterOptions,
  own: string,
  here: string,
): ClusterPair {
  const node = nodeName(own, here);
  const peer = nodeName(far, site);
  const fits = isName(site) && site !== here && isNodeName(node) && isNodeName(peer) && far !== "";
  const outgoing = channel(own, far);
  if (!fits || !isName(outgoing))
    throw invalid(
      `Cluster ${id} cannot be joined with ${own}: the names of the clusters and sites are too long, or the site is our own.`,
    );
  return { id, site, own, far, node, peer, outgoing, incoming: channel(far, own) };
}

function nodeName(cluster: string, site: string): string {
  return `isthmus-${word(cluster)}@${word(site)}`;
}

function channel(from: string, to: string): string {
  return `${word(from)} ${word(to)}`;
}

/** A name without anything that means something in names of nodes or channels. */
function word(name: string): string {
  return Array.from(Buffer.from(name), (byte) =>
    /[A-Za-z0-9_.-]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `=${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}

function invalid(message: string): Error {
  return bridgeError("BRIDGE_OPTIONS_INVALID", message);
}
