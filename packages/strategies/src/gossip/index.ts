import { isIPv6 } from "node:net";
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { namePatterns } from "../name-pattern.ts";
import { type OptionsInput, type OptionsOf, option } from "../options.ts";
import { address, isMulticast } from "./address.ts";
import { GossipRun } from "./gossip-run.ts";
import type { GossipSocketOptions } from "./socket.ts";

/** libcluster's group from 3.3.0 on. Up to 3.2.2, and in skycluster, it was 230.1.1.251. */
const GROUP = "233.252.1.32";
const BROADCAST = "255.255.255.255";
const DEFAULT_EXPIRY_MS = 60_000;

const ipAddress = option.any<string>("an IP address", address);

const options = {
  /** UDP port, on which heartbeats are received and to which they are sent. @default 45892 */
  port: option.integer({ min: 1, max: 65_535, default: 45_892 }),
  /** Address that the socket is bound to. On Linux anything but the default receives no multicast. @default all */
  ifAddr: option.optional(ipAddress),
  /** The multicast group, or the broadcast address with `broadcastOnly`. @default 233.252.1.32, or 255.255.255.255 */
  multicastAddr: option.optional(ipAddress),
  /** Our address on the interface to use; with IPv6 its name, as in `::%eth0`. @default what the system chooses */
  multicastIf: option.optional(ipAddress),
  /** How many routers heartbeats may pass, and one more. @default 1 */
  multicastTtl: option.integer({ min: 0, max: 255, default: 1 }),
  /** Whether programs on our own host hear us. @default true */
  multicastLoopback: option.boolean({ default: true }),
  /** Heartbeats are broadcast, and no group is joined. @default false */
  broadcastOnly: option.boolean({ default: false }),
  /** Encrypts heartbeats, and ignores those that are not encrypted with it. */
  secret: option.optional(option.text({ secret: true })),
  /** `false` only listens: others do not dial us, we dial them. @default true */
  announce: option.boolean({ default: true }),
  /** Longest time between two heartbeats of ours; each is chosen at random. Milliseconds. @default 5000 */
  heartbeatInterval: option.milliseconds({ default: 5000, min: 10 }),
  /** Silence after which a node is no longer reported, or `never`. Milliseconds. @default 60000; never with `compat` */
  expiry: option.optional(
    option.any<number | "never">("milliseconds, or never", (value) =>
      value === "never" || value === "infinity" ? "never" : option.milliseconds({ default: 0 }).parse(value),
    ),
  ),
  /** Patterns such as `app*@10.0.0.*`, of which a node's name must match one. @default all names */
  allowedNodes: namePatterns,
  /** More nodes are not remembered. @default 1000 */
  maxNodes: option.integer({ min: 1, max: 100_000, default: 1000 }),
  /** Packets a second that are looked at, from all senders together. @default 2000 */
  maxPackets: option.integer({ min: 1, max: 1_000_000, default: 2000 }),
  /** The same from one address. @default 200 */
  maxPacketsPerSender: option.integer({ min: 1, max: 1_000_000, default: 200 }),
};

/** Options of {@link gossip}. */
export type GossipStrategyOptions = OptionsInput<typeof options>;

/**
 * Nodes that tell of themselves by UDP multicast or broadcast, as libcluster's `Cluster.Strategy.Gossip`; heartbeats
 * are the same byte for byte, encrypted ones too.
 *
 * A heartbeat is taken at its word: whoever can send to the group, or has the secret, decides whom we dial.
 */
export const gossip = defineStrategy({
  name: "gossip",
  aliases: ["Cluster.Strategy.Gossip"],
  options,
  create(given) {
    const socket = socketOptions(given);
    const { secret, announce, heartbeatInterval, expiry, allowedNodes, maxNodes } = given;
    if (typeof expiry === "number" && expiry < 2 * heartbeatInterval) {
      throw invalid(
        "expiry",
        `expiry must be at least ${2 * heartbeatInterval} ms: nodes are silent for up to ${heartbeatInterval} ms.`,
      );
    }
    const flood = { total: given.maxPackets, perSender: given.maxPacketsPerSender };
    let run: GossipRun | undefined;
    return {
      start(context) {
        const silence = expiry ?? (context.compat ? "never" : DEFAULT_EXPIRY_MS);
        const expiryMs = silence === "never" ? undefined : silence;
        if (secret === undefined && allowedNodes === undefined) {
          const message =
            "gossip: whoever can send to the group decides whom we dial. Set secret or allowed_nodes.";
          context.logger.info({ group: socket.multicastAddr, port: socket.port }, message);
        }
        const what = { socket, secret, announce, heartbeatInterval, expiryMs, maxNodes, allowedNodes, flood };
        run = new GossipRun(context, what);
      },
      refresh: () => run?.refresh(),
      drain: () => run?.drain(),
      stop: async () => run?.stop(),
    };
  },
});

function socketOptions(given: OptionsOf<typeof options>): GossipSocketOptions {
  const { port, multicastIf, multicastTtl, multicastLoopback, broadcastOnly } = given;
  const multicastAddr = given.multicastAddr ?? (broadcastOnly ? BROADCAST : GROUP);
  if (!broadcastOnly && !isMulticast(multicastAddr)) {
    throw invalid(
      "multicastAddr",
      `multicast_addr must be a multicast group, such as ${GROUP}, not ${multicastAddr}. To broadcast set broadcast_only.`,
    );
  }
  if (broadcastOnly && (isMulticast(multicastAddr) || isIPv6(multicastAddr))) {
    throw invalid(
      "multicastAddr",
      `With broadcast_only multicast_addr must be an IPv4 broadcast address, such as ${BROADCAST}, not ${multicastAddr}.`,
    );
  }
  const ifAddr = given.ifAddr ?? (isIPv6(multicastAddr) ? "::" : "0.0.0.0");
  for (const [name, other] of Object.entries({ if_addr: ifAddr, multicast_if: multicastIf })) {
    if (other !== undefined && isIPv6(other) !== isIPv6(multicastAddr)) {
      throw invalid(name, `${name} must be of the same kind as multicast_addr: both IPv4, or both IPv6.`);
    }
  }
  return { port, ifAddr, multicastAddr, multicastIf, multicastTtl, multicastLoopback, broadcastOnly };
}

function invalid(name: string, message: string): Error {
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, {
    context: { strategy: "gossip", option: name },
  });
}
