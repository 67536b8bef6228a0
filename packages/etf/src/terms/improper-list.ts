import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import { TERM } from "./brand.ts";

/** A list that does not end in `[]`: `[a, b | tail]`. */
export class ImproperList {
  readonly kind = "improper";
  /** At least one. */
  readonly elements: readonly Term[];
  /** Neither an array nor an improper list: those would make one longer list. */
  readonly tail: Term;

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` */
  constructor(elements: readonly Term[], tail: Term) {
    if (elements.length === 0 || Array.isArray(tail) || tail instanceof ImproperList) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        elements.length === 0
          ? "An improper list has at least one element before its tail. Use the tail itself."
          : "The tail of an improper list is not a list. Join both lists.",
      );
    }
    this.elements = elements;
    this.tail = tail;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
