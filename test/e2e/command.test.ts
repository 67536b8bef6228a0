import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { listNames } from "@isthmus/epmd-client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { command, start } from "./bridge-command.ts";
import { until } from "./two-clusters.ts";

// The command and the demo as a user runs them: built, as processes of their own.
const root = fileURLToPath(new URL("../..", import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-command-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("isthmus run", () => {
  let epmds: Epmd[];
  let shop: Beam;
  let billing: Beam;
  let config: string;
  beforeAll(async () => {
    epmds = await Promise.all([startEpmd(), startEpmd()]);
    [shop, billing] = await Promise.all([
      startBeam({ name: "shop1@127.0.0.1", cookie: "shop_biscuit", epmdPort: epmds[0]!.port }),
      startBeam({ name: "billing1@127.0.0.1", cookie: "billing_biscuit", epmdPort: epmds[1]!.port }),
    ]);
    await billing.eval("isthmus_probe:orders(orders)");
    config = join(folder, "isthmus.yaml");
    writeFileSync(join(folder, "billing.cookie"), "billing_biscuit\n", { mode: 0o400 });
    writeFileSync(
      config,
      `clusters:
  shop:
    node: bridge@127.0.0.1
    cookie: \${SHOP_COOKIE}
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[0]!.port} }
    discovery: { strategy: epmd, hosts: [shop1@127.0.0.1] }
  billing:
    node: bridge@127.0.0.1
    cookie: { file: billing.cookie }
    listen: { host: 127.0.0.1 }
    epmd: { port: ${epmds[1]!.port} }
routes:
  - { from: shop, to: billing, name: orders, as: billing_orders, node: billing1@127.0.0.1 }
`,
    );
  });
  afterAll(async () => {
    await Promise.all([shop?.stop(), billing?.stop()]);
    await Promise.all(epmds?.map((epmd) => epmd.stop()) ?? []);
  });

  it("links the clusters, says what it does without a cookie in it, and drains and unregisters on SIGTERM", async () => {
    const bridge = start([command, "run", config, "--log-format", "json"], {
      SHOP_COOKIE: "shop_biscuit",
    });
    await until(() => bridge.output.split("node connected").length === 3, "both nodes are connected");
    expect(await shop.eval("gen_server:call({billing_orders, 'bridge@127.0.0.1'}, {add, 1, 2})")).toBe("3");
    expect((await listNames({ port: epmds[0]!.port })).nodes.map(({ name }) => name)).toContain("bridge");
    // a call that is under way when the end comes still gets its answer
    await shop.eval(
      "Self = self(), spawn(fun() -> Self ! {late, gen_server:call({billing_orders, 'bridge@127.0.0.1'}, {later, 2000, answer})} end), ok",
    );
    const watchers =
      "[P || {monitored_by, Ps} <- [process_info(whereis(orders), monitored_by)], P <- Ps, node(P) =/= node()]";
    await until(
      async () => (await billing.eval(`length(${watchers})`)) === "1",
      "the call has come to the other side",
    );
    bridge.signal("SIGTERM");
    await until(
      async () => !(await listNames({ port: epmds[0]!.port })).nodes.some(({ name }) => name === "bridge"),
      "the name is gone",
    );
    expect(await shop.eval("receive {late, L} -> L after 5000 -> nothing end")).toBe("answer");
    expect(await bridge.ended).toBe(0);
    for (const line of bridge.output.trim().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), msg: expect.any(String) });
    expect(bridge.output).not.toContain("biscuit");
    await until(async () => (await shop.eval("nodes(hidden)")) === "[]", "the connection is gone");
  });

  it("ends with 3 and every problem of the file when the configuration is wrong", async () => {
    const wrong = join(folder, "wrong.yaml");
    writeFileSync(
      wrong,
      "clusters:\n  shop:\n    nod: bridge@127.0.0.1\n    cookie: my_biscuit\n  billing: { node: nonsense, cookie: x }\n",
    );
    const wrongly = start([command, "run", wrong]);
    expect(await wrongly.ended).toBe(3);
    expect(wrongly.output).toContain("wrong.yaml:3:5");
    expect(wrongly.output).toMatch(/did you mean "?node"?/i);
    expect(wrongly.output).not.toContain("my_biscuit");
  });

  it("names lists what epmd knows; usage errors end with 2", async () => {
    const names = start([command, "names", "--epmd-port", String(epmds[1]!.port)]);
    expect(await names.ended).toBe(0);
    expect(names.output).toContain("billing1 at port ");
    expect(await start([command, "nonsense"]).ended).toBe(2);
    const help = start([command, "--help"]);
    expect(await help.ended).toBe(0);
    expect(help.output).toContain("run");
  });
});

describe("the demo", () => {
  const demo = join(root, "examples/two-clusters/demo.mjs");

  it("passes with real BEAM nodes", async () => {
    const shown = start([demo, "--once"]);
    expect(await shown.ended, shown.output).toBe(0);
    expect(shown.output).toContain("real BEAM nodes");
  });

  it("passes with nodes of our own where there is no erl", async () => {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, "node"));
    const shown = start([demo, "--once"], { PATH: bin });
    expect(await shown.ended, shown.output).toBe(0);
    expect(shown.output).toContain("no `erl` here");
  });
});
