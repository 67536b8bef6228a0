import { type Atom, atom, Pid, Reference, type Term, Tuple, tuple } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { toAtom } from "../process/address.ts";
import { ERROR, EXIT, NOCONNECTION } from "../process/atoms.ts";
import { describe, type RaiseClass } from "../process/exit-reason.ts";
import { referenceKey } from "../process/identity.ts";
import type { LocalProcess } from "../process/local-process.ts";
import type { SpawnRequest } from "../process/outbound.ts";
import type { Runtime } from "../process/runtime.ts";
import { type CallOptions, genCall, genCast, Waiting } from "./gen-call.ts";
import { ERPC, EXECUTE_CALL, EXECUTE_CAST, MONITOR } from "./incoming-spawn.ts";

const REX = atom("rex");
const CALL = atom("call");
const CAST = atom("cast");
const BADRPC = atom("badrpc");
const RETURN = atom("return");
const THROW = atom("throw");
const EXIT_CLASS = atom("exit");
const NOTSUP = atom("notsup");
const SIGNAL = atom("signal");

/** One node's part of a multicall. */
export type MulticallResult =
  | { readonly node: string; readonly ok: true; readonly value: Term }
  /** `error` is what `call` would have rejected with. */
  | { readonly node: string; readonly ok: false; readonly error: unknown };

/**
 * Calls functions on other nodes, as OTP's `erpc` (a process is spawned there for each call) and `rpc`. What they
 * print with `io:format` comes to this node's group leader.
 *
 * All reject with `RPC_FAILED` when the function raised: `context.class` is `"throw"`, `"error"` or `"exit"`,
 * `context.reason` the term, `context.stack` Erlang's stack trace with an error. Also `CALL_TIMEOUT` (the function
 * runs on), `NO_CONNECTION`, `REPLY_MALFORMED`, `NODE_CLOSED`, a code of `@isthmus/etf`, or the signal's reason.
 */
export class RemoteCalls {
  readonly #runtime: Runtime;
  readonly #caller: () => LocalProcess;

  /** @param caller the process in whose name calls are made */
  constructor(runtime: Runtime, caller: () => LocalProcess) {
    this.#runtime = runtime;
    this.#caller = caller;
  }

  /**
   * `erpc:call/5`. A node that cannot be asked to spawn (older than OTP 23) rejects with reason `{erpc, notsup}`.
   * @example `await table.erpc.call("b@host", "lists", "sum", [[1, 2, 3]])`
   */
  call(
    node: string | Atom,
    module: string | Atom,
    name: string | Atom,
    args: readonly Term[],
    options: CallOptions = {},
  ): Promise<Term> {
    return this.#call(toAtom(node), toAtom(module), toAtom(name), args, options, (reject, what) =>
      reject(failed(what, "error", tuple(ERPC, NOTSUP))),
    );
  }

  /** `rpc:call/5`: as {@link RemoteCalls.call}, but through the server `rex` where the node cannot be asked to spawn. */
  rpc(
    node: string | Atom,
    module: string | Atom,
    name: string | Atom,
    args: readonly Term[],
    options: CallOptions = {},
  ): Promise<Term> {
    const [on, m, f] = [toAtom(node), toAtom(module), toAtom(name)];
    return this.#call(on, m, f, args, options, (reject, what, resolve) => {
      this.#throughRex(on, m, f, args, options, what).then(resolve, reject);
    });
  }

  /** Runs the function without waiting for it, or learning how it went. @throws IsthmusError `NODE_CLOSED`, a code of `@isthmus/etf` */
  cast(node: string | Atom, module: string | Atom, name: string | Atom, args: readonly Term[]): void {
    const [on, m, f] = [toAtom(node), toAtom(module), toAtom(name)];
    const caller = this.#caller();
    const { outbound } = this.#runtime;
    outbound.spawnRequest(on, this.#request(EXECUTE_CAST, [m, f, args], []), () => {
      genCast(caller, { name: REX, node: on }, tuple(CAST, m, f, args, caller.groupLeader));
    });
  }

  /** {@link RemoteCalls.call} on several nodes at once; results in the order of the nodes. Never rejects. */
  async multicall(
    nodes: readonly (string | Atom)[],
    module: string | Atom,
    name: string | Atom,
    args: readonly Term[],
    options: CallOptions = {},
  ): Promise<MulticallResult[]> {
    const calls = await Promise.allSettled(nodes.map((node) => this.call(node, module, name, args, options)));
    return calls.map((call, at) => {
      const node = toAtom(nodes[at] as string | Atom).text;
      return call.status === "fulfilled"
        ? { node, ok: true, value: call.value }
        : { node, ok: false, error: call.reason as unknown };
    });
  }

  #call(
    node: Atom,
    module: Atom,
    name: Atom,
    args: readonly Term[],
    options: CallOptions,
    unsupported: (reject: (error: unknown) => void, what: string, resolve: (value: Term) => void) => void,
  ): Promise<Term> {
    return new Promise((resolve, reject) => {
      const caller = this.#caller();
      const runtime = this.#runtime;
      const what = `${module.text}:${name.text}/${args.length} on ${node.text}`;
      const result = runtime.registry.references.next();
      const request = this.#request(EXECUTE_CALL, [result, module, name, args], [MONITOR]);
      let spawned: Pid | undefined;
      const demonitor = (pid: Pid): void => runtime.outbound.demonitor(caller.pid, pid, node, request.ref);
      let abandoned = false;
      const waiting = new Waiting(caller, runtime, options, what, (error) => {
        abandoned = true;
        if (spawned !== undefined && caller.alive) caller.demonitor(request.ref);
        reject(error);
      });
      const settle = (run: () => void): void => {
        if (waiting.over()) run();
      };
      const replied = (_flags: number, pid: Pid | Atom): void => {
        if (!(pid instanceof Pid)) settle(() => reject(failed(what, "error", tuple(ERPC, pid))));
        else if (abandoned) demonitor(pid);
        else {
          spawned = pid;
          caller.adoptMonitor(request.ref, pid, ({ reason }) =>
            settle(() => settleResult(what, node, result, reason, resolve, reject)),
          );
        }
      };
      const lost = (): void => settle(() => reject(noConnection(what, node)));
      try {
        runtime.requestSpawn(node, request, { node, replied, lost }, () =>
          settle(() => unsupported(reject, what, resolve)),
        );
      } catch (error) {
        settle(() => reject(error));
      }
    });
  }

  async #throughRex(
    node: Atom,
    module: Atom,
    name: Atom,
    args: readonly Term[],
    options: CallOptions,
    what: string,
  ): Promise<Term> {
    const caller = this.#caller();
    const request = tuple(CALL, module, name, args, caller.groupLeader);
    const answer = await genCall(caller, this.#runtime, { name: REX, node }, request, options);
    if (!(answer instanceof Tuple) || answer.size !== 2 || answer.elements[0] !== BADRPC) return answer;
    const reason = answer.elements[1] as Term;
    const exit = reason instanceof Tuple && reason.size === 2 && reason.elements[0] === EXIT;
    throw failed(what, "exit", exit ? (reason.elements[1] as Term) : reason);
  }

  #request(name: Atom, args: readonly Term[], options: readonly Term[]): SpawnRequest {
    const caller = this.#caller();
    return {
      ref: this.#runtime.registry.references.next(),
      from: caller.pid,
      groupLeader: caller.groupLeader,
      module: ERPC,
      function: name,
      args,
      options,
    };
  }
}

/** Reads what the spawned process exited with (PROTOCOL 8.3). */
function settleResult(
  what: string,
  node: Atom,
  result: Reference,
  reason: Term,
  resolve: (value: Term) => void,
  reject: (error: unknown) => void,
): void {
  const parts = reason instanceof Tuple ? reason.elements : [];
  const [ref, kind, value, stack] = parts;
  const ours = ref instanceof Reference && referenceKey(ref) === referenceKey(result) && value !== undefined;
  if (!ours) {
    reject(reason === NOCONNECTION ? noConnection(what, node) : failed(what, "exit", tuple(SIGNAL, reason)));
  } else if (kind === RETURN && parts.length === 3) resolve(value);
  else if ((kind === THROW || kind === EXIT_CLASS) && parts.length === 3)
    reject(failed(what, kind.text as RaiseClass, value));
  else if (kind === ERROR && parts.length <= 4) reject(failed(what, "error", value, stack));
  else
    reject(
      coreError("REPLY_MALFORMED", `${what} ended with something that is no result of erpc.`, {
        context: { reason },
      }),
    );
}

function noConnection(what: string, node: Atom): Error {
  return coreError("NO_CONNECTION", `${what} failed: there is no connection to that node, or it was lost.`, {
    context: { node: node.text },
  });
}

function failed(what: string, raiseClass: RaiseClass, reason: Term, stack?: Term): Error {
  return coreError("RPC_FAILED", `${what} failed: ${raiseClass}: ${describe(reason)}.`, {
    context: { class: raiseClass, reason, ...(stack === undefined ? {} : { stack }) },
  });
}
