// What a trunk costs: the same calls and messages from one BEAM to another through one bridge, and through two bridges
// with a trunk (WebSocket) between them, in turns. Prints rates, and the CPU time of the bridges.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startBridge } from "@isthmus/bridge";
import { startEpmdServer } from "@isthmus/epmd-client";

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const MESSAGES = Number(process.env.MESSAGES ?? 200_000);
const HOST = "127.0.0.1";
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

if (process.argv[2] === undefined) await measure();
else await bridge(process.argv[2]);

/** One bridge with both clusters, or that of one site. */
async function bridge(role) {
  const { A_EPMD, B_EPMD, TRUNK_PORT } = process.env;
  const own = (id, port) => ({
    ...{ node: `${role}@${HOST}`, cookie: `cookie_${id}`, hosts: [`${id}@${HOST}`] },
    ...{ listen: { host: HOST }, epmd: { host: HOST, port: Number(port) } },
  });
  const secret = "only for this measurement";
  const port = Number(TRUNK_PORT ?? 0);
  const sink = { from: "a", to: "b", name: "sink" };
  const at = { nodes: [`b@${HOST}`] };
  const options = {
    direct: { clusters: { a: own("a", A_EPMD), b: own("b", B_EPMD) }, routes: [{ ...sink, ...at }] },
    south: {
      clusters: { a: { site: "north" }, b: own("b", B_EPMD) },
      routes: [{ ...sink, ...at }],
      trunk: { site: "south", listen: { host: HOST, port }, sites: { north: { secret } } },
    },
    trunk: {
      clusters: { a: own("a", A_EPMD), b: { site: "south" } },
      routes: [sink],
      trunk: { site: "north", sites: { south: { secret, open: [await way(port)] } } },
    },
  };
  const started = await startBridge(options[role]);
  const ready = () => started.status().clusters.every(({ connected }) => connected.length > 0);
  while (!ready()) await new Promise((resolve) => setTimeout(resolve, 50));
  process.on("message", () => process.send(process.cpuUsage()));
  process.send("up");
}

async function way(port) {
  const { webSocket } = await import("@isthmus/bridge/trunk");
  return webSocket({ url: `ws://${HOST}:${port}/trunk` });
}

async function measure() {
  const children = [];
  const epmds = [
    await startEpmdServer({ host: HOST, port: 0 }),
    await startEpmdServer({ host: HOST, port: 0 }),
  ];
  const port = 20_000 + (process.pid % 20_000);
  const env = { A_EPMD: epmds[0].port, B_EPMD: epmds[1].port, TRUNK_PORT: port };
  try {
    const b = await beam("b", epmds[1].port, SINK);
    const a = await beam("a", epmds[0].port, SOURCE);
    // south waits for north to be connected, and the other way round
    const [direct, south, north] = await Promise.all(["direct", "south", "trunk"].map(start));
    const ways = { direct: [direct], trunk: [south, north] };
    void b;
    for (const what of ["oneway", "call", "calls", "large"]) {
      const rates = { direct: [], trunk: [] };
      const cpu = { direct: 0, trunk: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        for (const [name, processes] of Object.entries(ways)) {
          const before = await cpuMs(processes);
          a.stdin.write(`${what} ${name}@${HOST}\n`);
          rates[name].push(Number(String((await once(a.stdout, "data"))[0])));
          cpu[name] += (await cpuMs(processes)) - before;
        }
      }
      const [one, other] = [median(rates.direct), median(rates.trunk)];
      const factor = (cpu.trunk / cpu.direct).toFixed(1);
      console.log(
        `${what}: direct ${one}/s, trunk ${other}/s: ${(other / one).toFixed(2)}, with ${factor} times the CPU`,
      );
    }
  } finally {
    for (const child of children) child.kill("SIGKILL");
    for (const epmd of epmds) await epmd.close();
  }

  async function start(role) {
    const stdio = ["ignore", "inherit", "inherit", "ipc"];
    const child = spawn(process.execPath, [self, role], { stdio, env: { ...process.env, ...env } });
    children.push(child);
    child.once("exit", (code) => code !== null && process.exit(code || 1));
    await once(child, "message");
    return child;
  }

  async function beam(id, epmdPort, code) {
    const names = [
      "-noshell",
      "-name",
      `${id}@${HOST}`,
      "-setcookie",
      `cookie_${id}`,
      "-start_epmd",
      "false",
    ];
    const loopback = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"];
    const child = spawn(process.env.ERL ?? "erl", [...names, ...loopback, "-eval", code], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ERL_EPMD_PORT: String(epmdPort) },
    });
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
