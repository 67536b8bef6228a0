import { atom, ExportFun, encode, Fun, Pid, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { hasEvaluatedFun } from "../../src/policy/funs.ts";

const pid = new Pid(atom("a1@h"), 90, 0, 5);
const fun = (module: string): Fun =>
  new Fun({
    arity: 0,
    uniq: Buffer.alloc(16, 7),
    index: 3,
    module: atom(module),
    oldIndex: 1,
    oldUniq: 2,
    creator: pid,
    free: [atom("bindings"), [1, 2]],
  } as never);

function found(term: Term): boolean {
  const bytes = Buffer.from(encode(term));
  return hasEvaluatedFun(bytes, 1, bytes.length);
}

describe("a fun of erl_eval", () => {
  it("is found wherever it is", () => {
    expect(found(fun("erl_eval"))).toBe(true);
    for (let padding = 0; padding < 40; padding++) {
      const filled = Buffer.alloc(padding, "erl_eva");
      expect(found(tuple(filled, [atom("x"), new Map([[1, fun("erl_eval")]])], filled))).toBe(true);
    }
  });

  it("is found wherever it is in a long message", () => {
    for (let padding = 2000; padding < 2100; padding++) {
      const filled = Buffer.alloc(padding, "erl_evaerl_eva_eva");
      expect(found(tuple(filled, fun("erl_eval"), Buffer.alloc(5000, 1)))).toBe(true);
      expect(found(tuple(filled, fun("erl_evap"), filled))).toBe(false);
      expect(found(tuple(fun("erl_eval"), filled))).toBe(true);
      expect(found(tuple(filled, fun("erl_eval")))).toBe(true);
    }
  });

  it("is found in every form of its module's name", () => {
    const plain = Buffer.from(encode(fun("erl_eval")));
    const at = plain.indexOf("erl_eval") - 2;
    for (const head of [Buffer.of(118, 0, 8), Buffer.of(100, 0, 8), Buffer.of(115, 8), Buffer.of(119, 8)]) {
      const bytes = Buffer.concat([plain.subarray(0, at), head, plain.subarray(at + 2)]);
      expect(hasEvaluatedFun(bytes, 1, bytes.length)).toBe(true);
    }
  });

  it("is not what only mentions the module, nor another fun", () => {
    expect(found(fun("lists"))).toBe(false);
    expect(found(new ExportFun(atom("erl_eval"), atom("expr"), 2))).toBe(false);
    expect(found([tuple(atom("erl_eval"), atom("do_apply"), 6, []), Buffer.from("erl_eval")])).toBe(false);
    expect(found(Buffer.alloc(10_000, "erl_eval"))).toBe(false);
    expect(found(atom("erl_eval"))).toBe(false);
  });

  it("is not looked for beyond the message", () => {
    const bytes = Buffer.from(encode(fun("erl_eval")));
    expect(hasEvaluatedFun(bytes, 1, bytes.indexOf("erl_eval") + 7)).toBe(false);
    expect(hasEvaluatedFun(bytes, 2, bytes.length)).toBe(false);
  });
});
