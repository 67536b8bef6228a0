import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import {
  describeNetwork,
  type Network,
  type NetworkHost,
  startNetwork,
} from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";
import { eachOtp, type Otp } from "../support/peers.ts";
import { Member, patiently } from "./member.ts";

const COOKIE = "epmd_cookie";

type Hosts = readonly [NetworkHost, NetworkHost, NetworkHost];

/** Hosts with an epmd on each. */
async function hosts({ epmd }: Otp): Promise<Hosts> {
  const network = await startNetwork({ hosts: 3 });
  onTestFinished(() => network.stop());
  await Promise.all(network.hosts.map((host) => host.start("epmd", epmd, [])));
  for (const host of network.hosts) await expect.poll(() => names(host, epmd), patiently).toContain("up and");
  return network.hosts as Network["hosts"] & Hosts;
}

const names = (host: NetworkHost, epmd: string): Promise<string> => host.run(epmd, "-names").catch(() => "");

/** A node, which is ready when its epmd knows it. */
async function beam(host: NetworkHost, name: string, { erl, epmd }: Otp): Promise<OwnedProcess> {
  const args = ["-noinput", "-name", `${name}@${host.name}`, "-setcookie", COOKIE, "-start_epmd", "false"];
  const child = await host.start(`node ${name}`, erl, args);
  await expect.poll(() => names(host, epmd), patiently).toContain(`name ${name} at port`);
  return child;
}

const follow = (host: NetworkHost, strategy: string, options: object, cookie?: string): Promise<Member> =>
  Member.start(host, { name: `js@${host.name}`, strategy, options: { ...options }, cookie });

async function hostsFile(...lines: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-hosts-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, ".hosts.erlang");
  await writeFile(path, lines.join("\n"));
  return path;
}

describeNetwork("nodes on hosts with an epmd each", () => {
  eachOtp("with real nodes", (otp) => {
    it("epmd: those that are listed are connected, as soon as they are there", async () => {
      const [ours, one, two] = await hosts(otp);
      const late = { hosts: ["shop@h2.test", "shop@h3.test"], timeout: 5000 };
      const js = await follow(ours, "Cluster.Strategy.Epmd", late, COOKIE);
      const first = await beam(one, "shop", otp);
      await js.says({ connected: ["shop@h2.test"] });
      await beam(two, "shop", otp);
      await js.says({ connected: ["shop@h2.test", "shop@h3.test"] });
      await first.stop();
      await js.says({ connected: ["shop@h3.test"] });
      await beam(one, "shop", otp);
      await js.says({ connected: ["shop@h2.test", "shop@h3.test"] });
    });

    it("local-epmd: the nodes of our own host are connected, later ones too", async () => {
      const [ours, other] = await hosts(otp);
      await beam(ours, "shop", otp);
      await beam(other, "far", otp);
      const options = { polling_interval: 100 };
      const js = await follow(ours, "Cluster.Strategy.LocalEpmd", options, COOKIE);
      await js.says({ connected: ["shop@h1.test"] });
      await beam(ours, "stock", otp);
      await js.says({ connected: ["shop@h1.test", "stock@h1.test"] });
    });

    it("local-epmd: an epmd that went away leaves the list as it was", async () => {
      const [ours] = await hosts(otp);
      const node = await beam(ours, "shop", otp);
      const js = await follow(ours, "local-epmd", { polling_interval: 100, timeout: 500, names: ["s*"] });
      await js.says({ nodes: ["shop@h1.test"] });
      await ours.run("ip", "link", "set", "lo", "down");
      await js.says({ failed: expect.stringContaining("epmd") });
      await ours.run("ip", "link", "set", "lo", "up");
      await js.says({ nodes: ["shop@h1.test"] });
      await node.stop();
      await js.says({ nodes: [] });
    });

    it("erlang-hosts: the nodes of all hosts are connected", async () => {
      const [ours, one, two] = await hosts(otp);
      await beam(one, "shop", otp);
      await beam(two, "shop", otp);
      const file = await hostsFile("% ours", "'h1.test'.", "'h2.test'.", '"h3.test".', "");
      const js = await follow(ours, "Cluster.Strategy.ErlangHosts", { file, timeout: 100 }, COOKIE);
      await js.says({ connected: ["shop@h2.test", "shop@h3.test"] });
      await beam(two, "stock", otp);
      await js.says({ connected: ["shop@h2.test", "shop@h3.test", "stock@h3.test"] });
    });

    it("erlang-hosts: a host that does not answer keeps its nodes, one that is not listed any more does not", async () => {
      const [ours, one, two] = await hosts(otp);
      await beam(one, "shop", otp);
      await beam(two, "shop", otp);
      const file = await hostsFile("'h2.test'.", "'h3.test'.", "");
      const options = { file, polling_interval: 100, host_timeout: 500 };
      const js = await follow(ours, "erlang-hosts", options);
      await js.says({ nodes: ["shop@h2.test", "shop@h3.test"] });

      await two.unplug();
      await beam(one, "stock", otp);
      await js.says({ nodes: ["shop@h2.test", "shop@h3.test", "stock@h2.test"] });
      await one.unplug();
      await js.says({ failed: expect.stringMatching(/^None of 2 hosts could be asked/) });
      await one.plug();
      await two.plug();
      await js.says({ nodes: ["shop@h2.test", "shop@h3.test", "stock@h2.test"] });

      await writeFile(file, "'h2.test'.\n'h3.test\n");
      await js.says({ failed: expect.stringMatching(/hosts\.erlang, line 2: /) });
      await writeFile(file, "'h2.test'.\n");
      await js.says({ nodes: ["shop@h2.test", "stock@h2.test"] });
    });
  });
});
