import { Atom, atom, Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import { EXIT } from "../process/atoms.ts";
import type { Runtime } from "../process/runtime.ts";
import type { Exposed, Outcome } from "./exposed.ts";
import { callerOf, isCast, reply } from "./gen-messages.ts";

const REX = atom("rex");
const CALL = atom("call");
const BLOCK_CALL = atom("block_call");
const CAST = atom("cast");
const BADRPC = atom("badrpc");
const SEND = atom("send");
const SBCAST = atom("sbcast");
const NONEXISTING_NAME = atom("nonexisting_name");
const FEATURES_REQUEST = atom("features_request");
const FEATURES_REPLY = atom("features_reply");
const ERPC = atom("erpc");

/** What {@link startRex} has been asked to run. */
interface Job {
  readonly module: Atom;
  readonly name: Atom;
  readonly args: readonly Term[];
}

/** `rex`, the server of `rpc`: runs exposed functions for callers that do not use `erpc` (PROTOCOL 8.3). */
export function startRex(runtime: Runtime, exposed: Exposed): void {
  const { context, outbound, registry } = runtime;
  const run = (job: Job, answer: (value: Term) => void): void => {
    const outcome = exposed.run(job.module, job.name, job.args);
    if (outcome instanceof Promise) void outcome.then((late) => server.alive && answer(replyOf(late)));
    else answer(replyOf(outcome));
  };
  const server = runtime.spawn({
    name: REX,
    onMessage: (message) => {
      const from = callerOf(message);
      if (from !== undefined) {
        const job = jobOf((message as Tuple).elements[2] as Term, CALL, BLOCK_CALL);
        if (job !== undefined)
          run(job, (value) => answerSafely(value, (sent) => reply(server, outbound, from, sent)));
        return;
      }
      if (isCast(message)) {
        const job = jobOf(message.elements[1] as Term, CAST, CAST);
        if (job !== undefined) run(job, () => undefined);
        return;
      }
      if (message instanceof Tuple && message.size === 2)
        raw(message.elements[0] as Term, message.elements[1] as Term);
    },
  });

  /** Plain messages `{From, Request}`. */
  const raw = (from: Term, request: Term): void => {
    if (!(from instanceof Pid)) return;
    const job = jobOf(request, CALL, CALL);
    if (job !== undefined) {
      run(job, (value) => answerSafely(value, (sent) => server.send(from, tuple(REX, sent))));
    } else if (request === FEATURES_REQUEST) {
      server.send(from, tuple(FEATURES_REPLY, context.self, [ERPC]));
    } else if (request instanceof Tuple && request.size === 3) {
      const [kind, name, message] = request.elements;
      if (!(name instanceof Atom) || message === undefined || (kind !== SEND && kind !== SBCAST)) return;
      const known = registry.whereis(name) !== undefined;
      if (known) server.send(name, message);
      if (kind === SBCAST) {
        server.send(from, tuple(REX, context.self, known ? context.self : tuple(NONEXISTING_NAME, name)));
      }
    }
  };
}

/** `{Kind, Module, Function, Args, GroupLeader}`. */
function jobOf(request: Term, kind: Atom, other: Atom): Job | undefined {
  if (!(request instanceof Tuple) || request.size !== 5) return undefined;
  const [found, module, name, args] = request.elements;
  if (found !== kind && found !== other) return undefined;
  return module instanceof Atom && name instanceof Atom && Array.isArray(args)
    ? { module, name, args }
    : undefined;
}

/** As `case catch apply(M, F, A) of {'EXIT', _} = E -> {badrpc, E}; R -> R end`. */
function replyOf(outcome: Outcome): Term {
  switch (outcome.class) {
    case "return":
      return outcome.value;
    case "throw":
      return outcome.reason;
    case "exit":
      return tuple(BADRPC, tuple(EXIT, outcome.reason));
    case "error":
      return tuple(BADRPC, tuple(EXIT, tuple(outcome.reason, outcome.stack)));
  }
}

/** A result that is no term must not end the server for all. */
function answerSafely(value: Term, send: (value: Term) => void): void {
  try {
    send(value);
  } catch {
    send(tuple(BADRPC, tuple(EXIT, atom("badarg"))));
  }
}
