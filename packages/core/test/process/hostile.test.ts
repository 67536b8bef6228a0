import { HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { atom, encode, ImproperList, Pid, Reference, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { FrameReader } from "../../src/channel/frame-reader.ts";
import type { Connection } from "../../src/net/connection.ts";
import { collector, LEFT, RIGHT, twoNodes } from "./network.ts";

const left = atom(LEFT);
const right = atom(RIGHT);
const ref = new Reference(left, 11, [1, 2, 3]);
const from = new Pid(left, 1, 0, 11);

function setup() {
  const nodes = twoNodes(HIDDEN_PASS_THROUGH);
  nodes.network.connect(LEFT, RIGHT);
  const connection = nodes.right.connections.get(left) as Connection;
  const reader = new FrameReader(left, HIDDEN_PASS_THROUGH);
  /** Lets a control message, and what stands behind it, arrive at the right node. */
  const arrive = (control: Term, ...rest: Buffer[]): void => {
    const frame = Buffer.concat([Buffer.from([112]), encode(control), ...rest]);
    const signal = reader.read(frame, 0, frame.length);
    if (signal !== undefined) nodes.right.table.signal(connection, signal);
  };
  return { ...nodes, arrive };
}

describe("a body that is no term", () => {
  const broken = Buffer.from([131, 104, 5, 97, 1]);

  it("closes the connection when a process should have it, and hurts no process", async () => {
    const { arrive, right: node, network } = setup();
    const { process, got } = collector(node, { name: "inbox", trapExit: true });
    const alias = process.alias();
    const etf = expect.objectContaining({ code: expect.stringMatching(/^ETF_/) });
    expect(() => arrive(tuple(22, from, process.pid), broken)).toThrow(etf);
    expect(() => arrive(tuple(6, from, atom(""), atom("inbox")), broken)).toThrow(etf);
    expect(() => arrive(tuple(33, from, alias), broken)).toThrow(etf);
    expect(() => arrive(tuple(26, from, process.pid), broken)).toThrow(etf);
    arrive(tuple(22, from, process.pid), encode(1));
    await network.settle();
    expect([process.alive, got]).toEqual([true, [1]]);
  });

  it("is not looked at when nobody should have it", () => {
    const { arrive } = setup();
    arrive(tuple(22, from, new Pid(right, 9, 9, 22)), broken);
    arrive(tuple(6, from, atom(""), atom("nobody")), broken);
    arrive(tuple(33, from, new Reference(right, 22, [1, 2, 3])), broken);
    arrive(tuple(26, from, new Pid(right, 9, 9, 22)), broken);
  });
});

describe("a signal for a process of a third node", () => {
  const third = new Pid(atom("third@h"), 1, 0, 1);
  it.each([
    ["LINK", tuple(1, from, third)],
    ["EXIT", tuple(3, from, third, atom("x"))],
    ["UNLINK_ID", tuple(35, 1, from, third)],
    ["UNLINK_ID_ACK", tuple(36, 1, from, third)],
    ["MONITOR_P", tuple(19, from, third, ref)],
    ["DEMONITOR_P", tuple(20, from, third, ref)],
    ["MONITOR_P_EXIT", tuple(21, from, third, ref, atom("x"))],
    ["SPAWN_REPLY", tuple(31, ref, third, 0, atom("x"))],
  ])("%s is a violation", (_name, control) => {
    const { arrive } = setup();
    expect(() => arrive(control)).toThrow(expect.objectContaining({ code: "CONTROL_MALFORMED" }));
  });

  it("a message is ignored", () => {
    const { arrive } = setup();
    arrive(tuple(22, from, third), encode(1));
    arrive(tuple(33, from, new Reference(atom("third@h"), 1, [1])), encode(1));
  });
});

describe("signals that fit nothing", () => {
  it("are ignored", async () => {
    const { arrive, right: node, network } = setup();
    const { process, got } = collector(node, { trapExit: true });
    const { pid } = process;
    for (const control of [
      tuple(3, from, pid, atom("not linked")),
      tuple(4, from, pid),
      tuple(35, 7, from, pid),
      tuple(36, 7, from, pid),
      tuple(36, 2n ** 64n - 1n, from, pid),
      tuple(20, from, pid, ref),
      tuple(20, from, atom("nobody"), ref),
      tuple(21, from, pid, ref, atom("x")),
      tuple(21, from, pid, new Reference(right, 22, [1, 0, 0]), atom("x")),
      tuple(21, atom("name"), pid, new Reference(right, 21, [1, 0, 0]), atom("x")),
      tuple(31, ref, pid, 3, from),
      tuple(31, new Reference(right, 22, [1, 0, 0]), pid, 3, from),
      tuple(7, from, new Pid(right, 9, 9, 22)),
    ]) {
      arrive(control);
    }
    await network.settle();
    expect([process.alive, got]).toEqual([true, []]);
  });

  it("a monitor that is asked for twice is one", async () => {
    const { arrive, right: node } = setup();
    const { process } = collector(node);
    arrive(tuple(19, from, process.pid, ref));
    arrive(tuple(19, from, process.pid, ref));
    expect(
      (process as unknown as { monitors: { watchers: Map<string, unknown> } }).monitors.watchers.size,
    ).toBe(1);
  });
});

describe("UNLINK_ID", () => {
  it.each([
    ["a living process", 0],
    ["a dead one", 1],
    ["an old incarnation", 2],
  ])("for %s is acknowledged", async (_name, which) => {
    const { arrive, right: node, left: asking, network } = setup();
    const living = node.table.spawn().pid;
    const to = [living, new Pid(right, 99, 9, 22), new Pid(right, living.id, living.serial, 21)][
      which
    ] as Pid;
    const seen: unknown[] = [];
    asking.table.signal = (_connection, one) => void seen.push([one.op, one.unlinkId, one.from, one.to]);
    arrive(tuple(35, 7, from, to));
    // from an old incarnation of the peer, which would take the answer for a protocol error
    arrive(tuple(35, 8, new Pid(left, 1, 0, 10), to));
    await network.settle();
    expect(seen).toEqual([[36, 7, to, from]]);
  });
});

describe("a spawn request", () => {
  const request = (name: string, arity: number, options: Term): Term =>
    tuple(29, ref, from, from, tuple(atom("erpc"), atom(name), arity), options);

  it("whose arguments are no list of the announced length is a violation", () => {
    const { arrive } = setup();
    const malformed = expect.objectContaining({ code: "CONTROL_MALFORMED" });
    expect(() => arrive(request("execute_call", 4, []), encode([1]))).toThrow(malformed);
    expect(() => arrive(request("execute_call", 1, []), encode(atom("x")))).toThrow(malformed);
    expect(() => arrive(request("execute_call", 1, []), encode(new ImproperList([1], 2)))).toThrow(malformed);
  });

  it("with arguments of the wrong kinds behaves as a function that does not exist", async () => {
    const { arrive, right: node, network } = setup();
    const before = node.table.size;
    for (const args of [
      [1, 2, 3, 4],
      [ref, atom("m"), atom("f"), atom("not a list")],
      [ref, "m", atom("f"), []],
      [[], [], [], []],
    ]) {
      arrive(request("execute_call", 4, [atom("monitor"), atom("link")]), encode(args));
    }
    await network.settle();
    expect(node.table.size).toBe(before);
  });

  it.each([
    ["an unknown option", [atom("what")]],
    ["an unknown pair", [tuple(atom("what"), 1)]],
    ["a tuple of three", [tuple(atom("priority"), 1, 2)]],
    ["no list", atom("link")],
    ["an improper list", new ImproperList([atom("link")], atom("monitor"))],
  ] as readonly [string, Term][])("with %s starts nothing", async (_name, options) => {
    const { arrive, right: node, left: asking, network } = setup();
    const before = node.table.size;
    let reply: unknown;
    const signal = asking.table.signal.bind(asking.table);
    asking.table.signal = (connection, one) => {
      if (one.op === 31) reply = [one.flags, one.result];
      signal(connection, one);
    };
    arrive(request("execute_cast", 0, options), encode([]));
    await network.settle();
    expect(node.table.size).toBe(before);
    expect(reply).toEqual([0, atom("badopt")]);
  });

  it("beyond the limit of processes is answered with system_limit", async () => {
    const { network, left: asking } = twoNodes();
    const full = network.node("full@h", 33, { maxProcesses: 3 });
    expect(full.table.size).toBe(3);
    const call = asking.table.erpc.call("full@h", "m", "f", []);
    const failed = expect(call).rejects.toMatchObject({
      code: "RPC_FAILED",
      context: { reason: tuple(atom("erpc"), atom("system_limit")) },
    });
    await network.settle();
    await failed;
  });
});
