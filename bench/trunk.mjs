// What a trunk costs: the same calls and messages from one BEAM to another through one bridge, and through two bridges
// with a trunk (WebSocket) between them, in turns. Prints rates, and the CPU time of the bridges.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startBridge } from "@isthmus/bridge";
import { webSocket } from "@isthmus/bridge/trunk";
import { startEpmdServer } from "@isthmus/epmd-client";

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const MESSAGES = Number(process.env.MESSAGES ?? 200_000);
const WHAT = (process.env.WHAT ?? "oneway,call,calls,large").split(",");
const HOST = "127.0.0.1";
const SECRET = "only for this measurement";
const self = fileURLToPath(import.meta.url);

const SINK = `spawn(fun() -> register(sink, self()), io:format("ready~n"), (fun Loop(N) -> receive
  {'$gen_call', {P, T}, _} -> P ! {T, N}, Loop(N); {n, _} -> Loop(N + 1); _ -> Loop(N + 1) end end)(0) end).`;

const SOURCE = `Call = fun(W) -> gen_server:call({sink, W}, x, 120000) end,
Us = fun() -> erlang:monotonic_time(microsecond) end,
Rate = fun(N, T0) -> N * 1000000 div (Us() - T0) end,
Ways = #{
  "oneway" => fun(W) -> B = Call(W), T0 = Us(), [{sink, W} ! {n, I} || I <- lists:seq(1, ${MESSAGES})],
    ${MESSAGES} = Call(W) - B, Rate(${MESSAGES}, T0) end,
  "call" => fun(W) -> T0 = Us(), [Call(W) || _ <- lists:seq(1, 3000)], Rate(3000, T0) end,
  "calls" => fun(W) -> T0 = Us(), Ps = [spawn_monitor(fun() -> [Call(W) || _ <- lists:seq(1, 200)] end) || _ <- lists:seq(1, 100)],
    [receive {'DOWN', M, _, _, normal} -> ok end || {_, M} <- Ps], Rate(20000, T0) end,
  "large" => fun(W) -> Bin = binary:copy(<<1>>, 1 bsl 20), T0 = Us(), [{sink, W} ! {b, Bin} || _ <- lists:seq(1, 300)],
    Call(W), Rate(300, T0) end },
spawn(fun() -> io:format("ready~n"), (fun Next() -> [What, Way] = string:lexemes(io:get_line(""), " \\n"),
  io:format("~b~n", [(maps:get(What, Ways))(list_to_atom(Way))]), Next() end)() end).`;

/** The bridges: one with both clusters, or one at each of two sites. The BEAM calls "direct" or "north". */
const BRIDGES = {
  direct: () => ({ clusters: { a: own("a", "direct"), b: own("b", "direct") }, routes: [toSink(true)] }),
  north: () => ({
    clusters: { a: own("a", "north"), b: { site: "south" } },
    routes: [toSink(false)],
    trunk: {
      site: "north",
      sites: { south: { secret: SECRET, open: [webSocket({ url: `ws://${HOST}:${port()}/trunk` })] } },
    },
  }),
  south: () => ({
    clusters: { a: { site: "north" }, b: own("b", "south") },
    routes: [toSink(true)],
    trunk: {
      site: "south",
      listen: { host: HOST, port: port() },
      sites: { north: { secret: SECRET } },
    },
  }),
};

const [role] = process.argv.slice(2);
if (role === undefined) await measure();
else await bridge(BRIDGES[role]());

/** A cluster that this process is in; its epmd's port is in the environment. */
function own(id, name) {
  const epmd = { host: HOST, port: Number(process.env[`EPMD_${id}`]) };
  const hosts = [`${id}@${HOST}`];
  return { node: `${name}@${HOST}`, cookie: `cookie_${id}`, hosts, listen: { host: HOST }, epmd };
}

/** What cluster a may use of b; which node it is, says who is in b. */
function toSink(inB) {
  return { from: "a", to: "b", name: "sink", ...(inB ? { nodes: [`b@${HOST}`] } : {}) };
}

function port() {
  return Number(process.env.TRUNK_PORT);
}

async function bridge(options) {
  const started = await startBridge(options);
  const ready = () => started.status().clusters.every(({ connected }) => connected.length > 0);
  while (!ready()) await new Promise((resolve) => setTimeout(resolve, 50));
  process.on("message", () => process.send(process.cpuUsage()));
  process.send("up");
}

async function measure() {
  const children = [];
  const epmds = {
    a: await startEpmdServer({ host: HOST, port: 0 }),
    b: await startEpmdServer({ host: HOST, port: 0 }),
  };
  const env = {
    EPMD_a: epmds.a.port,
    EPMD_b: epmds.b.port,
    TRUNK_PORT: 20_000 + (process.pid % 20_000),
  };
  try {
    await beam("b", SINK);
    const source = await beam("a", SOURCE);
    // south waits for north to be connected, and the other way round
    const [direct, south, north] = await Promise.all(["direct", "south", "north"].map(start));
    const ways = { direct: [direct], north: [south, north] };
    for (const what of WHAT) {
      const rates = { direct: [], north: [] };
      const cpu = { direct: 0, north: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        for (const [name, processes] of Object.entries(ways)) {
          const before = await cpuMs(processes);
          source.stdin.write(`${what} ${name}@${HOST}\n`);
          rates[name].push(Number(String((await once(source.stdout, "data"))[0])));
          cpu[name] += (await cpuMs(processes)) - before;
        }
      }
      const [one, other] = [median(rates.direct), median(rates.north)];
      const [ratio, factor] = [(other / one).toFixed(2), (cpu.north / cpu.direct).toFixed(1)];
      console.log(`${what}: direct ${one}/s, trunk ${other}/s: ${ratio}, with ${factor} times the CPU`);
    }
  } finally {
    for (const child of children) child.kill("SIGKILL");
    for (const epmd of Object.values(epmds)) await epmd.close();
  }

  async function start(role) {
    const stdio = ["ignore", "inherit", "inherit", "ipc"];
    const child = spawn(process.execPath, [self, role], { stdio, env: { ...process.env, ...env } });
    children.push(child);
    child.once("exit", (code) => code !== null && process.exit(code || 1));
    await once(child, "message");
    return child;
  }

  async function beam(id, code) {
    const child = spawn(
      process.env.ERL ?? "erl",
      [
        ...["-noshell", "-name", `${id}@${HOST}`, "-setcookie", `cookie_${id}`, "-start_epmd", "false"],
        ...["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-eval", code],
      ],
      {
        stdio: ["pipe", "pipe", "inherit"],
        env: { ...process.env, ERL_EPMD_PORT: String(epmds[id].port) },
      },
    );
    children.push(child);
    await once(child.stdout, "data");
    return child;
  }
}

async function cpuMs(processes) {
  let micros = 0;
  for (const child of processes) {
    child.send("cpu");
    const [{ user, system }] = await once(child, "message");
    micros += user + system;
  }
  return micros / 1000;
}

function median(values) {
  return values.toSorted((x, y) => x - y)[Math.floor(values.length / 2)];
}
