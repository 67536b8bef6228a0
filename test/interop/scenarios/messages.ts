import { atom, type Pid, type Term, tuple } from "@isthmus/etf";
import { expect } from "vitest";
import type { Scenario } from "./scenario.ts";
import { collected, elements, remote, sink, soon, worker } from "./scenario.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

/** More than four fragments of 64 KiB. */
const BIG = Buffer.alloc(300_000, 7);
const big = (term: Term | undefined): boolean => Buffer.isBuffer(term) && term.equals(BIG);

export const messages: readonly Scenario[] = [
  {
    name: "messages from one of ours by pid, name and alias arrive in order",
    async run(cell) {
      const { pid, alias } = await sink(cell, "sink");
      const process = cell.node.spawn();
      for (const n of numbers(60)) {
        process.send([pid, { name: "sink", node: cell.them }, alias][n % 3]!, n);
      }
      expect(await collected(cell, pid, 60)).toEqual(numbers(60));
      await remote(cell, "exits", pid, [atom("kill")], process.pid);
      process.exit();
    },
  },
  {
    name: "messages from one of theirs by pid, name and alias arrive in order",
    async run(cell) {
      const inbox = cell.node.spawn({ name: "inbox" });
      const alias = cell.beam.release < 24 ? inbox.pid : inbox.alias();
      await remote(cell, "send_all", inbox.pid, tuple(atom("inbox"), atom(cell.us)), alias, 60);
      for (const n of numbers(60)) expect(await inbox.receive(soon)).toBe(n);
      inbox.exit();
    },
  },
  {
    name: "messages to nobody are lost without a trace",
    async run(cell) {
      const gone = cell.node.spawn();
      const alias = gone.alias();
      gone.exit();
      await cell.erl("{nobody, JS} ! x");
      await remote(cell, "send_all", gone.pid, tuple(atom("nobody"), atom(cell.us)), gone.pid, 9);
      if (cell.beam.release >= 24) await remote(cell, "send_all", alias, alias, alias, 3);
      const process = cell.node.spawn();
      process.send({ name: "nobody", node: cell.them }, 1);
      const dead = await worker(cell);
      process.send(dead, tuple(atom("stop"), atom("normal")));
      process.send(dead, 1);
      expect(await cell.erl("net_adm:ping(JS)")).toBe("pong");
      process.exit();
    },
  },
  {
    name: "big terms in fragments from us: messages, arguments, exit signals, exits of links, reasons of monitors",
    async run(cell) {
      const { pid, alias } = await sink(cell, "big_sink");
      expect(big(await cell.node.processes.erpc.call(cell.them, "lists", "last", [[BIG]]))).toBe(true);
      const process = cell.node.spawn();
      for (const to of [pid, { name: "big_sink", node: cell.them }, alias]) process.send(to, BIG);
      // small ones in between must not overtake
      process.send(pid, atom("small"));
      const got = (await collected(cell, pid, 4)) as Term[];
      expect(got.map((term) => big(term) || term)).toEqual([true, true, true, atom("small")]);

      const ending = cell.node.spawn();
      const [exit, down] = [remote(cell, "link_and_wait", ending.pid), remote(cell, "down_of", ending.pid)];
      await ending.receive(soon);
      await ending.receive(soon);
      ending.exit(BIG);
      expect(big(await exit)).toBe(true);
      expect(big(elements(await down)[1])).toBe(true);

      const victim = await worker(cell);
      const watcher = cell.node.spawn();
      watcher.monitor(victim);
      process.exitOther(victim, BIG);
      expect(big(elements(await watcher.receive(soon))[4])).toBe(true);
      process.exit();
      watcher.exit();
      await remote(cell, "exits", pid, [atom("kill")], pid);
    },
  },
  {
    name: "big terms in fragments from them: messages, results, exit signals, exits of links, reasons of monitors",
    async run(cell) {
      const inbox = cell.node.spawn({ name: "inbox", trapExit: true });
      const alias = cell.beam.release < 24 ? inbox.pid : inbox.alias();
      const name = tuple(atom("inbox"), atom(cell.us));
      const [linked, watched] = elements(await remote(cell, "big_to", inbox.pid, name, alias, BIG)) as [
        Pid,
        Pid,
      ];
      inbox.monitor(watched);
      for (let n = 0; n < 3; n++) expect(big(elements(await inbox.receive(soon))[1])).toBe(true);
      expect(big(elements(elements(await inbox.receive(soon))[2]!)[1])).toBe(true);
      inbox.send(linked, atom("go"));
      inbox.send(watched, atom("go"));
      const last = [elements(await inbox.receive(soon)), elements(await inbox.receive(soon))];
      const [exit, down] = last[0]![0] === atom("EXIT") ? last : [last[1]!, last[0]!];
      expect(exit![1]).toEqual(linked);
      expect(big(elements(exit![2]!)[1])).toBe(true);
      expect(down![3]).toEqual(watched);
      expect(big(elements(down![4]!)[1])).toBe(true);
      inbox.exit();
    },
  },
];
