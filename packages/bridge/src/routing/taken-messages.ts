import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal } from "@isthmus/core/channel";
import type { Atom, Pid } from "@isthmus/etf";

/** Gets a message in the place of a process of the bridge; `signal` holds during the call only. */
export type Taker = (source: Connection, signal: Signal) => void;

/** Messages to processes and names of the bridge's own node in one cluster that do not go there, but further. */
export class TakenMessages {
  readonly #processes = new Map<string, Taker>();
  readonly #names = new Map<Atom, Set<Taker>>();

  /** Takes the messages to a process. @returns a function that ends that */
  ofProcess(pid: Pid, taker: Taker): () => void {
    const key = numbers(pid);
    this.#processes.set(key, taker);
    return () => this.#processes.delete(key);
  }

  /** Takes the messages to a name; others may take them as well. @returns a function that ends that */
  ofName(name: Atom, taker: Taker): () => void {
    const takers = this.#names.get(name) ?? new Set();
    this.#names.set(name, takers.add(taker));
    return () => {
      takers.delete(taker);
      if (takers.size === 0) this.#names.delete(name);
    };
  }

  /** @returns whether a signal to a process of the bridge's own creation was a message that is taken */
  process(source: Connection, signal: Signal, to: Pid): boolean {
    if (signal.kind !== SIGNAL.SEND || this.#processes.size === 0) return false;
    const taker = this.#processes.get(numbers(to));
    taker?.(source, signal);
    return taker !== undefined;
  }

  /** @returns whether a signal to a name was a message that is taken */
  name(source: Connection, signal: Signal, name: Atom): boolean {
    if (signal.kind !== SIGNAL.SEND) return false;
    const takers = this.#names.get(name);
    if (takers === undefined) return false;
    for (const taker of takers) taker(source, signal);
    return true;
  }
}

/** Node and creation are the bridge's. */
function numbers({ id, serial }: Pid): string {
  return `${id}.${serial}`;
}
