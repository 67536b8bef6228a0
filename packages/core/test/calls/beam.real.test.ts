import { atom, inspectTerm, type Term, type Tuple, tuple } from "@isthmus/etf";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startBeam } from "../../../../test/support/beam.ts";
import { eachOtp } from "../../../../test/support/peers.ts";
import { raise } from "../../src/process/exit-reason.ts";
import type { Process } from "../../src/process/process.ts";
import type { ProcessTable } from "../../src/process/table.ts";
import { BEAM, type BeamPair, JS, startBeamPair } from "./beam-pair.ts";

eachOtp("a BEAM and we", ({ otp }) => {
  let pair: BeamPair;
  let table: ProcessTable;
  const spawned: Process[] = [];
  const orders = { name: "orders", node: BEAM };
  const js = `'${JS}'`;

  beforeAll(async () => {
    pair = await startBeamPair(otp);
    table = pair.node.processes;
    table.expose({
      "math:add/2": (a, b) => Number(a) + Number(b),
      "math:later/1": async (value) => value as Term,
      "math:thrown/1": (reason) => raise("throw", reason as Term),
      "math:exited/1": (reason) => raise("exit", reason as Term),
      "math:failed/1": (reason) => raise("error", reason as Term),
      "math:never/0": () => new Promise<Term>(() => undefined),
    });
    await pair.beam.eval("isthmus_probe:orders(orders)");
  });
  afterAll(() => pair?.stop());
  afterEach(() => {
    for (const process of spawned.splice(0)) if (process.alive) process.exit();
  });

  const erl = (code: string): Promise<string> => pair.beam.eval(code);
  const spawn = (options: Parameters<ProcessTable["spawn"]>[0] = {}): Process => {
    const process = table.spawn(options);
    spawned.push(process);
    return process;
  };
  const serve = (...args: Parameters<ProcessTable["serve"]>): Process => {
    const process = table.serve(...args);
    spawned.push(process);
    return process;
  };
  const soon = { timeoutMs: 5000 };

  describe("ping", () => {
    it("gets pong, and the connection stays", async () => {
      expect(await erl(`net_adm:ping(${js})`)).toBe("pong");
      expect(await erl("nodes(hidden)")).toBe(`[${js}]`);
    });

    it("of the BEAM's net_kernel by us", async () => {
      const request = tuple(atom("is_auth"), atom(JS));
      expect(await table.call({ name: "net_kernel", node: BEAM }, request)).toBe(atom("yes"));
    });
  });

  describe("our calls to a gen_server", () => {
    it("are answered, at once and later", async () => {
      expect(await table.call(orders, tuple(atom("add"), 20, 22))).toBe(42);
      expect(await table.call(orders, tuple(atom("later"), 20, atom("x")))).toBe(atom("x"));
    });

    it("terms come back as they went", async () => {
      const term = tuple(
        1,
        -1,
        2 ** 31,
        2n ** 70n,
        2.5,
        "bin",
        atom("é"),
        [1, 2],
        [atom("a")],
        new Map([[1, []]]),
      );
      const answer = await table.call(orders, tuple(atom("echo"), term));
      expect(inspectTerm(answer)).toBe(inspectTerm(term));
      const { pid } = spawn();
      expect(await table.call(orders, tuple(atom("echo"), pid))).toEqual(pid);
    });

    it("a late answer is no message", async () => {
      const process = spawn();
      await expect(
        table.call(orders, tuple(atom("later"), 150, atom("late")), { timeoutMs: 50, as: process }),
      ).rejects.toMatchObject({ code: "CALL_TIMEOUT" });
      // behind the late answer, from the same server
      await table.call(orders, tuple(atom("later"), 500, atom("x")), { as: process });
      // OTP 23 knows no aliases: there the answer comes to the pid
      const junk = process.mailboxSize;
      expect(junk).toBe(pair.beam.release < 24 ? 1 : 0);
    });

    it("that fail say why", async () => {
      await expect(table.call({ name: "nobody", node: BEAM }, 1)).rejects.toMatchObject({
        code: "NO_PROCESS",
      });
      await erl("isthmus_probe:orders(brittle)");
      await expect(
        table.call({ name: "brittle", node: BEAM }, tuple(atom("stop"), tuple(atom("my"), 1))),
      ).rejects.toMatchObject({ code: "CALL_EXIT", context: { reason: tuple(atom("my"), 1) } });
      await expect(table.call({ name: "x", node: "nowhere@127.0.0.1" }, 1)).rejects.toMatchObject({
        code: "NO_CONNECTION",
      });
    });

    it("casts and messages arrive in order", async () => {
      await table.call(orders, atom("forget"));
      const process = spawn();
      for (let n = 0; n < 50; n++) {
        if (n % 2 === 0) process.send(orders, n);
        else table.cast(orders, tuple(atom("note"), n), { as: process });
      }
      const infos = await table.call(orders, atom("infos"), { as: process });
      expect(infos).toEqual(Array.from({ length: 25 }, (_, n) => 2 * n));
    });
  });

  describe("calls to a server of ours", () => {
    it("are answered; the BEAM cannot tell it from a gen_server", async () => {
      const seen: Term[] = [];
      const state = { count: 0 };
      serve("counter", {
        call: (request, from, context) => {
          if (request === atom("next")) return ++state.count;
          if (request === atom("later")) {
            setTimeout(() => context.reply(from, atom("at_last")), 10);
            return undefined;
          }
          return Promise.resolve(request);
        },
        cast: (message) => void seen.push(message),
        info: (message) => void seen.push(message),
      });
      const counter = `{counter, ${js}}`;
      expect(await erl(`gen_server:call(${counter}, next)`)).toBe("1");
      expect(await erl(`gen_server:call(${counter}, next, infinity)`)).toBe("2");
      expect(await erl(`gen_server:call(${counter}, later)`)).toBe("at_last");
      expect(await erl(`gen_server:call(${counter}, {echo, <<"x">>})`)).toBe('{echo,<<"x">>}');
      expect(await erl(`gen_server:multi_call([${js}, node()], counter, next)`)).toBe(
        `{[{${js},3}],['${BEAM}']}`,
      );
      await erl(`gen_server:cast(${counter}, {a, 1}), ${counter} ! {b, 2}`);
      expect(await erl(`gen_server:call(${counter}, next)`)).toBe("4");
      expect(seen).toEqual([tuple(atom("a"), 1), tuple(atom("b"), 2)]);
    });

    it("a failing one ends as a gen_server, and the caller sees the reason", async () => {
      serve("failing", {
        call: (request) => {
          if (request === atom("raise")) raise("exit", atom("my_reason"));
          throw new Error("broken");
        },
      });
      expect(await erl(`catch gen_server:call({failing, ${js}}, raise)`)).toMatch(
        /^\{'EXIT',\{my_reason,\{gen_server,call/u,
      );
      serve("failing", {
        call: async () => {
          throw new Error("broken");
        },
      });
      expect(await erl(`catch gen_server:call({failing, ${js}}, x)`)).toMatch(
        /^\{'EXIT',\{\{js_error,<<"broken">>\},\{gen_server,call/u,
      );
      expect(await erl(`catch gen_server:call({failing, ${js}}, x)`)).toMatch(
        /^\{'EXIT',\{noproc,\{gen_server,call/u,
      );
    });
  });

  describe("monitors", () => {
    it("of their processes by us: reason, name, noproc, and silence after demonitor", async () => {
      const process = spawn();
      const worker = (await table.call(orders, atom("spawn_worker"))) as never;
      const kept = process.monitor(worker);
      const dropped = process.monitor(worker);
      process.demonitor(dropped);
      process.send(worker, tuple(atom("stop"), tuple(atom("why"), [1])));
      expect(await process.receive(soon)).toEqual(
        tuple(atom("DOWN"), kept, atom("process"), worker, tuple(atom("why"), [1])),
      );
      const named = process.monitor({ name: "nobody", node: BEAM });
      expect(await process.receive(soon)).toEqual(
        tuple(atom("DOWN"), named, atom("process"), tuple(atom("nobody"), atom(BEAM)), atom("noproc")),
      );
      const gone = process.monitor(worker);
      expect(await process.receive(soon)).toEqual(
        tuple(atom("DOWN"), gone, atom("process"), worker, atom("noproc")),
      );
      expect(process.mailboxSize).toBe(0);
    });

    it("of ours by them", async () => {
      const process = spawn({ name: "watched" });
      await erl(`M1 = erlang:monitor(process, {watched, ${js}}), M2 = erlang:monitor(process, {watched, ${js}}),
        erlang:demonitor(M2), M3 = erlang:monitor(process, {nobody, ${js}}),
        receive {'DOWN', M3, process, {nobody, ${js}}, noproc} -> ok end`);
      process.exit(tuple(atom("reason"), 1));
      expect(await erl("receive {'DOWN', M1, process, Who, Why} -> {Who, Why} end")).toBe(
        `{{watched,${js}},{reason,1}}`,
      );
      expect(await erl("receive Other -> Other after 50 -> nothing end")).toBe("nothing");
    });
  });

  describe("links", () => {
    it("carry exits both ways", async () => {
      const process = spawn({ trapExit: true });
      const first = (await table.call(orders, atom("spawn_worker"))) as never;
      process.link(first);
      process.send(first, tuple(atom("stop"), atom("first")));
      expect(await process.receive(soon)).toEqual(tuple(atom("EXIT"), first, atom("first")));
      const { got, run } = collect("linked");
      await erl(`process_flag(trap_exit, true), {linked, ${js}} ! {link_me, self()}`);
      await until(() => got.length > 0);
      const peer = (got[0] as Tuple).elements[1] as never;
      run.link(peer);
      run.send(peer, atom("linked"));
      expect(await erl("receive linked -> ok end")).toBe("ok");
      run.exit(atom("our_end"));
      expect(await erl("receive {'EXIT', P1, R1} -> {node(P1), R1} end")).toBe(`{${js},our_end}`);
    });

    it("that are taken back carry nothing, in either direction, however often", async () => {
      const process = spawn({ trapExit: true });
      const worker = (await table.call(orders, atom("spawn_worker"))) as never;
      for (let i = 0; i < 20; i++) {
        process.link(worker);
        process.unlink(worker);
      }
      const ref = process.monitor(worker);
      process.send(worker, tuple(atom("stop"), atom("x")));
      expect(await process.receive(soon)).toEqual(
        tuple(atom("DOWN"), ref, atom("process"), worker, atom("x")),
      );
      expect(process.mailboxSize).toBe(0);
      const target = spawn({ name: "target" });
      table.serve("pid_of", { call: () => target.pid });
      await erl(`process_flag(trap_exit, true), T = gen_server:call({pid_of, ${js}}, x),
        [begin link(T), unlink(T) end || _ <- lists:seq(1, 20)], link(T), unlink(T), MT = erlang:monitor(process, T)`);
      await erl(`gen_server:call({pid_of, ${js}}, x)`);
      target.exit(atom("y"));
      expect(await erl("receive Z -> element(1, Z) end")).toBe("'DOWN'");
      expect(await erl("receive Z2 -> Z2 after 50 -> nothing end")).toBe("nothing");
      table.whereis("pid_of")?.exit();
    });

    it("to the dead give noproc, exit/2 ends processes", async () => {
      const process = spawn({ trapExit: true });
      const worker = (await table.call(orders, atom("spawn_worker"))) as never;
      const ref = process.monitor(worker);
      process.exitOther(worker, atom("kill"));
      expect(await process.receive(soon)).toEqual(
        tuple(atom("DOWN"), ref, atom("process"), worker, atom("killed")),
      );
      process.link(worker);
      expect(await process.receive(soon)).toEqual(tuple(atom("EXIT"), worker, atom("noproc")));
      const victim = spawn({ name: "victim" });
      table.serve("pid_of", { call: () => victim.pid });
      await erl(`V = gen_server:call({pid_of, ${js}}, x), exit(V, normal), exit(V, die)`);
      expect(await victim.exited).toBe(atom("die"));
      expect(await erl(`link(V), receive {'EXIT', V, R2} -> R2 end`)).toBe("noproc");
      table.whereis("pid_of")?.exit();
    });
  });

  describe("rpc to them", () => {
    it("gives results, and what was raised", async () => {
      const { erpc } = table;
      expect(await erpc.call(BEAM, "lists", "sum", [[1, 2, 3]])).toBe(6);
      expect(await table.rpc(BEAM, "erlang", "node", [])).toBe(atom(BEAM));
      const failed = (context: object) =>
        expect.objectContaining({ code: "RPC_FAILED", context: expect.objectContaining(context) });
      await expect(erpc.call(BEAM, "erlang", "throw", [atom("t")])).rejects.toEqual(
        failed({ class: "throw", reason: atom("t") }),
      );
      await expect(erpc.call(BEAM, "erlang", "exit", [atom("e")])).rejects.toEqual(
        failed({ class: "exit", reason: atom("e") }),
      );
      await expect(erpc.call(BEAM, "erlang", "error", [atom("r")])).rejects.toEqual(
        failed({ class: "error", reason: atom("r") }),
      );
      await expect(erpc.call(BEAM, "no_such", "f", [1])).rejects.toEqual(
        failed({
          class: "error",
          reason: atom("undef"),
          stack: [tuple(atom("no_such"), atom("f"), [1], [])],
        }),
      );
      await expect(erpc.call(BEAM, "timer", "sleep", [300], { timeoutMs: 30 })).rejects.toMatchObject({
        code: "CALL_TIMEOUT",
      });
      expect(await erpc.multicall([BEAM, BEAM], "erlang", "abs", [-5])).toEqual([
        { node: BEAM, ok: true, value: 5 },
        { node: BEAM, ok: true, value: 5 },
      ]);
    });

    it("through rex as well", async () => {
      const request = tuple(
        atom("call"),
        atom("lists"),
        atom("reverse"),
        [[atom("a"), atom("b")]],
        table.groupLeader,
      );
      expect(await table.call({ name: "rex", node: BEAM }, request)).toEqual([atom("b"), atom("a")]);
    });

    it("casts run", async () => {
      table.erpc.cast(BEAM, "erlang", "register", [
        atom("cast_ran"),
        await table.erpc.call(BEAM, "erlang", "whereis", [atom("rex")]),
      ]);
      table.erpc.cast(BEAM, "erlang", "send", [atom("orders"), atom("from_cast")]);
      await until(async () => {
        const infos = (await table.call(orders, atom("infos"))) as Term[];
        return infos.includes(atom("from_cast"));
      });
    });

    it("what they print comes to our group leader", async () => {
      const texts: string[] = [];
      const io = table.serveIo({ write: (text) => void texts.push(text) });
      spawned.push(io);
      // a function that prints to the group leader that it is given, as a remote process does
      const args = [io.pid, [...Buffer.from("~p ~ts ~w~n")], [tuple(1, atom("Two")), "žluť", 3.5]];
      expect(await table.erpc.call(BEAM, "io", "format", args)).toBe(atom("ok"));
      expect(await table.erpc.call(BEAM, "io", "put_chars", [io.pid, "plain"])).toBe(atom("ok"));
      expect(await table.erpc.call(BEAM, "io", "nl", [io.pid])).toBe(atom("ok"));
      expect(texts.join("")).toBe("{1,'Two'} žluť 3.5\nplain\n");
      await expect(table.erpc.call(BEAM, "io", "format", [io.pid, [126, 119], []])).rejects.toMatchObject({
        code: "RPC_FAILED",
        context: { class: "error" },
      });
      expect(await table.erpc.call(BEAM, "io", "get_line", [io.pid, [62]])).toBe(atom("eof"));
    });
  });

  describe("rpc to us", () => {
    it("runs what is exposed", async () => {
      expect(await erl(`rpc:call(${js}, math, add, [1, 2])`)).toBe("3");
      expect(await erl(`erpc:call(${js}, math, later, [{x, "y"}])`)).toBe('{x,"y"}');
      expect(await erl(`rpc:block_call(${js}, math, add, [3, 4])`)).toBe("7");
      expect(await erl(`rpc:multicall([${js}], math, add, [3, 4])`)).toBe("{[7],[]}");
      expect(await erl(`K = rpc:async_call(${js}, math, add, [5, 5]), rpc:yield(K)`)).toBe("10");
      expect(await erl(`rpc:call(${js}, math, thrown, [t])`)).toBe("t");
      expect(await erl(`rpc:call(${js}, math, exited, [e])`)).toBe("{badrpc,{'EXIT',e}}");
      expect(await erl(`try erpc:call(${js}, math, failed, [r]) catch C:R -> {C, R} end`)).toBe(
        "{error,{exception,r,[{math,failed,1,[]}]}}",
      );
      expect(await erl(`try erpc:call(${js}, math, never, [], 30) catch error:E -> E end`)).toBe(
        "{erpc,timeout}",
      );
    });

    it("what is not exposed does not exist", async () => {
      const undefined_ = "{badrpc,{'EXIT',{undef,[{os,cmd,[\"id\"],[]}]}}}";
      expect(await erl(`rpc:call(${js}, os, cmd, ["id"])`)).toBe(undefined_);
      expect(await erl(`rpc:block_call(${js}, os, cmd, ["id"])`)).toMatch(
        /^\{badrpc,\{'EXIT',\{undef,\[\{os,cmd,\["id"\],\[\]\}/u,
      );
      expect(
        await erl(
          `process_flag(trap_exit, true), S1 = spawn_link(${js}, os, cmd, ["id"]), receive {'EXIT', S1, W1} -> W1 end`,
        ),
      ).toBe('{undef,[{os,cmd,["id"],[]}]}');
      expect(await erl(`S2 = spawn(${js}, os, cmd, ["id"]), {node(S2), is_pid(S2)}`)).toBe(`{${js},true}`);
      expect(
        await erl(
          `S3 = erlang:spawn_opt(${js}, os, cmd, ["id"], [monitor]), receive {'DOWN', M9, process, P9, W9} when {P9, M9} =:= S3 -> W9 end`,
        ),
      ).toBe('{undef,[{os,cmd,["id"],[]}]}');
      expect(await erl(`spawn(${js}, math, add, [1, 1]), rpc:cast(${js}, os, cmd, ["id"])`)).toBe("true");
      expect(await erl(`net_adm:ping(${js})`)).toBe("pong");
    });

    it("an unknown option of spawn is badopt", async () => {
      // the BEAM checks known options itself: an unknown one goes through spawn_request
      expect(
        await erl(`R5 = spawn_request(${js}, math, add, [1, 1], [{no_such_option, 1}, monitor]),
          receive {spawn_reply, R5, error, W5} -> W5 after 1000 -> nothing end`).catch(
          (error: Error) => error.message,
        ),
      ).toMatch(/badopt|badarg/u);
    });
  });

  it("what does not exist looks to them as on another BEAM", async () => {
    const name = "other@127.0.0.1";
    const other = await startBeam({ name, cookie: "monster", epmdPort: pair.epmd.port, otp, hidden: true });
    await erl("process_flag(trap_exit, true)");
    for (const code of [
      "rpc:call(NODE, no_such, f, [1, [2]])",
      "rpc:multicall([NODE], no_such, f, [])",
      "catch erpc:call(NODE, no_such, f, [1])",
      "erpc:multicall([NODE], no_such, f, [])",
      "(fun() -> Px = spawn_link(NODE, no_such, f, [1]), receive {'EXIT', Px, Rx} -> Rx end end)()",
      "(fun() -> {Px, Mx} = spawn_opt(NODE, no_such, f, [1], [monitor]), receive {'DOWN', Mx, process, Px, Rx} -> Rx end end)()",
      "(fun() -> Rx = spawn_request(NODE, no_such, f, [1], [{priority, high}, link]), receive {spawn_reply, Rx, ok, Px} -> receive {'EXIT', Px, Wx} -> Wx end end end)()",
      "catch gen_server:call({nobody, NODE}, x)",
      "catch gen_event:call({nobody, NODE}, x, y)",
      "catch sys:get_state({nobody, NODE})",
      "(fun() -> Mx = erlang:monitor(process, {nobody, NODE}), receive {'DOWN', Mx, Tx, Ox, Rx} -> {Tx, Ox, Rx} end end)()",
      "net_adm:ping(NODE)",
    ]) {
      const there = await erl(code.replaceAll("NODE", `'${name}'`));
      const here = await erl(code.replaceAll("NODE", js));
      expect(here).toBe(there.replaceAll(name, JS));
    }
    await other.stop();
  });

  it("our node loss is noconnection and nodedown for them", async () => {
    const other = await pair.another("js2@127.0.0.1");
    other.processes.spawn({ name: "here" });
    await erl(`monitor_node('js2@127.0.0.1', true), ML = erlang:monitor(process, {here, 'js2@127.0.0.1'})`);
    await erl(`net_adm:ping('js2@127.0.0.1')`);
    other.disconnect(BEAM);
    expect(await erl("receive {'DOWN', ML, process, _, RL} -> RL end")).toBe("noconnection");
    expect(await erl("receive {nodedown, N} -> N end")).toBe("'js2@127.0.0.1'");
    await other.close();
  });

  it("their end is noconnection and nodedown for us", async () => {
    const name = "mortal@127.0.0.1";
    const mortal = await startBeam({ name, cookie: "monster", epmdPort: pair.epmd.port, otp });
    await mortal.eval("isthmus_probe:orders(orders)");
    const process = spawn({ trapExit: true });
    const worker = (await table.call({ name: "orders", node: name }, atom("spawn_worker"))) as never;
    process.monitorNode(name);
    process.link(worker);
    const ref = process.monitor({ name: "orders", node: name });
    const call = table.call({ name: "orders", node: name }, atom("never"));
    const rpc = table.erpc.call(name, "timer", "sleep", [60_000], { timeoutMs: 60_000 });
    const failures = Promise.allSettled([call, rpc]);
    await table.call({ name: "orders", node: name }, atom("whoami"), { as: process });
    await mortal.kill();
    const noconnection = atom("noconnection");
    expect(await process.receive(soon)).toEqual(tuple(atom("EXIT"), worker, noconnection));
    expect(await process.receive(soon)).toEqual(
      tuple(atom("DOWN"), ref, atom("process"), tuple(atom("orders"), atom(name)), noconnection),
    );
    expect(await process.receive(soon)).toEqual(tuple(atom("nodedown"), atom(name)));
    for (const outcome of await failures) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "NO_CONNECTION" } });
    }
  });

  it("messages from many processes each arrive in order", async () => {
    const { got } = collect("sink");
    await erl(
      `[spawn(fun() -> [{sink, ${js}} ! {K, N} || N <- lists:seq(1, 200)] end) || K <- lists:seq(1, 20)]`,
    );
    await until(() => got.length === 4000);
    const last = new Map<Term, number>();
    for (const message of got) {
      const [key, n] = (message as Tuple).elements as [number, number];
      expect(n).toBe((last.get(key) ?? 0) + 1);
      last.set(key, n);
    }
  });

  it("big messages arrive whole both ways", async () => {
    serve("echo", { call: (request) => request });
    expect(await erl(`B = crypto:strong_rand_bytes(1000000), B =:= gen_server:call({echo, ${js}}, B)`)).toBe(
      "true",
    );
    const big = Buffer.alloc(1_000_000, 9);
    expect(big.equals((await table.call(orders, tuple(atom("echo"), big))) as Buffer)).toBe(true);
  });

  function collect(name: string): { got: Term[]; run: Process } {
    const got: Term[] = [];
    return { got, run: spawn({ name, onMessage: (message) => void got.push(message) }) };
  }
});

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await done()); ) {
    if (Date.now() > end) throw new Error("it did not come to that within 30 seconds");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
