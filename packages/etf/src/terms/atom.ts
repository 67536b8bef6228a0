import { isUtf8 } from "node:buffer";
import { etfError } from "../errors.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import { TERM } from "./brand.ts";

/** An atom holds at most 255 characters, code points not bytes (erts `MAX_ATOM_CHARACTERS`). */
const MAX_CHARACTERS = 255;

/** Kept in this file: an atom made past the table would not be the same as its equal. */
const KEY = Symbol("atom");

/**
 * An Erlang atom. There is one object per text, so atoms are compared with `===`. Made with {@link atom}.
 *
 * `true` and `false` decode to JavaScript booleans; `atom("true")` exists as well and means the same term.
 */
export class Atom {
  readonly kind = "atom";
  readonly text: string;
  /**
   * The whole term in bytes, SMALL_ATOM_UTF8_EXT or ATOM_UTF8_EXT; made when first written.
   * @internal
   */
  wire: Buffer | undefined;
  /**
   * The last map this atom was seen in as a key: finds duplicate keys without a set.
   * @internal
   */
  stamp: number;

  private constructor(text: string, key: symbol) {
    if (key !== KEY)
      throw etfError("ETF_UNREPRESENTABLE", "Atoms are made with atom(text), one for each text.");
    this.text = text;
    this.wire = undefined;
    this.stamp = 0;
  }

  /** Only for the intern table. @internal */
  static make(text: string): Atom {
    return new Atom(text, KEY);
  }

  /** Its text, without quotes. */
  toString(): string {
    return this.text;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}

/**
 * Atoms made by the program stay for good, as on the BEAM. Atoms that only a peer mentioned are held weakly: the table
 * forgets them when nothing else knows them, so that a peer cannot fill the memory with made-up names.
 */
const table = new Map<string, Atom | WeakRef<Atom>>();
const forgotten = new FinalizationRegistry<string>((text) => {
  const entry = table.get(text);
  if (entry instanceof WeakRef && entry.deref() === undefined) table.delete(text);
});

/**
 * The atom with this text. It is kept for the life of the process: do not pass unbounded outside input.
 * @throws IsthmusError `ETF_ATOM_INVALID` for more than 255 characters or a lone surrogate
 */
export function atom(text: string): Atom {
  const entry = table.get(text);
  if (entry instanceof Atom) return entry;
  const known = entry?.deref();
  if (known === undefined) checkText(text);
  const made = known ?? Atom.make(text);
  table.set(text, made);
  return made;
}

/**
 * The atom with this valid text, held weakly unless the program has made it: for names that a peer made up, which must
 * not stay for good.
 */
export function internWeakly(text: string): Atom {
  const entry = table.get(text);
  if (entry instanceof Atom) return entry;
  const known = entry?.deref();
  if (known !== undefined) return known;
  const made = Atom.make(text);
  table.set(text, new WeakRef(made));
  forgotten.register(made, text);
  return made;
}

/** How many atoms the table knows, live or not yet forgotten; for tests and metrics. */
export function internedAtomCount(): number {
  return table.size;
}

/** The atom as SMALL_ATOM_UTF8_EXT (119) or, beyond 255 bytes, ATOM_UTF8_EXT (118). */
export function atomWire(a: Atom): Buffer {
  return a.wire ?? makeWire(a);
}

function makeWire(a: Atom): Buffer {
  const length = Buffer.byteLength(a.text, "utf8");
  // a buffer of its own: a slice of Node's pool would keep 8 KiB alive for each atom
  const wire = Buffer.allocUnsafeSlow(length + (length > 255 ? 3 : 2));
  if (length > 255) {
    wire[0] = 118;
    wire.writeUInt16BE(length, 1);
    wire.write(a.text, 3, "utf8");
  } else {
    wire[0] = 119;
    wire[1] = length;
    wire.write(a.text, 2, "utf8");
  }
  a.wire = wire;
  return wire;
}

function checkText(text: string): void {
  const problem = !text.isWellFormed()
    ? "it has half of a surrogate pair"
    : text.length > MAX_CHARACTERS && countCharacters(text) > MAX_CHARACTERS
      ? `it is longer than ${MAX_CHARACTERS} characters`
      : undefined;
  if (problem !== undefined) {
    throw etfError("ETF_ATOM_INVALID", `${JSON.stringify(text.slice(0, 60))} cannot be an atom: ${problem}.`);
  }
}

/**
 * The text of an atom from its bytes, or undefined when they are not valid UTF-8 (surrogates and overlong forms
 * included) or are too many.
 */
export function atomText(bytes: Buffer, start: number, end: number, latin1: boolean): string | undefined {
  if (latin1) return end - start > MAX_CHARACTERS ? undefined : bytes.toString("latin1", start, end);
  if (end - start > MAX_CHARACTERS * 4 || !isUtf8(bytes.subarray(start, end))) return undefined;
  const text = bytes.toString("utf8", start, end);
  return text.length > MAX_CHARACTERS && countCharacters(text) > MAX_CHARACTERS ? undefined : text;
}

/** The atom in these bytes of UTF-8, held weakly; undefined when they are none. */
export function atomFromUtf8(bytes: Buffer, start: number, end: number): Atom | undefined {
  const text = atomText(bytes, start, end, false);
  return text === undefined ? undefined : internWeakly(text);
}

function countCharacters(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count++;
  }
  return count;
}

/** `true` and `false` as atoms; terms have them as booleans. */
export const ATOM_TRUE: Atom = /* @__PURE__ */ atom("true");
export const ATOM_FALSE: Atom = /* @__PURE__ */ atom("false");
