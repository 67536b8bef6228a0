import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type GossipStrategyOptions, gossip } from "@isthmus/strategies/gossip";
import { describe, expect, it, onTestFinished } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { decodeGossipPacket, encodeHeartbeat, encryptHeartbeat, gossipKey } from "../../src/gossip/packet.ts";
import { strategyCompliance } from "../compliance.ts";
import { runStrategy } from "../support/run-strategy.ts";
import { LoopbackPeer } from "./loopback-peer.ts";

const SELF = "me@127.0.0.1";

async function join(to?: string): Promise<LoopbackPeer> {
  const peer = await LoopbackPeer.join(to);
  onTestFinished(() => peer.close());
  return peer;
}

/** A strategy and a peer of it, on a clock that stands. */
async function group(
  options: GossipStrategyOptions = {},
  { compat = false, to }: { compat?: boolean; to?: string } = {},
) {
  const peer = await join(to);
  const clock = new FakeClock();
  const run = runStrategy(gossip({ ...peer.options, ...options }), { clock, self: SELF, compat });
  // the first heartbeat, or its absence, tells that it listens
  const listening = async (): Promise<void> => {
    if (options.announce === false) await expect.poll(() => clock.pending).toBe(1);
    else await expect.poll(() => peer.heard.length).toBeGreaterThan(0);
  };
  await listening();
  const hear = async (...names: string[]): Promise<void> => {
    for (const name of names) await peer.send(encodeHeartbeat(name));
    await expect.poll(run.nodes).toEqual(expect.arrayContaining(names));
  };
  /** Waits until everything sent before has arrived: one host's packets keep their order. */
  const delivered = async (): Promise<void> => {
    const before = peer.heard.length;
    await peer.send(Buffer.from("the end"));
    await expect
      .poll(() => peer.heard.slice(before).some((packet) => packet.toString() === "the end"))
      .toBe(true);
    await expect.poll(() => run.logger.lines.some(({ fields }) => fields["kind"] === "foreign")).toBe(true);
  };
  const warnings = () =>
    run.logger.lines.filter(({ level }) => level === "warn").map(({ fields }) => fields["kind"]);
  return { peer, clock, run, hear, delivered, warnings };
}

describe("the strategy gossip", () => {
  it("sends a heartbeat at once, and then at random times up to the interval", async () => {
    const { peer, clock } = await group({ multicastLoopback: true });
    expect(decodeGossipPacket(peer.heard[0]!, "a@h")).toEqual({ kind: "heartbeat", node: SELF });
    for (let beats = 2; beats < 5; beats++) {
      expect(clock.pending).toBe(1);
      clock.advance(5000);
      await expect.poll(() => peer.heard.length).toBe(beats);
    }
  });

  it("reports who is heard, when the set changes, and never itself", async () => {
    const { run, hear, peer, delivered } = await group();
    await hear("a@10.0.0.1");
    await hear("b@10.0.0.2");
    for (const name of ["a@10.0.0.1", SELF, "b@10.0.0.2"]) await peer.send(encodeHeartbeat(name));
    await delivered();
    expect(run.reports).toEqual([
      { ok: true, nodes: ["a@10.0.0.1"] },
      { ok: true, nodes: ["a@10.0.0.1", "b@10.0.0.2"] },
    ]);
  });

  it("speaks by broadcast", async () => {
    const { run, peer, hear } = await group({}, { to: "127.255.255.255" });
    await hear("a@h");
    expect(run.nodes()).toEqual(["a@h"]);
    expect(decodeGossipPacket(peer.heard[0]!, "a@h")).toEqual({ kind: "heartbeat", node: SELF });
  });

  it("with a secret encrypts, hears those who have it, and warns once of each kind of others", async () => {
    const { run, peer, warnings } = await group({ secret: "s3cret" });
    expect(decodeGossipPacket(peer.heard[0]!, "a@h", gossipKey("s3cret"))).toEqual({
      kind: "heartbeat",
      node: SELF,
    });
    for (let time = 0; time < 3; time++) {
      await peer.send(encodeHeartbeat("plain@h"));
      await peer.send(encryptHeartbeat(encodeHeartbeat("other@h"), gossipKey("another")));
    }
    await peer.send(encryptHeartbeat(encodeHeartbeat("a@h"), gossipKey("s3cret")));
    await expect.poll(run.nodes).toEqual(["a@h"]);
    expect(warnings()).toEqual(["foreign", "undecryptable"]);
    expect(JSON.stringify(run.logger.lines)).not.toContain("s3cret");
  });

  it("lives through anything that is sent to it", async () => {
    const { run, peer, hear, warnings } = await group();
    await peer.send(Buffer.alloc(0));
    await peer.send(Buffer.from("heartbeat::\x83\x74\xff\xff\xff\xff", "latin1"));
    await peer.send(Buffer.alloc(60_000, "heartbeat::"));
    await hear("a@h");
    expect(run.reports).toEqual([{ ok: true, nodes: ["a@h"] }]);
    expect(warnings()).toEqual(["foreign", "malformed"]);
  });

  it("only listens with announce: false, and is quiet when it is drained", async () => {
    const quiet = await group({ announce: false });
    quiet.clock.advance(5000);
    quiet.run.strategy.refresh!();
    await quiet.hear("a@h");
    expect(quiet.peer.heard).toHaveLength(1);

    const drained = await group();
    drained.run.strategy.drain!();
    const before = drained.peer.heard.length;
    drained.clock.advance(5000);
    drained.run.strategy.refresh!();
    await drained.hear("a@h");
    expect(drained.peer.heard).toHaveLength(before + 1);
  });

  it("is quiet in a dry run", async () => {
    const peer = await join();
    const clock = new FakeClock();
    const run = runStrategy(gossip(peer.options), { clock, passive: true });
    await expect.poll(() => clock.pending).toBe(1);
    clock.advance(5000);
    await peer.send(encodeHeartbeat("a@h"));
    await expect.poll(run.nodes).toEqual(["a@h"]);
    expect(peer.heard).toHaveLength(1);
  });

  it("sends at once when it is refreshed", async () => {
    const { peer, run, clock } = await group();
    run.strategy.refresh!();
    await expect.poll(() => peer.heard.length).toBe(2);
    expect(clock.pending).toBe(1);
  });

  it("takes only allowed names", async () => {
    const { run, peer, hear, warnings } = await group({ allowedNodes: ["app*@10.0.0.*", "js@h"] });
    await peer.send(encodeHeartbeat("evil@6.6.6.6"));
    await hear("js@h", "app1@10.0.0.7");
    expect(run.nodes()).toEqual(["app1@10.0.0.7", "js@h"]);
    expect(warnings()).toEqual(["not_allowed"]);
  });

  it("takes only so many names, and so many packets", async () => {
    const { run, peer, hear, warnings } = await group({ maxNodes: 2, maxPacketsPerSender: 4 });
    await hear("a@h", "b@h");
    for (const name of ["c@h", "d@h", "e@h", "f@h"]) await peer.send(encodeHeartbeat(name));
    await expect.poll(warnings).toEqual(["full", "flood"]);
    expect(run.nodes()).toEqual(["a@h", "b@h"]);
  });

  it("forgets who is silent for a minute while others are heard", async () => {
    const { run, clock, hear, peer } = await group();
    await hear("a@h", "b@h");
    for (let s = 0; s < 60; s += 10) {
      clock.advance(10_000);
      await hear("b@h");
    }
    const count = peer.heard.length;
    await peer.send(encodeHeartbeat("b@h"));
    await expect.poll(() => peer.heard.length).toBeGreaterThan(count);
    clock.advance(5000);
    await expect.poll(run.nodes).toEqual(["b@h"]);
  });

  it("keeps all of them when nobody is heard, says so, and says when it is over", async () => {
    const { run, clock, hear, peer } = await group({ expiry: 20_000 });
    await hear("a@h", "b@h");
    for (let s = 0; s < 30; s += 5) clock.advance(5000);
    expect(run.failure()).toMatchObject({
      code: "DISCOVERY_FAILED",
      message: expect.stringContaining("20000 ms"),
    });
    expect(run.nodes()).toEqual(["a@h", "b@h"]);
    await peer.send(encodeHeartbeat("a@h"));
    await expect.poll(run.failure).toBeUndefined();
    expect(run.nodes()).toEqual(["a@h", "b@h"]);
  });

  it.each([
    ["with compat", {}, true],
    ["with expiry never", { expiry: "never" as const }, false],
  ])("forgets nobody %s", async (_, options, compat) => {
    const { run, clock, hear } = await group(options, { compat });
    await hear("a@h");
    clock.advance(3_600_000);
    await hear("b@h");
    clock.advance(5000);
    expect(run.reports.at(-1)).toEqual({ ok: true, nodes: ["a@h", "b@h"] });
  });

  it("tries again when the port is taken", async () => {
    const taken = createSocket("udp4").bind(0);
    await once(taken, "listening");
    const clock = new FakeClock();
    const strategy = gossip({ port: taken.address().port, multicastIf: "127.0.0.1" });
    const run = runStrategy(strategy, { clock });
    await expect.poll(run.failure).toMatchObject({
      code: "DISCOVERY_FAILED",
      message: expect.stringContaining("EADDRINUSE"),
    });
    taken.close();
    await once(taken, "close");
    clock.advance(1000);
    await expect.poll(run.failure).toBeUndefined();
    expect(run.reports.at(-1)).toEqual({ ok: true, nodes: [] });
  });

  it("warns once when heartbeats cannot be sent, and goes on", async () => {
    const clock = new FakeClock();
    // there is no route from loopback to another network
    const run = runStrategy(
      gossip({ port: 45_000, ifAddr: "127.0.0.1", multicastAddr: "198.51.100.255", broadcastOnly: true }),
      { clock },
    );
    const lines = (level: string) =>
      run.logger.lines.filter((line) => line.level === level && line.message.includes("could not be sent"));
    await expect.poll(() => lines("warn")).toHaveLength(1);
    clock.advance(5000);
    await expect.poll(() => lines("debug")).toHaveLength(1);
    expect(run.reports).toEqual([]);
  });
});

strategyCompliance("gossip", {
  async source() {
    const peer = await LoopbackPeer.join();
    peer.beat(encryptHeartbeat(encodeHeartbeat("a@h"), gossipKey("hunter2")));
    return {
      nodes: ["a@h"],
      make: () => gossip({ ...peer.options, secret: "hunter2" }),
      close: () => peer.close(),
    };
  },
  secrets: ["hunter2"],
  badOptions: {
    "a name for an address": () => gossip({ multicastAddr: "localhost" }),
    "five numbers for an address": () => gossip.from({ multicast_addr: [1, 2, 3, 4, 5] }),
    "a group that is none": () => gossip({ multicastAddr: "10.0.0.1" }),
    "a group to broadcast to": () => gossip({ multicastAddr: "233.252.1.32", broadcastOnly: true }),
    "an IPv6 address to broadcast to": () => gossip({ multicastAddr: "ff02::1", broadcastOnly: true }),
    "an IPv6 interface for an IPv4 group": () => gossip({ multicastIf: "::1" }),
    "an IPv4 address for an IPv6 group": () => gossip({ multicastAddr: "ff02::4:5", ifAddr: "10.0.0.1" }),
    "port 0": () => gossip({ port: 0 }),
    "a TTL of 256": () => gossip({ multicastTtl: 256 }),
    "an expiry shorter than two intervals": () => gossip({ expiry: 9999 }),
    "an expiry that is no time": () => gossip.from({ expiry: "soon" }),
    "a secret that is empty": () => gossip({ secret: "" }),
    "a secret that is no text": () => gossip.from({ secret: { value: "hunter2" } }),
    "an unknown option": () => gossip.from({ multicast_address: "233.252.1.32" }),
  },
});

it("takes libcluster's options", () => {
  const config = {
    port: 45_892,
    if_addr: "0.0.0.0",
    multicast_if: "192.168.1.1",
    multicast_addr: [230, 1, 1, 251],
    multicast_ttl: 1,
    secret: "somepassword",
  };
  expect(gossip.from(config)).toMatchObject({ start: expect.any(Function) });
  expect(gossip.from({ broadcast_only: true, multicast_addr: "255.255.255.255" })).toBeDefined();
});
