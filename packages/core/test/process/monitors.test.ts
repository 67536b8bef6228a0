import { atom, Pid, type Reference, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import type { Down } from "../../src/process/process.ts";
import { collector, LEFT, RIGHT, twoNodes } from "./network.ts";

const boom = atom("boom");
const noproc = atom("noproc");
const down = (ref: Reference, what: Term, reason: Term): Term =>
  tuple(atom("DOWN"), ref, atom("process"), what, reason);

describe.each([["local"], ["remote"]])("monitors of a %s process", (where) => {
  function setup() {
    const { network, left, right } = twoNodes();
    const target = where === "local" ? left : right;
    return { network, left, right, target, ...collector(left) };
  }

  it("tell its end with the reason, by pid and by name", async () => {
    const { network, target, process, got } = setup();
    const watched = target.table.spawn({ name: "watched" });
    const byPid = process.monitor(watched.pid);
    const byName = process.monitor({ name: "watched", node: target.self });
    await network.settle();
    watched.exit(boom);
    await network.settle();
    expect(got).toEqual([
      down(byPid, watched.pid, boom),
      down(byName, tuple(atom("watched"), target.self), boom),
    ]);
  });

  it("say noproc for pids and names that are not there", async () => {
    const { network, target, process, got } = setup();
    const dead = target.table.spawn();
    dead.exit();
    const byPid = process.monitor(dead.pid);
    const byName = process.monitor({ name: "nobody", node: target.self });
    await network.settle();
    expect(got).toEqual([
      down(byPid, dead.pid, noproc),
      down(byName, tuple(atom("nobody"), target.self), noproc),
    ]);
  });

  it("say nothing after demonitor; flush takes the message out of the mailbox", async () => {
    const { network, left, target } = setup();
    const process = left.table.spawn();
    const watched = target.table.spawn();
    const early = process.monitor(watched);
    const kept = process.monitor(watched);
    const flushed = process.monitor(watched);
    await network.settle();
    process.demonitor(early);
    watched.exit(boom);
    await network.settle();
    expect(process.mailboxSize).toBe(2);
    process.demonitor(flushed, { flush: true });
    process.demonitor(kept);
    expect(process.mailboxSize).toBe(1);
    expect(await process.receive()).toEqual(down(kept, watched.pid, boom));
  });

  it("demonitor of a name works when the name is another's by then", async () => {
    const { network, target, process, got } = setup();
    const first = target.table.spawn({ name: "moving" });
    const ref = process.monitor({ name: "moving", node: target.self });
    await network.settle();
    target.table.unregister("moving");
    target.table.spawn({ name: "moving" });
    process.demonitor(ref);
    await network.settle();
    first.exit(boom);
    await network.settle();
    expect(got).toEqual([]);
  });

  it("a monitor by name is of the process that had the name when it came", async () => {
    const { network, target, process, got } = setup();
    const first = target.table.spawn({ name: "moving" });
    const ref = process.monitor({ name: "moving", node: target.self });
    await network.settle();
    target.table.unregister("moving");
    const second = target.table.spawn({ name: "moving" });
    second.exit(boom);
    await network.settle();
    expect(got).toEqual([]);
    first.exit(boom);
    await network.settle();
    expect(got).toEqual([down(ref, tuple(atom("moving"), target.self), boom)]);
  });

  it("with a callback there is no message", async () => {
    const { network, target, process, got } = setup();
    const watched = target.table.spawn();
    const seen: Down[] = [];
    const ref = process.monitor(watched, { onDown: (one) => void seen.push(one) });
    watched.exit(boom);
    await network.settle();
    expect(got).toEqual([]);
    expect(seen).toEqual([{ ref, target: watched.pid, reason: expect.anything() }]);
  });

  it("end with the process that holds them", async () => {
    const { network, target, process } = setup();
    const watched = target.table.spawn();
    process.monitor(watched);
    await network.settle();
    process.exit();
    await network.settle();
    expect(
      (watched as unknown as { monitors: { watchers: Map<string, unknown> } }).monitors.watchers.size,
    ).toBe(0);
  });
});

describe("an alias", () => {
  it("lives until it is taken back, or for one message", async () => {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(right);
    const lasting = process.alias();
    const once = process.alias({ once: true });
    for (const n of [1, 2]) {
      left.table.send(lasting, n);
      left.table.send(once, n * 10);
    }
    await network.settle();
    expect(got).toEqual([1, 10, 2]);
    expect([process.unalias(lasting), process.unalias(lasting), process.unalias(once)]).toEqual([
      true,
      false,
      false,
    ]);
    left.table.send(lasting, 3);
    await network.settle();
    expect(got).toEqual([1, 10, 2]);
  });

  it("can have a callback of its own, whose failure ends the process", async () => {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(right);
    const seen: Term[] = [];
    const alias = process.alias({ onMessage: (message) => void seen.push(message) });
    const bad = process.alias({
      onMessage: () => {
        throw new Error("no");
      },
    });
    left.table.send(alias, 1);
    left.table.send(bad, 1);
    await network.settle();
    expect([seen, got, process.alive]).toEqual([[1], [], false]);
  });

  it("ends with its process, and is nobody else's to take back", async () => {
    const { network, left, right } = twoNodes();
    const { process } = collector(right);
    const other = collector(right);
    const alias = process.alias();
    expect(other.process.unalias(alias)).toBe(false);
    process.exit();
    left.table.send(alias, 1);
    await network.settle();
    expect(other.got).toEqual([]);
    expect(right.violations).toEqual([]);
  });

  it.each([
    ["explicit", [1, 2, "DOWN", 3]],
    ["demonitor", [1, 2, "DOWN"]],
    ["reply", [1]],
  ] as const)("of a monitor, %s", async (alias, expected) => {
    const { network, left, right } = twoNodes();
    const watched = right.table.spawn();
    const { got, process } = collector(left);
    const ref = process.monitor(watched, { alias });
    await network.settle();
    right.table.send(ref, 1);
    right.table.send(ref, 2);
    await network.settle();
    watched.exit(boom);
    await network.settle();
    right.table.send(ref, 3);
    await network.settle();
    expect(got.map((message) => (typeof message === "number" ? message : "DOWN"))).toEqual(expected);
  });

  it("of a monitor ends with the connection, unless it is explicit", async () => {
    const { network, left, right } = twoNodes();
    const watched = right.table.spawn();
    const { got, process } = collector(left);
    const refs = (["explicit", "demonitor", "reply"] as const).map((alias) =>
      process.monitor(watched, { alias }),
    );
    await network.settle();
    network.disconnect(LEFT, RIGHT);
    got.splice(0);
    refs.forEach((ref, n) => {
      right.table.send(ref, n);
    });
    await network.settle();
    expect(got).toEqual([0]);
  });

  it("of a monitor that is taken back ends, unless it is explicit", async () => {
    const { network, left, right } = twoNodes();
    const watched = right.table.spawn();
    const { got, process } = collector(left);
    const refs = (["explicit", "demonitor", "reply"] as const).map((alias) =>
      process.monitor(watched, { alias }),
    );
    for (const ref of refs) process.demonitor(ref);
    refs.forEach((ref, n) => {
      right.table.send(ref, n);
    });
    await network.settle();
    expect(got).toEqual([0]);
  });
});

describe("when the connection is lost", () => {
  it("links, monitors and node monitors hear of it, in that order; what the other side held is gone", async () => {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(left, { trapExit: true });
    const far = right.table.spawn({ name: "far" });
    process.monitorNode(RIGHT);
    process.link(far.pid);
    const byPid = process.monitor(far);
    const byName = process.monitor({ name: "far", node: RIGHT });
    const farWatcher = collector(right);
    farWatcher.process.monitor(process.pid);
    await network.settle();
    network.disconnect(LEFT, RIGHT);
    await network.settle();
    const noconnection = atom("noconnection");
    expect(got).toEqual([
      tuple(atom("EXIT"), far.pid, noconnection),
      down(byPid, far.pid, noconnection),
      down(byName, tuple(atom("far"), atom(RIGHT)), noconnection),
      tuple(atom("nodedown"), atom(RIGHT)),
    ]);
    expect(farWatcher.got).toHaveLength(1);
    expect(far.exitReason).toBe(noconnection);
    // nothing of the old connection is left to be told on a new one
    network.connect(LEFT, RIGHT);
    process.exit(boom);
    await network.settle();
    expect(farWatcher.got).toHaveLength(1);
  });

  it("a handler that closes it is not entered again before it has returned", async () => {
    const { network, left, right } = twoNodes();
    const far = right.table.spawn();
    const events: string[] = [];
    const process = left.table.spawn({
      onMessage: (message) => {
        events.push(`begin ${message}`);
        if (message === 1) network.disconnect(LEFT, RIGHT);
        events.push("end");
      },
    });
    process.monitor(far, { onDown: () => void events.push("down") });
    await network.settle();
    left.table.send(process, 1);
    await network.settle();
    expect(events).toEqual(["begin 1", "end", "down"]);
  });

  it("and none can be made: the same", async () => {
    const { network, left } = twoNodes();
    network.refused.add(RIGHT);
    const { got, process } = collector(left, { trapExit: true });
    const pid = new Pid(atom(RIGHT), 5, 0, 22);
    process.link(pid);
    const ref = process.monitor(pid);
    process.monitorNode(RIGHT);
    expect(got).toEqual([]);
    await network.settle();
    const noconnection = atom("noconnection");
    expect(got).toEqual([
      tuple(atom("EXIT"), pid, noconnection),
      down(ref, pid, noconnection),
      tuple(atom("nodedown"), atom(RIGHT)),
    ]);
  });

  it("an attempt that fails later tells everybody who waited for it", async () => {
    const { network, left, right } = twoNodes();
    network.autoConnect = false;
    const { got, process } = collector(left);
    const refs = [process.monitor(right.table.spawn()), process.monitor({ name: "x", node: RIGHT })];
    for (let i = 0; i < 3; i++) process.monitorNode(RIGHT);
    process.demonitorNode(RIGHT);
    network.fail(LEFT, RIGHT);
    await network.settle();
    expect(got).toHaveLength(refs.length + 2);
  });

  it("a process that ended meanwhile is told nothing", async () => {
    const { network, left, right } = twoNodes();
    const far = right.table.spawn();
    const { got, process } = collector(left);
    process.monitor(far);
    process.link(far.pid);
    process.monitor(far);
    await network.settle();
    network.disconnect(LEFT, RIGHT);
    expect(process.exitReason).toBe(atom("noconnection"));
    expect(got).toEqual([]);
  });
});

describe("a peer that asks for too many links and monitors", () => {
  it("is cut off", async () => {
    const { network, left, right } = twoNodes();
    const limited = network.node("limited@h", 33, { maxRelationsPerNode: 10 });
    const target = limited.table.spawn();
    const { process } = collector(left);
    for (let i = 0; i < 10; i++) process.monitor(target);
    await network.settle();
    expect(limited.violations).toEqual([]);
    process.monitor(target);
    await network.settle();
    expect(limited.violations).toEqual([expect.objectContaining({ code: "RELATION_LIMIT" })]);
    expect(right.violations).toEqual([]);
  });

  it("may have as many as it likes one after the other", async () => {
    const { network, left } = twoNodes();
    const limited = network.node("limited@h", 33, { maxRelationsPerNode: 10 });
    const target = limited.table.spawn();
    const { process } = collector(left);
    for (let i = 0; i < 50; i++) {
      const ref = process.monitor(target);
      process.link(target.pid);
      await network.settle();
      process.demonitor(ref);
      process.unlink(target.pid);
      await network.settle();
    }
    for (let i = 0; i < 50; i++) {
      const shortLived = limited.table.spawn();
      process.monitor(shortLived);
      await network.settle();
      shortLived.exit();
      await network.settle();
    }
    expect(limited.violations).toEqual([]);
  });
});
