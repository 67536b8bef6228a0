import type { Pid } from "@isthmus/etf";
import type { ProcessContext } from "./context.ts";
import type { LocalLoop } from "./local-loop.ts";
import type { Outbound } from "./outbound.ts";
import type { Registry } from "./registry.ts";

/** What a local process needs of those around it. */
export interface ProcessHost {
  readonly context: ProcessContext;
  readonly registry: Registry;
  readonly outbound: Outbound;
  readonly loop: LocalLoop;
  /** How many handlers are running, one within the other; 0 or 1 unless a program makes more of it. */
  running: number;
  /** The group leader of processes that were given none. */
  defaultGroupLeader(): Pid;
}
