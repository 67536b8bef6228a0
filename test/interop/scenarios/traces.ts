import { raise } from "@isthmus/core";
import { type Atom, atom, type Pid, type Reference, type Term, type Tuple, tuple } from "@isthmus/etf";
import { expect } from "vitest";
import { elements, remote, type Scenario, soon } from "./scenario.ts";

/** Signals with a seq_trace token, and those of OTP 28 that overtake: both arrive as any other. */
export const traces: readonly Scenario[] = [
  {
    name: "traced messages, with labels of every kind, exits and spawns",
    async run(cell) {
      const process = cell.node.spawn({ name: "inbox", trapExit: true });
      const alias = cell.beam.release < 24 ? process.pid : process.alias();
      for (const label of [7, tuple(atom("label"), "of", [process.pid])]) {
        await remote(cell, "traced", process.pid, tuple(atom("inbox"), atom(cell.us)), alias, label);
        for (let n = 0; n < 3; n++) expect(elements(await process.receive(soon))[0]).toBe(atom("traced"));
      }
      await remote(cell, "traced_exits", process.pid);
      for (let n = 0; n < 2; n++) expect(elements(await process.receive(soon))[2]).toBe(atom("traced"));
      const end = cell.node.processes.expose({ "isthmus:finish/1": (reason) => raise("exit", reason!) });
      expect(await remote(cell, "traced_spawn", atom(cell.us))).toBe(atom("traced"));
      end();
      process.exit();
    },
  },
  {
    name: "a trace of theirs goes through a process of ours, whatever that sends",
    async run(cell) {
      const [pidWay, nameWay, aliasWay] = [atom("pid"), atom("name"), atom("alias")];
      const process = cell.node.spawn({
        onMessage: (message, self) => {
          const [, pid, name, alias] = elements(message) as [Term, Pid, Tuple, Pid | Reference];
          const [registered, node] = name.elements as [Atom, Atom];
          self.link(pid);
          self.send(pid, pidWay);
          self.send({ name: registered, node }, nameWay);
          self.send(alias, aliasWay);
          self.exitOther(pid, atom("exit2"));
          self.exit(atom("link"));
        },
      });
      const { pid } = process;
      const exit = (reason: string): Term => tuple(atom("EXIT"), pid, atom(reason));
      expect(await remote(cell, "trace_through", pid)).toEqual(
        [pidWay, nameWay, aliasWay, exit("exit2"), exit("link")].map((what) => tuple(what, tuple(19, pid))),
      );
    },
  },
  {
    name: "urgent messages and exit signals to an alias",
    when: (release, newest) => release >= 28 && newest,
    async run(cell) {
      const process = cell.node.spawn({ trapExit: true });
      await remote(cell, "priority", process.alias());
      expect(await process.receive(soon)).toBe(atom("urgent"));
      expect(elements(await process.receive(soon))[2]).toBe(atom("urgent_exit"));
      process.exit();
    },
  },
];
