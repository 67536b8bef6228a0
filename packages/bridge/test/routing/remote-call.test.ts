import { Signal } from "@isthmus/core/channel";
import {
  atom,
  ExportFun,
  encode,
  ImproperList,
  Pid,
  Reference,
  type Term,
  TermMap,
  tuple,
} from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { OPERATION } from "../../src/policy/operation.ts";
import { hasFun, rexCall, spawnedCall } from "../../src/routing/remote-call.ts";

const pid = new Pid(atom("a1@h"), 90, 0, 5);
const ref = new Reference(atom("a1@h"), 5, [1, 2, 3]);
const [orders, lookup] = [atom("orders"), atom("lookup")];

function signal(body: Term, mfa?: readonly [string, string, number]): Signal {
  const made = new Signal();
  made.bytes = Buffer.from(encode(body));
  made.bodyStart = 1;
  made.bodyEnd = made.bytes.length;
  if (mfa !== undefined) {
    made.module = atom(mfa[0]);
    made.function = atom(mfa[1]);
    made.arity = mfa[2];
  }
  return made;
}

describe("what a spawn request would run", () => {
  it("is the function itself", () => {
    expect(spawnedCall(signal([1, "text"], ["orders", "lookup", 2]))).toMatchObject({
      operation: OPERATION.SPAWN,
      mfa: "orders:lookup/2",
    });
    expect(spawnedCall(signal([], ["orders", "all", 0]))).toMatchObject({ mfa: "orders:all/0" });
    // a list of small integers has a form of its own
    expect(spawnedCall(signal([1, 2, 3], ["orders", "lookup", 3]))).toMatchObject({ mfa: "orders:lookup/3" });
  });

  it("is what erpc is asked to call", () => {
    const call = [ref, orders, lookup, [1, 2]];
    expect(spawnedCall(signal(call, ["erpc", "execute_call", 4]))).toMatchObject({
      operation: OPERATION.CALL,
      mfa: "orders:lookup/2",
    });
    expect(spawnedCall(signal([orders, lookup, []], ["erpc", "execute_cast", 3]))).toMatchObject({
      operation: OPERATION.CAST,
      mfa: "orders:lookup/0",
    });
  });

  it.each<[string, Term, readonly [string, string, number]]>([
    ["another number of arguments", [1], ["orders", "lookup", 2]],
    ["arguments that are no list", atom("x"), ["orders", "lookup", 1]],
    ["an improper list", new ImproperList([1], atom("x")), ["orders", "lookup", 1]],
    ["a module that is no atom", [ref, 1, lookup, []], ["erpc", "execute_call", 4]],
    ["a function that is no atom", [ref, orders, [], []], ["erpc", "execute_call", 4]],
    ["inner arguments that are no list", [ref, orders, lookup, tuple()], ["erpc", "execute_call", 4]],
    [
      "an inner list that is improper",
      [ref, orders, lookup, new ImproperList([1], 2)],
      ["erpc", "execute_call", 4],
    ],
  ])("is unknown with %s", (_what, body, mfa) => {
    expect(spawnedCall(signal(body, mfa))).toBeUndefined();
  });
});

describe("what a message to rex would run", () => {
  const request = (verb: string): Term => tuple(atom(verb), orders, lookup, [1, 2], pid);

  it.each<[string, Term, number]>([
    ["a call", tuple(atom("$gen_call"), tuple(pid, ref), request("call")), OPERATION.CALL],
    ["a block_call", tuple(atom("$gen_call"), tuple(pid, ref), request("block_call")), OPERATION.CALL],
    ["a cast", tuple(atom("$gen_cast"), request("cast")), OPERATION.CAST],
    ["a plain message", tuple(pid, request("call")), OPERATION.CALL],
  ])("%s", (_what, body, operation) => {
    expect(rexCall(signal(body))).toMatchObject({ operation, mfa: "orders:lookup/2" });
  });

  it.each<[string, Term]>([
    ["something else", atom("x")],
    ["another label", tuple(atom("system"), tuple(pid, ref), request("call"))],
    ["another verb", tuple(atom("$gen_call"), tuple(pid, ref), request("apply"))],
    ["a cast in a call", tuple(atom("$gen_call"), tuple(pid, ref), request("cast"))],
    ["a shorter request", tuple(atom("$gen_cast"), tuple(atom("cast"), orders, lookup, []))],
    ["sbcast", tuple(pid, tuple(atom("sbcast"), orders, atom("x")))],
    ["an atom and a request", tuple(atom("x"), request("call"))],
  ])("is unknown for %s", (_what, body) => {
    expect(rexCall(signal(body))).toBeUndefined();
  });
});

describe("a fun in arguments", () => {
  const found = (term: Term): boolean => {
    const bytes = Buffer.from(encode(term));
    return hasFun(bytes, 1, bytes.length);
  };
  const fun = new ExportFun(atom("os"), atom("cmd"), 1);

  it("is found wherever it is", () => {
    for (const term of [
      fun,
      [fun],
      tuple(1, fun),
      new ImproperList([1, 2], fun),
      tuple(...Array.from({ length: 300 }, () => 1), fun),
      new TermMap([[atom("a"), [tuple(pid, ref, 1.5, Buffer.from("x"), "text", [1, 2], 2n ** 80n, fun)]]]),
    ])
      expect(found(term)).toBe(true);
  });

  it("is not what only has its tag in it", () => {
    expect(
      found([112, 113, Buffer.of(112, 113, 113), "qqqq", atom("qp"), [113, 113], 113n ** 20n, pid, ref]),
    ).toBe(false);
  });
});
