import { atom, Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import type { ProcessAddress } from "../process/address.ts";
import { ERROR, OK } from "../process/atoms.ts";
import { describe } from "../process/exit-reason.ts";
import type { LocalProcess } from "../process/local-process.ts";
import type { Runtime } from "../process/runtime.ts";
import { type CallOptions, genCall } from "./gen-call.ts";
import type { CallFrom } from "./gen-messages.ts";

const SYSTEM = atom("system");
const GET_STATE = atom("get_state");
const GET_STATUS = atom("get_status");
const SUSPEND = atom("suspend");
const RESUME = atom("resume");
const TERMINATE = atom("terminate");
const DEBUG = atom("debug");
const NO_DEBUG = atom("no_debug");
const STATUS = atom("status");
const CALLBACK_FAILED = atom("callback_failed");
const UNKNOWN = atom("unknown_system_msg");

/**
 * OTP's `sys` for processes of other nodes (and ours): look at a gen_server, gen_statem or gen_event, hold it, end it.
 * All reject as `ProcessTable.call` does; `SYS_REFUSED` when the process answers with an error.
 */
export class SystemCalls {
  readonly #runtime: Runtime;
  readonly #caller: () => LocalProcess;

  /** @param caller the process in whose name requests are made */
  constructor(runtime: Runtime, caller: () => LocalProcess) {
    this.#runtime = runtime;
    this.#caller = caller;
  }

  /**
   * `sys:get_state/2`: a gen_server's state, a gen_statem's `{State, Data}`, the handlers of a gen_event. OTP 26 and later
   * answer `{ok, State}`, older ones the state alone; a state of the form `{ok, Any}` of those comes as `Any`.
   */
  async getState(of: ProcessAddress, options?: CallOptions): Promise<Term> {
    const answer = await this.#request(of, GET_STATE, options);
    if (!(answer instanceof Tuple) || answer.size !== 2) return answer;
    const [what, value] = answer.elements;
    if (what === OK) return value as Term;
    if (what === ERROR && value instanceof Tuple && value.elements[0] === CALLBACK_FAILED)
      throw refused("get_state", answer);
    return answer;
  }

  /** `sys:get_status/2`: `{status, Pid, {module, Module}, Items}`. */
  async getStatus(of: ProcessAddress, options?: CallOptions): Promise<Term> {
    const answer = await this.#request(of, GET_STATUS, options);
    if (answer instanceof Tuple && answer.elements[0] === STATUS) return answer;
    throw refused("get_status", answer);
  }

  /** `sys:suspend/2`: the process handles nothing but system messages until it is resumed. */
  async suspend(of: ProcessAddress, options?: CallOptions): Promise<void> {
    await this.#expectOk(of, SUSPEND, options);
  }

  /** `sys:resume/2`: ends what {@link SystemCalls.suspend} began. */
  async resume(of: ProcessAddress, options?: CallOptions): Promise<void> {
    await this.#expectOk(of, RESUME, options);
  }

  /** `sys:terminate/3`. */
  async terminate(of: ProcessAddress, reason: Term, options?: CallOptions): Promise<void> {
    await this.#expectOk(of, tuple(TERMINATE, reason), options);
  }

  async #expectOk(of: ProcessAddress, request: Term, options: CallOptions | undefined): Promise<void> {
    const answer = await this.#request(of, request, options);
    if (answer !== OK) throw refused(describe(request), answer);
  }

  #request(of: ProcessAddress, request: Term, options: CallOptions | undefined): Promise<Term> {
    return genCall(this.#caller(), this.#runtime, of, request, options, SYSTEM);
  }
}

/** A request of `sys` to one of our servers. */
export interface SystemRequest {
  readonly from: CallFrom;
  readonly request: Term;
}

/** The request in `{system, {Pid, Tag}, Request}`; undefined for any other message. */
export function systemRequest(message: Term): SystemRequest | undefined {
  if (!(message instanceof Tuple) || message.size !== 3 || message.elements[0] !== SYSTEM) return undefined;
  const [, from, request] = message.elements;
  if (!(from instanceof Tuple) || from.size !== 2 || request === undefined) return undefined;
  const [pid, tag] = from.elements;
  return pid instanceof Pid && tag !== undefined ? { from: { pid, tag }, request } : undefined;
}

/** What `sys` may do with a server of ours. */
export interface Supervised {
  readonly pid: Pid;
  readonly suspended: boolean;
  state(): Term;
  suspend(): void;
  resume(): void;
}

/** What a gen_server answers to a request of `sys`, and does (stdlib `sys.erl`, `do_cmd`). */
export function handleSystem(server: Supervised, request: Term): { answer: Term; terminate?: Term } {
  // the form of OTP 26 and later, which fail with the older one; the older ones show it with the ok
  if (request === GET_STATE) return { answer: tuple(OK, server.state()) };
  if (request === GET_STATUS) return { answer: status(server) };
  if (request === SUSPEND) {
    server.suspend();
    return { answer: OK };
  }
  if (request === RESUME) {
    server.resume();
    return { answer: OK };
  }
  if (request instanceof Tuple && request.size === 2) {
    const [what, argument] = request.elements;
    if (what === TERMINATE) return { answer: OK, terminate: argument as Term };
    if (what === DEBUG && argument === NO_DEBUG) return { answer: OK };
  }
  return { answer: tuple(ERROR, tuple(UNKNOWN, request)) };
}

function status(server: Supervised): Term {
  const running = atom(server.suspended ? "suspended" : "running");
  const data = (items: readonly Term[]) => tuple(atom("data"), items);
  const items = [
    [],
    running,
    server.pid,
    [],
    [
      tuple(atom("header"), charlist("Status for generic server of @isthmus/core")),
      data([tuple(charlist("Status"), running), tuple(charlist("Parent"), server.pid)]),
      data([tuple(charlist("State"), server.state())]),
    ],
  ];
  return tuple(STATUS, server.pid, tuple(atom("module"), atom("gen_server")), items);
}

function charlist(text: string): number[] {
  return [...Buffer.from(text)];
}

function refused(request: string, answer: Term): Error {
  return coreError("SYS_REFUSED", `The process refused ${request}: ${describe(answer)}.`, {
    context: { reason: answer },
  });
}
