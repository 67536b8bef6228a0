import type { IsthmusError } from "@isthmus/wire";
import type { Discovery, StrategyContext } from "../contract.ts";

interface Part {
  /** Undefined until there is an answer. */
  nodes: readonly string[] | undefined;
  error: IsthmusError | undefined;
}

/** A part of a {@link Union}. */
export interface UnionPart {
  /** For whoever finds the nodes of this part. */
  readonly context: StrategyContext;
  /** Takes its nodes out. */
  remove(): void;
}

/**
 * One list of nodes out of several parts, each of which may fail on its own: its nodes of before stay then, and the
 * failure stands until that part works again.
 */
export class Union {
  readonly #context: StrategyContext;
  readonly #parts = new Set<Part>();
  #reported: string | undefined;

  constructor(context: StrategyContext) {
    this.#context = context;
  }

  add(): UnionPart {
    const part: Part = { nodes: undefined, error: undefined };
    this.#parts.add(part);
    return {
      context: { ...this.#context, report: (discovery) => this.#heard(part, discovery) },
      remove: () => {
        if (this.#parts.delete(part) && part.nodes !== undefined) this.#report();
      },
    };
  }

  #heard(part: Part, discovery: Discovery): void {
    if (!this.#parts.has(part) || this.#context.signal.aborted) return;
    part.error = discovery.ok ? undefined : discovery.error;
    if (discovery.ok) part.nodes = discovery.nodes;
    // as the original
    else if (this.#context.compat) part.nodes = [];
    this.#report(part.error);
  }

  /** @param failure what has just failed */
  #report(failure?: IsthmusError): void {
    const parts = [...this.#parts];
    const error = parts.find((part) => part.error !== undefined)?.error;
    const nodes = [...new Set(parts.flatMap((part) => part.nodes ?? []))].sort();
    const text = nodes.join(" ");
    // an empty list at the very start must not stand for parts that have not answered
    const waiting = parts.some((part) => part.nodes === undefined);
    const nothing = waiting && text === "" && this.#reported === undefined;
    const changed = !nothing && (error === undefined || text !== this.#reported);
    if (changed) {
      this.#reported = text;
      this.#context.report({ ok: true, nodes });
    }
    // last, so that it is what the status shows
    const standing = failure ?? (changed ? error : undefined);
    if (standing !== undefined) this.#context.report({ ok: false, error: standing });
  }
}
