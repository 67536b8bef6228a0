import { atom, inspectTerm, Pid, type Term, type Tuple, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eachOtp } from "../../../../test/support/peers.ts";
import type { Down } from "../../src/process/process.ts";
import type { ProcessTable } from "../../src/process/table.ts";
import { BEAM, type BeamPair, JS, startBeamPair } from "./beam-pair.ts";

eachOtp("a BEAM and we", ({ otp, release }) => {
  let pair: BeamPair;
  let table: ProcessTable;
  const orders = { name: "orders", node: BEAM };
  const erl = (code: string): Promise<string> => pair.beam.eval(code);

  beforeAll(async () => {
    pair = await startBeamPair(otp);
    table = pair.node.processes;
    await erl("isthmus_probe:orders(orders)");
  });
  afterAll(() => pair?.stop());

  describe("sys of theirs by us", () => {
    it("shows the state and the status of a gen_server", async () => {
      expect(inspectTerm(await table.sys.getState(orders), { compact: true })).toBe(
        await erl("sys:get_state(orders)"),
      );
      const status = (await table.sys.getStatus(orders)) as Tuple;
      expect(status.elements[0]).toBe(atom("status"));
      expect(status.elements[1]).toBeInstanceOf(Pid);
    });

    it("suspends and resumes", async () => {
      await table.sys.suspend(orders);
      await expect(table.call(orders, atom("whoami"), { timeoutMs: 50 })).rejects.toMatchObject({
        code: "CALL_TIMEOUT",
      });
      await table.sys.resume(orders);
      expect(await erl("element(1, sys:get_status(orders))")).toBe("status");
    });

    it("terminates", async () => {
      await erl("isthmus_probe:orders(doomed)");
      const watcher = table.spawn();
      watcher.monitor({ name: "doomed", node: BEAM });
      await table.sys.terminate({ name: "doomed", node: BEAM }, atom("enough"));
      const down = (await watcher.receive({ timeoutMs: 5000 })) as Tuple;
      expect(down.elements[4]).toBe(atom("enough"));
      watcher.exit();
    });
  });

  describe("sys of ours by them", () => {
    const remote = `{counter, '${JS}'}`;

    it("shows state and status, suspends, resumes, refuses what we do not have, terminates", async () => {
      let count = 40;
      let ended: Term | undefined;
      table.serve("counter", {
        call: () => ++count,
        state: () => tuple(atom("count"), count),
        terminate: (reason) => {
          ended = reason;
        },
      });
      expect(await erl(`sys:get_state(${remote})`)).toBe(release >= 26 ? "{count,40}" : "{ok,{count,40}}");
      expect(await erl(`sys:suspend(${remote})`)).toBe("ok");
      expect(await erl(`lists:nth(2, element(4, sys:get_status(${remote})))`)).toBe("suspended");
      expect(await erl(`element(1, element(2, catch gen_server:call(${remote}, any, 100)))`)).toBe("timeout");
      expect(await erl(`sys:resume(${remote})`)).toBe("ok");
      expect(await erl(`gen_server:call(${remote}, any)`)).toBe("42");
      expect(await erl(`catch sys:log(${remote}, true)`)).toMatch(/unknown_system_msg/);
      expect(await erl(`sys:terminate(${remote}, enough)`)).toBe("ok");
      expect(ended).toBe(atom("enough"));
    });
  });

  describe("processes of theirs spawned by us", () => {
    it("run with our process as parent, and tell their end by link and monitor", async () => {
      const parent = table.spawn({ trapExit: true });
      const { pid, monitor } = await table.spawnOn(BEAM, "timer", "sleep", [atom("infinity")], {
        as: parent,
        link: true,
        monitor: true,
      });
      expect(await table.erpc.call(BEAM, "erlang", "is_process_alive", [pid])).toBe(true);
      parent.exitOther(pid, atom("stop"));
      const messages = [
        await parent.receive({ timeoutMs: 5000 }),
        await parent.receive({ timeoutMs: 5000 }),
      ] as Tuple[];
      const [exit, down] =
        messages[0]!.elements[0] === atom("EXIT") ? messages : [messages[1]!, messages[0]!];
      expect(exit!.elements).toEqual([atom("EXIT"), pid, atom("stop")]);
      expect(down!.elements).toEqual([atom("DOWN"), monitor, atom("process"), pid, atom("stop")]);
      parent.exit();
    });

    it("of a function that does not exist end with undef", async () => {
      const down = await new Promise<Down>((resolve, reject) => {
        table.spawnOn(BEAM, "no", "such", [1], { monitor: resolve }).catch(reject);
      });
      expect(inspectTerm(down.reason)).toContain("undef");
    });

    it("have our group leader", async () => {
      const self = table.spawn();
      const echo = "fun(To) -> To ! {leader, node(group_leader())} end";
      await erl(`persistent_term:put(echo, ${echo})`);
      await table.spawnOn(
        BEAM,
        "erlang",
        "apply",
        [await table.erpc.call(BEAM, "persistent_term", "get", [atom("echo")]), [self.pid]],
        { as: self },
      );
      expect(await self.receive({ timeoutMs: 5000 })).toEqual(tuple(atom("leader"), atom(JS)));
      self.exit();
    });

    it("are refused by a node that is gone", async () => {
      await expect(table.spawnOn("nobody@127.0.0.1", "timer", "sleep", [1])).rejects.toMatchObject({
        code: "NO_CONNECTION",
      });
    });
  });
});
