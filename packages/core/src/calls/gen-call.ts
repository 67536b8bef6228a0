import { type Atom, ImproperList, type Term, Tuple, tuple } from "@isthmus/etf";
import type { Timer } from "@isthmus/wire";
import { coreError } from "../errors.ts";
import { addressText, type ProcessAddress, resolveProcess } from "../process/address.ts";
import { ALIAS, NOCONNECTION, NOPROC, SHUTDOWN } from "../process/atoms.ts";
import { describe } from "../process/exit-reason.ts";
import type { ProcessHost } from "../process/host.ts";
import type { LocalProcess } from "../process/local-process.ts";
import { GEN_CALL, GEN_CAST } from "./gen-messages.ts";

/** Options of everything that waits for an answer. */
export interface CallOptions {
  /** How long to wait, in milliseconds; `Infinity` for ever. @default 5000 */
  readonly timeoutMs?: number;
  /** Ends the waiting; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How long an answer is waited for unless {@link CallOptions.timeoutMs} says otherwise, as `gen_server:call/2`. */
export const DEFAULT_CALL_TIMEOUT_MS = 5000;

/**
 * What waiting for one answer needs besides the answer: a time limit, an abort signal, and the end of the process that
 * waits. `over` is called on the first of them, or by whoever has the answer, and never twice.
 */
export class Waiting {
  #timer: Timer | undefined;
  #stopSignal: (() => void) | undefined;
  #stopExit: (() => void) | undefined;
  #over = false;

  /**
   * @param failed told why there will be no answer
   * @throws the signal's reason when it is aborted already
   */
  constructor(
    process: LocalProcess,
    host: ProcessHost,
    options: CallOptions,
    what: string,
    failed: (error: unknown) => void,
  ) {
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
    signal?.throwIfAborted();
    const fail = (error: unknown): void => {
      if (this.over()) failed(error);
    };
    if (signal !== undefined) {
      const onAbort = (): void => fail(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#stopSignal = () => signal.removeEventListener("abort", onAbort);
    }
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = host.context.clock.after(timeoutMs, () =>
        fail(
          coreError("CALL_TIMEOUT", `${what} was not answered within ${timeoutMs} ms.`, {
            context: { timeoutMs },
          }),
        ),
      );
    }
    this.#stopExit = process.whenExited((reason) =>
      fail(
        reason === SHUTDOWN
          ? coreError("NODE_CLOSED", `${what} was given up because the node was closed.`)
          : coreError("PROCESS_DEAD", `${what} was given up because the calling process ended.`, {
              context: { reason },
            }),
      ),
    );
  }

  /** Ends the waiting. @returns false when it was over already */
  over(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#timer?.cancel();
    this.#stopSignal?.();
    this.#stopExit?.();
    return true;
  }
}

/**
 * `gen_server:call`: to gen_servers, gen_statems and whatever else answers `$gen_call`. Watches the called process
 * meanwhile, and takes the answer through an alias, so that a late one goes nowhere.
 *
 * Rejects with `CALL_TIMEOUT`, `NO_PROCESS`, `NO_CONNECTION`, `CALL_EXIT` (`context.reason`: why the process ended),
 * `REPLY_MALFORMED`, `PROCESS_DEAD`, `NODE_CLOSED`, a code of `@isthmus/etf`, or the signal's reason.
 */
export function genCall(
  process: LocalProcess,
  host: ProcessHost,
  to: ProcessAddress,
  request: Term,
  options: CallOptions = {},
  label: Atom = GEN_CALL,
): Promise<Term> {
  return new Promise((resolve, reject) => {
    const target = resolveProcess(to, host.context.self);
    const what = `The call to ${addressText(target)}`;
    const waiting = new Waiting(process, host, options, what, (error) => {
      if (process.alive) end();
      reject(error);
    });
    const end = (): void => {
      waiting.over();
      process.forgetReply(ref);
      process.demonitor(ref);
    };
    const answered = (answer: Term): void => {
      end();
      resolve(answer);
    };
    const ref = process.monitor(target, {
      alias: "reply",
      onMessage: (message) => {
        if (message instanceof Tuple && message.size === 2) {
          answered(message.elements[1] as Term);
          return;
        }
        end();
        reject(coreError("REPLY_MALFORMED", `${what} was answered with something that is no reply.`));
      },
      onDown: ({ reason }) => {
        end();
        reject(downError(what, reason));
      },
    });
    // OTP 23 knows no aliases and answers to the pid
    process.expectReply(ref, answered);
    try {
      const tag = new ImproperList([ALIAS], ref);
      process.send(target, tuple(label, tuple(process.pid, tag), request));
    } catch (error) {
      end();
      reject(error);
    }
  });
}

/** `gen_server:cast`: a request without an answer. @throws IsthmusError `PROCESS_DEAD`, a code of `@isthmus/etf` */
export function genCast(process: LocalProcess, to: ProcessAddress, message: Term): void {
  process.send(to, tuple(GEN_CAST, message));
}

/** The error for a process that ended before it answered. */
export function downError(what: string, reason: Term): Error {
  if (reason === NOPROC) {
    return coreError(
      "NO_PROCESS",
      `${what} failed: there is no such process. Check the name, and that it is started.`,
      {
        context: { reason },
      },
    );
  }
  if (reason === NOCONNECTION) {
    return coreError("NO_CONNECTION", `${what} failed: there is no connection to its node, or it was lost.`, {
      context: { reason },
    });
  }
  return coreError(
    "CALL_EXIT",
    `${what} failed: the process ended before it answered, reason ${describe(reason)}.`,
    {
      context: { reason },
    },
  );
}
