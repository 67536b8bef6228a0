// Soak test: two clusters of two BEAM nodes, a bridge between them, the load of test/faults in both directions, and a
// fault now and then, for many minutes. Samples what the bridge and the nodes use, and says at the end whether that
// stayed flat and whether anything was lost without notice, came twice, out of order, or never.
//
//   node bench/soak.mjs [--minutes 30] [--interval 1000] [--fault-every 180] [--sample-every 30]
//
// Seconds, but for the interval: milliseconds between two steps of each of the 136 clients. Build first. Needs erl, erlc
// and epmd in PATH; cluster b runs on the Erlang/OTP in ISTHMUS_OTP_27 if that is set. Status 1 when the verdict is bad.
import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort, SoakNode, stopped, TICK_SECONDS } from "./soak-node.mjs";

const WRONG = ["lost", "duplicated", "reordered", "hung", "implausible", "corrupt", "impostors", "crashed"];
const MIB = 1024 * 1024;
const self = fileURLToPath(import.meta.url);
const checkerSource = fileURLToPath(new URL("../test/erlang/isthmus_checker.erl", import.meta.url));

/** The bridge, in a process of its own, which answers each message of the parent with how it stands. */
async function runBridge(options) {
  const { startBridge } = await import("@isthmus/bridge");
  const bridge = await startBridge(options);
  let cpu = process.cpuUsage();
  process.on("message", async ({ collect }) => {
    const { rss } = process.memoryUsage();
    const heap = collect ? await kept() : inUse();
    const used = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    const { clusters, relations } = bridge.status();
    process.send({
      rss,
      heap,
      handles: process.getActiveResourcesInfo().length,
      identities: clusters.reduce((sum, cluster) => sum + cluster.identities, 0),
      carried: clusters.reduce((sum, cluster) => sum + cluster.carried, 0),
      relations,
      cpuMs: (used.user + used.system) / 1000,
    });
  });
  process.once("disconnect", () => bridge.close().then(() => process.exit(0)));
  process.send("up");
}

/** Bytes that JavaScript holds, buffers included. */
function inUse() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The same without garbage, and without messages that are just passing: the least of some looks. */
async function kept() {
  let least = Number.POSITIVE_INFINITY;
  for (let looks = 0; looks < 10; looks++) {
    globalThis.gc();
    least = Math.min(least, inUse());
    await sleep(100);
  }
  return least;
}

async function soak() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "30" },
      interval: { type: "string", default: "1000" },
      "fault-every": { type: "string", default: "180" },
      "sample-every": { type: "string", default: "30" },
    },
  });
  const duration = Number(values.minutes) * 60_000;
  const folder = mkdtempSync(join(tmpdir(), "isthmus-soak-"));
  const ended = [];
  const end = async () => {
    for (const stop of ended.splice(0).reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("SIGINT", () => end().then(() => process.exit(130)));
  try {
    const load = `interval => ${Number(values.interval)}, burst => 5, big_every => 400`;
    const { nodes, bridge } = await start(folder, load, ended);
    const good = await watch(nodes, bridge, {
      duration,
      sampleMs: Number(values["sample-every"]) * 1000,
      faultMs: Number(values["fault-every"]) * 1000,
    });
    process.exitCode = good ? 0 : 1;
  } finally {
    await end();
  }
}

async function start(folder, load, ended) {
  const newer = process.env.ISTHMUS_OTP_27;
  const clusters = {
    a: { bin: "", cookie: "cookie_of_a", epmd: await freePort() },
    b: { bin: newer ? `${newer}/bin/` : "", cookie: "cookie_of_b", epmd: await freePort() },
  };
  for (const [id, { bin, epmd }] of Object.entries(clusters)) {
    mkdirSync(join(folder, id));
    execFileSync(`${bin}erlc`, ["-o", join(folder, id), checkerSource]);
    const child = spawn(`${bin}epmd`, ["-address", "127.0.0.1", "-port", String(epmd)], { stdio: "ignore" });
    ended.push(() => stopped(child));
  }
  const nodes = ["a1", "a2", "b1", "b2"].map((id) => new SoakNode(id, id[0], clusters[id[0]], folder));
  for (const node of nodes) {
    ended.push(() => stopped(node.child));
    await node.start();
  }
  const bridge = await startBridge(nodes, clusters, join(folder, "state"));
  ended.push(() => stopped(bridge));
  for (const node of nodes) {
    const far = nodes.filter(({ cluster }) => cluster !== node.cluster);
    const peers = far.map(({ id }) => `{checker_${id},'bridge@127.0.0.1'}`);
    const groups = `{checker_${node.id},checkers_${node.cluster},checkers_${far[0].cluster}}`;
    await node.load(`{start,[${peers}],#{${load},groups => ${groups}}}`);
  }
  return { nodes, bridge };
}

async function startBridge(nodes, clusters, stateFile) {
  const cluster = (id) => ({
    node: "bridge@127.0.0.1",
    cookie: clusters[id].cookie,
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: clusters[id].epmd },
    hosts: nodes.filter((node) => node.cluster === id).map(({ name }) => name),
    tickTimeSeconds: TICK_SECONDS,
  });
  const options = {
    clusters: { a: cluster("a"), b: cluster("b") },
    routes: nodes.map(({ id, name, cluster: to }) => ({
      from: to === "a" ? "b" : "a",
      to,
      name: "checker",
      as: `checker_${id}`,
      nodes: [name],
    })),
    groups: [
      ["a", "b"],
      ["b", "a"],
    ].flatMap(([from, to]) => [
      { from, to, groups: ["{checker,*}"] },
      { from, to, groups: [`checkers_${to}`], form: "fan_out" },
    ]),
    stateFile,
  };
  const env = { ...process.env, SOAK_BRIDGE: JSON.stringify(options) };
  const child = fork(self, { env, execArgv: ["--expose-gc"] });
  await once(child, "message");
  return child;
}

async function watch(nodes, bridge, { duration, sampleMs, faultMs }) {
  const begin = Date.now();
  const samples = [];
  let faults = 0;
  let busy = Promise.resolve();
  let failure;
  const timer = setInterval(() => {
    busy = busy
      .then(() => strike(nodes, faults++))
      .catch((error) => {
        failure = error;
      });
  }, faultMs);
  console.log(
    "  time   rss MiB  heap MiB  handles  identities  relations  carried/s  cpu %  BEAM MiB  notices  wrong",
  );
  let quarter = 1;
  while (Date.now() - begin < duration && failure === undefined) {
    await sleep(Math.min(sampleMs, begin + duration - Date.now()));
    await busy;
    const share = (Date.now() - begin) / duration;
    const collect = share >= quarter / 4;
    if (collect) quarter = Math.floor(share * 4) + 1;
    const sample = await sampleOf(nodes, bridge, collect, begin, samples.at(-1));
    samples.push(sample);
    console.log(lineOf(sample));
  }
  clearInterval(timer);
  await busy;
  if (failure !== undefined) throw failure;
  await goingOn(nodes);
  await quiesce(nodes);
  const last = await sampleOf(nodes, bridge, true, begin, samples.at(-1));
  return verdict(nodes, samples, last, faults);
}

async function sampleOf(nodes, bridge, collected, begin, before) {
  bridge.send({ collect: collected });
  const [state] = await once(bridge, "message");
  const reports = await Promise.all(nodes.map((node) => node.report()));
  const sum = (name) => reports.reduce((total, report) => total + (report[name] ?? 0), 0);
  const at = Date.now() - begin;
  const seconds = (at - (before?.at ?? 0)) / 1000;
  return {
    ...state,
    at,
    collected,
    perSecond: (state.carried - (before?.carried ?? 0)) / seconds,
    cpu: state.cpuMs / seconds / 10,
    beam: sum("memory"),
    notices: sum("notices"),
    wrong: WRONG.reduce((total, name) => total + sum(name), 0),
  };
}

function lineOf({ at, rss, heap, collected, handles, identities, relations, perSecond, cpu, beam, ...rest }) {
  const minutes = `${Math.floor(at / 60_000)}:${String(Math.floor(at / 1000) % 60).padStart(2, "0")}`;
  const cells = [
    [minutes, 6],
    [(rss / MIB).toFixed(1), 9],
    [`${(heap / MIB).toFixed(1)}${collected ? "*" : " "}`, 10],
    [handles, 8],
    [identities, 11],
    [relations, 10],
    [perSecond.toFixed(0), 10],
    [cpu.toFixed(1), 6],
    [(beam / MIB).toFixed(1), 9],
    [rest.notices, 8],
    [rest.wrong, 6],
  ];
  return cells.map(([cell, width]) => String(cell).padStart(width)).join(" ");
}

/** In turn: a node is killed and started again, paused for longer than the tick time, paused shortly. */
async function strike(nodes, turn) {
  const node = nodes[turn % nodes.length];
  const kind = ["killed", "paused long", "paused shortly"][turn % 3];
  console.log(`         ${node.id} is ${kind}`);
  if (kind === "killed") {
    await node.kill();
    await node.start();
    return;
  }
  node.child.kill("SIGSTOP");
  await sleep(kind === "paused long" ? TICK_SECONDS * 1500 : 2000);
  node.child.kill("SIGCONT");
}

/** Waits until each client has once more reached what it wanted: nothing can be wrong where nothing is done. */
async function goingOn(nodes) {
  for (const node of nodes) {
    const before = await node.ask("progress");
    for (const limit = Date.now() + 60_000; ; await sleep(100)) {
      const now = await node.ask("progress");
      const behind = Object.keys(before).filter((client) => now[client] === before[client]);
      if (behind.length === 0) break;
      if (Date.now() > limit) throw new Error(`clients of ${node.id} do not go on: ${behind.join(" ")}`);
    }
  }
}

/** Ends the load, and waits until everybody knows what became of everything. */
async function quiesce(nodes) {
  await Promise.all(nodes.map((node) => node.ask("quiesce")));
  for (const node of nodes) {
    for (const limit = Date.now() + 60_000; ; await sleep(100)) {
      const { clients, workers } = await node.ask("report");
      if (clients === 0 && workers === 0) break;
      if (Date.now() > limit) throw new Error(`${node.id} still has ${clients} clients, ${workers} workers`);
    }
  }
}

async function verdict(nodes, samples, last, faults) {
  const reports = await Promise.all(nodes.map((node) => node.report()));
  const sum = (name) => reports.reduce((total, report) => total + (report[name] ?? 0), 0);
  const quarters = [1, 2, 3, 4].map((i) => samples[Math.max(0, Math.round((samples.length * i) / 4) - 1)]);
  const mib = (bytes) => (bytes / MIB).toFixed(1);
  const row = (title, name, of = samples) => {
    const slope = (slopePerHour(of.slice(Math.floor(of.length / 4)), name) / MIB).toFixed(1);
    console.log(
      `${title} at 25, 50, 75, 100 %: ${quarters.map((one) => mib(one[name])).join(", ")} MiB; ${slope} MiB/h`,
    );
  };
  const heaps = samples.filter(({ collected }) => collected);
  console.log("\nafter the first quarter, slope by least squares:");
  row("bridge rss ", "rss");
  row("BEAM memory", "beam");
  console.log(
    `bridge heap after collection: ${heaps.map(({ heap }) => mib(heap)).join(", ")} MiB; idle ${mib(last.heap)}`,
  );
  console.log(
    `identities ${last.identities}, relations left ${last.relations}, handles ${last.handles}, faults ${faults}`,
  );
  for (const name of ["sent", "calls", "failed_calls", "cut_short", "notices", "gaps", "late"])
    console.log(`${name}: ${sum(name)}`);
  const wrong = WRONG.map((name) => `${name} ${sum(name)}`).join(", ");
  for (const node of nodes) {
    for (const note of Object.values(await node.ask("wrong"))) console.log(`${node.id}: ${note}`);
  }
  // of the whole quarters, so that the moment of a garbage collection does not decide
  const part = Math.floor(samples.length / 4);
  const mean = (of) => of.reduce((total, { rss }) => total + rss, 0) / of.length;
  const growth = mean(samples.slice(-part)) / mean(samples.slice(part, 2 * part)) - 1;
  const heapGrowth = heaps.at(-1).heap / heaps[0].heap - 1;
  const flat = growth < 0.1 && heapGrowth < 0.1;
  const right = WRONG.every((name) => sum(name) === 0) && last.relations === 0;
  console.log(
    `verdict: memory ${flat ? "flat" : "NOT FLAT"} (rss of the last quarter against the second ${percent(growth)}, ` +
      `heap ${percent(heapGrowth)}); ${right ? "nothing" : "SOMETHING"} wrong: ${wrong}`,
  );
  return flat && right;
}

function percent(share) {
  return `${share < 0 ? "" : "+"}${(share * 100).toFixed(1)} %`;
}

function slopePerHour(samples, name) {
  const n = samples.length;
  const x = samples.map(({ at }) => at / 3_600_000);
  const y = samples.map((sample) => sample[name]);
  const meanX = x.reduce((a, b) => a + b, 0) / n;
  const meanY = y.reduce((a, b) => a + b, 0) / n;
  const above = x.reduce((total, one, i) => total + (one - meanX) * (y[i] - meanY), 0);
  return above / x.reduce((total, one) => total + (one - meanX) ** 2, 0);
}

if (process.env.SOAK_BRIDGE !== undefined) await runBridge(JSON.parse(process.env.SOAK_BRIDGE));
else await soak();
