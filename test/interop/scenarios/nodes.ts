import { atom, Pid, type Term, tuple } from "@isthmus/etf";
import { expect } from "vitest";
import { until } from "../cell.ts";
import { collected, elements, remote, type Scenario, soon, worker } from "./scenario.ts";

const NOCONNECTION = atom("noconnection");

/** What a process of theirs knows when all that it had with us is lost. */
async function watching(cell: Parameters<Scenario["run"]>[0], how: () => Promise<void>): Promise<void> {
  const { node } = cell;
  const target = node.spawn();
  const slow = node.spawn({ name: "slow" });
  const watcher = (await remote(cell, "watching", target.pid)) as Pid;
  await slow.receive(soon);

  const peer = await worker(cell);
  const process = node.spawn({ trapExit: true });
  process.link(peer);
  const byPid = process.monitor(peer);
  const byName = process.monitor({ name: "rex", node: cell.them });
  process.monitorNode(cell.them);
  const failures = Promise.allSettled([
    node.processes.erpc.call(cell.them, "timer", "sleep", [9000], { timeoutMs: 9000 }),
    node.call({ name: "isthmus_silent", node: cell.them }, 1),
  ]);
  await cell.erl("register(isthmus_silent, isthmus_scenarios:worker())").catch(() => "registered before");
  process.send(watcher, atom("watching"));
  await node.processes.erpc.call(cell.them, "erlang", "node", []);
  await how();
  const got: Term[] = [];
  for (let n = 0; n < 4; n++) got.push(await process.receive(soon));
  expect(got).toContainEqual(tuple(atom("EXIT"), peer, NOCONNECTION));
  expect(got).toContainEqual(tuple(atom("DOWN"), byPid, atom("process"), peer, NOCONNECTION));
  expect(got).toContainEqual(
    tuple(atom("DOWN"), byName, atom("process"), tuple(atom("rex"), cell.theirs), NOCONNECTION),
  );
  expect(got).toContainEqual(tuple(atom("nodedown"), cell.theirs));
  for (const failure of await failures) expect(failure).toMatchObject({ status: "rejected" });

  await until(async () => (await cell.erl("lists:member(JS, nodes(connected))")) === "false");
  await cell.connect();
  process.send(watcher, tuple(atom("tell"), process.pid));
  expect(new Set((await process.receive(soon)) as Term[])).toEqual(
    new Set([
      atom("nodedown"),
      ...[atom("EXIT"), atom("pid"), atom("name")].map((what) => tuple(what, NOCONNECTION)),
    ]),
  );
  // the linked one has ended with the connection
  expect(await target.exited).toBe(NOCONNECTION);
  for (const one of [slow, process]) one.exit();
}

export const nodes: readonly Scenario[] = [
  {
    name: "ping both ways; we are hidden, and nobody else is told of us",
    async run(cell) {
      expect(await cell.erl("net_adm:ping(JS)")).toBe("pong");
      expect(
        await cell.node.call({ name: "net_kernel", node: cell.them }, tuple(atom("is_auth"), atom(cell.us))),
      ).toBe(atom("yes"));
      expect(
        await cell.erl(
          "{lists:member(JS, nodes()), lists:member(JS, nodes(hidden)), lists:member(JS, nodes(connected))}",
        ),
      ).toBe("{false,true,true}");
      expect(cell.node.nodes()).toMatchObject([{ node: cell.them }]);
    },
  },
  {
    name: "a loss that we cause is noconnection and nodedown on both ends",
    run: (cell) => watching(cell, async () => void cell.node.disconnect(cell.them)),
  },
  {
    name: "a loss that they cause is noconnection and nodedown on both ends",
    run: (cell) =>
      watching(cell, async () => {
        await cell.erl("erlang:disconnect_node(JS)");
      }),
  },
  {
    name: "the first signals connect, and arrive in order",
    async run(cell) {
      const process = cell.node.spawn({ trapExit: true });
      if (cell.dialer === "we") {
        const sink = (await remote(cell, "sink", atom("first_sink"))) as Term;
        const pid = elements(sink)[0] as Pid;
        cell.node.disconnect(cell.them);
        await until(async () => (await cell.erl("lists:member(JS, nodes(connected))")) === "false");
        for (let n = 1; n <= 10; n++) process.send(pid, n);
        expect(await collected(cell, pid, 10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        process.exitOther(pid, atom("kill"));
      } else {
        const doomed = cell.node.spawn();
        const alias = cell.beam.release < 24 ? process.pid : process.alias();
        // kept there across the loss
        await cell.node.processes.erpc.call(cell.them, "persistent_term", "put", [
          atom("kept"),
          [process.pid, doomed.pid, process.pid, alias],
        ]);
        cell.node.disconnect(cell.them);
        await until(async () => (await cell.erl("lists:member(JS, nodes(connected))")) === "false");
        await cell.erl("apply(isthmus_scenarios, on_use, persistent_term:get(kept))");
        for (let n = 1; n <= 10; n++) expect(await process.receive(soon)).toEqual(tuple(atom("first"), n));
        const rest = [await process.receive(soon), await process.receive(soon)];
        expect(rest).toContainEqual(atom("by_alias"));
        expect(rest.map((term) => (term === atom("by_alias") ? "" : elements(term)[2]))).toContain(
          atom("short_lived"),
        );
        expect(await doomed.exited).toBe(atom("early"));
      }
      process.exit();
    },
  },
  {
    name: "our next incarnation is another node: what belonged to the last one is dead",
    async run(cell) {
      const old = cell.node.spawn({ name: "old" }).pid;
      await cell.node.processes.erpc.call(cell.them, "persistent_term", "put", [atom("old"), old]);
      const creation = cell.node.creation;
      await cell.restart();
      await cell.connect();
      expect(cell.node.creation).not.toBe(creation);
      // one of these has the numbers of the old pid
      const present = [cell.node.spawn()];
      while (present.at(-1)!.pid.id !== old.id) present.push(cell.node.spawn());
      const kept = "persistent_term:get(old)";
      expect(await cell.erl(`isthmus_scenarios:down_of(${kept}) =:= {${kept}, noproc}`)).toBe("true");
      expect(await cell.erl(`isthmus_scenarios:link_and_wait(${kept})`)).toBe("noproc");
      await cell.erl(`${kept} ! x, exit(${kept}, kill), net_adm:ping(JS)`);
      expect(present.map(({ alive, mailboxSize }) => alive && mailboxSize === 0)).not.toContain(false);
      for (const process of present) process.exit();
      const process = cell.node.spawn();
      const ref = process.monitor(new Pid(cell.theirs, 1, 0, 77));
      expect(elements(await process.receive(soon)).slice(1, 5)).toEqual([
        ref,
        atom("process"),
        new Pid(cell.theirs, 1, 0, 77),
        atom("noproc"),
      ]);
      process.link(new Pid(cell.theirs, 1, 0, 77));
      expect(await process.exited).toBe(atom("noproc"));
    },
  },
];
