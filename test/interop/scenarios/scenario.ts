import { atom, type Pid, type Reference, type Term, Tuple } from "@isthmus/etf";
import { expect } from "vitest";
import type { Cell } from "../cell.ts";

/** Something that both ends of a connection do together, with assertions. */
export interface Scenario {
  readonly name: string;
  /** Where it makes sense: release of the BEAM, and whether we announce everything we can. @default everywhere */
  readonly when?: (release: number, newest: boolean) => boolean;
  run(cell: Cell): Promise<void>;
}

export const soon = { timeoutMs: 5000 };

/** The elements of a tuple. */
export function elements(term: Term): readonly Term[] {
  expect(term).toBeInstanceOf(Tuple);
  return (term as Tuple).elements;
}

/** Calls a function of `isthmus_scenarios` on the BEAM, over the connection. */
export function remote(cell: Cell, name: string, ...args: Term[]): Promise<Term> {
  return cell.node.processes.erpc.call(cell.them, "isthmus_scenarios", name, args, { timeoutMs: 15_000 });
}

/** A collector of theirs under this name, and its alias (with OTP 23 its pid again). */
export async function sink(cell: Cell, name: string): Promise<{ pid: Pid; alias: Pid | Reference }> {
  const [pid, alias] = elements(await remote(cell, "sink", atom(name))) as [Pid, Pid | Reference];
  return { pid, alias };
}

/** What a collector has once there are so many messages. */
export function collected(cell: Cell, pid: Pid, count: number): Promise<Term> {
  return cell.node.processes.erpc.call(cell.them, "isthmus_collector", "messages", [pid, count, 5000], {
    timeoutMs: 15_000,
  });
}

/** A process of theirs that ends on `{stop, Reason}`, prints on `{print, Text}`. */
export async function worker(cell: Cell): Promise<Pid> {
  return (await remote(cell, "worker")) as Pid;
}
