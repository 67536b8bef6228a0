import { nodeHooks } from "@isthmus/bridge";
import { type HiddenNode, startNode } from "@isthmus/core";
import { epmdResolver, type NodeResolver } from "@isthmus/epmd-client";
import { startTopology, type TopologyEvent } from "@isthmus/strategies";
import { dnsPoll } from "@isthmus/strategies/dns-poll";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { type Knot, startKnot } from "../support/knot.ts";
import { eachOtp, type OtpRelease } from "../support/peers.ts";

// Real nodes of one basename at addresses of their own, a real name server that knows them, and our node, which
// knows nothing but the server and the name.
const COOKIE = "dns_cookie";
const NAME = "app.beam.test";
const HOSTS = ["127.0.0.2", "127.0.0.3"] as const;
type Host = (typeof HOSTS)[number];

let epmds: Record<Host, Epmd>;
beforeAll(async () => {
  // both nodes are called "app": each host has an epmd, here a port of its own
  epmds = { "127.0.0.2": await startEpmd(), "127.0.0.3": await startEpmd() };
});
afterAll(async () => {
  await Promise.all(HOSTS.map((host) => epmds?.[host].stop()));
});

const app = (host: Host, otp: OtpRelease): Promise<Beam> =>
  startBeam({
    name: `app@${host}`,
    cookie: COOKIE,
    epmdPort: epmds[host].port,
    otp,
    // the first of two settings counts, and these stand before all others
    env: { ERL_AFLAGS: `-kernel inet_dist_use_interface {${host.replaceAll(".", ",")}}` },
  });

const resolver: NodeResolver = (node, options) =>
  epmdResolver({ port: epmds[node.host as Host].port, host: "127.0.0.1" })(node, options).then(
    (endpoint) => ({
      ...endpoint,
      host: node.host,
    }),
  );

/** A topology over our node, and a way to wait for what it tells. */
function watch(ours: HiddenNode, knot: Knot) {
  const events: TopologyEvent[] = [];
  const topology = startTopology({
    name: "dns",
    strategy: dnsPoll({
      query: NAME,
      nodeBasename: "app",
      servers: [knot.server],
      timeout: 200,
      attempts: 2,
      pollingInterval: 100,
    }),
    hooks: nodeHooks(ours),
    backoff: { firstMs: 100, maxMs: 500 },
  });
  topology.on((event) => events.push(event));
  let seen = 0;
  /** Waits for the next event that fits; what came before it is then past. */
  const next = async (matches: (event: TopologyEvent) => boolean): Promise<void> => {
    await expect.poll(() => events.slice(seen).some(matches)).toBe(true);
    seen += events.slice(seen).findIndex(matches) + 1;
  };
  return {
    topology,
    event: (type: TopologyEvent["type"], node: string) =>
      next((event) => event.type === type && "node" in event && event.node === node),
    /** Discovery fails for this reason: on a busy machine a query may time out before it is answered, too. */
    failed: (reason: string) =>
      next((event) => event.type === "discovery_failed" && event.error.context["reason"] === reason),
  };
}

eachOtp(
  "dns-poll with a name server",
  ({ otp }) => {
    it("nodes come with their records, go with them, and survive every trouble of the name server", async () => {
      const [first, second] = ["app@127.0.0.2", "app@127.0.0.3"] as const;
      const ours = await startNode({
        name: "js@127.0.0.1",
        cookie: COOKIE,
        listen: false,
        epmd: false,
        resolver,
      });
      const knot = await startKnot();
      const { topology, event, failed } = watch(ours, knot);
      const connected = () =>
        ours
          .nodes()
          .map(({ node }) => node)
          .sort();
      const beams: Beam[] = [];
      try {
        // nothing is known yet: the name does not exist
        await failed("nxdomain");

        beams.push(await app("127.0.0.2", otp));
        await knot.change({ set: ["app 1 A 127.0.0.2"] });
        await event("connected", first);
        await expect.poll(() => beams[0]!.eval("nodes(hidden)")).toBe("['js@127.0.0.1']");

        // a record before its node: dialled until it is there
        await knot.change({ set: ["app 1 A 127.0.0.3"] });
        await event("connect_failed", second);
        beams.push(await app("127.0.0.3", otp));
        await event("connected", second);
        expect(connected()).toEqual([first, second]);

        // the server is silent, then gone, then knows nothing of the name: nobody is lost
        await knot.pause();
        await failed("timeout");
        knot.resume();
        await knot.stop();
        await expect.poll(() => topology.status().discoveryError).toBe("DISCOVERY_FAILED");
        await knot.start();
        await expect
          .poll(() => topology.status().discoveryError === "DISCOVERY_FAILED" && connected().length)
          .toBe(2);
        await knot.change({ set: ["app 1 A 127.0.0.2", "app 1 A 127.0.0.3"] });
        await expect.poll(() => topology.status().discoveryError).toBeUndefined();
        expect(connected()).toEqual([first, second]);

        // a node dies and comes back
        await beams[1]!.kill();
        await event("disconnected", second);
        beams[1] = await app("127.0.0.3", otp);
        await event("connected", second);

        // its record goes
        await knot.change({ unset: ["app A 127.0.0.3"] });
        await event("disconnected", second);
        expect(connected()).toEqual([first]);
        await expect.poll(() => beams[1]!.eval("nodes(hidden)")).toBe("[]");

        // the last record goes too: that is rather a mistake than an empty cluster
        await knot.change({ unset: ["app A"] });
        await failed("nxdomain");
        expect(connected()).toEqual([first]);
        expect(await beams[0]!.eval("nodes(hidden)")).toBe("['js@127.0.0.1']");
      } finally {
        await topology.stop();
        await ours.close();
        await Promise.all([knot.stop(), ...beams.map((beam) => beam.stop())]);
      }
    });
  },
  [23, 25, 29],
);
