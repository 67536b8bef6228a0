// Binaries of 1 MiB (MIB) from one BEAM to another: through the bridge, and through a bare socket relay of Node.js (`pipe`), which
// is what the machine gives. Each way in a process of its own; they take turns. Prints bytes a second and CPU per message.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { startBridge } from "@isthmus/bridge";
import { startEpmdServer } from "@isthmus/epmd-client";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const MESSAGES = Number(process.env.MESSAGES ?? 2000);
const MIB = Number(process.env.MIB ?? 1);
const self = fileURLToPath(import.meta.url);
const listen = { host: "127.0.0.1" };

const SINK = `spawn(fun() ->
  {ok, L} = gen_tcp:listen(0, [binary, {packet, 4}, {active, false}, {ip, {127,0,0,1}}]),
  {ok, P} = inet:port(L),
  register(sink, spawn(fun() -> (fun Count(N) -> receive {msg, B} when is_binary(B) -> Count(N + 1);
    {done, From} -> From ! {counted, N}, Count(0) end end)(0) end)),
  io:format("ready~nport ~b~n", [P]),
  (fun Accept() -> {ok, S} = gen_tcp:accept(L),
    (fun Take(N) -> case gen_tcp:recv(S, 0) of
      {ok, <<"done">>} -> ok = gen_tcp:send(S, <<N:32>>), Take(0);
      {ok, _} -> Take(N + 1);
      _ -> closed end end)(0),
    Accept() end)() end).`;

const SOURCE = `Bin = crypto:strong_rand_bytes(${MIB} bsl 20),
Dist = fun(N) -> To = {sink, 'bridge_a@127.0.0.1'},
  [To ! {msg, Bin} || _ <- lists:seq(1, N)], To ! {done, self()}, receive {counted, N} -> ok end end,
Tcp = fun(Port, N) -> {ok, S} = gen_tcp:connect({127,0,0,1}, Port, [binary, {packet, 4}, {active, false}, {nodelay, true}]),
  [ok = gen_tcp:send(S, Bin) || _ <- lists:seq(1, N)], ok = gen_tcp:send(S, <<"done">>),
  {ok, <<N:32>>} = gen_tcp:recv(S, 0), gen_tcp:close(S) end,
spawn(fun() -> io:format("ready~n"), (fun Next() ->
  Run = case string:lexemes(io:get_line(""), " \n") of
    ["dist", N] -> fun() -> Dist(list_to_integer(N)) end;
    ["tcp", P, N] -> fun() -> Tcp(list_to_integer(P), list_to_integer(N)) end end,
  {Us, _} = timer:tc(Run), io:format("took ~b~n", [Us]), Next() end)() end).`;

if (process.argv[2] === "relay") await relay();
else if (process.argv[2] === "bridge") await bridge();
else await measure();

/** Copies bytes from whoever connects to the port given. */
async function relay() {
  const server = createServer((from) => {
    const to = connect(Number(process.argv[3]), listen.host);
    for (const socket of [from, to]) socket.setNoDelay().on("error", () => from.destroy());
    from.pipe(to).pipe(from);
  });
  server.listen(0, listen.host, () => process.send(server.address().port));
}

async function bridge() {
  const cluster = (id) => ({
    node: `bridge_${id}@127.0.0.1`,
    cookie: `cookie_${id}`,
    listen,
    hosts: [`${id}@127.0.0.1`],
  });
  await startBridge({
    clusters: { a: cluster("a"), b: cluster("b") },
    routes: [{ from: "a", to: "b", name: "sink", nodes: ["b@127.0.0.1"] }],
  });
  process.send("up");
}

async function measure() {
  const epmd = await startEpmdServer({ host: listen.host, port: 0 });
  process.env.ERL_EPMD_PORT = String(epmd.port);
  const started = [];
  try {
    const b = await beam("b", SINK);
    const port = await b.line(/^port (\d+)/);
    const a = await beam("a", SOURCE);
    const [relayed, bridged] = await Promise.all([helper("relay", port[1]), helper("bridge")]);
    const ways = { relay: [relayed, `tcp ${relayed.up}`], bridge: [bridged, "dist"] };
    const found = { relay: [], bridge: [] };
    for (let round = -1; round < ROUNDS; round++) {
      for (const [name, [{ process: child }, command]] of Object.entries(ways)) {
        const cpu = await cpuMs(child);
        a.say(`${command} ${round < 0 ? Math.min(100, MESSAGES) : MESSAGES}`);
        const [, us] = await a.line(/^took (\d+)/);
        // the first is to warm up
        if (round >= 0)
          found[name].push({ us: Number(us), cpu: (await cpuMs(child)) - cpu, peak: await peakMib(child) });
      }
    }
    report(found);
    for (const one of [a, b]) one.process.kill("SIGKILL");
  } finally {
    for (const child of started) child.kill("SIGKILL");
    await epmd.close();
  }

  async function helper(...args) {
    const child = spawn(process.execPath, [self, ...args], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    started.push(child);
    child.once("exit", (code) => code !== null && process.exit(code || 1));
    const [up] = await once(child, "message");
    return { process: child, up };
  }
}

function report(found) {
  const figures = Object.entries(found).map(([name, rounds]) => {
    const rates = rounds.map(({ us }) => (MESSAGES * MIB * 1024 * 1024) / us).sort((x, y) => x - y);
    const cpus = rounds.map(({ cpu }) => (cpu * 1000) / MESSAGES).sort((x, y) => x - y);
    return {
      way: name,
      "MB/s": median(rates),
      min: rates[0],
      max: rates.at(-1),
      "CPU us/message": median(cpus),
      "peak MiB": rounds.at(-1).peak,
    };
  });
  console.table(
    figures.map((one) =>
      Object.fromEntries(Object.entries(one).map(([k, v]) => [k, Number.isFinite(v) ? Math.round(v) : v])),
    ),
  );
  const [bare, ours] = figures;
  console.log(`bridge / bare relay: ${(ours["MB/s"] / bare["MB/s"]).toFixed(2)} of the bytes a second`);
}

function median(sorted) {
  return sorted[Math.floor(sorted.length / 2)];
}

async function peakMib({ pid }) {
  const { readFileSync } = await import("node:fs");
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))[1]) / 1024;
}

/** User and system time of a process so far, from the kernel. */
async function cpuMs({ pid }) {
  const { readFileSync } = await import("node:fs");
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function beam(name, code) {
  const loopback = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"];
  const args = [
    "-noshell",
    "-name",
    `${name}@127.0.0.1`,
    "-setcookie",
    `cookie_${name}`,
    "-start_epmd",
    "false",
    ...loopback,
    "-eval",
    code,
  ];
  const child = spawn(process.env.ERL ?? "erl", args, { stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  const waiting = [];
  child.stdout.on("data", (chunk) => {
    text += chunk;
    for (const look of [...waiting]) look();
  });
  const line = (pattern) =>
    new Promise((resolve) => {
      const look = () => {
        const lines = text.split("\n");
        const at = lines.slice(0, -1).findIndex((one) => pattern.test(one));
        if (at < 0) return;
        text = lines.slice(at + 1).join("\n");
        waiting.splice(waiting.indexOf(look), 1);
        resolve(pattern.exec(lines[at]));
      };
      waiting.push(look);
      look();
    });
  await line(/^ready/);
  return { process: child, line, say: (words) => child.stdin.write(`${words}\n`) };
}
