import type { Atom, Pid, Reference, Term } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import type { ProcessContext } from "./context.ts";
import { PidNumbers, pidNumber, References } from "./identity.ts";
import type { LocalProcess } from "./local-process.ts";

/** An active alias. */
export interface Alias {
  readonly process: LocalProcess;
  /** It ends with the first message. */
  readonly once: boolean;
  readonly onMessage: ((message: Term) => void) | undefined;
}

/** What our processes have to do with one other node. */
interface Neighbour {
  readonly processes: Set<LocalProcess>;
  /** Links, monitors in both directions, node monitors. */
  relations: number;
}

/** Who there is: processes by pid number, by name, by alias, and by the nodes they have to do with. */
export class Registry {
  readonly references: References;
  /** Active aliases by reference number. */
  readonly aliases = new Map<number, Alias>();
  /** Processes monitored by name, by the key of the monitor: the name may be another's when the monitor is taken back. */
  readonly watchedByName = new Map<string, LocalProcess>();
  readonly #context: ProcessContext;
  readonly #maxProcesses: number;
  readonly #processes = new Map<number, LocalProcess>();
  readonly #names = new Map<Atom, LocalProcess>();
  readonly #neighbours = new Map<Atom, Neighbour>();
  readonly #numbers = new PidNumbers();

  constructor(context: ProcessContext, maxProcesses: number) {
    this.#context = context;
    this.#maxProcesses = maxProcesses;
    this.references = new References(context.self, () => context.creation);
  }

  get size(): number {
    return this.#processes.size;
  }

  /** The living process with this pid; undefined for those of other nodes and of our earlier incarnations. */
  find(pid: Pid): LocalProcess | undefined {
    if (pid.node !== this.#context.self || pid.creation !== this.#context.creation) return undefined;
    return this.#processes.get(pidNumber(pid));
  }

  /** A number for a new process. @throws IsthmusError `PROCESS_LIMIT` */
  number(): number {
    if (this.#processes.size >= this.#maxProcesses) {
      throw coreError(
        "PROCESS_LIMIT",
        `There are ${this.#maxProcesses} processes already; no more are allowed.`,
        {
          context: { limit: this.#maxProcesses },
        },
      );
    }
    return this.#numbers.next((number) => this.#processes.has(number));
  }

  add(number: number, process: LocalProcess): void {
    this.#processes.set(number, process);
  }

  remove(number: number): void {
    this.#processes.delete(number);
  }

  processes(): LocalProcess[] {
    return [...this.#processes.values()];
  }

  whereis(name: Atom): LocalProcess | undefined {
    return this.#names.get(name);
  }

  /** @throws IsthmusError `NAME_TAKEN`, `PROCESS_DEAD` */
  register(name: Atom, process: LocalProcess): void {
    const holder = this.#names.get(name);
    if (holder === process) return;
    if (holder !== undefined) {
      throw coreError(
        "NAME_TAKEN",
        `The name ${name.text} is taken by another process. Unregister it first.`,
        {
          context: { name: name.text },
        },
      );
    }
    if (!process.alive) {
      throw coreError("PROCESS_DEAD", `A process that has ended cannot be registered as ${name.text}.`, {
        context: { name: name.text },
      });
    }
    this.#names.set(name, process);
    process.names.add(name);
  }

  /** @returns whether somebody had the name */
  unregister(name: Atom): boolean {
    this.#names.get(name)?.names.delete(name);
    return this.#names.delete(name);
  }

  registered(): string[] {
    return Array.from(this.#names.keys(), (name) => name.text);
  }

  /** One more relation of `process` with `node`. */
  relate(node: Atom, process: LocalProcess): void {
    if (node === this.#context.self) return;
    let neighbour = this.#neighbours.get(node);
    if (neighbour === undefined) {
      neighbour = { processes: new Set(), relations: 0 };
      this.#neighbours.set(node, neighbour);
    }
    neighbour.relations++;
    neighbour.processes.add(process);
  }

  /** `count` relations fewer; `last` when it was the process's last with that node. */
  unrelate(node: Atom, process: LocalProcess, count: number, last: boolean): void {
    const neighbour = this.#neighbours.get(node);
    if (neighbour === undefined) return;
    neighbour.relations -= count;
    if (last) neighbour.processes.delete(process);
    if (neighbour.processes.size === 0) this.#neighbours.delete(node);
  }

  /** Processes that have relations with `node`. */
  neighbours(node: Atom): LocalProcess[] {
    return [...(this.#neighbours.get(node)?.processes ?? [])];
  }

  relations(node: Atom): number {
    return this.#neighbours.get(node)?.relations ?? 0;
  }

  /** Whether `ref` is a reference of ours, and the number under which it would be in {@link Registry.aliases}. */
  aliasOf(ref: Reference): Alias | undefined {
    const number = this.references.number(ref);
    return number === 0 ? undefined : this.aliases.get(number);
  }
}
