import type { DaemonStatus } from "../../src/admin/status.ts";

/** A bridge with a cluster of its own and one of another site, which have something to tell of everything. */
export const RUNNING: DaemonStatus = {
  version: "1.2.3",
  state: "running",
  uptimeSeconds: 93_784,
  availability: {
    ...{ lease: "consul", name: "berlin", state: "active", activations: 2, losses: 1 },
    lastReason: { code: "LEASE_LOST", message: "The lease berlin is lost." },
  },
  bridge: {
    clusters: [
      {
        id: "shop",
        node: "bridge@10.0.0.5",
        port: 9100,
        registered: true,
        connected: [
          { node: "shop1@10.0.0.11", hidden: false },
          { node: "shop2@10.0.0.12", hidden: true },
        ],
        identities: 3,
        carried: 1000,
        streamed: 3,
        undeliverable: 2,
        topologies: [
          {
            topology: "hosts",
            nodes: [
              { node: "shop1@10.0.0.11", state: "connected", attempt: 0, error: undefined },
              { node: "shop3@10.0.0.13", state: "waiting", attempt: 3, error: "EPMD_UNREACHABLE" },
            ],
            kept: [],
            leaving: [],
            answeredMs: 1500,
            discoveryError: "DNS_FAILED",
          },
        ],
      },
      {
        ...{ id: "billing", node: "isthmus-shop@north", port: undefined, registered: false },
        ...{ connected: [], identities: 0, carried: 7, streamed: 0, undeliverable: 0, topologies: [] },
      },
    ],
    sites: [
      {
        ...{ site: "north", peer: "south", state: "suspended", wire: "wss://south.example/trunk" },
        denied: ["shop/billing"],
        ...{ resumptions: 4, losses: 1, outgoingBytes: 512, incomingBytes: 0 },
        counters: {
          ...{ payloadsSent: 1, payloadsReceived: 2, bytesSent: 300, bytesReceived: 400 },
          ...{ resent: 5, repeated: 6, saved: 0 },
        },
        lastReason: { code: "TRUNK_CLOSED", message: "The connection has ended." },
      },
    ],
    routes: [{ from: "shop", to: "billing", name: "orders" }],
    groups: [
      {
        ...{ from: "shop", to: "billing", scope: "pg", groups: ["{room,*}"], form: "fan_out" },
        ...{ shared: 2, members: 11, leftOut: 1 },
      },
    ],
    mirrors: [
      { from: "shop", to: "audit", name: "a1@10.0.0.5", of: "a1@10.0.2.1", port: 9200 },
      { from: "shop", to: "audit", name: "a2@10.0.0.5", of: "a2@10.0.2.2", port: undefined },
    ],
    policyMode: "log",
    rules: [{ rule: "routes[0]", allowed: 9, refused: 0 }],
    refused: 5,
    wouldBeRefused: 6,
    relations: 12,
  } as unknown as NonNullable<DaemonStatus["bridge"]>,
};
