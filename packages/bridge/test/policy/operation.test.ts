import { atom, encode, ImproperList, inspectTerm, Pid, Reference, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { ADDRESSED, messageOperation, OPERATIONS } from "../../src/policy/operation.ts";

const pid = new Pid(atom("a1@h"), 90, 0, 5);
const ref = new Reference(atom("a1@h"), 5, [1, 2, 3]);
const alias = new ImproperList([atom("alias")], ref);
const gl = pid;

function operation(term: Term, addressed: number = ADDRESSED.PID): string {
  const bytes = Buffer.from(encode(term));
  return OPERATIONS[messageOperation(bytes, 1, bytes.length, addressed)] ?? "none";
}

const call = (request: Term): Term => tuple(atom("$gen_call"), tuple(pid, alias), request);
const cast = (request: Term): Term => tuple(atom("$gen_cast"), request);
const mfa = (name: string): Term => tuple(atom(name), atom("os"), atom("cmd"), ["id"], gl);

describe("the operation of a message", () => {
  it.each<[string, Term]>([
    ["call", call(atom("whoami"))],
    ["call", call(tuple(atom("add"), 1, 2))],
    ["call", tuple(pid, tuple(pid, ref), tuple(atom("call"), atom("handler"), atom("q")))],
    ["cast", cast(tuple(atom("note"), 1))],
    ["info", atom("hello")],
    ["info", 42],
    ["info", []],
    ["info", tuple()],
    ["info", tuple(atom("$gen_call"), 1)],
    ["info", tuple(atom("DOWN"), ref, atom("process"), pid, atom("x"))],
    ["reply", tuple(ref, atom("answer"))],
    ["reply", tuple(alias, atom("answer"))],
    ["reply", tuple(atom("rex"), atom("answer"))],
    ["reply", tuple(atom("io_reply"), ref, atom("ok"))],
    ["io", tuple(atom("io_request"), pid, ref, tuple(atom("put_chars"), atom("unicode"), "x"))],
    ["system", tuple(atom("system"), tuple(pid, ref), atom("get_state"))],
    ["exit", tuple(atom("EXIT"), pid, atom("kill"))],
    ["spawn", call(mfa("call"))],
    ["spawn", call(mfa("block_call"))],
    ["spawn", cast(mfa("cast"))],
    ["spawn", tuple(pid, mfa("call"))],
    ["spawn", call(mfa("spawn"))],
    ["spawn", call(mfa("spawn_link"))],
    ["spawn", call(tuple(atom("spawn_opt"), atom("os"), atom("cmd"), ["id"], [], atom("undefined"), gl))],
    ["spawn", call(tuple(atom("start_child"), tuple(atom("x"))))],
    ["spawn", tuple(pid, tuple(pid, ref), tuple(atom("add_handler"), atom("os"), []))],
    ["spawn", tuple(atom("code_call"), pid, tuple(atom("load_file"), atom("m")))],
  ])("%s: by pid", (expected, term) => {
    expect(operation(term), inspectTerm(term)).toBe(expected);
  });

  it("by name, what an application's server takes as a request is a request", () => {
    expect(operation(call(tuple(atom("start_child"), tuple(atom("x")))), ADDRESSED.NAME)).toBe("call");
    expect(operation(cast(mfa("cast")), ADDRESSED.NAME)).toBe("cast");
    expect(operation(tuple(pid, mfa("call")), ADDRESSED.NAME)).toBe("info");
    expect(operation(tuple(atom("system"), tuple(pid, ref), atom("suspend")), ADDRESSED.NAME)).toBe("system");
  });

  it("what asks the loader of code for a file is told where the loader may be", () => {
    const request = tuple(pid, tuple(atom("get_file"), "/etc/passwd"));
    expect(operation(request, ADDRESSED.LOADER)).toBe("spawn");
    expect(operation(request, ADDRESSED.PID)).toBe("info");
    expect(operation(tuple(pid, tuple(atom("hello"), 1)), ADDRESSED.LOADER)).toBe("info");
  });

  it("a plain message to an alias is an answer; what has a form of its own stays what it is", () => {
    expect(operation(atom("anything"), ADDRESSED.ALIAS)).toBe("reply");
    expect(operation(call(atom("x")), ADDRESSED.ALIAS)).toBe("call");
    expect(operation(tuple(atom("system"), tuple(pid, ref), atom("x")), ADDRESSED.ALIAS)).toBe("system");
  });

  it("is the same in every form that a term can be written in", () => {
    const forms: ((name: string) => Buffer)[] = [
      (name) => Buffer.concat([Buffer.of(119, name.length), Buffer.from(name)]),
      (name) => Buffer.concat([Buffer.of(118, 0, name.length), Buffer.from(name)]),
      (name) => Buffer.concat([Buffer.of(115, name.length), Buffer.from(name)]),
      (name) => Buffer.concat([Buffer.of(100, 0, name.length), Buffer.from(name)]),
    ];
    for (const form of forms) {
      for (const head of [Buffer.of(104, 3), Buffer.of(105, 0, 0, 0, 3)]) {
        const bytes = Buffer.concat([head, form("system"), Buffer.of(104, 1, 106, 106)]);
        expect(OPERATIONS[messageOperation(bytes, 0, bytes.length, ADDRESSED.NAME)]).toBe("system");
      }
      const request = Buffer.concat([Buffer.of(105, 0, 0, 0, 2), form("start_child"), Buffer.of(106)]);
      // whoever asks may call himself anything
      const bytes = Buffer.concat([
        Buffer.of(104, 3),
        form("$gen_call"),
        Buffer.of(116, 0, 0, 0, 0),
        request,
      ]);
      expect(OPERATIONS[messageOperation(bytes, 0, bytes.length, ADDRESSED.PID)]).toBe("spawn");
    }
  });

  it("cuts at any place are no reason to read beyond", () => {
    for (const term of [call(mfa("call")), tuple(atom("system"), tuple(pid, ref), atom("x"))]) {
      const bytes = Buffer.from(encode(term)).subarray(1);
      for (let end = 1; end < bytes.length; end++) {
        const cut = Buffer.from(bytes.subarray(0, end));
        try {
          expect(messageOperation(cut, 0, end, ADDRESSED.PID)).toBeTypeOf("number");
        } catch (error) {
          expect(error).toMatchObject({ code: "ETF_TRUNCATED" });
        }
      }
    }
  });

  it("is unknown for a compressed body", () => {
    expect(messageOperation(Buffer.of(80, 0, 0, 0, 1, 0), 0, 6, ADDRESSED.PID)).toBe(-1);
  });
});
