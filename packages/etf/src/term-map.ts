import { termKey } from "./term-key.ts";
import { MAP, type Term } from "./terms.ts";

/** A map as it came: entries in order; looked up by what the keys are, not by which object they are. */
export class TermMap {
  readonly [MAP] = true;
  /** Key, value, key, value... */
  readonly #flat: readonly Term[];
  #index: Map<unknown, number> | undefined;

  constructor(flat: readonly Term[]) {
    this.#flat = flat;
  }

  static from(entries: Iterable<readonly [Term, Term]>): TermMap {
    const flat: Term[] = [];
    const seen = new Map<unknown, number>();
    for (const [key, value] of entries) {
      const id = termKey(key);
      const at = seen.get(id);
      if (at === undefined) {
        seen.set(id, flat.length);
        flat.push(key, value);
      } else flat[at + 1] = value;
    }
    return new TermMap(flat);
  }

  get size(): number {
    return this.#flat.length / 2;
  }

  get(key: Term): Term | undefined {
    const at = this.#find(key);
    return at === undefined ? undefined : this.#flat[at + 1];
  }

  has(key: Term): boolean {
    return this.#find(key) !== undefined;
  }

  *entries(): Generator<[Term, Term]> {
    for (let i = 0; i < this.#flat.length; i += 2) yield [this.#flat[i]!, this.#flat[i + 1]!];
  }

  *keys(): Generator<Term> {
    for (let i = 0; i < this.#flat.length; i += 2) yield this.#flat[i]!;
  }

  *values(): Generator<Term> {
    for (let i = 1; i < this.#flat.length; i += 2) yield this.#flat[i]!;
  }

  [Symbol.iterator](): Generator<[Term, Term]> {
    return this.entries();
  }

  forEach(run: (value: Term, key: Term) => void): void {
    for (let i = 0; i < this.#flat.length; i += 2) run(this.#flat[i + 1]!, this.#flat[i]!);
  }

  /** Whether a key stands in it twice, which no map may have. */
  hasDuplicateKey(): boolean {
    if (this.#flat.length <= 2) return false;
    return this.#lookup().size !== this.size;
  }

  #find(key: Term): number | undefined {
    return this.#lookup().get(termKey(key));
  }

  #lookup(): Map<unknown, number> {
    if (this.#index === undefined) {
      this.#index = new Map();
      for (let i = 0; i < this.#flat.length; i += 2) this.#index.set(termKey(this.#flat[i]!), i);
    }
    return this.#index;
  }
}
