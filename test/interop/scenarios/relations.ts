import { atom, type Pid, type Term, tuple } from "@isthmus/etf";
import { expect } from "vitest";
import { elements, remote, type Scenario, soon, worker } from "./scenario.ts";

const stop = (reason: Term): Term => tuple(atom("stop"), reason);
const exit = (pid: Pid, reason: Term): Term => tuple(atom("EXIT"), pid, reason);
const why = tuple(atom("why"), [1, 2.5]);

export const relations: readonly Scenario[] = [
  {
    name: "links carry the exits of both ends",
    async run(cell) {
      const process = cell.node.spawn({ trapExit: true });
      const first = await worker(cell);
      process.link(first);
      process.send(first, stop(why));
      expect(await process.receive(soon)).toEqual(exit(first, why));
      const untrapping = cell.node.spawn();
      const second = await worker(cell);
      untrapping.link(second);
      untrapping.send(second, stop(why));
      expect(await untrapping.exited).toEqual(why);
      const reason = remote(cell, "link_and_wait", process.pid);
      await process.receive(soon);
      process.exit(why);
      expect(await reason).toEqual(why);
      // normal ends nobody
      const staying = cell.node.spawn();
      await remote(cell, "end_linked", staying.pid, atom("normal"));
      expect(await cell.erl("net_adm:ping(JS)")).toBe("pong");
      expect(staying.alive).toBe(true);
      staying.exit();
    },
  },
  {
    name: "links to the dead are noproc on both ends",
    async run(cell) {
      const process = cell.node.spawn({ trapExit: true });
      const dead = await worker(cell);
      const ref = process.monitor(dead);
      process.send(dead, stop(atom("x")));
      expect(elements(await process.receive(soon))[1]).toEqual(ref);
      process.link(dead);
      expect(await process.receive(soon)).toEqual(exit(dead, atom("noproc")));
      process.exit();
      expect(await remote(cell, "link_and_wait", process.pid)).toBe(atom("noproc"));
    },
  },
  {
    name: "a link that is taken back carries nothing, by us, by them, by both at once",
    async run(cell) {
      const process = cell.node.spawn({ trapExit: true });
      const peer = await worker(cell);
      for (let n = 0; n < 10; n++) {
        process.link(peer);
        process.unlink(peer);
      }
      const ref = process.monitor(peer);
      process.send(peer, stop(why));
      expect(await process.receive(soon)).toEqual(tuple(atom("DOWN"), ref, atom("process"), peer, why));

      const target = cell.node.spawn({
        onMessage: (message, self) => self.exit(elements(message)[1]!),
        trapExit: true,
      });
      expect(await remote(cell, "toggle", target.pid, 10)).toEqual(
        tuple(atom("toggled"), atom("nothing_else")),
      );

      const crossing = (await remote(cell, "cross_unlink", process.pid)) as Pid;
      expect(await process.receive(soon)).toEqual(tuple(atom("linked"), crossing));
      process.link(crossing);
      process.send(crossing, atom("unlink"));
      process.unlink(crossing);
      expect(await process.receive(soon)).toBe(atom("unlinked"));
      const last = process.monitor(crossing);
      process.send(crossing, stop(why));
      expect(await process.receive(soon)).toEqual(tuple(atom("DOWN"), last, atom("process"), crossing, why));
      expect(process.mailboxSize).toBe(0);
      process.exit();
    },
  },
  {
    name: "monitors by us, of pids and names",
    async run(cell) {
      const process = cell.node.spawn();
      const down = (ref: Term, target: Term, reason: Term): Term =>
        tuple(atom("DOWN"), ref, atom("process"), target, reason);
      const peer = await worker(cell);
      await cell.node.processes.erpc.call(cell.them, "erlang", "register", [atom("watched"), peer]);
      const name = tuple(atom("watched"), cell.theirs);
      const byPid = process.monitor(peer);
      const byName = process.monitor({ name: "watched", node: cell.them });
      process.demonitor(process.monitor(peer));
      process.demonitor(process.monitor({ name: "watched", node: cell.them }));
      process.send(peer, stop(why));
      const got = [await process.receive(soon), await process.receive(soon)];
      expect(got).toContainEqual(down(byPid, peer, why));
      expect(got).toContainEqual(down(byName, name, why));
      const [again, unknown] = [process.monitor(peer), process.monitor({ name: "watched", node: cell.them })];
      expect(await process.receive(soon)).toEqual(down(again, peer, atom("noproc")));
      expect(await process.receive(soon)).toEqual(down(unknown, name, atom("noproc")));
      expect(process.mailboxSize).toBe(0);
      process.exit();
    },
  },
  {
    name: "monitors by them, of pids and names",
    async run(cell) {
      const name = tuple(atom("watched"), atom(cell.us));
      const process = cell.node.spawn({ name: "watched" });
      const [byPid, byName] = [remote(cell, "down_of", process.pid), remote(cell, "down_of", name)];
      await process.receive(soon);
      await process.receive(soon);
      await cell.erl("erlang:demonitor(erlang:monitor(process, {watched, JS}))");
      process.exit(why);
      expect(await byPid).toEqual(tuple(process.pid, why));
      expect(await byName).toEqual(tuple(name, why));
      expect(await remote(cell, "down_of", process.pid)).toEqual(tuple(process.pid, atom("noproc")));
      expect(await remote(cell, "down_of", name)).toEqual(tuple(name, atom("noproc")));
    },
  },
  {
    name: "exit/2 by us: ends, kills, is ignored when normal, is a message to who traps",
    async run(cell) {
      const process = cell.node.spawn();
      const reasonOf = async (peer: Pid, ...reasons: Term[]): Promise<Term> => {
        process.monitor(peer);
        for (const reason of reasons) process.exitOther(peer, reason);
        return elements(await process.receive(soon))[4]!;
      };
      expect(await reasonOf(await worker(cell), atom("normal"), why)).toEqual(why);
      expect(await reasonOf(await worker(cell), atom("kill"))).toBe(atom("killed"));
      expect(await reasonOf((await remote(cell, "trapping")) as Pid, why)).toEqual(
        tuple(atom("trapped"), process.pid, why),
      );
      process.exit();
    },
  },
  {
    name: "exit/2 by them: ends, kills, is ignored when normal, is a message to who traps",
    async run(cell) {
      const probe = cell.node.spawn();
      const exits = (pid: Pid, ...reasons: Term[]): Promise<Term> =>
        remote(cell, "exits", pid, reasons, probe.pid);
      const [plain, killed] = [cell.node.spawn(), cell.node.spawn({ trapExit: true })];
      await exits(plain.pid, atom("normal"));
      expect(await probe.receive(soon)).toBe(atom("exits_sent"));
      expect(plain.alive).toBe(true);
      await exits(plain.pid, why);
      expect(await plain.exited).toEqual(why);
      await exits(killed.pid, why, atom("normal"));
      const seen = [await killed.receive(soon), await killed.receive(soon)].map((term) => elements(term)[2]);
      expect(seen).toEqual([why, atom("normal")]);
      await exits(killed.pid, atom("kill"));
      expect(await killed.exited).toBe(atom("killed"));
      probe.exit();
    },
  },
  {
    name: "group leaders are set by us and by them, and used",
    async run(cell) {
      const texts: string[] = [];
      const io = cell.node.processes.serveIo({ write: (text) => void texts.push(text) });
      const process = cell.node.spawn();
      const peer = await worker(cell);
      process.setGroupLeader(peer, io.pid);
      process.send(peer, tuple(atom("leader_to"), process.pid));
      expect(await process.receive(soon)).toEqual(tuple(atom("leader"), io.pid));
      process.send(peer, tuple(atom("print"), "printed there"));
      process.send(peer, tuple(atom("leader_to"), process.pid));
      expect(await process.receive(soon)).toEqual(tuple(atom("leader"), io.pid));
      expect(texts).toEqual(["printed there"]);

      await cell.node.processes.erpc.call(cell.them, "erlang", "group_leader", [peer, process.pid]);
      expect(process.groupLeader).toEqual(peer);
      process.send(peer, stop(atom("normal")));
      process.exit();
      io.exit();
    },
  },
];
