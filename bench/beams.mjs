// What one-way messages cost two BEAMs that share a core, with nobody between them: the bound of what any relay can show
// where the driver and its far side have that core. Connects the two directly, sends messages as the relays of other
// measurements are sent, and prints messages a second of each round. Needs erl, epmd and taskset in PATH.
//
//   MESSAGES=200000 ROUNDS=5 node bench/beams.mjs
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { startEpmdServer } from "@isthmus/epmd-client";

const MESSAGES = Number(process.env.MESSAGES ?? 200_000);
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const HOST = "127.0.0.1";

const SINK = `register(rsink, spawn(fun() -> io:format("ready~n"), (fun Count(N) -> receive
  {msg, _, _} -> Count(N + 1); {done, P} -> P ! {counted, N}, Count(0) end end)(0) end)).`;

const SOURCE = `pong = net_adm:ping('beams_b@${HOST}'), To = {rsink, 'beams_b@${HOST}'}, Bin = crypto:strong_rand_bytes(64),
Us = fun() -> erlang:monotonic_time(microsecond) end,
Run = fun(N) -> T0 = Us(), [To ! {msg, I, Bin} || I <- lists:seq(1, N)], To ! {done, self()},
  receive {counted, N} -> N * 1000000 div (Us() - T0) end end,
Run(20000), [io:format("~b~n", [Run(${MESSAGES})]) || _ <- lists:seq(1, ${ROUNDS})], halt().`;

execFileSync("taskset", ["-V"]);
const epmd = await startEpmdServer({ port: 0, host: HOST });
const env = { ...process.env, ERL_EPMD_PORT: String(epmd.port) };
const beam = (name, code) => {
  const args = [
    "-noinput",
    "-name",
    `${name}@${HOST}`,
    "-setcookie",
    "beams",
    "-start_epmd",
    "false",
    "-eval",
    code,
  ];
  return spawn("taskset", ["-c", "0", "erl", ...args], { env, stdio: ["ignore", "pipe", "inherit"] });
};
const sink = beam("beams_b", SINK);
await once(sink.stdout, "data");
const source = beam("beams_a", SOURCE);
let printed = "";
source.stdout.on("data", (text) => {
  printed += text;
});
await once(source, "exit");
sink.kill("SIGKILL");
await epmd.close();
const rates = printed
  .trim()
  .split("\n")
  .map(Number)
  .sort((a, b) => a - b);
console.log(`directly, on one core: ${rates[rates.length >> 1]} messages/s (${rates[0]} to ${rates.at(-1)})`);
