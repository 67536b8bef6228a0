import { type HiddenNode, raise } from "@isthmus/core";
import { atom, type Term, type TermMap, tuple } from "@isthmus/etf";
import { expect } from "vitest";
import { until } from "../cell.ts";
import { elements, remote, type Scenario, soon } from "./scenario.ts";

/** The functions that `isthmus_scenarios` calls on our node. @returns what ends this */
function expose(node: HiddenNode, seen: Term[] = []): () => void {
  return node.processes.expose({
    "isthmus:finish/1": (reason) => raise("exit", reason!),
    "isthmus:wait/0": () => new Promise<Term>(() => undefined),
    "math:add/2": (a, b) => Number(a) + Number(b),
    "math:fail/2": (kind, reason) => raise(String(kind) as "throw" | "error" | "exit", reason!),
    "math:wait/0": () => new Promise<Term>(() => undefined),
    "math:seen/1": (term) => {
      seen.push(term!);
      return atom("true");
    },
  });
}

export const calls: readonly Scenario[] = [
  {
    name: "every kind of call and cast to a server of ours",
    async run(cell) {
      const seen: Term[] = [];
      const server = cell.node.serve("echo", {
        call: (request) => request,
        cast: (message) => void seen.push(message),
        info: (message) => void seen.push(message),
      });
      expect(await remote(cell, "calls", atom(cell.us))).toBe(atom("ok"));
      await until(() => seen.length === 5);
      const cast = (n: number): Term => tuple(atom("cast"), n);
      const plain = (n: number): Term => tuple(atom("plain"), n);
      // abcast sends in a process of its own
      expect(new Set(seen.map(String))).toEqual(
        new Set([cast(7), cast(8), cast(9), plain(10), plain(11)].map(String)),
      );
      server.exit();
      expect(await cell.erl("try gen_server:call({echo, JS}, x) catch exit:{R, _} -> R end")).toBe("noproc");
    },
  },
  {
    name: "a server of ours as gen_event manager, and as rpc server",
    async run(cell) {
      const noted: Term[] = [];
      const events = cell.node.spawn({
        name: "events",
        onMessage: (message, self) => {
          const [what, from, request] = elements(message);
          if (what === atom("notify")) {
            noted.push(from!);
            return;
          }
          const [caller, tag] = elements(from!);
          const [kind, ...rest] = elements(request!);
          if (kind === atom("sync_notify")) noted.push(rest[0]!);
          const answer = kind === atom("call") ? tuple(...rest) : atom("ok");
          self.send(caller as never, tuple(tag!, answer));
        },
      });
      const served = cell.node.spawn({
        name: "served",
        onMessage: (message, self) => {
          const [from, request] = elements(message);
          self.send(from as never, tuple(atom("answer"), atom(cell.us), request!));
        },
      });
      expect(await remote(cell, "old_calls", atom(cell.us))).toEqual(
        tuple(atom("question"), tuple(atom("handler"), atom("question"))),
      );
      expect(noted).toEqual([atom("noted"), atom("sync_noted")]);
      events.exit();
      served.exit();
    },
  },
  {
    name: "our calls and casts to gen_server, gen_statem and gen_event",
    async run(cell) {
      await cell.erl(
        "isthmus_probe:orders(called_orders), isthmus_scenarios:statem(statem), isthmus_scenarios:event(event)",
      );
      const at = (name: string) => ({ name, node: cell.them });
      const { node } = cell;
      expect(await node.call(at("called_orders"), tuple(atom("add"), 40, 2))).toBe(42);
      expect(await node.call(at("called_orders"), tuple(atom("later"), 30, "late"))).toEqual(
        Buffer.from("late"),
      );
      node.cast(at("called_orders"), tuple(atom("note"), 1));
      expect(await node.call(at("called_orders"), atom("notes"))).toEqual([1]);
      node.cast(at("statem"), atom("cast"));
      expect(await node.call(at("statem"), atom("what"))).toEqual(tuple(atom("what"), [atom("cast")]));
      node.send(at("event"), tuple(atom("notify"), atom("event")));
      const process = node.spawn();
      const tag = process.monitor(at("event"));
      process.send(
        at("event"),
        tuple(
          process.pid,
          tuple(process.pid, tag),
          tuple(atom("call"), atom("isthmus_scenarios"), atom("q")),
        ),
      );
      expect(elements(await process.receive())[1]).toEqual(tuple(atom("q"), [atom("event")]));
      process.exit();

      const crash = node.call(at("called_orders"), tuple(atom("crash"), atom("oops")));
      await expect(crash).rejects.toMatchObject({ code: "CALL_EXIT" });
      await expect(node.call(at("called_orders"), 1)).rejects.toMatchObject({ code: "NO_PROCESS" });
      const never = node.call(at("statem_not"), 1);
      await expect(never).rejects.toMatchObject({ code: "NO_PROCESS" });
      await cell.erl("gen_statem:stop(statem), gen_event:stop(event)");
    },
  },
  {
    name: "functions of ours that they call: rpc, erpc, multicall, casts, and everything that is raised",
    async run(cell) {
      const seen: Term[] = [];
      const inbox: Term[] = [];
      const process = cell.node.spawn({ name: "inbox", onMessage: (message) => void inbox.push(message) });
      const end = expose(cell.node, seen);
      expect(await remote(cell, "rpcs", atom(cell.us))).toBe(atom("ok"));
      await until(() => seen.length === 3 && inbox.length === 2);
      expect(new Set(seen)).toEqual(new Set([atom("erpc_cast"), atom("rpc_cast"), atom("erpc_multicast")]));
      expect(inbox).toEqual([atom("by_abcast"), atom("by_sbcast")]);
      end();
      process.exit();
    },
  },
  {
    name: "functions of theirs that we call: rpc, erpc, multicall, casts, and everything that is raised",
    async run(cell) {
      const { erpc } = cell.node.processes;
      expect(await erpc.call(cell.them, "lists", "sum", [[1, 2, 3]])).toBe(6);
      expect(await erpc.rpc(cell.them, "erlang", "node", [])).toBe(cell.theirs);
      expect(
        await cell.node.call(
          { name: "rex", node: cell.them },
          tuple(atom("call"), atom("lists"), atom("max"), [[1, 3, 2]], cell.node.processes.groupLeader),
        ),
      ).toBe(3);
      for (const [name, raised] of [
        ["throw", "throw"],
        ["exit", "exit"],
        ["error", "error"],
      ] as const) {
        await expect(erpc.call(cell.them, "erlang", name, [atom("x")])).rejects.toMatchObject({
          code: "RPC_FAILED",
          context: { class: raised, reason: atom("x") },
        });
      }
      await expect(erpc.call(cell.them, "timer", "sleep", [2000], { timeoutMs: 50 })).rejects.toMatchObject({
        code: "CALL_TIMEOUT",
      });
      await expect(erpc.call(cell.them, "no_such", "f", [])).rejects.toMatchObject({
        context: { class: "error", reason: atom("undef") },
      });
      const both = await erpc.multicall([cell.them, "nowhere@127.0.0.1"], "erlang", "abs", [-3]);
      expect(both).toMatchObject([
        { node: cell.them, ok: true, value: 3 },
        { ok: false, error: { code: "NO_CONNECTION" } },
      ]);
      const process = cell.node.spawn();
      erpc.cast(cell.them, "erlang", "send", [process.pid, atom("cast")]);
      expect(await process.receive({ timeoutMs: 5000 })).toBe(atom("cast"));
      process.exit();
    },
  },
  {
    name: "processes that they spawn here",
    async run(cell) {
      const end = expose(cell.node);
      const before = cell.node.processes.size;
      expect(await remote(cell, "spawns", atom(cell.us))).toEqual(
        tuple(
          atom("one"),
          atom("two"),
          tuple(true, atom("three"), atom("three")),
          atom("badopt"),
          atom("undef"),
          atom("six"),
          atom("nothing_else"),
        ),
      );
      expect(await remote(cell, "late_spawn", atom(cell.us))).toEqual(tuple(true, atom("nothing_else")));
      // also the one that was given up, by the link that it was to have
      await until(() => cell.node.processes.size === before);
      end();
    },
  },
  {
    name: "processes that we spawn there",
    async run(cell) {
      const table = cell.node.processes;
      const process = cell.node.spawn({ trapExit: true });
      const leave = (options: object) =>
        table.spawnOn(cell.them, "erlang", "exit", [atom("left")], { as: process, ...options });
      const both = await leave({ link: true, monitor: true });
      const got = [await process.receive(soon), await process.receive(soon)];
      expect(got).toContainEqual(tuple(atom("EXIT"), both.pid, atom("left")));
      expect(got).toContainEqual(tuple(atom("DOWN"), both.monitor!, atom("process"), both.pid, atom("left")));
      const neither = await leave({});
      expect([neither.pid.node, neither.monitor]).toEqual([cell.theirs, undefined]);
      const missing = await table.spawnOn(cell.them, "no_such", "f", [1], { as: process, monitor: true });
      const down = elements(await process.receive(soon));
      expect([down[1], elements(down[4]!)[0]]).toEqual([missing.monitor, atom("undef")]);
      // ours are the group leaders of theirs
      cell.printed.length = 0;
      await table.spawnOn(cell.them, "io", "put_chars", ["spawned"], { as: process, monitor: true });
      expect(elements(await process.receive(soon))[4]).toBe(atom("normal"));
      expect(cell.printed).toEqual(["spawned"]);
      process.exit();
    },
  },
  {
    name: "sys both ways: state, status, suspend and resume, terminate",
    async run(cell) {
      await cell.erl("isthmus_probe:orders(sys_orders)");
      const orders = { name: "sys_orders", node: cell.them };
      const { sys } = cell.node.processes;
      cell.node.cast(orders, tuple(atom("note"), 1));
      expect(((await sys.getState(orders)) as TermMap).get(atom("notes"))).toEqual([1]);
      expect(elements(elements(await sys.getStatus(orders))[2]!)).toEqual([
        atom("module"),
        atom("gen_server"),
      ]);
      await sys.suspend(orders);
      await expect(cell.node.call(orders, atom("notes"), { timeoutMs: 50 })).rejects.toMatchObject({
        code: "CALL_TIMEOUT",
      });
      await sys.resume(orders);
      expect(await cell.node.call(orders, atom("notes"))).toEqual([1]);
      await sys.terminate(orders, atom("shutdown"));
      await expect(cell.node.call(orders, atom("notes"))).rejects.toMatchObject({ code: "NO_PROCESS" });

      const server = cell.node.serve("looked_at", {
        call: (request) => request,
        state: () => atom("my_state"),
      });
      expect(await cell.erl("sys:get_state({looked_at, JS})")).toBe(
        // the older ones show what the newer ones take off
        cell.beam.release < 26 ? "{ok,my_state}" : "my_state",
      );
      expect(await cell.erl("element(1, sys:get_status({looked_at, JS}))")).toBe("status");
      expect(await cell.erl("sys:suspend({looked_at, JS}), sys:resume({looked_at, JS})")).toBe("ok");
      expect(await cell.erl("gen_server:call({looked_at, JS}, x)")).toBe("x");
      expect(await cell.erl("gen_server:stop({looked_at, JS}, shutdown, 5000)")).toBe("ok");
      expect(await server.exited).toBe(atom("shutdown"));
    },
  },
  {
    name: "what functions of theirs print comes to us",
    async run(cell) {
      cell.printed.length = 0;
      expect(await remote(cell, "printed")).toEqual(tuple(false, atom("eof"), true));
      expect(cell.printed.join("")).toBe(
        'text {a,"b"} [1,2]\nplain\nchars binary ä€\n\n{written,1}    1|2    |3\n',
      );
    },
  },
];
