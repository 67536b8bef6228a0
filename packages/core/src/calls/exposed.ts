import { type Atom, type Term, tuple } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { NOCATCH, NORMAL, OK, UNDEF } from "../process/atoms.ts";
import { raisedBy } from "../process/exit-reason.ts";

/**
 * A function that other nodes may call. It may return a promise. What {@link raise} throws arrives as Erlang's throw,
 * error or exit; any other error as `error:{js_error, Message}`. `undefined` arrives as `ok`.
 */
export type ExposedFunction = (...args: Term[]) => Term | undefined | Promise<Term | undefined>;

/** How a function ended. */
export type Outcome =
  | { readonly class: "return"; readonly value: Term }
  | { readonly class: "throw" | "exit"; readonly reason: Term }
  | { readonly class: "error"; readonly reason: Term; readonly stack: Term };

const KEY = /^(.+):(.+)\/(\d{1,3})$/su;

/** Functions that other nodes may call, by `module:function/arity`. Everything else does not exist for them. */
export class Exposed {
  readonly #functions = new Map<string, ExposedFunction>();

  /**
   * @returns a function that takes them back
   * @throws IsthmusError `OPTION_INVALID` for a key that is not `module:function/arity`, `NAME_TAKEN`
   */
  add(functions: Readonly<Record<string, ExposedFunction>>): () => void {
    const entries = Object.entries(functions);
    for (const [key] of entries) {
      const arity = Number(KEY.exec(key)?.[3] ?? 256);
      if (arity > 255) {
        throw coreError(
          "OPTION_INVALID",
          `${JSON.stringify(key)} is no function. Write it as module:function/arity.`,
        );
      }
      if (this.#functions.has(key)) throw coreError("NAME_TAKEN", `${key} is exposed already.`);
    }
    for (const [key, run] of entries) this.#functions.set(key, run);
    return () => {
      for (const [key, run] of entries) if (this.#functions.get(key) === run) this.#functions.delete(key);
    };
  }

  has(module: Atom, name: Atom, arity: number): boolean {
    return this.#functions.has(`${module.text}:${name.text}/${arity}`);
  }

  /** Runs one; what is not there ends with `error:undef`, as on a BEAM. */
  run(module: Atom, name: Atom, args: readonly Term[]): Outcome | Promise<Outcome> {
    const run = this.#functions.get(`${module.text}:${name.text}/${args.length}`);
    if (run === undefined) return { class: "error", reason: UNDEF, stack: [tuple(module, name, args, [])] };
    const failed = (error: unknown): Outcome => {
      const raised = raisedBy(error);
      return raised.class === "error"
        ? { class: "error", reason: raised.reason, stack: [tuple(module, name, args.length, [])] }
        : { class: raised.class, reason: raised.reason };
    };
    try {
      const value = run(...args);
      return value instanceof Promise ? value.then(returned, failed) : returned(value);
    } catch (error) {
      return failed(error);
    }
  }
}

function returned(value: Term | undefined): Outcome {
  return { class: "return", value: value ?? OK };
}

/** The reason with which a process that ran the function ends. */
export function exitReasonOf(outcome: Outcome): Term {
  switch (outcome.class) {
    case "return":
      return NORMAL;
    case "exit":
      return outcome.reason;
    case "throw":
      return tuple(tuple(NOCATCH, outcome.reason), []);
    case "error":
      return tuple(outcome.reason, outcome.stack);
  }
}
