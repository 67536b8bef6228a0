import { expect, it } from "vitest";
import { describeNetwork, type NetworkHost, startNetwork } from "./network-namespaces.ts";
import { marked } from "./tidy.ts";

const reaches = (from: NetworkHost, to: string): Promise<boolean> =>
  from.run("ping", "-c", "1", "-W", "1", to).then(
    () => true,
    () => false,
  );

describeNetwork("a network of namespaces", () => {
  it("has hosts that reach each other by name, until they are parted", async () => {
    const network = await startNetwork({ hosts: 3, names: { "db.test": "10.77.0.13" } });
    const [a, b, c] = network.hosts as [NetworkHost, NetworkHost, NetworkHost];
    for (const to of ["h2.test", "h3", "db.test", c.address6]) expect(await reaches(a, to), to).toBe(true);

    await network.partition([a], [b]);
    expect([await reaches(a, b.address), await reaches(b, a.address6), await reaches(a, "h3")]).toEqual([
      false,
      false,
      true,
    ]);
    await c.unplug();
    expect(await reaches(a, "h3")).toBe(false);
    await network.heal();
    expect([await reaches(a, "h2"), await reaches(a, "h3")]).toEqual([true, true]);
    await network.stop();
  });

  it("shows its files to the programs on its hosts, and to nobody else", async () => {
    const network = await startNetwork({
      hosts: 1,
      files: { "/etc/resolv.conf": "nameserver 10.77.0.53\n" },
    });
    const [host] = network.hosts as [NetworkHost];
    expect(await host.run("cat", "/etc/resolv.conf", "/etc/hosts")).toBe(
      "nameserver 10.77.0.53\n127.0.0.1 localhost\n::1 localhost\n10.77.0.11 h1.test h1\n",
    );
    await expect(host.run("sh", "-c", "echo why >&2; exit 3")).rejects.toThrow(/status 3. why/);
    await network.stop();
  });

  it("ends every process on its hosts, also those nobody started by name", async () => {
    const network = await startNetwork({ hosts: 1 });
    const [host] = network.hosts as [NetworkHost];
    const parent = await host.start("a parent", "sh", ["-c", "sleep 1000 & echo up; wait"]);
    await expect.poll(() => parent.output).toBe("up\n");
    await network.stop();
    expect(parent.running).toBe(false);
    await expect.poll(marked).toEqual([]);
    await network.stop();
  });
});
