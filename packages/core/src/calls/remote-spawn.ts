import { type Atom, atom, Pid, type Reference, type Term } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { toAtom } from "../process/address.ts";
import { describe } from "../process/exit-reason.ts";
import type { LocalProcess } from "../process/local-process.ts";
import type { Down } from "../process/process.ts";
import type { Runtime } from "../process/runtime.ts";
import { type CallOptions, Waiting } from "./gen-call.ts";

const LINK = atom("link");
const MONITOR = atom("monitor");
const LINK_FLAG = 1;

/** Options of `ProcessTable.spawnOn`. */
export interface RemoteSpawnOptions extends CallOptions {
  /** Links the new process with ours, before it begins. @default false */
  readonly link?: boolean;
  /**
   * Monitors the new process before it begins: with `true` its end comes as a `'DOWN'` message, with a function it is
   * told that. @default no monitor
   */
  readonly monitor?: true | ((down: Down) => void);
}

/** A process that was spawned on another node. */
export interface RemoteProcess {
  readonly pid: Pid;
  /** The monitor that was asked for. */
  readonly monitor: Reference | undefined;
}

/**
 * `erlang:spawn_request/5`: has `node` spawn `module:name(args)` for `process`, whose group leader the new one gets.
 *
 * Rejects with `SPAWN_REFUSED` (`context.reason`: `notsup`, `badopt`, `system_limit` ...), `CALL_TIMEOUT`,
 * `NO_CONNECTION`, `PROCESS_DEAD`, `NODE_CLOSED`, a code of `@isthmus/etf`, or the signal's reason. A process that is
 * spawned after all when nobody waits any more runs on without link and monitor.
 */
export function spawnOn(
  process: LocalProcess,
  runtime: Runtime,
  node: string | Atom,
  module: string | Atom,
  name: string | Atom,
  args: readonly Term[],
  options: RemoteSpawnOptions = {},
): Promise<RemoteProcess> {
  return new Promise((resolve, reject) => {
    const { link = false, monitor } = options;
    const [on, m, f] = [toAtom(node), toAtom(module), toAtom(name)];
    const what = `Spawning ${m.text}:${f.text}/${args.length} on ${on.text}`;
    const wanted = [...(link ? [LINK] : []), ...(monitor === undefined ? [] : [MONITOR])];
    const ref = runtime.registry.references.next();
    const { pid: from, groupLeader } = process;
    const waiting = new Waiting(process, runtime, options, what, reject);
    const replied = (flags: number, result: Pid | Atom): void => {
      const late = !waiting.over();
      if (!(result instanceof Pid)) {
        if (!late) reject(refused(what, result));
        return;
      }
      if (late || !process.alive) {
        if (monitor !== undefined) runtime.outbound.demonitor(from, result, on, ref);
        if ((flags & LINK_FLAG) !== 0) runtime.outbound.unlink(1, from, result, () => undefined);
        return;
      }
      if ((flags & LINK_FLAG) !== 0) process.linkArrived(result);
      if (monitor !== undefined) {
        process.adoptMonitor(ref, result, typeof monitor === "function" ? monitor : undefined);
      }
      resolve({ pid: result, monitor: monitor === undefined ? undefined : ref });
    };
    const lost = (): void => {
      if (waiting.over()) reject(noConnection(what, on));
    };
    const request = { ref, from, groupLeader, module: m, function: f, args, options: wanted };
    try {
      runtime.requestSpawn(on, request, { node: on, replied, lost }, () => {
        if (waiting.over()) reject(refused(what, atom("notsup")));
      });
    } catch (error) {
      if (waiting.over()) reject(error);
    }
  });
}

function refused(what: string, reason: Atom): Error {
  return coreError("SPAWN_REFUSED", `${what} was refused: ${describe(reason)}.`, { context: { reason } });
}

function noConnection(what: string, node: Atom): Error {
  return coreError("NO_CONNECTION", `${what} failed: there is no connection to that node, or it was lost.`, {
    context: { node: node.text },
  });
}
