import { FLAG, HIDDEN_FULL } from "@isthmus/dist-handshake";
import { atom, ImproperList, type Term, Tuple, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { raise } from "../../src/process/exit-reason.ts";
import type { Process } from "../../src/process/process.ts";
import { collector, LEFT, type Network, RIGHT, type TestNode, twoNodes } from "../process/network.ts";

const add = atom("add");

/** Answers {add, A, B}. */
function adder(node: TestNode): Process {
  return node.table.serve("adder", {
    call: (request) =>
      request instanceof Tuple ? Number(request.elements[1]) + Number(request.elements[2]) : undefined,
  });
}

async function settled<T>(network: Network, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  await network.settle();
  return promise;
}

describe.each([["local"], ["remote"]])("a call to a %s server", (where) => {
  function setup() {
    const { network, left, right } = twoNodes();
    const node = where === "local" ? left : right;
    return { network, left, node };
  }

  it("gets its answer, by name and by pid", async () => {
    const { network, left, node } = setup();
    const server = adder(node);
    expect(
      await settled(network, left.table.call({ name: "adder", node: node.self }, tuple(add, 1, 2))),
    ).toBe(3);
    expect(await settled(network, left.table.call(server, tuple(add, 3, 4)))).toBe(7);
    expect(await settled(network, left.table.call(server.pid, tuple(add, 3, 4)))).toBe(7);
    expect(network.clock.pending).toBe(0);
  });

  it("may be answered by a promise, and later", async () => {
    const { network, left, node } = setup();
    const { table } = node;
    let late: (() => void) | undefined;
    table.serve("slow", {
      call: (request, from, context) => {
        if (request === 1) return Promise.resolve("soon");
        late = () => context.reply(from, "late");
        return undefined;
      },
    });
    const slow = { name: "slow", node: node.self };
    expect(String(await settled(network, left.table.call(slow, 1)))).toBe("soon");
    const call = left.table.call(slow, 2);
    await network.settle();
    late?.();
    expect(String(await settled(network, call))).toBe("late");
  });

  it("rejects with NO_PROCESS when nobody is there", async () => {
    const { network, left, node } = setup();
    await expect(
      settled(network, left.table.call({ name: "nobody", node: node.self }, 1)),
    ).rejects.toMatchObject({
      code: "NO_PROCESS",
      context: { reason: atom("noproc") },
    });
    expect(network.clock.pending).toBe(0);
  });

  it("rejects with CALL_EXIT and the reason when the server ends", async () => {
    const { network, left, node } = setup();
    node.table.serve("brittle", {
      call: (request) => {
        if (request === 1) raise("exit", atom("my_reason"));
        throw new Error("plain");
      },
    });
    const brittle = { name: "brittle", node: node.self };
    await expect(settled(network, left.table.call(brittle, 1))).rejects.toMatchObject({
      code: "CALL_EXIT",
      context: { reason: atom("my_reason") },
    });
    node.table.serve("brittle", {
      call: async () => {
        throw new Error("plain");
      },
    });
    await expect(settled(network, left.table.call(brittle, 2))).rejects.toMatchObject({
      code: "CALL_EXIT",
      context: { reason: { elements: [atom("js_error"), expect.anything()] } },
    });
  });

  it("rejects with CALL_TIMEOUT; a late answer goes nowhere", async () => {
    const { network, left, node } = setup();
    let answer: (() => void) | undefined;
    node.table.serve("silent", {
      call: (_request, from, context) => {
        answer = () => context.reply(from, 1);
        return undefined;
      },
    });
    const { got, process } = collector(left);
    const call = left.table.call({ name: "silent", node: node.self }, 1, { timeoutMs: 50, as: process });
    call.catch(() => undefined);
    await network.settle();
    network.clock.advance(49);
    network.clock.advance(1);
    await expect(call).rejects.toMatchObject({ code: "CALL_TIMEOUT", context: { timeoutMs: 50 } });
    answer?.();
    await network.settle();
    expect(got).toEqual([]);
    expect(network.clock.pending).toBe(0);
  });

  it("takes 5000 ms unless told otherwise, and Infinity for ever", async () => {
    const { network, left, node } = setup();
    node.table.serve("silent", { call: () => undefined });
    const silent = { name: "silent", node: node.self };
    const call = left.table.call(silent, 1);
    call.catch(() => undefined);
    const forever = left.table.call(silent, 1, { timeoutMs: Number.POSITIVE_INFINITY });
    let over = false;
    forever.catch(() => {
      over = true;
    });
    network.clock.advance(5000);
    await expect(call).rejects.toMatchObject({ code: "CALL_TIMEOUT" });
    network.clock.advance(10 ** 9);
    await network.settle();
    expect(over).toBe(false);
    left.table.close();
    await expect(forever).rejects.toMatchObject({ code: "NODE_CLOSED" });
  });

  it("can be aborted, before and during", async () => {
    const { network, left, node } = setup();
    node.table.serve("silent", { call: () => undefined });
    const abort = new AbortController();
    const call = left.table.call({ name: "silent", node: node.self }, 1, { signal: abort.signal });
    call.catch(() => undefined);
    await network.settle();
    abort.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
    await expect(left.table.call("silent", 1, { signal: abort.signal })).rejects.toThrow("enough");
    expect(network.clock.pending).toBe(0);
  });

  it("is in order with the caller's messages", async () => {
    const { network, left, node } = setup();
    const seen: Term[] = [];
    node.table.serve("order", {
      call: (request) => {
        seen.push(request);
        return 0;
      },
      cast: (message) => void seen.push(message),
      info: (message) => void seen.push(message),
    });
    const process = left.table.spawn();
    const order = { name: "order", node: node.self };
    process.send(order, 1);
    left.table.cast(order, 2, { as: process });
    const call = left.table.call(order, 3, { as: process });
    process.send(order, 4);
    await settled(network, call);
    expect(seen).toEqual([1, 2, 3, 4]);
  });
});

describe("a call", () => {
  it("is rejected when the calling process ends, and when its request cannot be encoded", async () => {
    const { network, left, right } = twoNodes();
    right.table.serve("silent", { call: () => undefined });
    const silent = { name: "silent", node: RIGHT };
    const process = left.table.spawn();
    const call = left.table.call(silent, 1, { as: process });
    call.catch(() => undefined);
    await network.settle();
    process.exit();
    await expect(call).rejects.toMatchObject({ code: "PROCESS_DEAD" });
    await expect(left.table.call(silent, 1, { as: process })).rejects.toMatchObject({ code: "PROCESS_DEAD" });
    await expect(left.table.call(silent, { no: "term" } as unknown as Term)).rejects.toMatchObject({
      code: expect.stringMatching(/^ETF_/),
    });
    expect(network.clock.pending).toBe(0);
  });

  it("is rejected with NO_CONNECTION when there is none, and when it is lost", async () => {
    const { network, left, right } = twoNodes();
    right.table.serve("silent", { call: () => undefined });
    const silent = { name: "silent", node: RIGHT };
    const call = left.table.call(silent, 1);
    call.catch(() => undefined);
    await network.settle();
    network.disconnect(LEFT, RIGHT);
    await expect(call).rejects.toMatchObject({ code: "NO_CONNECTION" });
    network.refused.add(RIGHT);
    await expect(settled(network, left.table.call(silent, 1))).rejects.toMatchObject({
      code: "NO_CONNECTION",
    });
    expect(network.clock.pending).toBe(0);
  });

  it("works with a peer that knows no aliases: the answer comes to the pid and not into the mailbox", async () => {
    const { network, left, right } = twoNodes(HIDDEN_FULL & ~FLAG.ALIAS);
    adder(right);
    const { got, process } = collector(left);
    const call = left.table.call({ name: "adder", node: RIGHT }, tuple(add, 1, 2), { as: process });
    expect(await settled(network, call)).toBe(3);
    expect(got).toEqual([]);
  });

  it("carries the tag [alias | Ref]; a server echoes whatever tag it gets", async () => {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(right, { name: "raw" });
    const call = left.table.call({ name: "raw", node: RIGHT }, 5);
    call.catch(() => undefined);
    await network.settle();
    const [label, from, request] = (got[0] as Tuple).elements as [Term, Tuple, Term];
    expect([label, request]).toEqual([atom("$gen_call"), 5]);
    const tag = from.elements[1] as ImproperList;
    expect([tag.elements, tag.tail]).toEqual([
      [atom("alias")],
      expect.objectContaining({ node: atom(LEFT) }),
    ]);
    process.send(tag.tail as never, tuple(tag, 6));
    expect(await settled(network, call)).toBe(6);
  });

  it.each([
    ["a reference", (process: Process) => process.alias(), "pid"],
    ["an atom", () => atom("tag"), "pid"],
    ["[alias | Alias]", (process: Process) => new ImproperList([atom("alias")], process.alias()), "alias"],
    [
      "[[alias | Alias] | Ref]",
      (process: Process) =>
        new ImproperList([new ImproperList([atom("alias")], process.alias())], process.alias()),
      "alias",
    ],
  ] as const)("with the tag %s is answered rightly", async (_name, make, way) => {
    const { network, left, right } = twoNodes();
    const server = adder(right);
    const { got, process } = collector(left);
    const tag = make(process);
    const ops: number[] = [];
    const signal = left.table.signal.bind(left.table);
    left.table.signal = (connection, one) => {
      ops.push(one.op);
      signal(connection, one);
    };
    process.send(server, tuple(atom("$gen_call"), tuple(process.pid, tag), tuple(add, 1, 1)));
    await network.settle();
    expect(got).toEqual([tuple(tag, 2)]);
    expect(ops).toEqual([way === "alias" ? 37 : 22]);
  });

  it("that is answered with something else is rejected with REPLY_MALFORMED", async () => {
    const { network, left, right } = twoNodes();
    const { got, process } = collector(right, { name: "raw" });
    const call = left.table.call({ name: "raw", node: RIGHT }, 5);
    call.catch(() => undefined);
    await network.settle();
    const from = (got[0] as Tuple).elements[1] as Tuple;
    process.send((from.elements[1] as ImproperList).tail as never, atom("nonsense"));
    await network.settle();
    await expect(call).rejects.toMatchObject({ code: "REPLY_MALFORMED" });
    expect(network.clock.pending).toBe(0);
  });
});

describe("a server", () => {
  it("logs calls it has no handler for, ignores other things, and tells its end", async () => {
    const { network, left } = twoNodes();
    const ends: Term[] = [];
    const server = left.table.serve(undefined, {
      terminate: (reason, context) => void ends.push(reason, context.process.pid),
    });
    const call = left.table.call(server, 1);
    call.catch(() => undefined);
    left.table.cast(server, 1);
    left.table.send(server, tuple(atom("$gen_call"), 1, 2));
    await network.settle();
    expect([server.alive, left.log.length]).toEqual([true, 1]);
    server.exit(atom("enough"));
    expect(ends).toEqual([atom("enough"), server.pid]);
    await network.settle();
    await expect(call).rejects.toMatchObject({ code: "CALL_EXIT" });
  });

  it("that has ended answers nobody, and hurts nobody", async () => {
    const { network, left } = twoNodes();
    let resolve: ((value: Term) => void) | undefined;
    const server = left.table.serve("late", {
      call: () =>
        new Promise<Term>((done) => {
          resolve = done;
        }),
    });
    const call = left.table.call("late", 1);
    call.catch(() => undefined);
    await network.settle();
    server.exit();
    resolve?.(1);
    await network.settle();
    await expect(call).rejects.toMatchObject({ code: "CALL_EXIT" });
    expect(left.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("answers net_adm:ping as net_kernel does, and swallows log events", async () => {
    const { network, left, right } = twoNodes();
    const ping = left.table.call({ name: "net_kernel", node: RIGHT }, tuple(atom("is_auth"), atom(LEFT)));
    expect(await settled(network, ping)).toBe(atom("yes"));
    left.table.send(
      { name: "logger_proxy", node: RIGHT },
      tuple(atom("log"), atom("error"), "text", [], new Map()),
    );
    const unknown = left.table.call({ name: "net_kernel", node: RIGHT }, atom("what"), { timeoutMs: 10 });
    unknown.catch(() => undefined);
    await network.settle();
    network.clock.advance(10);
    await expect(unknown).rejects.toMatchObject({ code: "CALL_TIMEOUT" });
    expect(right.log).toEqual([]);
  });
});
