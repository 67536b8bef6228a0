import { Atom, atom, type Term, Tuple } from "@isthmus/etf";
import type { Runtime } from "../process/runtime.ts";
import { callerOf, reply } from "./gen-messages.ts";

const IS_AUTH = atom("is_auth");
const YES = atom("yes");

/** `net_kernel`: answers what `net_adm:ping` asks, and nothing else (PROTOCOL 8.2). */
export function startNetKernel(runtime: Runtime): void {
  const server = runtime.spawn({
    name: "net_kernel",
    onMessage: (message) => {
      const from = callerOf(message);
      if (from !== undefined && isPing((message as Tuple).elements[2] as Term))
        reply(server, runtime.outbound, from, YES);
    },
  });
}

/** `logger_proxy`: takes the log events that processes with a group leader of ours send, and drops them (PROTOCOL 8.5). */
export function startLoggerProxy(runtime: Runtime): void {
  runtime.spawn({ name: "logger_proxy", onMessage: () => undefined });
}

function isPing(request: Term): boolean {
  return (
    request instanceof Tuple &&
    request.size === 2 &&
    request.elements[0] === IS_AUTH &&
    request.elements[1] instanceof Atom
  );
}
