import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { until } from "../e2e/two-clusters.ts";
import {
  describeNetwork,
  type Network,
  type NetworkHost,
  startNetwork,
} from "../support/network-namespaces.ts";
import { eachOtp, type OtpRelease, otpReleases } from "../support/peers.ts";
import { isMesh, Member, stays, timed } from "./mesh.ts";

let folder: string;
let network: Network;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-form-"));
});
afterEach(async () => {
  await network?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A network with one member on each host. */
async function members(releases: readonly OtpRelease[], tickTime = 4): Promise<Member[]> {
  network = await startNetwork({ hosts: releases.length });
  const all = releases.map((otp, i) => new Member(network.hosts[i]!, otp, folder, tickTime));
  for (const member of all) await member.startEpmd();
  return all;
}

/** OTP 27 where it is there, else 25. */
const newer = (): OtpRelease => (otpReleases().some(({ otp }) => otp === 27) ? 27 : 25);

/** The topology that names every host, itself too. */
const everybody = (): string =>
  `topologies: { all: { strategy: epmd, config: { hosts: [${network.hosts.map(({ address }) => `app@${address}`)}] } } }`;

const sidecar = ({ node }: Member): string => `isthmus-form-${node}`;

// In a source of discovery that answers what it finds in a file.
const SOURCE = `
const { createServer } = require("node:http");
const { readFileSync } = require("node:fs");
createServer((_, answer) => answer.end(readFileSync(process.argv[1]))).listen(8080, () => console.log("ready"));
`;

/** Starts a metadata service on `host`. @returns a function that says whom it names */
async function startSource(host: NetworkHost): Promise<(members: readonly Member[]) => void> {
  const file = join(folder, "containers.json");
  const names = (named: readonly Member[]): void =>
    writeFileSync(
      file,
      JSON.stringify({ containers: named.map(({ host: { address } }) => ({ ips: [address] })) }),
    );
  names([]);
  const source = await host.start("source", process.execPath, ["-e", SOURCE, file]);
  await until(() => source.output.includes("ready"), "the source is up");
  return names;
}

const fromSource = (host: NetworkHost, removal: string): string => `topologies:
  all:
    strategy: rancher
    config: { node_basename: app, base_url: "http://${host.address}:8080", polling_interval: 200 }
    removal: ${removal}
`;

describeNetwork("isthmus form beside real BEAM nodes", () => {
  it("forms a mesh, and mends it whatever happens to it", { timeout: 300_000 }, async () => {
    const [a, b, c] = (await members([25, newer(), 25])) as [Member, Member, Member];
    // a form without a BEAM waits for it
    await c.startForm(everybody());
    await until(() => c.form.output.includes("cannot connect"), "the form waits");
    await Promise.all([a.startBeam(), b.startBeam()]);
    expect([a.nodes, b.nodes]).toEqual([[], []]);
    await Promise.all([a.startForm(everybody()), b.startForm(everybody())]);
    await timed("two nodes connected, processes started", () => isMesh([a, b]));

    await c.startBeam();
    await timed("a node joined", () => isMesh([a, b, c]));
    for (const member of [a, b, c]) {
      await until(() => member.hidden.length > 0, "its form is there");
      expect(member.hidden).toEqual([sidecar(member)]);
      expect(isMesh([a, b, c])).toBe(true);
    }

    await b.killBeam();
    await timed("a killed node is gone", () => isMesh([a, c]));
    await b.startBeam();
    await timed("a restarted node is back", () => isMesh([a, b, c]));

    await c.stopBeam();
    await timed("a stopped node is gone", () => isMesh([a, b]));
    await c.startBeam();
    await timed("a restarted node is back", () => isMesh([a, b, c]));

    await network.partition([a.host], [b.host, c.host]);
    await timed("a partition is noticed", () => isMesh([a], [b, c]));
    await network.heal();
    await timed("a partition is healed", () => isMesh([a, b, c]));
    await stays([a, b, c]);

    // the death of a form costs the mesh nothing, and its successor goes on
    await a.form.kill();
    await until(() => a.hidden.length === 0, "the BEAM has noticed");
    expect(isMesh([a, b, c])).toBe(true);
    await until(() => a.servants === 0, "nothing of it is left");
    await b.killBeam();
    await until(() => isMesh([a, c]), "b is gone");
    await a.startForm(everybody());
    await b.startBeam();
    await timed("a restarted node is back, and a form", () => isMesh([a, b, c]));

    // the last thing that happened is no partition that lasts: connections stay when forms end
    const changes = [a, b, c].map((member) => member.nodes);
    for (const member of [a, b, c]) {
      await until(() => member.hidden.length === 1, "its form is there");
      expect(await member.form.stop()).toMatchObject({ code: 0 });
      expect(member.form.output).toContain("isthmus form has ended");
      expect(member.form.output).not.toContain("biscuit");
      await until(() => member.hidden.length === 0 && member.servants === 0, "nothing of it is left");
    }
    expect([a, b, c].map((member) => member.nodes)).toEqual(changes);
  });

  it("follows discovery, removes nobody by default, and dry runs change nothing", async () => {
    const [a, b, c] = (await members([newer(), 25, newer()])) as [Member, Member, Member];
    const named = await startSource(a.host);
    for (const member of [a, b, c]) await member.startBeam();
    const topologies = fromSource(a.host, "never");

    named([a, b]);
    const before = a.views.length;
    const dry = await a.startForm(topologies, "--dry-run");
    expect(await dry.exited).toMatchObject({ code: 0 });
    expect(dry.output).toContain(`${a.node} is up, OTP ${newer()}`);
    expect(dry.output).toMatch(new RegExp(`would connect +${b.node}`));
    expect(dry.output).not.toContain(c.node);
    expect([a, b, c].map(({ nodes }) => nodes)).toEqual([[], [], []]);
    // all that the node has seen is that a hidden one came and went
    await until(() => a.hidden.length === 0, "the hidden node is gone");
    expect(a.views.slice(before - 1).flat()).toEqual([]);
    expect([b.hidden, c.hidden]).toEqual([[], []]);

    const once = await a.startForm(topologies, "--once");
    expect(await once.exited).toMatchObject({ code: 0 });
    expect(once.output).toMatch(new RegExp(`connected +${b.node}`));
    await until(() => isMesh([a, b], [c]), "both nodes know of the connection");

    await c.killBeam();
    named([a, b, c]);
    const late = await a.startForm(topologies, "--once", "--timeout", "8");
    expect(await late.exited).toMatchObject({ code: 1 });
    expect(late.output).toMatch(new RegExp(`not connected +${c.node} \\(PEER_UNREACHABLE\\)`));
    await c.startBeam();

    for (const member of [a, b, c]) await member.startForm(topologies);
    await timed("connected", () => isMesh([a, b, c]));
    // the others may have connected c before the form of a has heard of it
    const heard = new RegExp(`"added":\\[[^\\]]*"${c.node}"`);
    await until(() => heard.test(a.form.output), "the form of a has discovered c");
    named([a, b]);
    await until(() => a.form.output.includes(`"removed":["${c.node}"]`), "discovery has dropped c");
    named([a, b, c]);
    await until(() => a.form.output.split("discovery names other nodes").length > 3, "and named it again");
    expect(isMesh([a, b, c])).toBe(true);
    expect([a, b, c].flatMap(({ form }) => form.output.match(/node disconnected/g) ?? [])).toEqual([]);
  });

  eachOtp("two nodes", ({ otp }) => {
    it("are connected, and a loss is noticed at once", async () => {
      const [a, b] = (await members([otp, otp])) as [Member, Member];
      await a.startBeam();
      await a.startForm(everybody());
      await until(() => a.form.output.includes("cannot connect"), "the form knows that nobody is there");
      await b.startBeam();
      // its own form is told; the other one tries by itself, with a delay
      await b.startForm(everybody());
      await timed(`OTP ${otp}: connected`, () => isMesh([a, b]));
      await until(() => a.form.output.includes("connected after failed attempts"), "the form has seen it");
      await until(() => a.servants === 1, "nothing runs there but the one that waits");
      await b.killBeam();
      await timed(`OTP ${otp}: the loss is known`, () => a.form.output.includes("node disconnected"));
      expect(a.hidden).toEqual([sidecar(a)]);
      expect(await a.form.stop()).toMatchObject({ code: 0 });
      await until(() => a.hidden.length === 0 && a.servants === 0, "nothing of it is left");
    });
  });

  eachOtp(
    "removal",
    ({ otp }) => {
      it("leaves a living node alone, and drops a dead one", async () => {
        const [a, b, c, d] = (await members([otp, otp, otp, otp], 60)) as [Member, Member, Member, Member];
        const named = await startSource(a.host);
        named([a, b, c, d]);
        for (const member of [a, b, c, d]) await member.startBeam();
        for (const member of [a, b, c, d]) await member.startForm(fromSource(a.host, "immediately"));
        await until(() => isMesh([a, b, c, d]), "the mesh is there");
        // only whom it has seen named before is it to remove
        await until(
          () => [a, b, c].every(({ form }) => form.output.includes('"nodes":3')),
          "all have discovered",
        );
        const seen = [a, b, c].map(({ views }) => views.length);

        named([a, b, c]);
        const held = ({ form }: Member): boolean =>
          form.output.includes("discovery names a node no more that is up");
        await until(() => [a, b, c].every(held), "all have held back");
        expect(isMesh([a, b, c, d])).toBe(true);

        // its net tick would find that out within a minute
        await d.pauseBeam();
        await timed("a hung node is dropped by all", () => isMesh([a, b, c]));
        expect([a, b, c].some(({ form }) => form.output.includes("disconnected a node"))).toBe(true);
        // on the way nobody else was lost, not even for a moment
        for (const [i, member] of [a, b, c].entries()) {
          const others = [a, b, c].filter((other) => other !== member).map(({ node }) => node);
          for (const view of member.views.slice(seen[i]! - 1))
            expect(view).toEqual(expect.arrayContaining(others));
        }
      });
    },
    [25, 27],
  );
});
