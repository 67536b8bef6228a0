import { fileURLToPath } from "node:url";
import { type HiddenNode, startNode } from "@isthmus/core";
import { type Atom, atom, NativeRecord, type Pid, type Term, Tuple, toJs, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { charlist, findRabbit, type Rabbit, startRabbit } from "./rabbitmq.ts";

const sbin = findRabbit();
const MISSING = "RabbitMQ is not installed (Debian: rabbitmq-server)";
const required = process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1";
if (sbin === undefined && required) {
  test("RabbitMQ", () => {
    throw new Error(MISSING);
  });
}
const example = fileURLToPath(new URL("../../examples/node/rabbitmq-status.mjs", import.meta.url));

/** The value of a key in a list of pairs. */
function value(pairs: Term, key: string): Term {
  const pair = (pairs as Term[]).find(
    (one) => one instanceof Tuple && one.elements[0] === atom(key),
  ) as Tuple;
  return pair.elements[1]!;
}

describe.skipIf(sbin === undefined)(sbin === undefined ? MISSING : "RabbitMQ", () => {
  let epmd: Epmd;
  let rabbit: Rabbit;
  let node: HiddenNode;
  const QUEUES = ["orders", "größe"];

  beforeAll(async () => {
    epmd = await startEpmd();
    const cookie = "biscuit";
    rabbit = await startRabbit({ sbin: sbin!, node: "rabbit@127.0.0.1", cookie, epmdPort: epmd.port });
    const address = { host: "127.0.0.1", port: epmd.port };
    node = await startNode({ name: "js@127.0.0.1", cookie, listen: { host: "127.0.0.1" }, epmd: address });
    await rabbit.started(node);
    for (const name of QUEUES) {
      const resource = tuple(atom("resource"), "/", atom("queue"), name);
      await call("rabbit_amqqueue", "declare", resource, false, false, [], atom("none"), "js");
    }
  });
  afterAll(async () => {
    await rabbit?.stop();
    await node?.close();
    await epmd?.stop();
  });

  const call = (module: string, name: string, ...args: Term[]): Promise<Term> =>
    node.processes.rpc(rabbit.node, module, name, args);

  it("rabbit:status/0 says what rabbitmqctl says", async () => {
    const status = await call("rabbit", "status");
    const theirs = JSON.parse(await rabbit.ctl("status", "--formatter", "json", "--silent"));
    expect(charlist(value(status, "rabbitmq_version"))).toBe(theirs.rabbitmq_version);
    expect(charlist(value(status, "erlang_version")).trim()).toBe(theirs.erlang_version);
    expect(value(status, "pid")).toBe(theirs.pid);
    expect(value(status, "vm_memory_limit")).toBe(theirs.vm_memory_high_watermark_limit);
    const listeners = (value(status, "listeners") as Tuple[]).map(({ elements }) => [
      (elements[2] as Atom).text,
      elements[5],
    ]);
    expect(listeners).toEqual(
      theirs.listeners.map(({ protocol, port }: { protocol: string; port: number }) => [protocol, port]),
    );
    expect(listeners).toContainEqual(["amqp", rabbit.port]);
  });

  it("rabbit_mnesia:status/0 knows one node; ours is not of the cluster, and hidden", async () => {
    const status = await call("rabbit_mnesia", "status");
    expect(value(status, "running_nodes")).toEqual([atom(rabbit.node)]);
    expect(toJs(value(status, "cluster_name"))).toMatch(/^rabbit@/);
    expect(await call("erlang", "nodes")).toEqual([]);
    // rabbitmqctl, which was one as well, is gone by and by
    await expect.poll(() => call("erlang", "nodes", atom("hidden"))).toEqual([atom(node.name)]);
    expect(await call("net_adm", "ping", atom(node.name))).toBe(atom("pong"));
  });

  it("queues are listed with their processes, which can be watched", async () => {
    const names = (await call("rabbit_amqqueue", "info_all", "/", [atom("name"), atom("pid")])) as Term[][];
    const found = new Map(
      names.map((queue) => {
        const [, vhost, kind, name] = (value(queue, "name") as Tuple).elements;
        expect([String(vhost), kind]).toEqual(["/", atom("queue")]);
        return [String(name), value(queue, "pid") as Pid];
      }),
    );
    expect(new Set(found.keys())).toEqual(new Set(QUEUES));
    const listed = await rabbit.ctl("list_queues", "name", "--silent", "--no-table-headers");
    expect(new Set(listed.trim().split("\n"))).toEqual(new Set(QUEUES));

    const watcher = node.spawn();
    const ref = watcher.monitor(found.get("orders")!);
    await rabbit.ctl("delete_queue", "orders");
    const down = (await watcher.receive({ timeoutMs: 10_000 })) as Tuple;
    expect(down.elements.slice(0, 2)).toEqual([atom("DOWN"), ref]);
    expect(down.elements[4]).toBe(atom("normal"));
    watcher.exit();
  });

  it("every record of its tables is decoded", async () => {
    for (const table of (await call("mnesia", "system_info", atom("tables"))) as Atom[]) {
      const rows = (await call("ets", "tab2list", table)) as Term[];
      for (const row of rows) expect(row).toBeInstanceOf(Tuple);
    }
    const records = (await call("ets", "tab2list", atom("ac_tab"))) as Term[];
    expect(records.length).toBeGreaterThan(100);
    expect(records.some((record) => record instanceof NativeRecord)).toBe(false);
  });

  it("our rabbitmqctl status prints the same lines", async () => {
    const child = await OwnedProcess.start("rabbitmq-status.mjs", process.execPath, [example, rabbit.node], {
      COOKIE: "biscuit",
      ERL_EPMD_PORT: String(epmd.port),
    });
    expect((await child.exited).code, child.output).toBe(0);
    const ours = new Set(child.output.split("\n"));
    const theirs = (await rabbit.ctl("status")).split("\n");
    const wanted =
      /^(OS PID|Is under|RabbitMQ version|Erlang config|Cluster heartbeat|Memory high|Low free|Interface)/;
    const lines = theirs.filter((line) => wanted.test(line)).map((line) => line.replace(/, purpose: .*/, ""));
    expect(lines.length).toBeGreaterThanOrEqual(8);
    for (const line of lines) expect(ours).toContain(line);
    expect(child.output).toMatch(/^\/ größe: 0 messages, 0 consumers$/m);
    expect(child.output).toContain(`Running nodes: ${rabbit.node}`);
  });
});
