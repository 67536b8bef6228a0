import { type Atom, atom, equals, type Reference, type Term, Tuple, tuple } from "@isthmus/etf";
import { isIsthmusError } from "@isthmus/wire";
import { coreError } from "../errors.ts";
import { addressText, type ProcessAddress, resolveProcess, toAtom } from "../process/address.ts";
import { SHUTDOWN } from "../process/atoms.ts";
import type { Process } from "../process/process.ts";
import type { ProcessTable } from "../process/table.ts";
import { type CallOptions, DEFAULT_CALL_TIMEOUT_MS, downError } from "./gen-call.ts";

const NOTIFY = atom("notify");
const SYNC_NOTIFY = atom("sync_notify");
const CALL = atom("call");
const WHICH_HANDLERS = atom("which_handlers");

/** A handler of an event manager: its module, such as `Elixir.MyApp.Alarms`, or `{Module, Id}`. */
export type EventHandler = string | Atom | Tuple;

/**
 * OTP's `gen_event`: events and questions to event managers of other nodes (and ours). Makes connections by itself.
 *
 * Requests reject with `CALL_TIMEOUT`, `NO_PROCESS`, `NO_CONNECTION`, `CALL_EXIT` (`context.reason`: why the manager
 * ended), `NODE_CLOSED`, a code of `@isthmus/etf`, or the abort signal's reason. What a process sends to one manager
 * arrives in the order sent.
 */
export class EventManagers {
  readonly #table: Pick<ProcessTable, "spawn" | "send">;
  readonly #self: Atom;

  /** @param table the processes of the node `self` */
  constructor(self: string | Atom, table: Pick<ProcessTable, "spawn" | "send">) {
    this.#self = toAtom(self);
    this.#table = table;
  }

  /** `gen_event:notify/2`: an event for all handlers. @throws IsthmusError `NODE_CLOSED`, a code of `@isthmus/etf` */
  notify(manager: ProcessAddress, event: Term): void {
    this.#table.send(manager, tuple(NOTIFY, event));
  }

  /** `gen_event:sync_notify/2`: resolves when all handlers have had the event. */
  async syncNotify(manager: ProcessAddress, event: Term, options?: CallOptions): Promise<void> {
    await this.#request(manager, tuple(SYNC_NOTIFY, event), options);
  }

  /**
   * `gen_event:call/4`: asks one handler. Resolves with its answer, `{error, bad_module}` when there is no such handler,
   * `{error, Reason}` when it failed and was removed.
   */
  call(manager: ProcessAddress, handler: EventHandler, query: Term, options?: CallOptions): Promise<Term> {
    const name = handler instanceof Tuple ? handler : toAtom(handler);
    return this.#request(manager, tuple(CALL, name, query), options);
  }

  /** `gen_event:which_handlers/1`: modules, and `{Module, Id}`. */
  async whichHandlers(manager: ProcessAddress, options?: CallOptions): Promise<readonly Term[]> {
    const handlers = await this.#request(manager, WHICH_HANDLERS, options);
    if (Array.isArray(handlers)) return handlers;
    throw coreError("REPLY_MALFORMED", "which_handlers was answered with something that is no list.");
  }

  /**
   * `gen:call` with the caller's pid as the label (PROTOCOL 8.1). Each request has a process of its own, so that an
   * answer which comes too late goes nowhere; the plain reference as tag is understood by every release.
   */
  async #request(manager: ProcessAddress, request: Term, options: CallOptions = {}): Promise<Term> {
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
    signal?.throwIfAborted();
    const target = resolveProcess(manager, this.#self);
    const what = `The request to ${addressText(target)}`;
    const caller = this.#table.spawn({ trapExit: true });
    try {
      const ref = caller.monitor(target);
      caller.send(target, tuple(caller.pid, tuple(caller.pid, ref), request));
      const message = await caller.receive({
        match: (each): each is Tuple => isAnswer(each, ref),
        timeoutMs,
        ...(signal === undefined ? {} : { signal }),
      });
      if (message.size === 2) return message.elements[1] as Term;
      throw downError(what, message.elements[4] as Term);
    } catch (error) {
      throw failure(error, what, caller, timeoutMs);
    } finally {
      if (caller.alive) caller.exit();
    }
  }
}

/** `{Ref, Answer}`, or `{'DOWN', Ref, process, Object, Reason}`. */
function isAnswer(message: Term, ref: Reference): boolean {
  if (!(message instanceof Tuple)) return false;
  const [first, second] = message.elements;
  return message.size === 2 ? equals(first as Term, ref) : message.size === 5 && equals(second as Term, ref);
}

function failure(error: unknown, what: string, caller: Process, timeoutMs: number): unknown {
  if (!isIsthmusError(error)) return error;
  if (error.code === "RECEIVE_TIMEOUT") {
    return coreError("CALL_TIMEOUT", `${what} was not answered within ${timeoutMs} ms.`, {
      context: { timeoutMs },
    });
  }
  if (error.code === "PROCESS_DEAD" && caller.exitReason === SHUTDOWN) {
    return coreError("NODE_CLOSED", `${what} was given up because the node was closed.`);
  }
  return error;
}
