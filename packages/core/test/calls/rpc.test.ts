import { FLAG, HIDDEN_FULL } from "@isthmus/dist-handshake";
import { atom, Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import type { ExposedFunction } from "../../src/calls/exposed.ts";
import { raise } from "../../src/process/exit-reason.ts";
import { collector, LEFT, type Network, RIGHT, twoNodes } from "../process/network.ts";

const boom = atom("boom");
const undef = atom("undef");

const functions: Record<string, ExposedFunction> = {
  "math:add/2": (a, b) => Number(a) + Number(b),
  "math:later/1": async (value) => {
    await Promise.resolve();
    return value as Term;
  },
  "math:nothing/0": () => undefined,
  "math:thrown/0": () => raise("throw", boom),
  "math:exited/0": () => raise("exit", boom),
  "math:failed/0": () => raise("error", boom),
  "math:broken/0": () => {
    throw new Error("plain");
  },
  "math:rejected/0": () => Promise.reject(new Error("by promise")),
  "math:not_a_term/0": () => ({ no: "term" }) as unknown as Term,
};

async function settled<T>(network: Network, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  await network.settle();
  return promise;
}

describe.each([
  ["erpc.call", HIDDEN_FULL, "call"],
  ["rpc", HIDDEN_FULL, "rpc"],
  ["rpc through rex, to a node that cannot be asked to spawn", HIDDEN_FULL & ~FLAG.SPAWN, "rpc"],
] as const)("%s", (_name, flags, method) => {
  function setup() {
    const { network, left, right } = twoNodes(flags);
    right.table.expose(functions);
    const call = (name: string, ...args: Term[]): Promise<Term> =>
      settled(network, left.table.erpc[method](RIGHT, "math", name, args));
    return { network, left, right, call };
  }
  const throughRex = (flags & FLAG.SPAWN) === 0n;

  it("gives results, also of promises; undefined is ok", async () => {
    const { call, network, right } = setup();
    const before = right.table.size;
    expect(await call("add", 1, 2)).toBe(3);
    expect(await call("later", tuple(1, [2]))).toEqual(tuple(1, [2]));
    expect(await call("nothing")).toBe(atom("ok"));
    expect([right.table.size, network.clock.pending]).toEqual([before, 0]);
  });

  it("rejects with class, reason and stack of what was raised", async () => {
    const { call } = setup();
    if (throughRex) expect(await call("thrown")).toBe(boom);
    else
      await expect(call("thrown")).rejects.toMatchObject({
        code: "RPC_FAILED",
        context: { class: "throw", reason: boom },
      });
    await expect(call("exited")).rejects.toMatchObject({
      code: "RPC_FAILED",
      context: { class: "exit", reason: boom },
    });
    const failed = await call("failed").catch(
      (error: unknown) => error as { code: string; context: { reason: Term; stack: Term } },
    );
    const stack = [tuple(atom("math"), atom("failed"), 0, [])];
    const { reason } = (failed as { context: { reason: Term } }).context;
    expect(reason).toEqual(throughRex ? tuple(boom, stack) : boom);
    if (!throughRex) expect((failed as { context: { stack: Term } }).context.stack).toEqual(stack);
    await expect(call("broken")).rejects.toThrow(/js_error/u);
    await expect(call("rejected")).rejects.toMatchObject({ code: "RPC_FAILED" });
  });

  it("what is not exposed does not exist", async () => {
    const { call } = setup();
    const failed = await call("add", 1).catch(
      (error: unknown) => error as { context: { reason: Term; stack: Term } },
    );
    const { reason, stack } = (failed as { context: { reason: Term; stack: Term } }).context;
    const where = [tuple(atom("math"), atom("add"), [1], [])];
    expect(throughRex ? reason : tuple(reason, stack)).toEqual(tuple(undef, where));
  });

  it("a result that is no term is an error, and the server lives", async () => {
    const { call } = setup();
    await expect(call("not_a_term")).rejects.toMatchObject({ code: "RPC_FAILED" });
    expect(await call("add", 2, 2)).toBe(4);
  });

  it("rejects with NO_CONNECTION and CALL_TIMEOUT", async () => {
    const { left, right, network } = setup();
    right.table.expose({ "slow:never/0": () => new Promise<Term>(() => undefined) });
    const late = left.table.erpc[method](RIGHT, "slow", "never", [], { timeoutMs: 20 });
    late.catch(() => undefined);
    await network.settle();
    network.clock.advance(20);
    await expect(late).rejects.toMatchObject({ code: "CALL_TIMEOUT" });
    const lost = left.table.erpc[method](RIGHT, "slow", "never", []);
    lost.catch(() => undefined);
    await network.settle();
    network.disconnect(LEFT, RIGHT);
    await expect(lost).rejects.toMatchObject({ code: "NO_CONNECTION" });
    network.refused.add(RIGHT);
    const refused = left.table.erpc[method](RIGHT, "math", "add", [1, 2]);
    await expect(settled(network, refused)).rejects.toMatchObject({ code: "NO_CONNECTION" });
    expect(network.clock.pending).toBe(0);
  });
});

describe("erpc", () => {
  it("call to a node that cannot be asked to spawn rejects with notsup", async () => {
    const { network, left } = twoNodes(HIDDEN_FULL & ~FLAG.SPAWN);
    await expect(settled(network, left.table.erpc.call(RIGHT, "m", "f", []))).rejects.toMatchObject({
      code: "RPC_FAILED",
      context: { class: "error", reason: tuple(atom("erpc"), atom("notsup")) },
    });
  });

  it("works on our own node", async () => {
    const { network, left } = twoNodes();
    left.table.expose(functions);
    expect(await settled(network, left.table.erpc.call(LEFT, "math", "add", [1, 2]))).toBe(3);
    await expect(settled(network, left.table.erpc.call(LEFT, "math", "nope", []))).rejects.toMatchObject({
      context: { reason: undef },
    });
  });

  it.each([[HIDDEN_FULL], [HIDDEN_FULL & ~FLAG.SPAWN]])(
    "cast runs the function and tells nothing",
    async (flags) => {
      const { network, left, right } = twoNodes(flags);
      const seen: Term[] = [];
      right.table.expose({
        "log:note/1": (term) => {
          seen.push(term as Term);
          throw new Error("nobody cares");
        },
      });
      left.table.erpc.cast(RIGHT, "log", "note", [5]);
      left.table.erpc.cast(RIGHT, "no", "such", []);
      await network.settle();
      expect(seen).toEqual([5]);
    },
  );

  it("multicall gives the results in order, failures included", async () => {
    const { network, left, right } = twoNodes();
    left.table.expose(functions);
    right.table.expose(functions);
    network.refused.add("gone@h");
    const results = await settled(
      network,
      left.table.erpc.multicall([RIGHT, "gone@h", LEFT], "math", "add", [1, 2]),
    );
    expect(results).toEqual([
      { node: RIGHT, ok: true, value: 3 },
      { node: "gone@h", ok: false, error: expect.objectContaining({ code: "NO_CONNECTION" }) },
      { node: LEFT, ok: true, value: 3 },
    ]);
  });

  it("a call that is given up takes its monitor back, and the result goes nowhere", async () => {
    const { network, left, right } = twoNodes();
    let finish: ((value: Term) => void) | undefined;
    right.table.expose({
      "slow:run/0": () =>
        new Promise<Term>((resolve) => {
          finish = resolve;
        }),
    });
    const ops: number[] = [];
    const signal = right.table.signal.bind(right.table);
    right.table.signal = (connection, one) => {
      ops.push(one.op);
      signal(connection, one);
    };
    const early = new AbortController();
    const abandoned = left.table.erpc.call(RIGHT, "slow", "run", [], { signal: early.signal });
    abandoned.catch(() => undefined);
    early.abort(new Error("at once"));
    await expect(abandoned).rejects.toThrow("at once");
    await network.settle();
    expect(ops).toEqual([29, 20]);
    finish?.(1);
    await network.settle();
    expect(left.violations).toEqual([]);
  });
});

describe("spawn of an exposed function", () => {
  it("makes a process that can be killed", async () => {
    const { network, left, right } = twoNodes();
    right.table.expose({ "slow:never/0": () => new Promise<Term>(() => undefined) });
    const call = left.table.erpc.call(RIGHT, "slow", "never", []);
    call.catch(() => undefined);
    const before = right.table.size;
    await network.settle();
    expect(right.table.size).toBe(before + 1);
    const { process } = collector(left);
    // its pid is the one before the next that is made
    const { node, id, serial, creation } = right.table.spawn().pid;
    process.exitOther(new Pid(node, id - 1, serial, creation), atom("kill"));
    await network.settle();
    await expect(call).rejects.toMatchObject({
      code: "RPC_FAILED",
      context: { class: "exit", reason: tuple(atom("signal"), atom("killed")) },
    });
  });
});

describe("rex", () => {
  it("serves raw requests", async () => {
    const { network, left, right } = twoNodes();
    right.table.expose(functions);
    const inbox = collector(right, { name: "inbox" });
    const { got, process } = collector(left);
    const rex = { name: "rex", node: RIGHT };
    const ask = (request: Term): void => process.send(rex, tuple(process.pid, request));
    ask(tuple(atom("call"), atom("math"), atom("add"), [1, 2], atom("user")));
    ask(atom("features_request"));
    ask(tuple(atom("sbcast"), atom("inbox"), 7));
    ask(tuple(atom("sbcast"), atom("nobody"), 7));
    ask(tuple(atom("send"), atom("inbox"), 8));
    ask(tuple(atom("what"), 1, 2));
    process.send(rex, tuple(atom("not a pid"), atom("features_request")));
    await network.settle();
    const right_ = atom(RIGHT);
    expect(got).toEqual([
      tuple(atom("rex"), 3),
      tuple(atom("features_reply"), right_, [atom("erpc")]),
      tuple(atom("rex"), right_, right_),
      tuple(atom("rex"), right_, tuple(atom("nonexisting_name"), atom("nobody"))),
    ]);
    expect(inbox.got).toEqual([7, 8]);
    expect(right.table.whereis("rex")?.alive).toBe(true);
  });

  it("block_call is a call", async () => {
    const { network, left, right } = twoNodes();
    right.table.expose(functions);
    const request = tuple(atom("block_call"), atom("math"), atom("add"), [1, 2], atom("user"));
    expect(await settled(network, left.table.call({ name: "rex", node: RIGHT }, request))).toBe(3);
  });
});

describe("expose", () => {
  it("refuses what is no function name, and names that are there; and takes back", async () => {
    const { network, left, right } = twoNodes();
    const { table } = right;
    for (const key of ["add", "math:add", "math:add/x", "math:add/256", ":add/1", "math:/1"]) {
      expect(() => table.expose({ [key]: () => 1 })).toThrow(
        expect.objectContaining({ code: "OPTION_INVALID" }),
      );
    }
    const take = table.expose({ "a:b/0": () => 1 });
    expect(() => table.expose({ "a:b/0": () => 2 })).toThrow(expect.objectContaining({ code: "NAME_TAKEN" }));
    take();
    await expect(settled(network, left.table.erpc.call(RIGHT, "a", "b", []))).rejects.toMatchObject({
      context: { reason: undef },
    });
    table.expose({ "a:b/0": () => 2 });
    expect(await settled(network, left.table.erpc.call(RIGHT, "a", "b", []))).toBe(2);
  });

  it("names may have any characters", async () => {
    const { network, left, right } = twoNodes();
    right.table.expose({ "Elixir.My.Mod:go!:x/1": (value) => new Tuple([value as Term]) });
    expect(await settled(network, left.table.erpc.call(RIGHT, "Elixir.My.Mod", "go!:x", [1]))).toEqual(
      tuple(1),
    );
  });
});
