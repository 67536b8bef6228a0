// Does the bridge remember processes? Two BEAM nodes, a bridge between them, and a million distinct process identifiers
// in lists in messages, there and back, then messages of a million distinct senders. Prints the bridge's memory before
// and after. What the other side has seen must be as many distinct identifiers. Status 1 when it is not.
//
//   node bench/pids.mjs [--count 1000000] [--a 27] [--b 23]
//
// --a and --b are releases of Erlang/OTP, found by ISTHMUS_OTP_27 and so on; by default both are what is in PATH, where
// epmd has to be. Towards OTP 23 the bridge has to give pids of OTP 26 and later other numbers. Build first.
import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort, stopped } from "./soak-node.mjs";

const BRIDGE = "bridge@127.0.0.1";
const self = fileURLToPath(import.meta.url);
const module = fileURLToPath(new URL("isthmus_pids.erl", import.meta.url));

/** The bridge, in a process of its own, which answers each message of the parent with how it stands. */
async function runBridge(options) {
  const { startBridge } = await import("@isthmus/bridge");
  const bridge = await startBridge(options);
  process.on("message", async () => {
    globalThis.gc();
    await sleep(100);
    globalThis.gc();
    const { rss, heapUsed, external } = process.memoryUsage();
    const { clusters } = bridge.status();
    const identities = clusters.reduce((sum, cluster) => sum + cluster.identities, 0);
    process.send({ rss, heap: heapUsed + external, identities });
  });
  process.once("disconnect", () => bridge.close().then(() => process.exit(0)));
  process.send("up");
}

async function measure() {
  const { values } = parseArgs({
    options: { count: { type: "string", default: "1000000" }, a: { type: "string" }, b: { type: "string" } },
  });
  const count = Math.ceil(Number(values.count) / 1000) * 1000;
  const folder = mkdtempSync(join(tmpdir(), "isthmus-pids-"));
  const children = [];
  try {
    const ports = { a: await freePort(), b: await freePort() };
    for (const port of Object.values(ports)) {
      children.push(spawn("epmd", ["-address", "127.0.0.1", "-port", String(port)], { stdio: "ignore" }));
      await sleep(200);
    }
    const source = startBeam("a", "source", ports.a, folder, values.a);
    const sink = startBeam("b", "sink", ports.b, folder, values.b);
    children.push(source.child, sink.child);
    for (const { lines } of [source, sink]) await lines.next();
    const bridge = await startBridge(ports);
    children.push(bridge);

    await source.ask(`lists 1000 ${BRIDGE}`);
    await source.ask(`senders 1000 ${BRIDGE}`);
    const before = await state(bridge);
    print("before", before);
    for (const kind of ["lists", "senders"]) {
      const began = performance.now();
      const distinct = await source.ask(`${kind} ${count} ${BRIDGE}`);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      if (Number(distinct) !== count) process.exitCode = 1;
      const after = await state(bridge);
      print(kind, after);
      const bytes = (after.heap - before.heap) / count;
      console.log(`  ${distinct} of ${count} seen, ${seconds} s; ${bytes.toFixed(3)} bytes of heap for each`);
    }
  } finally {
    for (const child of children.reverse()) await stopped(child);
    rmSync(folder, { recursive: true, force: true });
  }
}

function startBeam(cluster, role, port, home, release) {
  const bin = release === undefined ? "" : `${process.env[`ISTHMUS_OTP_${release}`]}/bin/`;
  const folder = join(home, cluster);
  mkdirSync(folder);
  execFileSync(`${bin}erlc`, ["-o", folder, module]);
  const args = [
    ...[
      "-noshell",
      "-name",
      `${cluster}1@127.0.0.1`,
      "-setcookie",
      `cookie_of_${cluster}`,
      "-start_epmd",
      "false",
    ],
    ...["-kernel", "inet_dist_use_interface", "{127,0,0,1}"],
    ...["+sbwt", "none", "-pa", folder, "-s", "isthmus_pids", role],
  ];
  const env = { ...process.env, HOME: folder, ERL_EPMD_PORT: String(port), ERL_CRASH_DUMP_SECONDS: "0" };
  const child = spawn(`${bin}erl`, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line) => {
    child.stdin.write(`${line}\n`);
    return (await lines.next()).value;
  };
  return { child, lines, ask };
}

async function startBridge(ports) {
  const cluster = (id) => ({
    node: BRIDGE,
    cookie: `cookie_of_${id}`,
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: ports[id] },
    hosts: [`${id}1@127.0.0.1`],
  });
  const options = {
    clusters: { a: cluster("a"), b: cluster("b") },
    routes: [{ from: "a", to: "b", name: "sink", nodes: ["b1@127.0.0.1"] }],
  };
  const env = { ...process.env, PIDS_BRIDGE: JSON.stringify(options) };
  const child = fork(self, { env, execArgv: ["--expose-gc"] });
  await once(child, "message");
  return child;
}

async function state(bridge) {
  bridge.send({});
  const [answer] = await once(bridge, "message");
  return answer;
}

function print(title, { rss, heap, identities }) {
  const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  console.log(
    `${title.padEnd(8)} rss ${mib(rss)}, heap after collection ${mib(heap)}, identities ${identities}`,
  );
}

if (process.env.PIDS_BRIDGE === undefined) await measure();
else await runBridge(JSON.parse(process.env.PIDS_BRIDGE));
