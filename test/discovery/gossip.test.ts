import { expect, it, onTestFinished } from "vitest";
import {
  describeNetwork,
  type Network,
  type NetworkHost,
  startNetwork,
} from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";
import { eachOtp, type Otp, requireOtp } from "../support/peers.ts";
import { Member, patiently } from "./member.ts";

const GROUP = "233.252.1.32";

type Hosts = readonly [NetworkHost, NetworkHost, NetworkHost];

async function network(): Promise<Network & { readonly hosts: Hosts }> {
  const made = await startNetwork({ hosts: 3 });
  onTestFinished(() => made.stop());
  return made as Network & { readonly hosts: Hosts };
}

/** Our strategy on a host of its own. */
function member(
  host: NetworkHost,
  {
    name = `js@${host.address}`,
    gossip = {},
    cookie,
  }: { name?: string; gossip?: object; cookie?: string } = {},
): Promise<Member> {
  const options = { heartbeat_interval: 500, ...gossip };
  return Member.start(host, { name, strategy: "gossip", options, cookie });
}

/** A BEAM that speaks gossip with the calls that libcluster makes. */
function beam(
  host: NetworkHost,
  { erl, ebin }: Otp,
  { secret = "none", mode = "multicast", address = GROUP, args = [] as readonly string[] } = {},
): Promise<OwnedProcess> {
  return host.start("a gossiping BEAM", erl, [
    ...["-noinput", "-pa", ebin, ...args],
    ...["-run", "isthmus_gossip", "main", `app@${host.address}`, mode, address, secret],
  ]);
}

const heard = (child: OwnedProcess): string[] => [
  ...new Set(child.output.match(/^heard .*$/gm)?.map((line) => line.slice("heard ".length))),
];

describeNetwork("gossip between hosts", () => {
  eachOtp("with a BEAM", (otp) => {
    it("heartbeats are heard both ways, by multicast", async () => {
      const { hosts } = await network();
      const [ours, theirs, another] = hosts;
      const peer = await beam(theirs, otp);
      const js = await member(ours);
      await js.says({ nodes: [`app@${theirs.address}`] });
      await expect.poll(() => heard(peer), patiently).toEqual([`js@${ours.address}`]);
      await beam(another, otp);
      await js.says({ nodes: [`app@${theirs.address}`, `app@${another.address}`] });
    });

    it("a secret divides the group into those who have it and the others", async () => {
      const { hosts } = await network();
      const [ours, theirs, another] = hosts;
      const peer = await beam(theirs, otp, { secret: "somepassword" });
      const stranger = await beam(another, otp, { secret: "another" });
      const js = await member(ours, { gossip: { secret: "somepassword" } });
      await js.says({ nodes: [`app@${theirs.address}`] });
      await expect.poll(() => heard(peer), patiently).toEqual([`js@${ours.address}`]);
      const plain = await member(another, { name: "plain@h3.test" });
      const same = await member(theirs, { name: "same@h2.test", gossip: { secret: "another" } });
      await same.says({ nodes: [`app@${another.address}`] });
      expect(heard(stranger)).not.toContain(`js@${ours.address}`);
      expect(js.last).toEqual({ nodes: [`app@${theirs.address}`] });
      expect(plain.output).toBe("");
    });

    it.each(["255.255.255.255", "10.77.0.255"])(
      "heartbeats are heard both ways, by broadcast to %s",
      async (to) => {
        const { hosts } = await network();
        const [ours, theirs] = hosts;
        const peer = await beam(theirs, otp, { mode: "broadcast", address: to });
        const js = await member(ours, { gossip: { broadcast_only: true, multicast_addr: to } });
        await js.says({ nodes: [`app@${theirs.address}`] });
        await expect.poll(() => heard(peer), patiently).toEqual([`js@${ours.address}`]);
      },
    );

    it("nodes find each other and connect, whoever dials", async () => {
      const { hosts } = await network();
      const [ours, theirs, another] = hosts;
      const cookie = "gossip_cookie";
      const args = (host: NetworkHost) => ["-name", `app@${host.address}`, "-setcookie", cookie];
      await beam(theirs, otp, { args: args(theirs) });
      await beam(another, otp, { args: args(another) });
      await ours.start("epmd", otp.epmd, []);
      const up = () => ours.run(otp.epmd, "-names").catch(() => "");
      await expect.poll(up, patiently).toContain("up and running");
      const js = await member(ours, { cookie });
      await js.says({ connected: [`app@${theirs.address}`, `app@${another.address}`] });
    });
  });

  it("a partition is not forgotten: who is silent stays until others are heard again without it", async () => {
    const { hosts, partition, heal } = bound(await network());
    const [ours, theirs, another] = hosts;
    const gossip = { heartbeat_interval: 100, expiry: 2000 };
    const js = await member(ours, { gossip });
    await member(theirs, { name: "a@h2.test", gossip });
    await member(another, { name: "b@h3.test", gossip });
    await js.says({ nodes: ["a@h2.test", "b@h3.test"] });
    await partition([ours], [theirs, another]);
    await js.says({ failed: expect.stringMatching(/^No heartbeat of any node was heard for 2000 ms/) });
    await heal();
    await js.says({ nodes: ["a@h2.test", "b@h3.test"] });
    await theirs.unplug();
    await js.says({ nodes: ["b@h3.test"] });
    await theirs.plug();
    await js.says({ nodes: ["b@h3.test", "a@h2.test"].sort() });
  });

  it("a host whose network comes later joins later", async () => {
    const { hosts } = await network();
    const [ours, theirs] = hosts;
    await ours.run("ip", "route", "del", "224.0.0.0/4");
    const js = await member(ours);
    await js.says({
      failed: expect.stringMatching(/cannot be sent and received on 0\.0\.0\.0 port 45892: .*ENODEV/),
    });
    await member(theirs);
    await ours.run("ip", "route", "add", "224.0.0.0/4", "dev", "eth0");
    await js.says({ nodes: [`js@${theirs.address}`] });
  });

  it("an interface that is made anew is joined again", async () => {
    const { hosts } = await network();
    const [ours, theirs] = hosts;
    const gossip = { heartbeat_interval: 100, expiry: 1000 };
    const js = await member(ours, { gossip });
    await member(theirs, { gossip });
    await js.says({ nodes: [`js@${theirs.address}`] });
    await ours.replaceLink();
    // that nobody is heard is over as soon as it was noticed
    await expect.poll(() => js.output, patiently).toMatch(/"No heartbeat.*\n.*nodes/);
    await js.says({ nodes: [`js@${theirs.address}`] });
  });

  it("one of several interfaces can be chosen, a group too, and IPv6", async () => {
    const { hosts } = await network();
    const [ours, theirs, another] = hosts;
    const old = { multicast_addr: [230, 1, 1, 251] };
    const js = await member(ours, { gossip: { ...old, multicast_if: ours.address } });
    await member(theirs, { gossip: { ...old, multicast_if: theirs.address } });
    await js.says({ nodes: [`js@${theirs.address}`] });
    const six = { multicast_addr: "ff02::4:5", multicast_if: "::%eth0" };
    const js6 = await member(another, { name: `js@${another.address6}`, gossip: six });
    await member(theirs, { name: `js@${theirs.address6}`, gossip: six });
    await js6.says({ nodes: [`js@${theirs.address6}`] });
  });

  it("who only listens is not heard, and names that are not allowed are not taken", async () => {
    const { hosts } = await network();
    const [ours, theirs, another] = hosts;
    const peer = await beam(theirs, requireOtp());
    await member(another, { name: "evil@h3.test" });
    const js = await member(ours, { gossip: { announce: false, allowed_nodes: ["app@10.77.0.*"] } });
    await js.says({ nodes: [`app@${theirs.address}`] });
    await expect.poll(() => heard(peer), patiently).toEqual(["evil@h3.test"]);
    expect(js.output.split("\n")).toHaveLength(2);
  });
});

function bound(net: Network & { readonly hosts: Hosts }) {
  return { hosts: net.hosts, partition: net.partition.bind(net), heal: net.heal.bind(net) };
}
