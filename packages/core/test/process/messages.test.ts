import { HIDDEN_FULL, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { atom, Pid, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { collector, LEFT, RIGHT, twoNodes } from "./network.ts";

const hello = atom("hello");

describe.each([
  ["pass-through", HIDDEN_PASS_THROUGH],
  ["distribution header", HIDDEN_FULL],
])("messages, %s", (_name, flags) => {
  it("go to a pid, a name and an alias of another node, which is connected to by itself", async () => {
    const { network, left, right } = twoNodes(flags);
    const { got, process } = collector(right, { name: "inbox" });
    const alias = process.alias();
    const sender = left.table.spawn({ onMessage: () => undefined });
    sender.send(process.pid, tuple(hello, 1));
    sender.send({ name: "inbox", node: RIGHT }, tuple(hello, 2));
    sender.send(alias, tuple(hello, 3));
    await network.settle();
    expect(got).toEqual([tuple(hello, 1), tuple(hello, 2), tuple(hello, 3)]);
  });

  it("of one process to another arrive in order, also while the connection is being made", async () => {
    const { network, left, right } = twoNodes(flags);
    network.autoConnect = false;
    const { got, process } = collector(right, { name: "inbox" });
    const sender = left.table.spawn();
    const expected: number[] = [];
    const send = (n: number): void => {
      if (n % 3 === 0) sender.send({ name: "inbox", node: RIGHT }, n);
      else sender.send(process, n);
      expected.push(n);
    };
    for (let n = 0; n < 10; n++) send(n);
    expect(left.awaited).toEqual([RIGHT]);
    // the program hears of the connection before what waits for it has gone out
    network.onOpen = () => send(10);
    network.connect(LEFT, RIGHT);
    for (let n = 11; n < 20; n++) send(n);
    await network.settle();
    expect(got).toEqual(expected);
  });

  it("longer than a fragment arrive whole", async () => {
    const { network, left, right } = twoNodes(flags);
    const { got, process } = collector(right);
    const big = Buffer.alloc(300_000, 7);
    left.table.send(process, big);
    await network.settle();
    expect(got).toHaveLength(1);
    expect(big.equals(got[0] as Buffer)).toBe(true);
  });
});

describe("messages", () => {
  it("between local processes arrive in order, after the sender's code has returned", async () => {
    const { network, left } = twoNodes();
    const events: string[] = [];
    const echo = left.table.spawn({
      name: "echo",
      onMessage: (message, process) => {
        events.push(`begin ${message}`);
        if (message === 1) process.send(process, 2);
        process.send("log", message);
        events.push(`end ${message}`);
      },
    });
    left.table.spawn({ name: "log", onMessage: (message) => void events.push(`log ${message}`) });
    echo.send(echo, 1);
    expect(events).toEqual([]);
    await network.settle();
    expect(events.indexOf("end 1")).toBeLessThan(events.indexOf("begin 2"));
    expect(events.filter((event) => event.startsWith("log"))).toEqual(["log 1", "log 2"]);
  });

  it("two local processes that answer each other for ever do not stop the event loop", async () => {
    const { left } = twoNodes();
    let count = 0;
    const pong = left.table.spawn({
      name: "pong",
      onMessage: (_message, process) => process.send("ping", 0),
    });
    const ping = left.table.spawn({
      name: "ping",
      onMessage: (_message, process) => {
        count++;
        process.send("pong", 0);
      },
    });
    ping.send("pong", 0);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(count).toBeGreaterThan(1000);
    ping.exit();
    pong.exit();
  });

  it("to nobody vanish", async () => {
    const { network, left, right } = twoNodes();
    const dead = right.table.spawn();
    const pid = dead.pid;
    dead.exit();
    left.table.send(pid, 1);
    left.table.send({ name: "nobody", node: RIGHT }, 1);
    left.table.send("nobody", 1);
    left.table.send(new Pid(atom(RIGHT), pid.id, pid.serial, 21), 1);
    left.table.send(new Pid(atom(RIGHT), 100_000, 9_000, 22), 1);
    await network.settle();
    expect([...left.violations, ...right.violations]).toEqual([]);
  });

  it("that cannot be encoded throw where they are sent, connected or not", async () => {
    const { network, left, right } = twoNodes();
    network.autoConnect = false;
    const { process, got } = collector(right);
    const sender = left.table.spawn();
    const notTerm = { not: "a term" } as unknown as Term;
    const refused = expect.objectContaining({ code: expect.stringMatching(/^ETF_/) });
    expect(() => sender.send(process, notTerm)).toThrow(refused);
    expect(() => sender.send(process, [1, notTerm])).toThrow(refused);
    network.connect(LEFT, RIGHT);
    expect(() => sender.send(process, [1, notTerm])).toThrow(refused);
    sender.send(process, 3);
    await network.settle();
    expect(got).toEqual([3]);
  });

  it("beyond the limit for a node that is not connected yet are dropped, with one line in the log", async () => {
    const { network, left, right } = twoNodes(HIDDEN_FULL, { maxQueuedPerNode: 5 });
    network.autoConnect = false;
    const { process, got } = collector(right);
    const sender = left.table.spawn();
    for (let n = 0; n < 20; n++) sender.send(process, n);
    network.connect(LEFT, RIGHT);
    await network.settle();
    expect(got).toEqual([0, 1, 2, 3, 4]);
    expect(left.log.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  it("are lost when no connection can be made; later ones try again", async () => {
    const { network, left, right } = twoNodes();
    network.refused.add(RIGHT);
    const { process, got } = collector(right);
    left.table.send(process, 1);
    await network.settle();
    network.refused.clear();
    left.table.send(process, 2);
    await network.settle();
    expect(got).toEqual([2]);
  });

  it("binaries are views of the received bytes, or copies when the process wants that", async () => {
    const { network, left, right } = twoNodes();
    const views = collector(right);
    const copies = collector(right, { copyBinaries: true });
    const payload = [Buffer.alloc(10, 1), Buffer.alloc(5000, 2)];
    left.table.send(views.process, payload);
    left.table.send(copies.process, payload);
    await network.settle();
    const backing = (list: Term[]): number => ((list[0] as Term[])[0] as Buffer).buffer.byteLength;
    expect(views.got).toEqual([payload]);
    expect(copies.got).toEqual([payload]);
    // an allocation of its own, or a slice of Node's pool
    expect(backing(copies.got)).toBeLessThanOrEqual(Buffer.poolSize);
  });
});

describe("names", () => {
  it("are freed when the process ends, and can be several", async () => {
    const { network, left } = twoNodes();
    const { got, process } = collector(left, { name: "one" });
    left.table.register("two", process);
    left.table.send("one", 1);
    left.table.send("two", 2);
    await network.settle();
    expect(got).toEqual([1, 2]);
    expect(left.table.registered()).toEqual(
      expect.arrayContaining(["net_kernel", "rex", "logger_proxy", "one", "two"]),
    );
    process.exit();
    expect([left.table.whereis("one"), left.table.whereis("two")]).toEqual([undefined, undefined]);
  });

  it("belong to one process at a time, and not to the dead", () => {
    const { left } = twoNodes();
    const first = left.table.spawn({ name: "only" });
    const second = left.table.spawn();
    const size = left.table.size;
    expect(() => left.table.register("only", second)).toThrow(
      expect.objectContaining({ code: "NAME_TAKEN" }),
    );
    expect(() => left.table.spawn({ name: "only" })).toThrow(expect.objectContaining({ code: "NAME_TAKEN" }));
    expect(left.table.size).toBe(size);
    expect(left.table.unregister("only")).toBe(true);
    left.table.register("only", second);
    first.exit();
    expect(left.table.whereis("only")).toBe(second);
    expect(() => left.table.register("late", first)).toThrow(
      expect.objectContaining({ code: "PROCESS_DEAD" }),
    );
  });
});

describe("a process that has ended", () => {
  it("throws PROCESS_DEAD from whatever would act", () => {
    const { left } = twoNodes();
    const process = left.table.spawn();
    const { pid } = process;
    const ref = process.monitor(pid);
    process.exit(atom("done"));
    expect(process.exitReason).toBe(atom("done"));
    const dead = expect.objectContaining({ code: "PROCESS_DEAD" });
    for (const act of [
      () => process.send(pid, 1),
      () => process.link(pid),
      () => process.unlink(pid),
      () => process.monitor(pid),
      () => process.demonitor(ref),
      () => process.alias(),
      () => process.unalias(ref),
      () => process.exit(),
      () => process.exitOther(pid, atom("x")),
      () => process.setGroupLeader(pid, pid),
      () => process.monitorNode(RIGHT),
      () => process.demonitorNode(RIGHT),
    ]) {
      expect(act).toThrow(dead);
    }
  });

  it("cannot be spawned any more once the table is closed, and all the others have ended with shutdown", async () => {
    const { left } = twoNodes();
    const process = left.table.spawn();
    left.table.close();
    expect(await process.exited).toBe(atom("shutdown"));
    expect(left.table.size).toBe(0);
    expect(() => left.table.spawn()).toThrow(expect.objectContaining({ code: "NODE_CLOSED" }));
    left.table.close();
  });

  it("counts towards no limit", () => {
    const { left } = twoNodes(HIDDEN_FULL, { maxProcesses: 5 });
    const room = 5 - left.table.size;
    for (let i = 0; i < 20; i++) left.table.spawn().exit();
    for (let i = 0; i < room; i++) left.table.spawn();
    expect(() => left.table.spawn()).toThrow(expect.objectContaining({ code: "PROCESS_LIMIT" }));
  });
});
