import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { command, start } from "./bridge-command.ts";
import { until } from "./two-clusters.ts";

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
    const bridge = start([command, "run", file, "--log-format", "json"]);
    try {
      const said = (text: string, times = 1) =>
        until(() => bridge.output.split(text).length > times, `it says ${text}`);
      await said("node connected", 2);
      const call = "catch gen_server:call({orders, 'bridge@127.0.0.1'}, {add, 1, 2})";
      expect(await shop.eval(call)).toBe("3");
      await shop.eval(
        "W = gen_server:call({orders, 'bridge@127.0.0.1'}, {spawn_worker}), M = monitor(process, W)",
      );

      const denied = `${ROUTE}policy: [{ id: closed, action: deny, from: shop, names: orders }]\n`;
      writeFileSync(file, configuration(denied));
      bridge.signal("SIGHUP");
      await said("the configuration is taken over");
      expect(await shop.eval(call)).toMatch(/^\{'EXIT',\{noproc,/);

      writeFileSync(file, configuration(ROUTE, "another_biscuit"));
      bridge.signal("SIGHUP");
      await said("clusters.billing.cookie");
      writeFileSync(file, configuration(ROUTE.replace("to:", "too:")));
      bridge.signal("SIGHUP");
      await said("routes[0].too is not a key of this place");
      expect(await shop.eval(call)).toMatch(/^\{'EXIT',\{noproc,/);

      writeFileSync(file, configuration(`${denied}watch_config: true\n`));
      bridge.signal("SIGHUP");
      await said("the configuration is taken over", 2);
      writeFileSync(file, configuration(`${ROUTE}watch_config: true\n`));
      await said("the configuration is taken over", 3);
      expect(await shop.eval(call)).toBe("3");

      // through all that nobody lost anything
      expect(bridge.output).not.toContain("node disconnected");
      expect(
        await shop.eval(
          "W ! {stop, done}, receive {'DOWN', M, process, W, R} -> R after 5000 -> nothing end",
        ),
      ).toBe("done");
      expect(bridge.output).not.toContain("biscuit");
    } finally {
      bridge.signal("SIGTERM");
      expect(await bridge.ended).toBe(0);
    }
  });

  it("takes over groups and mirrors, which come and go without a connection that is lost", async () => {
    const more = `mirrors: [{ from: shop, to: billing, as: "{name}_there@127.0.0.1" }]
groups: [{ from: shop, to: billing, groups: "{room,*}" }]
policy: [{ action: allow, from: shop, names: orders }]
`;
    writeFileSync(file, configuration(ROUTE));
    const bridge = start([command, "run", file, "--log-format", "json"]);
    try {
      const taken = async (text: string, times: number): Promise<void> => {
        writeFileSync(file, configuration(text));
        bridge.signal("SIGHUP");
        const said = "the configuration is taken over";
        await until(() => bridge.output.split(said).length > times, said);
      };
      await until(() => bridge.output.split("node connected").length > 2, "both nodes are connected");
      for (const beam of [shop, billing]) await beam.eval("{ok, _} = pg:start(pg)");
      await billing.eval("pg:join({room, 7}, self())");
      await taken(`${ROUTE}${more}`, 1);
      await until(async () => (await shop.eval("pg:which_groups()")) === "[{room,7}]", "the group is seen");
      const mirror = "gen_server:call({orders, 'billing1_there@127.0.0.1'}, {add, 1, 2})";
      await until(async () => (await shop.eval(`catch ${mirror}`)) === "3", "the mirror answers");
      await taken(ROUTE, 2);
      await until(async () => (await shop.eval("pg:which_groups()")) === "[]", "the group is seen no more");
      await until(
        async () => (await shop.eval("net_kernel:connect_node('billing1_there@127.0.0.1')")) === "false",
        "the mirror is gone",
      );
      expect(await shop.eval("gen_server:call({orders, 'bridge@127.0.0.1'}, {add, 1, 2})")).toBe("3");
      expect(await shop.eval("nodes(hidden)")).toBe("['bridge@127.0.0.1']");
    } finally {
      bridge.signal("SIGTERM");
      expect(await bridge.ended).toBe(0);
    }
  });
});
