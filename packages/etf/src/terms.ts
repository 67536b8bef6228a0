import { etfError } from "./errors.ts";
import type { TermMap } from "./term-map.ts";

/** Marks {@link TermMap}, so that the writer knows a map without importing it. */
export const MAP: unique symbol = Symbol("term map");

/** Everything an Erlang term can be in JavaScript. A string is taken when encoding, as a UTF-8 binary. */
export type Term =
  | number
  | bigint
  | boolean
  | string
  | Atom
  | Float
  | Uint8Array
  | BitString
  | readonly Term[]
  | ImproperList
  | Tuple
  | TermMap
  | ReadonlyMap<Term, Term>
  | Pid
  | Port
  | Reference
  | Fun
  | ExportFun
  | NativeRecord;

const MAX_ATOM_CHARACTERS = 255;

/** An atom. There is one object per text: compare by identity. */
export class Atom {
  readonly text: string;
  /** Its bytes on the wire, tag and length included; UTF-8 form. */
  readonly external: Buffer;

  /** Use {@link atom}. */
  constructor(text: string, key: symbol) {
    if (key !== KEY) throw new TypeError("atoms are made by atom()");
    const length = Buffer.byteLength(text);
    const head = length < 256 ? [119, length] : [118, length >> 8, length & 255];
    this.text = text;
    this.external = Buffer.concat([Buffer.from(head), Buffer.from(text)]);
  }
}

const KEY = Symbol("atom");
const atoms = new Map<string, WeakRef<Atom>>();
// An entry goes with its atom, so a peer that makes up atoms cannot fill the table for good.
const swept = new FinalizationRegistry<string>((text) => {
  if (atoms.get(text)?.deref() === undefined) atoms.delete(text);
});

/**
 * The atom with this text.
 * @throws IsthmusError `ETF_UNREPRESENTABLE` when it has more than 255 characters
 */
export function atom(text: string): Atom {
  const known = atoms.get(text)?.deref();
  if (known !== undefined) return known;
  if (text.length > MAX_ATOM_CHARACTERS && [...text].length > MAX_ATOM_CHARACTERS) {
    throw etfError("ETF_UNREPRESENTABLE", `An atom has at most ${MAX_ATOM_CHARACTERS} characters.`);
  }
  if (!text.isWellFormed()) throw etfError("ETF_UNREPRESENTABLE", "An atom's text must not have lone surrogates.");
  const made = new Atom(text, KEY);
  atoms.set(text, new WeakRef(made));
  swept.register(made, text);
  return made;
}

/** A float whose value is whole, or -0.0: what a JavaScript number alone would turn into an integer. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export class Tuple {
  readonly elements: readonly Term[];
  constructor(elements: readonly Term[]) {
    this.elements = elements;
  }
  get size(): number {
    return this.elements.length;
  }
}

/** A tuple of these elements. */
export function tuple(...elements: readonly Term[]): Tuple {
  return new Tuple(elements);
}

/** A list whose last tail is not `[]`, as `[alias | Ref]`. */
export class ImproperList {
  readonly elements: readonly Term[];
  readonly tail: Term;
  constructor(elements: readonly Term[], tail: Term) {
    this.elements = elements;
    this.tail = tail;
  }
}

/** A binary whose last byte is not full: `bits` (1 to 7) of it count, from the top. */
export class BitString {
  readonly bytes: Buffer;
  readonly bits: number;
  constructor(bytes: Buffer, bits: number) {
    this.bytes = bytes;
    this.bits = bits;
  }
}

export class Pid {
  readonly node: Atom;
  readonly id: number;
  readonly serial: number;
  readonly creation: number;
  constructor(node: Atom, id: number, serial: number, creation: number) {
    this.node = node;
    this.id = id;
    this.serial = serial;
    this.creation = creation;
  }
}

export class Port {
  readonly node: Atom;
  readonly id: bigint;
  readonly creation: number;
  constructor(node: Atom, id: bigint, creation: number) {
    this.node = node;
    this.id = id;
    this.creation = creation;
  }
}

/** A reference: 1 to 5 words, the first on the wire first. */
export class Reference {
  readonly node: Atom;
  readonly creation: number;
  readonly words: readonly number[];
  constructor(node: Atom, creation: number, words: readonly number[]) {
    this.node = node;
    this.creation = creation;
    this.words = words;
  }
}

/** A fun of a module, opaque: it can be carried and sent back, not called. */
export class Fun {
  readonly arity: number;
  readonly uniq: Buffer;
  readonly index: number;
  readonly module: Atom;
  readonly oldIndex: Term;
  readonly oldUniq: Term;
  readonly creator: Pid;
  readonly free: readonly Term[];
  constructor(
    head: { readonly arity: number; readonly uniq: Buffer; readonly index: number },
    module: Atom,
    oldIndex: Term,
    oldUniq: Term,
    creator: Pid,
    free: readonly Term[],
  ) {
    this.arity = head.arity;
    this.uniq = head.uniq;
    this.index = head.index;
    this.module = module;
    this.oldIndex = oldIndex;
    this.oldUniq = oldUniq;
    this.creator = creator;
    this.free = free;
  }
}

/** `fun Module:Function/Arity`. */
export class ExportFun {
  readonly module: Atom;
  readonly function: Atom;
  readonly arity: number;
  constructor(module: Atom, fun: Atom, arity: number) {
    this.module = module;
    this.function = fun;
    this.arity = arity;
  }
}

/** A native record of OTP 29. */
export class NativeRecord {
  readonly flags: number;
  readonly module: Atom;
  readonly name: Atom;
  readonly fields: readonly Atom[];
  readonly values: readonly Term[];
  constructor(flags: number, module: Atom, name: Atom, fields: readonly Atom[], values: readonly Term[]) {
    this.flags = flags;
    this.module = module;
    this.name = name;
    this.fields = fields;
    this.values = values;
  }
}
