import { compareTermsExact, sortKeys } from "../compare/order.ts";
import type { Term } from "../term.ts";
import { ATOM_FALSE, ATOM_TRUE, Atom } from "./atom.ts";
import type { TermMap } from "./term-map.ts";

/** Up to this many binaries, each is compared with each. */
const PAIRWISE_LIMIT = 8;

/** Counts the maps looked at. An atom whose stamp is the current number was seen in this map already. */
let stamp = 0;

/**
 * Whether an array of key, value, key, value ... has one key twice, as `=:=` sees it. No hash table with numbers or
 * structures as keys is used, so that keys chosen by a peer cannot make it slow.
 * @param map that is being made of it. Where keys are containers it learns the order of its keys, so that comparing
 * maps which are keys of maps never has to sort those within again
 */
export function hasDuplicateKeys(flat: readonly Term[], map: TermMap | undefined): boolean {
  const length = flat.length;
  if (length <= 2) return false;
  stamp++;
  let others = 0;
  for (let i = 0; i < length; i += 2) {
    let key = flat[i] as Term;
    if (typeof key === "boolean") key = key ? ATOM_TRUE : ATOM_FALSE;
    if (key instanceof Atom) {
      if (key.stamp === stamp) return true;
      key.stamp = stamp;
    } else {
      others++;
    }
  }
  return others > 1 && othersRepeat(flat, map);
}

/** Whether one atom stands twice in `atoms`. */
export function hasDuplicateAtoms(atoms: readonly Atom[]): boolean {
  stamp++;
  for (const a of atoms) {
    if (a.stamp === stamp) return true;
    a.stamp = stamp;
  }
  return false;
}

function othersRepeat(flat: readonly Term[], map: TermMap | undefined): boolean {
  const numbers: number[] = [];
  const binaries: (Uint8Array | string)[] = [];
  let rest = 0;
  for (let i = 0; i < flat.length; i += 2) {
    const key = flat[i] as Term;
    if (typeof key === "number") numbers.push(key);
    else if (key instanceof Uint8Array || typeof key === "string") binaries.push(key);
    else if (typeof key !== "boolean" && !(key instanceof Atom)) rest++;
  }
  if (numbersRepeat(numbers) || binariesRepeat(binaries)) return true;
  if (rest === 0) return false;
  const order = sortKeys(flat);
  if (map !== undefined) map.order = order;
  for (let i = 1; i < order.length; i++) {
    const before = flat[order[i - 1] as number] as Term;
    if (compareTermsExact(before, flat[order[i] as number] as Term) === 0) return true;
  }
  return false;
}

function binariesRepeat(keys: readonly (Uint8Array | string)[]): boolean {
  if (keys.length <= PAIRWISE_LIMIT) {
    for (let i = 1; i < keys.length; i++) {
      for (let k = 0; k < i; k++) {
        if (compareTermsExact(keys[i] as Term, keys[k] as Term) === 0) return true;
      }
    }
    return false;
  }
  // V8 seeds the hash of strings, so these cannot be made to collide
  const texts = new Set<string>();
  for (const key of keys) {
    texts.add(
      typeof key === "string"
        ? Buffer.from(key, "utf8").toString("latin1")
        : Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1"),
    );
  }
  return texts.size < keys.length;
}

function numbersRepeat(keys: readonly number[]): boolean {
  let ascending = true;
  for (let i = 1; i < keys.length && ascending; i++) {
    ascending = (keys[i] as number) > (keys[i - 1] as number);
  }
  if (ascending) return false;
  const sorted = Float64Array.from(keys).sort();
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i] === sorted[i - 1]) return true;
  }
  return false;
}
