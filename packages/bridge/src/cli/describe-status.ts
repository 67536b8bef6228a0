import type { Readiness } from "../admin/readiness.ts";
import type { DaemonStatus } from "../admin/status.ts";
import type { BridgeStatus, ClusterStatus } from "../bridge.ts";
import { printable } from "../log.ts";
import type { TrunkStatus } from "../trunk/link.ts";

/** Longer lists of nodes are cut. */
const MAX_NODES = 20;

/** What `isthmus status` prints. It comes from another process: control characters are written out. */
export function describeStatus(status: DaemonStatus, { ready, reasons }: Readiness): string {
  const { version, state, uptimeSeconds, availability, bridge } = status;
  const lines = [
    `isthmus ${version}, ${state} for ${duration(uptimeSeconds)}, ${ready ? "ready" : "not ready"}`,
  ];
  for (const { cluster, reason } of reasons)
    lines.push(`  ${cluster === undefined ? "" : `${cluster}: `}${reason}`);
  if (availability !== undefined) {
    const { lease, name, activations, losses, lastReason } = availability;
    lines.push(
      `lease ${name} (${lease})`,
      `  active ${times(activations)}, lost ${times(losses)}${lastReason === undefined ? "" : `, the last time: ${lastReason.message}`}`,
    );
  }
  if (bridge !== undefined) {
    for (const cluster of bridge.clusters) lines.push(...describeCluster(cluster));
    for (const site of bridge.sites) lines.push(...describeTrunk(site));
    lines.push(...describeTraffic(bridge));
  }
  return lines.map(printable).join("\n");
}

function describeCluster(cluster: ClusterStatus): string[] {
  const { id, node, port, registered, connected, identities, carried, undeliverable, topologies } = cluster;
  const found = registered ? "registered with epmd" : "not registered with epmd";
  const place = port === undefined ? "which listens nowhere" : `port ${port}, ${found}`;
  const lines = [
    `cluster ${id}`,
    `  is          ${node}, ${place}`,
    `  connected   ${listed(connected.map((peer) => (peer.hidden ? `${peer.node} (hidden)` : peer.node)))}`,
    `  carried     ${carried} signals to others, ${undeliverable} undeliverable; knows ${identities} nodes of others`,
  ];
  for (const { topology, nodes, discoveryError } of topologies) {
    const missing = nodes.filter(({ state }) => state !== "connected");
    if (discoveryError !== undefined) lines.push(`  discovery   ${topology} failed (${discoveryError})`);
    if (missing.length === 0) continue;
    const why = missing.map((one) => `${one.node} (${one.error ?? one.state})`);
    lines.push(`  waits for   ${listed(why)}`);
  }
  return lines;
}

function describeTrunk(trunk: TrunkStatus): string[] {
  const { peer, state, wire, denied, resumptions, losses, outgoingBytes, incomingBytes, lastReason } = trunk;
  const lines = [
    `trunk to ${peer}`,
    `  is          ${state}${wire === undefined ? "" : `, ${wire}`}; ${outgoingBytes} bytes wait to go, ${incomingBytes} to be taken`,
    `  resumed     ${times(resumptions)}, lost ${times(losses)}`,
  ];
  if (denied.length > 0) lines.push(`  denied      ${listed(denied)}`);
  if (lastReason !== undefined) lines.push(`  last end    ${lastReason.message} (${lastReason.code})`);
  return lines;
}

function describeTraffic({
  rules,
  refused,
  wouldBeRefused,
  relations,
  policyMode,
  groups,
  mirrors,
}: BridgeStatus): string[] {
  const lines = ["between them"];
  lines.push(`  across      ${relations} links, monitors and calls`);
  const trial = policyMode === "log" ? `, ${wouldBeRefused} carried although refused (policy_mode: log)` : "";
  lines.push(`  refused     ${refused}${trial}`);
  for (const { rule, allowed, refused: denied } of rules)
    lines.push(`  ${rule}: ${allowed} allowed, ${denied} refused`);
  for (const { from, to, scope, form, shared, members, leftOut } of groups) {
    const without = leftOut === 0 ? "" : `, ${leftOut} left out`;
    lines.push(
      `  groups      ${from} sees ${shared} of ${to} (${scope}, ${form}), ${members} members${without}`,
    );
  }
  for (const { from, to, name, of, port } of mirrors.slice(0, MAX_NODES)) {
    const place = port === undefined ? "but cannot be started" : `port ${port}`;
    lines.push(`  mirrors     ${name} in ${from} is ${of} of ${to}, ${place}`);
  }
  if (mirrors.length > MAX_NODES) lines.push(`  mirrors     and ${mirrors.length - MAX_NODES} more`);
  return lines;
}

function listed(items: readonly string[]): string {
  if (items.length === 0) return "none";
  const more = items.length - MAX_NODES;
  return [...items.slice(0, MAX_NODES), ...(more > 0 ? [`and ${more} more`] : [])].join(", ");
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

/** `3d 4h`, the two largest units. */
function duration(seconds: number): string {
  const units = [
    ["d", Math.floor(seconds / 86_400)],
    ["h", Math.floor(seconds / 3600) % 24],
    ["m", Math.floor(seconds / 60) % 60],
    ["s", seconds % 60],
  ] as const;
  const first = units.findIndex(([, count]) => count > 0);
  if (first < 0) return "0s";
  return units
    .slice(first, first + 2)
    .map(([unit, count]) => `${count}${unit}`)
    .join(" ");
}
