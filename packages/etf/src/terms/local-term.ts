import { INSPECT, inspectCustom } from "../text/inspect.ts";
import { TERM } from "./brand.ts";

/**
 * What `term_to_binary(Term, [local])` makes (LOCAL_EXT): only the node that made it can read it. It is kept as bytes,
 * stands alone and never within another term.
 */
export class LocalTerm {
  readonly kind = "local";
  /** Everything behind the tag. */
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
