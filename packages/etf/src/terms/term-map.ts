import { compareTermsExact } from "../compare/order.ts";
import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";
import { hasDuplicateKeys } from "./map-keys.ts";

/** Up to this many entries, looking at each is as fast as an index. */
const SCAN_LIMIT = 8;

/**
 * An Erlang map. Behaves as a `ReadonlyMap`, but finds keys by value, as Erlang's `=:=` does: `map.get(tuple(a, 1))`
 * works. Entries keep the order in which they arrived (which means nothing in Erlang, but survives a round trip).
 * Nothing is indexed until the first look-up in a larger map.
 */
export class TermMap implements ReadonlyMap<Term, Term> {
  readonly kind = "map";
  /**
   * Key, value, key, value ... in order.
   * @internal
   */
  readonly flat: readonly Term[];
  /**
   * Indexes of the keys in {@link TermMap.flat}, in the order of the keys; made when first needed.
   * @internal
   */
  order: readonly number[] | undefined;
  private index: Index | undefined;

  /**
   * @param entries pairs with different keys
   * @param flat internal: key, value, key, value ... whose keys are known to differ; it is taken over
   * @throws IsthmusError `ETF_DUPLICATE_KEY`
   */
  constructor(entries?: Iterable<readonly [Term, Term]>, flat?: readonly Term[]) {
    this.flat = flat ?? flatten(entries ?? []);
    this.order = undefined;
    this.index = undefined;
  }

  get size(): number {
    return this.flat.length >>> 1;
  }

  /** The value of a key; undefined when there is none. Keys are compared as terms. */
  get(key: Term): Term | undefined {
    const at = this.find(key);
    return at < 0 ? undefined : this.flat[at + 1];
  }

  /** Whether there is such a key. Keys are compared as terms. */
  has(key: Term): boolean {
    return this.find(key) >= 0;
  }

  /** Calls `callback` for each entry, in the order of the map. */
  forEach(callback: (value: Term, key: Term, map: ReadonlyMap<Term, Term>) => void, thisArg?: unknown): void {
    const flat = this.flat;
    for (let i = 0; i < flat.length; i += 2) {
      callback.call(thisArg, flat[i + 1] as Term, flat[i] as Term, this);
    }
  }

  *entries(): MapIterator<[Term, Term]> {
    const flat = this.flat;
    for (let i = 0; i < flat.length; i += 2) yield [flat[i] as Term, flat[i + 1] as Term];
  }

  *keys(): MapIterator<Term> {
    const flat = this.flat;
    for (let i = 0; i < flat.length; i += 2) yield flat[i] as Term;
  }

  *values(): MapIterator<Term> {
    const flat = this.flat;
    for (let i = 1; i < flat.length; i += 2) yield flat[i] as Term;
  }

  [Symbol.iterator](): MapIterator<[Term, Term]> {
    return this.entries();
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }

  /** Index of the key in {@link TermMap.flat}; -1 when there is none. */
  find(key: Term): number {
    const flat = this.flat;
    if (flat.length <= SCAN_LIMIT * 2) {
      for (let i = 0; i < flat.length; i += 2) {
        const candidate = flat[i] as Term;
        if (candidate === key || compareTermsExact(candidate, key) === 0) return i;
      }
      return -1;
    }
    this.index ??= new Index(flat);
    return this.index.find(flat, key);
  }
}

function flatten(entries: Iterable<readonly [Term, Term]>): Term[] {
  const flat: Term[] = [];
  for (const [key, value] of entries) flat.push(key, value);
  if (hasDuplicateKeys(flat, undefined)) {
    throw etfError("ETF_DUPLICATE_KEY", "A map cannot have one key twice. Keys are compared by value.");
  }
  return flat;
}

/** Atoms by identity, everything else by binary search: a peer that chooses the keys cannot make it slow. */
class Index {
  readonly #atoms = new Map<Atom | boolean, number>();
  readonly #sorted: number[] = [];

  constructor(flat: readonly Term[]) {
    for (let i = 0; i < flat.length; i += 2) {
      const key = flat[i] as Term;
      if (isAtomKey(key)) this.#atoms.set(atomKey(key), i);
      else this.#sorted.push(i);
    }
    this.#sorted.sort((a, b) => compareTermsExact(flat[a] as Term, flat[b] as Term));
  }

  find(flat: readonly Term[], key: Term): number {
    if (isAtomKey(key)) return this.#atoms.get(atomKey(key)) ?? -1;
    const sorted = this.#sorted;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareTermsExact(flat[sorted[middle] as number] as Term, key);
      if (order === 0) return sorted[middle] as number;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }
}

function isAtomKey(key: Term): key is Atom | boolean {
  return typeof key === "boolean" || (typeof key === "object" && "kind" in key && key.kind === "atom");
}

/** `true` and the atom of that text are one key. */
function atomKey(key: Atom | boolean): Atom | boolean {
  if (typeof key === "boolean") return key;
  return key.text === "true" ? true : key.text === "false" ? false : key;
}
