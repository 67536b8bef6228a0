import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { until } from "../e2e/two-clusters.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { describeRabbit, startRabbit } from "../support/rabbitmq.ts";
import { command } from "./mesh.ts";

const COOKIE = "rabbit_biscuit";
const NODES = ["rabbit1@127.0.0.1", "rabbit2@127.0.0.1"] as const;

let folder: string;
let epmd: Epmd;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-form-rabbit-"));
  epmd = await startEpmd();
});
afterEach(async () => {
  await epmd.stop();
  rmSync(folder, { recursive: true, force: true });
});

describeRabbit("isthmus form beside RabbitMQ", () => {
  // each question to a node starts a BEAM with all that rabbitmqctl needs
  it("makes the distribution connection of two nodes", { timeout: 600_000 }, async () => {
    const rabbits = await Promise.all(
      NODES.map((name) => startRabbit({ name, cookie: COOKIE, epmdPort: epmd.port })),
    );
    const one = rabbits[0]!;
    expect(await one.eval("nodes()")).toBe("[]");
    const file = join(folder, "isthmus.yaml");
    writeFileSync(join(folder, "cookie"), COOKIE, { mode: 0o400 });
    writeFileSync(
      file,
      `node: { name: ${NODES[0]}, cookie: { file: cookie }, epmd: { port: ${epmd.port} } }
topologies: { rabbits: { strategy: Cluster.Strategy.Epmd, config: { hosts: [${NODES}] } } }
`,
    );
    const form = await OwnedProcess.start("form", process.execPath, [command, "form", file], {});
    await until(() => form.output.includes('"msg":"node connected"'), "they are connected");
    const [first, second] = await Promise.all(
      rabbits.map((rabbit) => rabbit.eval("{nodes(), nodes(hidden)}")),
    );
    // rabbitmqctl is hidden as well
    expect(first).toMatch(new RegExp(`^\\{\\['${NODES[1]}'\\],.*'isthmus-form-${NODES[0]}'`, "s"));
    expect(second).toMatch(new RegExp(`^\\{\\['${NODES[0]}'\\],`));
    expect(second).not.toContain("isthmus-form");
    expect(await form.stop()).toMatchObject({ code: 0 });
    expect(await one.eval("nodes()")).toBe(`['${NODES[1]}']`);
    await Promise.all(rabbits.map((rabbit) => rabbit.stop()));
  });
});
