import { type Atom, atom, type Term, type Tuple } from "@isthmus/etf";
import type { LocalProcess } from "../process/local-process.ts";
import type { Process, SpawnOptions } from "../process/process.ts";
import type { Runtime } from "../process/runtime.ts";
import { type CallFrom, callerOf, isCast, reply } from "./gen-messages.ts";
import { handleSystem, systemRequest } from "./sys.ts";

/** What handlers of a server can do. */
export interface ServerContext {
  /** The server's process: send, monitor, exit ... */
  readonly process: Process;
  /** Answers a call whose handler has returned `undefined`. Has no effect when the server has ended. */
  reply(from: CallFrom, value: Term): void;
}

/**
 * What a server does with what it gets. Handlers run one at a time; those that return a promise are not waited for, so
 * further messages are handled meanwhile.
 *
 * What a handler throws, or rejects with, ends the server, as it ends a gen_server; whoever is calling it then gets
 * the reason as exit ({@link raise} chooses it; other errors become `{js_error, Message}`). Catch what callers
 * should get as an answer, and answer `{error, Reason}`.
 */
export interface ServerHandlers {
  /**
   * `gen_server:call`. What it returns, or the promise resolves with, is the answer; `undefined` means that
   * {@link ServerContext.reply} will be called later, or never.
   */
  call?(request: Term, from: CallFrom, context: ServerContext): Term | undefined | Promise<Term | undefined>;
  /** `gen_server:cast`. */
  cast?(message: Term, context: ServerContext): unknown;
  /** Any other message. */
  info?(message: Term, context: ServerContext): unknown;
  /** What `sys:get_state` and `sys:get_status` show, in Observer for instance. @default undefined, the atom */
  state?(context: ServerContext): Term;
  /** The server has ended. */
  terminate?(reason: Term, context: ServerContext): void;
}

/** Messages that a suspended server keeps. */
const MAX_SUSPENDED = 10_000;
const UNDEFINED = atom("undefined");

/** Options of a server. */
export type ServerOptions = Pick<SpawnOptions, "trapExit" | "copyBinaries" | "groupLeader">;

/**
 * Starts a process that behaves as a gen_server towards others. Calls for which there is no handler are logged and not
 * answered.
 */
export function serve(
  runtime: Runtime,
  name: string | Atom | undefined,
  handlers: ServerHandlers,
  options: ServerOptions = {},
): LocalProcess {
  const { context: node, outbound } = runtime;
  const context: { process: Process } & ServerContext = {
    process: undefined as never,
    reply: (from, value) => {
      if (server.alive) reply(server, outbound, from, value);
    },
  };
  const onCall = (message: Tuple, from: CallFrom): unknown => {
    if (handlers.call === undefined) {
      node.logger.warn({ name: String(name) }, "a call came to a server without a handler for calls");
      return undefined;
    }
    const answer = handlers.call(message.elements[2] as Term, from, context);
    if (answer instanceof Promise) {
      return answer.then((value) => {
        if (value !== undefined) context.reply(from, value);
      });
    }
    if (answer !== undefined) context.reply(from, answer);
    return undefined;
  };
  const handle = (message: Term): unknown => {
    const from = callerOf(message);
    if (from !== undefined) return onCall(message as Tuple, from);
    if (isCast(message)) return handlers.cast?.(message.elements[1] as Term, context);
    return handlers.info?.(message, context);
  };
  /** What came while `sys:suspend` holds the server; undefined while it runs. */
  let held: Term[] | undefined;
  const supervised = {
    get pid() {
      return server.pid;
    },
    get suspended() {
      return held !== undefined;
    },
    state: () => handlers.state?.(context) ?? UNDEFINED,
    suspend: () => {
      held ??= [];
    },
    resume: () => {
      const messages = held ?? [];
      held = undefined;
      // delivered anew, so that one which ends the server, or suspends it, does so for those behind it
      for (const message of messages) runtime.loop.push(() => server.alive && server.deliver(message));
    },
  };
  const server = runtime.spawn({
    ...options,
    ...(name === undefined ? {} : { name }),
    onMessage: (message) => {
      const system = systemRequest(message);
      if (system !== undefined) {
        const { answer, terminate } = handleSystem(supervised, system.request);
        context.reply(system.from, answer);
        if (terminate !== undefined) server.exit(terminate);
        return undefined;
      }
      if (held === undefined) return handle(message);
      if (held.length < MAX_SUSPENDED) held.push(message);
      else
        node.logger.warn(
          { name: String(name) },
          "a suspended server holds too many messages: one was dropped",
        );
      return undefined;
    },
    onExit: (reason) => handlers.terminate?.(reason, context),
  });
  context.process = server;
  return server;
}
