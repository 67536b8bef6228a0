import type { Term } from "../term.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import { TERM } from "./brand.ts";

/** An Erlang tuple. */
export class Tuple {
  readonly kind = "tuple";
  readonly elements: readonly Term[];

  /** @param elements becomes the tuple's own: do not change it afterwards */
  constructor(elements: readonly Term[]) {
    this.elements = elements;
  }

  get size(): number {
    return this.elements.length;
  }

  [Symbol.iterator](): Iterator<Term> {
    return this.elements[Symbol.iterator]();
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}

/** `tuple(a, b)` is `{a, b}`. */
export function tuple(...elements: Term[]): Tuple {
  return new Tuple(elements);
}
