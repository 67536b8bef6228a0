import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type HiddenNode, raise, startNode } from "@isthmus/core";
import { atom, type Pid, type Reference, type Term, type Tuple, toJs, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { until } from "../interop/cell.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";

const elixir = (process.env["PATH"] ?? "")
  .split(delimiter)
  .map((folder) => join(folder, "elixir"))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
const MISSING = "Elixir is not in PATH";
if (elixir === undefined && (process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1")) {
  test("Elixir", () => {
    throw new Error(MISSING);
  });
}

describe.skipIf(elixir === undefined)(elixir === undefined ? MISSING : "an Elixir node", () => {
  const THEM = "elixir@127.0.0.1";
  let epmd: Epmd;
  let node: HiddenNode;
  let peer: OwnedProcess;
  let lines: Map<string, string>;
  const printed: string[] = [];

  beforeAll(async () => {
    epmd = await startEpmd();
    node = await startNode({
      name: "js@127.0.0.1",
      cookie: "biscuit",
      listen: { host: "127.0.0.1" },
      epmd: { host: "127.0.0.1", port: epmd.port },
      processes: { io: { write: (text) => void printed.push(text) } },
    });
    serveEverything(node);
    const script = fileURLToPath(new URL("elixir/peer.exs", import.meta.url));
    const erl = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}";
    const args = ["--name", THEM, "--cookie", "biscuit", "--erl", erl, script, node.name];
    peer = await OwnedProcess.start("Elixir", elixir!, args, {
      HOME: fileURLToPath(new URL("../../.test-cache/home", import.meta.url)),
      LC_ALL: "C.UTF-8",
      ERL_EPMD_PORT: String(epmd.port),
    });
    for (const end = Date.now() + 40_000; !peer.output.includes("serving\n"); ) {
      if (!peer.running || Date.now() > end)
        throw new Error(`Elixir did not serve. It printed:\n${peer.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    lines = new Map(
      peer.output.split("\n").map((line) => {
        const at = line.indexOf(": ");
        return [line.slice(0, at), line.slice(at + 2)];
      }),
    );
  });
  afterAll(async () => {
    await node?.close();
    await peer?.stop();
    await epmd?.stop();
  });

  it.each([
    ["connect", "true"],
    ["ping", ":pong"],
    ["hidden", "{false, true}"],
    ["call", '{:hello, "wörld", %{:a => 1.5, "b" => [1, nil, true]}}'],
    ["struct", "true"],
    ["range, function, reference", "true"],
    ["multi_call", '{["js@127.0.0.1": :x], []}'],
    ["noproc", '{:exit, {:noproc, {GenServer, :call, [{:nobody, :"js@127.0.0.1"}, :x, 5000]}}}'],
    ["timeout", '{:exit, {:timeout, {GenServer, :call, [{:echo, :"js@127.0.0.1"}, :never, 50]}}}'],
    ["crash", '{:exit, {:my_reason, {GenServer, :call, [{:fragile, :"js@127.0.0.1"}, :crash, 5000]}}}'],
    ["cast", "{:ok, :abcast}"],
    ["notes", "[:abcast, :cast]"],
    ["task", ":from_task"],
    ["async_stream", "1275"],
    ["erpc", "6"],
    ["erpc raise", "{:error, {:exception, :why, [{:shop, :fail, 1, []}]}}"],
    ["erpc multicall", "[ok: 4, ok: 4]"],
    ["rpc", "11"],
    ["rpc not exposed", ":undef"],
    ["Node.spawn_monitor", ":bye"],
    ["monitor", '{{:mortal, :"js@127.0.0.1"}, :died}'],
    ["alias", "{:answer, :question}"],
    ["link", "{true, :died}"],
  ])("%s", (name, expected) => {
    expect(lines.get(name)).toBe(expected);
  });

  it("its GenServer is called and cast to by us, and watched", async () => {
    const cart = { name: "Elixir.Shop.Cart", node: THEM };
    expect(toJs(await node.call(cart, tuple(atom("add"), "book", 2)))).toEqual(
      toJs(tuple(atom("ok"), new Map([["book", 2]]))),
    );
    expect(await node.call(cart, tuple(atom("slow"), 30))).toBe(atom("slow_but_there"));
    const process = node.spawn();
    node.cast(cart, tuple(atom("clear"), process.pid));
    const [what, pid] = ((await process.receive({ timeoutMs: 5000 })) as Tuple).elements as [Term, Pid];
    expect(what).toBe(atom("cleared"));
    process.monitor(cart);
    process.exitOther(pid, atom("kill"));
    const down = (await process.receive({ timeoutMs: 5000 })) as Tuple;
    expect(down.elements.slice(3)).toEqual([tuple(atom("Elixir.Shop.Cart"), atom(THEM)), atom("killed")]);
    await expect(node.call(cart, tuple(atom("add"), "book", 2))).rejects.toMatchObject({
      code: "NO_PROCESS",
    });
    process.exit();
  });

  it("its functions are called by us, and what they print comes to us", async () => {
    const { erpc } = node.processes;
    expect(String(await erpc.call(THEM, "Elixir.String", "upcase", ["größe"]))).toBe("GRÖSSE");
    expect(await erpc.call(THEM, "Elixir.Enum", "sum", [[1, 2, 3]])).toBe(6);
    await expect(
      erpc.call(THEM, "Elixir.String", "to_existing_atom", ["no such atom at all"]),
    ).rejects.toMatchObject({
      code: "RPC_FAILED",
      context: { class: "error", reason: atom("badarg") },
    });
    await erpc.call(THEM, "Elixir.IO", "puts", ["printed in Elixir: é"]);
    expect(printed.join("")).toBe("printed in Elixir: é\n");
  });

  it("it is told when our node goes", async () => {
    node.send({ name: "peer", node: THEM }, atom("done"));
    await node.flushed(1000);
    await node.close();
    await until(() => peer.output.includes("node down: "));
    expect((await peer.exited).code).toBe(0);
    expect(peer.output).toContain("node down: :nodedown");
  });
});

/** What the script expects. */
function serveEverything(node: HiddenNode): void {
  const { processes } = node;
  processes.expose({
    "shop:total/1": (list) => (list as number[]).reduce((sum, n) => sum + n, 0),
    "shop:fail/1": (reason) => raise("error", reason!),
    "shop:leave/1": (reason) => raise("exit", reason!),
  });
  node.serve("echo", { call: (request) => (request === atom("never") ? undefined : request) });
  node.serve("fragile", { call: () => raise("exit", atom("my_reason")) });
  const notes: Term[] = [];
  node.serve("noting", { call: () => notes, cast: (message) => void notes.push(message) });
  const mortal = () => node.spawn({ onMessage: (_message, self) => self.exit(atom("died")) });
  processes.register("mortal", mortal());
  node.serve("pids", { call: () => mortal().pid });
  node.spawn({
    name: "answering",
    onMessage: (message, self) => {
      const [to, question] = (message as Tuple).elements as [Reference, Term];
      self.send(to, tuple(atom("answer"), question));
    },
  });
}
