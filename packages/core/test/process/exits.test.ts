import { atom, Pid, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { raise } from "../../src/process/exit-reason.ts";
import { collector, LEFT, RIGHT, twoNodes } from "./network.ts";

const EXIT = atom("EXIT");
const boom = atom("boom");
const normal = atom("normal");
const kill = atom("kill");

describe.each([["local"], ["remote"]])("exit signals to a %s process", (where) => {
  function setup(trapExit: boolean) {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(where === "local" ? left : right, { trapExit });
    return { network, left, got, process, other: left.table.spawn() };
  }

  it.each([
    ["a crash of a linked process ends it", false, boom, boom],
    ["a normal end of a linked process does not", false, normal, undefined],
    ["kill from a link is a reason as any other", false, kill, kill],
  ])("%s", async (_name, trapExit, reason, expected) => {
    const { network, process, other } = setup(trapExit);
    other.link(process.pid);
    await network.settle();
    other.exit(reason);
    await network.settle();
    expect(process.exitReason).toBe(expected);
  });

  it.each([[boom], [normal], [kill]])(
    "a process that traps exits gets %s of a linked one as a message",
    async (reason) => {
      const { network, process, other, got } = setup(true);
      other.link(process.pid);
      await network.settle();
      other.exit(reason);
      await network.settle();
      expect(process.alive).toBe(true);
      expect(got).toEqual([tuple(EXIT, other.pid, reason)]);
    },
  );

  it.each([
    ["ends it", false, boom, boom, []],
    ["normal is ignored", false, normal, undefined, []],
    ["kill ends it as killed", false, kill, atom("killed"), []],
    ["kill ends it as killed, trapping or not", true, kill, atom("killed"), []],
    ["comes as a message when it traps", true, boom, undefined, [boom]],
    ["normal comes as a message when it traps", true, normal, undefined, [normal]],
  ])("exit/2: %s", async (_name, trapExit, reason, expected, messages) => {
    const { network, process, other, got } = setup(trapExit);
    other.exitOther(process.pid, reason);
    await network.settle();
    expect(process.exitReason).toBe(expected);
    expect(got).toEqual(messages.map((told) => tuple(EXIT, other.pid, told)));
  });

  it("a link to a process that is not there comes back as noproc", async () => {
    const { network, process, left } = setup(false);
    const { pid } = process;
    process.exit();
    const { got, process: linker } = collector(left, { trapExit: true });
    linker.link(pid);
    await network.settle();
    expect(got).toEqual([tuple(EXIT, pid, atom("noproc"))]);
    const plain = left.table.spawn();
    plain.link(pid);
    await network.settle();
    expect(plain.exitReason).toBe(atom("noproc"));
  });
});

describe("exit/2 to oneself with normal", () => {
  it("ends the process", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn();
    process.exitOther(process.pid, normal);
    await network.settle();
    expect(process.exitReason).toBe(normal);
  });
});

describe("code that throws", () => {
  async function reasonOf(onMessage: () => unknown): Promise<{ reason: Term | undefined; logged: number }> {
    const { network, left, right } = twoNodes();
    network.connect(LEFT, RIGHT);
    const process = right.table.spawn({ onMessage });
    const { got, process: linked } = collector(left, { trapExit: true });
    linked.link(process.pid);
    left.table.send(process, 1);
    await network.settle();
    expect(process.alive).toBe(false);
    expect(got).toHaveLength(1);
    return { reason: (got[0] as ReturnType<typeof tuple>).elements[2], logged: right.log.length };
  }

  it("ends the process with {js_error, Message}, which its links learn, and is logged", async () => {
    const { reason, logged } = await reasonOf(() => {
      throw new Error("it broke");
    });
    expect(reason).toEqual(tuple(atom("js_error"), Buffer.from("it broke")));
    expect(logged).toBe(1);
  });

  it("by promise does the same", async () => {
    const { reason } = await reasonOf(async () => {
      await Promise.resolve();
      throw new Error("later");
    });
    expect(reason).toEqual(tuple(atom("js_error"), Buffer.from("later")));
  });

  it.each([
    ["exit", boom],
    ["error", tuple(boom, [])],
    ["throw", tuple(tuple(atom("nocatch"), boom), [])],
  ] as const)("raise(%s) ends it as Erlang does", async (raiseClass, expected) => {
    const { reason } = await reasonOf(() => raise(raiseClass, boom));
    expect(reason).toEqual(expected);
  });

  it("values that are no errors, and texts that are no UTF-8, are no reason to fail twice", async () => {
    const { reason } = await reasonOf(() => {
      throw `half a surrogate pair: \ud800`;
    });
    expect(reason).toEqual(tuple(atom("js_error"), Buffer.from("half a surrogate pair: \ufffd")));
  });

  it("a reason that cannot be encoded is replaced by a text", async () => {
    const { reason } = await reasonOf(() => raise("exit", { no: "term" } as unknown as Term));
    expect(reason).toMatchObject({ elements: [atom("js_error"), expect.anything()] });
  });

  it("at the end of a process is logged and hurts nobody", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn({
      onExit: () => {
        throw new Error("in onExit");
      },
    });
    const { got, process: watcher } = collector(left);
    watcher.monitor(process);
    await network.settle();
    process.exit();
    await network.settle();
    expect(got).toHaveLength(1);
    expect(left.log.map(({ level }) => level)).toEqual(["error"]);
  });
});

describe("the group leader", () => {
  it("is the table's, until somebody sets another, also from afar", async () => {
    const { network, left, right } = twoNodes();
    const process = right.table.spawn();
    expect(process.groupLeader).toBe(right.table.groupLeader);
    const leader = new Pid(atom(LEFT), 77, 0, 11);
    left.table.spawn().setGroupLeader(process.pid, leader);
    await network.settle();
    expect(process.groupLeader).toEqual(leader);
  });
});

describe("exited and onExit", () => {
  it("tell the reason once", async () => {
    const { left } = twoNodes();
    const seen: Term[] = [];
    const process = left.table.spawn({ onExit: (reason, which) => void seen.push(reason, which.pid) });
    const exited = process.exited;
    process.exit(boom);
    expect(await exited).toBe(boom);
    expect(await process.exited).toBe(boom);
    expect(seen).toEqual([boom, process.pid]);
  });
});

describe("an old incarnation of ours", () => {
  it("answers as the dead do", async () => {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(left, { trapExit: true });
    const living = collector(right, { trapExit: true });
    // the same numbers as a living process, another creation
    const old = new Pid(atom(RIGHT), living.process.pid.id, living.process.pid.serial, 21);
    process.link(old);
    const ref = process.monitor(old);
    await network.settle();
    expect(got).toEqual([
      tuple(EXIT, old, atom("noproc")),
      tuple(atom("DOWN"), ref, atom("process"), old, atom("noproc")),
    ]);
    process.send(old, 1);
    process.exitOther(old, kill);
    process.setGroupLeader(old, process.pid);
    await network.settle();
    expect(living.got).toEqual([]);
    expect(living.process.alive).toBe(true);
  });

  it("is never sent what a BEAM would take for a protocol error", async () => {
    const { network, left, right } = twoNodes();
    network.autoConnect = false;
    const old = new Pid(atom(RIGHT), 5, 0, 21);
    const sent: number[] = [];
    const first = left.table.spawn();
    first.link(old);
    first.unlink(old);
    const second = left.table.spawn();
    second.link(old);
    second.exit(boom);
    network.connect(LEFT, RIGHT);
    const signal = right.table.signal.bind(right.table);
    right.table.signal = (connection, one) => {
      sent.push(one.op);
      signal(connection, one);
    };
    await network.settle();
    // two LINK and nothing else
    expect(sent).toEqual([1, 1]);
    expect(right.violations).toEqual([]);
  });
});
