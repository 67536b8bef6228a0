import { etfError } from "../errors.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";
import { checkU32 } from "./range.ts";

/** A reference has one to five words; BEAMs read beyond the input when told of none (PROTOCOL section 12). */
export const MAX_REFERENCE_WORDS = 5;

/** A reference: what `make_ref/0`, monitors and aliases give. */
export class Reference {
  readonly kind = "reference";
  readonly node: Atom;
  /** Unsigned 32-bit. */
  readonly creation: number;
  /** One to five unsigned 32-bit words, in the order of the wire; `ref_to_list/1` prints them the other way round. */
  readonly words: readonly number[];

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` for a number out of range */
  constructor(node: Atom, creation: number, words: readonly number[]) {
    checkU32(creation, "The creation of a reference");
    if (words.length < 1 || words.length > MAX_REFERENCE_WORDS) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        `A reference has 1 to ${MAX_REFERENCE_WORDS} words, not ${words.length}.`,
      );
    }
    for (let i = 0; i < words.length; i++) checkU32(words[i] as number, "A word of a reference");
    this.node = node;
    this.creation = creation;
    this.words = words;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
