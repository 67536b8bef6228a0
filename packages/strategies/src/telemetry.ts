import { channel } from "node:diagnostics_channel";
import type { IsthmusError } from "@isthmus/wire";

/** What {@link TELEMETRY_CHANNELS} `connectOk` and `disconnectOk` carry. */
export interface TelemetryDone {
  readonly node: string;
  /** The topologies that want, or wanted, the node. */
  readonly topologies: readonly string[];
  readonly durationMs: number;
}

/** What `connectError` and `disconnectError` carry. */
export interface TelemetryFailed {
  readonly node: string;
  readonly topologies: readonly string[];
  /** libcluster's word for why a node could not be connected; the sentence of the error of a disconnect. */
  readonly reason: "unreachable" | "not_part_of_network" | (string & {});
  readonly error: IsthmusError;
}

/** What `discoveryOk` carries. */
export interface TelemetryDiscovered {
  readonly topology: string;
  /** How many nodes discovery named, our own among them if it did. */
  readonly nodes: number;
}

/** What `discoveryError` carries. */
export interface TelemetryDiscoveryFailed {
  readonly topology: string;
  readonly error: IsthmusError;
}

/** What `nodeUp` and `nodeDown` carry. */
export interface TelemetryNode {
  readonly node: string;
}

/**
 * Names of the channels of `node:diagnostics_channel` on which this package tells what it does. The first four are
 * libcluster's telemetry events `[:libcluster, :connect_node, :ok]` and so on; libcluster has none of the others.
 * Without a subscriber nothing is made.
 */
export const TELEMETRY_CHANNELS = {
  /** {@link TelemetryDone}: an attempt of ours succeeded. */
  connectOk: "isthmus:connect_node:ok",
  /** {@link TelemetryFailed} */
  connectError: "isthmus:connect_node:error",
  /** {@link TelemetryDone} */
  disconnectOk: "isthmus:disconnect_node:ok",
  /** {@link TelemetryFailed} */
  disconnectError: "isthmus:disconnect_node:error",
  /** {@link TelemetryDiscovered}: a strategy reported. */
  discoveryOk: "isthmus:discovery:ok",
  /** {@link TelemetryDiscoveryFailed} */
  discoveryError: "isthmus:discovery:error",
  /** {@link TelemetryNode}: a node is connected, wanted or not, whichever side dialled. */
  nodeUp: "isthmus:node:up",
  /** {@link TelemetryNode} */
  nodeDown: "isthmus:node:down",
} as const;

type ChannelName = keyof typeof TELEMETRY_CHANNELS;

interface Messages {
  readonly connectOk: TelemetryDone;
  readonly connectError: TelemetryFailed;
  readonly disconnectOk: TelemetryDone;
  readonly disconnectError: TelemetryFailed;
  readonly discoveryOk: TelemetryDiscovered;
  readonly discoveryError: TelemetryDiscoveryFailed;
  readonly nodeUp: TelemetryNode;
  readonly nodeDown: TelemetryNode;
}

const CHANNELS = Object.fromEntries(
  Object.entries(TELEMETRY_CHANNELS).map(([key, name]) => [key, channel(name)]),
) as Record<ChannelName, ReturnType<typeof channel>>;

/** Publishes what `make` gives, if anybody listens. */
export function publish<K extends ChannelName>(name: K, make: () => Messages[K]): void {
  const target = CHANNELS[name];
  if (target.hasSubscribers) target.publish(make());
}

/** libcluster's word for why a node could not be connected. */
export function connectReason(error: IsthmusError): TelemetryFailed["reason"] {
  return error.code === "CONNECT_IGNORED" || error.code === "NODE_CLOSED"
    ? "not_part_of_network"
    : "unreachable";
}
