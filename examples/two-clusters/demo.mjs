// Two clusters with different cookies, each with an epmd of its own, linked by `isthmus run isthmus.yaml`.
//   node demo.mjs          shows it, then makes a round every five seconds until Ctrl-C
//   node demo.mjs --once   one round; status 0, or 1 if anything was not as it must be
// With `erl` in the PATH the nodes are real BEAM nodes; otherwise nodes of @isthmus/core with its embedded epmd.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const once = process.argv.includes("--once");
const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
const work = mkdtempSync(join(tmpdir(), "isthmus-demo-"));
const children = [];
let failures = 0;

// What each side must answer, as Erlang terms. `$N` is the number of the order, which grows.
const ROUND = [
  ["shop", "ping_direct", "pang", "shop1 pings billing1 directly: they do not know each other"],
  ["shop", "ping_bridge", "pong", "shop1 pings the bridge"],
  [
    "shop",
    "call",
    "{ok,$N,<<\"book\">>,2,'billing1@127.0.0.1'}",
    "gen_server:call({orders, 'bridge@127.0.0.1'}, {place, <<\"book\">>, 2})",
  ],
  [
    "shop",
    "message_to_pid",
    "{hello,'billing1@127.0.0.1'}",
    "billing1 sends to a pid of shop1 that it got in a message",
  ],
  ["shop", "monitor", "{'DOWN',out_of_paper}", "shop1 monitors a process of billing1, which ends"],
  ["shop", "refused_name", "{exit,noproc}", "a name that no route exports, though billing1 has it"],
  ["shop", "refused_rpc", "{badrpc,undef}", "rpc:call('bridge@127.0.0.1', os, cmd, [\"id\"])"],
  ["shop", "nodes", "{[],['bridge@127.0.0.1']}", "nodes() and nodes(hidden) of shop1"],
  ["billing", "nodes", "{[],['bridge@127.0.0.1']}", "nodes() and nodes(hidden) of billing1"],
];

main().then(
  () => finish(failures === 0 ? 0 : 1),
  (error) => {
    console.error(`demo: ${error.message}`);
    finish(1);
  },
);

async function main() {
  // Ctrl-C under npm comes twice
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => finish(failures === 0 ? 0 : 1));
  const beam = spawnSync(
    "erl",
    ["-noshell", "-eval", "io:put_chars(erlang:system_info(otp_release)),halt()."],
    { encoding: "utf8" },
  );
  const release = beam.status === 0 ? beam.stdout : undefined;
  heading(
    release === undefined
      ? "no `erl` here: the clusters are nodes of @isthmus/core, with its embedded epmd"
      : `the clusters are real BEAM nodes (OTP ${release}), each with its own epmd`,
  );

  const [shopPort, billingPort] = [await freePort(), await freePort()];
  const environment = {
    ...process.env,
    SHOP_COOKIE: randomBytes(12).toString("hex"),
    BILLING_COOKIE: randomBytes(12).toString("hex"),
    SHOP_EPMD_PORT: String(shopPort),
    BILLING_EPMD_PORT: String(billingPort),
  };
  const start = release === undefined ? startOwnNode : startBeam;
  if (release !== undefined) {
    const compiled = spawnSync("erlc", ["-o", work, join(here, "demo.erl")], { encoding: "utf8" });
    if (compiled.status !== 0)
      throw new Error(`demo.erl does not compile: ${compiled.stdout}${compiled.stderr}`);
  }
  const nodes = {
    shop: await start("shop", "shop1@127.0.0.1", environment.SHOP_COOKIE, shopPort),
    billing: await start("billing", "billing1@127.0.0.1", environment.BILLING_COOKIE, billingPort),
  };
  say("ok", "shop1@127.0.0.1 and billing1@127.0.0.1 run, with different cookies");

  heading("isthmus run examples/two-clusters/isthmus.yaml");
  const bridge = startBridge(environment);
  await bridge.connected(["shop1@127.0.0.1", "billing1@127.0.0.1"]);

  for (let round = 1; ; round++) {
    heading(once ? "what the two clusters see" : `round ${round}`);
    for (const [side, command, expected, about] of ROUND) {
      const wanted = expected.replace("$N", String(round));
      const got = await nodes[side].ask(command);
      if (got !== wanted) failures++;
      say(
        got === wanted ? "ok" : "WRONG",
        `${about}\n          -> ${got}${got === wanted ? "" : `   (expected ${wanted})`}`,
      );
    }
    if (once) break;
    heading("again in five seconds; Ctrl-C ends it");
    await new Promise((resolve) => setTimeout(resolve, 5000));
  }
  heading("SIGTERM to the bridge: it drains, unregisters and ends");
  const status = await bridge.stop();
  if (status !== 0) failures++;
  say(status === 0 ? "ok" : "WRONG", `the bridge ended with status ${status}`);
}

async function startBeam(role, name, cookie, epmdPort) {
  const env = { ...process.env, ERL_EPMD_PORT: String(epmdPort), DEMO_ROLE: role };
  track(spawn("epmd", ["-address", "127.0.0.1", "-port", String(epmdPort)], { stdio: "ignore", env }));
  await listening(epmdPort);
  const args = ["-noshell", "-name", name, "-setcookie", cookie, "-start_epmd", "false"];
  args.push("-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-pa", work, "-s", "demo", "start");
  return conversation(spawn("erl", args, { env, stdio: ["pipe", "pipe", "inherit"] }), name);
}

function startOwnNode(role, name, cookie, epmdPort) {
  const env = {
    ...process.env,
    DEMO_ROLE: role,
    DEMO_NODE: name,
    DEMO_COOKIE: cookie,
    ERL_EPMD_PORT: String(epmdPort),
  };
  return conversation(
    spawn(process.execPath, [join(here, "own-node.mjs")], { env, stdio: ["pipe", "pipe", "inherit"] }),
    name,
  );
}

/** Commands in, `Command<TAB>Answer` lines out. */
async function conversation(child, name) {
  track(child);
  const waiting = new Map();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const tab = line.indexOf("\t");
    const key = tab < 0 ? "" : line.slice(0, tab);
    if (!waiting.has(key)) return console.log(paint(2, `     ${name}: ${line}`));
    waiting.get(key)(line.slice(tab + 1));
    waiting.delete(key);
  });
  const answer = (key) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${name} did not answer "${key}" within 20 seconds`)),
        20_000,
      );
      child.once("exit", (status) => reject(new Error(`${name} ended with status ${status}`)));
      waiting.set(key, (text) => {
        clearTimeout(timer);
        resolve(text);
      });
    });
  await answer("ready");
  return {
    ask(command) {
      const reply = answer(command);
      child.stdin.write(`${command}\n`);
      return reply;
    },
  };
}

function startBridge(env) {
  const cli = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));
  const child = track(
    spawn(process.execPath, [cli, "run", join(here, "isthmus.yaml"), "--log-format", "json"], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
  const seen = new Set();
  const wakes = new Set();
  const line = (text) => {
    const entry = parse(text);
    if (entry === undefined) return console.log(paint(2, `     ${text}`));
    const { msg, level, time, pid, hostname, ...fields } = entry;
    console.log(
      paint(
        2,
        `     isthmus: ${msg} ${Object.entries(fields)
          .map(([key, value]) => `${key}=${value}`)
          .join(" ")}`,
      ),
    );
    if (msg === "node connected") seen.add(fields.node);
    for (const wake of wakes) wake();
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", line);
  const ended = new Promise((resolve) => child.once("exit", (status, signal) => resolve(status ?? signal)));
  return {
    connected: (names) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`the bridge did not connect to ${names.join(" and ")} within 20 seconds`)),
          20_000,
        );
        ended.then((status) => reject(new Error(`the bridge ended with status ${status}`)));
        const wake = () => {
          if (!names.every((name) => seen.has(name))) return;
          clearTimeout(timer);
          wakes.delete(wake);
          resolve();
        };
        wakes.add(wake);
        wake();
      }),
    stop() {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function track(child) {
  children.push(child);
  return child;
}

function finish(status) {
  for (const child of children) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
  process.exit(status);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function listening(port) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const up = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`epmd does not listen on port ${port}`);
}

function heading(text) {
  console.log(`\n${paint(1, `== ${text}`)}`);
}

function say(mark, text) {
  console.log(`  ${mark === "ok" ? paint(32, "ok") : paint(31, mark)}  ${text}`);
}
