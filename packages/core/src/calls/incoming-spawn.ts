import { Atom, atom, Reference, type Term, Tuple, tuple } from "@isthmus/etf";
import { isIsthmusError } from "@isthmus/wire";
import { ERROR } from "../process/atoms.ts";
import { describe } from "../process/exit-reason.ts";
import type { LocalProcess } from "../process/local-process.ts";
import type { SpawnRequest } from "../process/outbound.ts";
import type { Runtime } from "../process/runtime.ts";
import { type Exposed, exitReasonOf, type Outcome } from "./exposed.ts";

export const ERPC: Atom = atom("erpc");
export const EXECUTE_CALL: Atom = atom("execute_call");
export const EXECUTE_CAST: Atom = atom("execute_cast");
const LINK = atom("link");
export const MONITOR: Atom = atom("monitor");
const BADOPT = atom("badopt");
const SYSTEM_LIMIT = atom("system_limit");

/** Options of spawn that carry a value and change nothing here (PROTOCOL 7.3). */
const IGNORED: ReadonlySet<string> = new Set([
  "priority",
  "fullsweep_after",
  "min_heap_size",
  "min_bin_vheap_size",
  "max_heap_size",
  "message_queue_data",
  "async_dist",
  "scheduler",
]);

const LINK_FLAG = 1;
const MONITOR_FLAG = 2;

/**
 * Answers requests to spawn, which is how erpc, rpc and `spawn/4` of other nodes arrive. What is not exposed behaves
 * as a function that does not exist: a process that ends with `undef` at once, so that callers see exactly what they
 * would see of a BEAM without that module.
 */
export class IncomingSpawn {
  readonly #runtime: Runtime;
  readonly #exposed: Exposed;

  constructor(runtime: Runtime, exposed: Exposed) {
    this.#runtime = runtime;
    this.#exposed = exposed;
  }

  handle(request: SpawnRequest): void {
    const { ref, from, groupLeader } = request;
    const { outbound } = this.#runtime;
    const flags = spawnFlags(request.options);
    if (flags === undefined) {
      outbound.spawnReply(ref, from, 0, BADOPT);
      return;
    }
    let process: LocalProcess;
    try {
      process = this.#runtime.spawn({ onMessage: () => undefined, groupLeader });
    } catch (error) {
      this.#runtime.context.logger.warn({ from: describe(from), error }, "a spawn request was refused");
      outbound.spawnReply(
        ref,
        from,
        0,
        isIsthmusError(error) && error.code === "PROCESS_LIMIT" ? SYSTEM_LIMIT : ERROR,
      );
      return;
    }
    if ((flags & LINK_FLAG) !== 0) process.linkArrived(from);
    if ((flags & MONITOR_FLAG) !== 0) process.watchArrived(from, ref, process.pid);
    // before anything that the new process may cause
    outbound.spawnReply(ref, from, flags, process.pid);
    const reason = this.#run(request);
    if (reason instanceof Promise) void reason.then((late) => process.end(late));
    else process.end(reason);
  }

  /** Runs what is asked for. @returns the exit reason of the process that did */
  #run({ module, function: name, args }: SpawnRequest): Term | Promise<Term> {
    if (module === ERPC && name === EXECUTE_CALL && args.length === 4) {
      const [result, callee, fun, list] = args;
      if (
        result instanceof Reference &&
        callee instanceof Atom &&
        fun instanceof Atom &&
        Array.isArray(list)
      ) {
        return then(this.#exposed.run(callee, fun, list), (outcome) => callResult(result, outcome));
      }
    }
    if (module === ERPC && name === EXECUTE_CAST && args.length === 3) {
      const [callee, fun, list] = args;
      if (callee instanceof Atom && fun instanceof Atom && Array.isArray(list)) {
        return then(this.#exposed.run(callee, fun, list), exitReasonOf);
      }
    }
    return then(this.#exposed.run(module, name, args), exitReasonOf);
  }
}

/** What `erpc:execute_call/4` exits with. */
function callResult(result: Reference, outcome: Outcome): Term {
  switch (outcome.class) {
    case "return":
      return tuple(result, atom("return"), outcome.value);
    case "error":
      return tuple(result, ERROR, outcome.reason, outcome.stack);
    default:
      return tuple(result, atom(outcome.class), outcome.reason);
  }
}

function then(outcome: Outcome | Promise<Outcome>, map: (outcome: Outcome) => Term): Term | Promise<Term> {
  return outcome instanceof Promise ? outcome.then(map) : map(outcome);
}

/** The flags that the reply will carry; undefined for an option that does not exist. */
function spawnFlags(options: Term): number | undefined {
  if (!Array.isArray(options)) return undefined;
  let flags = 0;
  for (const option of options as readonly Term[]) {
    if (option === LINK) flags |= LINK_FLAG;
    else if (option === MONITOR) flags |= MONITOR_FLAG;
    else if (!(option instanceof Tuple) || option.size !== 2) return undefined;
    else {
      const [key] = option.elements;
      if (key === MONITOR) flags |= MONITOR_FLAG;
      else if (!(key instanceof Atom) || !IGNORED.has(key.text)) return undefined;
    }
  }
  return flags;
}
