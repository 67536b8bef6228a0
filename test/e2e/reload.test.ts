import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { until } from "./two-clusters.ts";

// The command as a user runs it: built, as a process of its own.
const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

describe("isthmus run reads its configuration again", () => {
  let folder: string;
  let file: string;
  let epmds: Epmd[];
  let shop: Beam;
  let billing: Beam;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "isthmus-reload-"));
    file = join(folder, "isthmus.yaml");
    epmds = await Promise.all([startEpmd(), startEpmd()]);
    [shop, billing] = await Promise.all([
      startBeam({ name: "shop1@127.0.0.1", cookie: "shop_biscuit", epmdPort: epmds[0]!.port }),
      startBeam({ name: "billing1@127.0.0.1", cookie: "billing_biscuit", epmdPort: epmds[1]!.port }),
    ]);
    await billing.eval("isthmus_probe:orders(orders)");
  });
  afterAll(async () => {
    await Promise.all([shop?.stop(), billing?.stop()]);
    await Promise.all(epmds?.map((epmd) => epmd.stop()) ?? []);
    rmSync(folder, { recursive: true, force: true });
  });

  const configuration = (rest: string, cookie = "billing_biscuit") => `clusters:
  shop:
    node: bridge@127.0.0.1
    cookie: shop_biscuit
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[0]!.port} }
    discovery: { hosts: [shop1@127.0.0.1] }
  billing:
    node: bridge@127.0.0.1
    cookie: ${cookie}
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[1]!.port} }
${rest}`;
  const ROUTE = "routes: [{ from: shop, to: billing, name: orders, node: billing1@127.0.0.1 }]\n";

  it("at SIGHUP, and when the file changes, and keeps the old one when the new one will not do", async () => {
    writeFileSync(file, configuration(ROUTE));
    const child = spawn(process.execPath, [command, "run", file, "--log-format", "json"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk));
    const ended = new Promise((resolve) => child.once("exit", resolve));
    try {
      const said = (text: string, times = 1) =>
        until(() => output.split(text).length > times, `it says ${text}:\n${output}`);
      await said("node connected", 2);
      const call = "catch gen_server:call({orders, 'bridge@127.0.0.1'}, {add, 1, 2})";
      expect(await shop.eval(call)).toBe("3");
      await shop.eval(
        "W = gen_server:call({orders, 'bridge@127.0.0.1'}, {spawn_worker}), M = monitor(process, W)",
      );

      const denied = `${ROUTE}policy: [{ id: closed, action: deny, from: shop, names: orders }]\n`;
      writeFileSync(file, configuration(denied));
      child.kill("SIGHUP");
      await said("the configuration is taken over");
      expect(await shop.eval(call)).toMatch(/^\{'EXIT',\{noproc,/);

      writeFileSync(file, configuration(ROUTE, "another_biscuit"));
      child.kill("SIGHUP");
      await said("clusters.billing.cookie");
      writeFileSync(file, configuration(ROUTE.replace("to:", "too:")));
      child.kill("SIGHUP");
      await said("routes[0].too is not a key of this place");
      expect(await shop.eval(call)).toMatch(/^\{'EXIT',\{noproc,/);

      writeFileSync(file, configuration(`${denied}watch_config: true\n`));
      child.kill("SIGHUP");
      await said("the configuration is taken over", 2);
      writeFileSync(file, configuration(`${ROUTE}watch_config: true\n`));
      await said("the configuration is taken over", 3);
      expect(await shop.eval(call)).toBe("3");

      // through all that nobody lost anything
      expect(output).not.toContain("node disconnected");
      expect(
        await shop.eval(
          "W ! {stop, done}, receive {'DOWN', M, process, W, R} -> R after 5000 -> nothing end",
        ),
      ).toBe("done");
      expect(output).not.toContain("biscuit");
    } finally {
      child.kill("SIGTERM");
      expect(await ended).toBe(0);
    }
  });
});
