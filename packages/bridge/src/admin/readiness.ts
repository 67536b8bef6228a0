import type { ClusterStatus } from "../bridge.ts";
import { type ClusterOptions, isFar } from "../options.ts";
import type { DaemonStatus } from "./status.ts";

/** Whether work may be sent to a bridge. */
export interface Readiness {
  readonly ready: boolean;
  readonly state: DaemonStatus["state"];
  /** Why it is not ready; none when it is. */
  readonly reasons: readonly UnreadyReason[];
}

/** One thing that a bridge waits for. */
export interface UnreadyReason {
  /** The cluster that it is about; not there when it is about the whole bridge. */
  readonly cluster?: string;
  readonly reason: string;
}

/**
 * A bridge is ready when it is registered in each of its clusters as configured and connected to a node there, and when
 * the trunk to each cluster of another site is up; a bridge that waits for its turn is ready for that.
 */
export function readiness(
  clusters: Readonly<Record<string, ClusterOptions>>,
  { state, bridge }: DaemonStatus,
): Readiness {
  if (state === "standby") return { ready: true, state, reasons: [] };
  if (state !== "running" || bridge === undefined)
    return { ready: false, state, reasons: [{ reason: `it is ${state}` }] };
  const known = new Map(bridge.clusters.map((cluster) => [cluster.id, cluster]));
  const reasons = Object.entries(clusters).flatMap(([cluster, options]) =>
    unready(options, known.get(cluster)).map((reason) => ({ cluster, reason })),
  );
  return { ready: reasons.length === 0, state, reasons };
}

function unready(options: ClusterOptions, status: ClusterStatus | undefined): string[] {
  if (status === undefined) return ["has not started"];
  const { connected, registered } = status;
  if (isFar(options)) {
    return connected.length > 0 ? [] : [`there is no session with the bridge of site ${options.site}`];
  }
  return [
    ...(registered || options.epmd === false ? [] : ["is not registered with epmd"]),
    ...(connected.length > 0 ? [] : ["is connected to no node"]),
  ];
}
