import { type Atom, Pid, Port, Reference } from "@isthmus/etf";
import { bridgeError } from "../errors.ts";
import { type Identifier, withIdentity } from "./identifier.ts";
import type { Standin } from "./identity-index.ts";

/** How identifiers of one kind are numbered within what OTP 23 can decode (PROTOCOL section 6). */
export interface NarrowKind<T extends Identifier> {
  /** How many there are under one creation. */
  readonly count: number;
  /** Identifiers of one incarnation with the same text are the same. */
  text(identifier: T): string;
  /** The one with this number, below {@link NarrowKind.count}. */
  make(node: Atom, creation: number, number: number): T;
  /** Its number; -1 when {@link NarrowKind.make} makes no such one. */
  number(identifier: T): number;
}

/** 15 bits of id and 13 of serial. */
export const NARROW_PIDS: NarrowKind<Pid> = {
  count: 2 ** 28,
  text: ({ id, serial }) => `${id}.${serial}`,
  make: (node, creation, number) => new Pid(node, number % 2 ** 15, Math.floor(number / 2 ** 15), creation),
  number: ({ id, serial }) => (id < 2 ** 15 && serial < 2 ** 13 ? id + serial * 2 ** 15 : -1),
};

export const NARROW_PORTS: NarrowKind<Port> = {
  count: 2 ** 28,
  text: ({ id }) => String(id),
  make: (node, creation, number) => new Port(node, BigInt(number), creation),
  number: ({ id }) => (id < 2n ** 28n ? Number(id) : -1),
};

/** Three words, the first of 18 bits. */
export const NARROW_REFERENCES: NarrowKind<Reference> = {
  count: 2 ** 50,
  text: ({ words }) => words.join("."),
  make: (node, creation, number) =>
    new Reference(node, creation, [number % 2 ** 18, Math.floor(number / 2 ** 18), 0]),
  number: ({ words: [low = 0, high = 0, rest], words }) =>
    words.length === 3 && rest === 0 && low < 2 ** 18 ? low + high * 2 ** 18 : -1,
};

/** One identifier that is too wide for OTP 23, and the number under which it is shown. */
export interface Slot<Place, T> {
  /** Whose it is. */
  readonly standin: Standin<Place>;
  /** As its own cluster knows it. */
  readonly own: T;
  /** @internal */
  readonly number: number;
  /** @internal How many links and monitors need it. */
  holds: number;
  /** @internal Those used before and after it; a held one is not among them. */
  older: Slot<Place, T> | undefined;
  /** @internal */
  newer: Slot<Place, T> | undefined;
}

/**
 * Which narrow identifiers of one kind stand for which wide ones in a cluster that has nodes of OTP 23. The one that
 * was not used for the longest time is given up for a new one, unless it is held. No number stands for a second
 * identifier: when all numbers were given out, they begin anew under another creation.
 */
export class NarrowTable<Place extends object, T extends Identifier> {
  readonly #kind: NarrowKind<T>;
  readonly #self: Atom;
  readonly #limit: number;
  readonly #byText = new Map<string, Slot<Place, T>>();
  readonly #byNumber = new Map<number, Slot<Place, T>>();
  /** The creations that were used, in order. Numbers count on from one to the next. */
  readonly #creations: number[] = [];
  readonly #orders = new Map<number, number>();
  #next = 1;
  #oldest: Slot<Place, T> | undefined;
  #newest: Slot<Place, T> | undefined;

  /**
   * @param self the bridge's name in the cluster
   * @param limit how many identifiers may be shown at a time; each takes 300 to 400 bytes
   */
  constructor(kind: NarrowKind<T>, self: Atom, limit: number) {
    this.#kind = kind;
    this.#self = self;
    this.#limit = limit;
  }

  get size(): number {
    return this.#byNumber.size;
  }

  /** Whether identifiers with this creation are of this table. */
  has(creation: number): boolean {
    return this.#orders.has(creation);
  }

  /**
   * What stands for `own`.
   * @param newCreation gives a creation that nothing else has
   * @throws IsthmusError `TERM_NOT_FOR_TARGET` when all slots are held
   */
  show(standin: Standin<Place>, own: T, newCreation: () => number): T {
    const text = `${standin.creation} ${this.#kind.text(own)}`;
    let slot = this.#byText.get(text);
    if (slot !== undefined) {
      this.#use(slot);
      return this.#shown(slot.number);
    }
    if (this.#byNumber.size >= this.#limit) this.#giveUpOldest();
    const order = Math.floor(this.#next / this.#kind.count);
    if (order === this.#creations.length) {
      const creation = newCreation();
      this.#creations.push(creation);
      this.#orders.set(creation, order);
    }
    // `own` may be what a third cluster calls it
    slot = {
      standin,
      own: withIdentity(own, standin.origin),
      number: this.#next++,
      holds: 0,
      older: undefined,
      newer: undefined,
    };
    this.#byText.set(text, slot);
    this.#byNumber.set(slot.number, slot);
    this.#append(slot);
    return this.#shown(slot.number);
  }

  /** What `shown` stands for; undefined when that was given up, or never there. */
  find(shown: T): Slot<Place, T> | undefined {
    const slot = this.#at(shown);
    if (slot !== undefined) this.#use(slot);
    return slot;
  }

  /** Keeps what `shown` stands for until as many calls of {@link NarrowTable.release}. */
  hold(shown: T): void {
    const slot = this.#at(shown);
    if (slot !== undefined && slot.holds++ === 0) this.#detach(slot);
  }

  /** Takes back one {@link NarrowTable.hold}. */
  release(shown: T): void {
    const slot = this.#at(shown);
    if (slot !== undefined && slot.holds > 0 && --slot.holds === 0) this.#append(slot);
  }

  #shown(number: number): T {
    const { count } = this.#kind;
    return this.#kind.make(this.#self, this.#creations[Math.floor(number / count)] as number, number % count);
  }

  #at(shown: T): Slot<Place, T> | undefined {
    const order = this.#orders.get(shown.creation);
    const number = this.#kind.number(shown);
    return order === undefined || number < 0
      ? undefined
      : this.#byNumber.get(order * this.#kind.count + number);
  }

  #giveUpOldest(): void {
    const slot = this.#oldest;
    if (slot === undefined) {
      throw bridgeError(
        "TERM_NOT_FOR_TARGET",
        `${this.#limit} processes and aliases with links or monitors are shown to the OTP 23 nodes at ${this.#self.text}; there is room for no more. Raise maxNarrowed.`,
        { context: { bridge: this.#self.text, limit: this.#limit } },
      );
    }
    this.#detach(slot);
    this.#byNumber.delete(slot.number);
    this.#byText.delete(`${slot.standin.creation} ${this.#kind.text(slot.own)}`);
  }

  #use(slot: Slot<Place, T>): void {
    if (slot.holds > 0 || slot === this.#newest) return;
    this.#detach(slot);
    this.#append(slot);
  }

  #append(slot: Slot<Place, T>): void {
    slot.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = slot;
    else this.#newest.newer = slot;
    this.#newest = slot;
  }

  #detach(slot: Slot<Place, T>): void {
    if (slot.older === undefined) this.#oldest = slot.newer;
    else slot.older.newer = slot.newer;
    if (slot.newer === undefined) this.#newest = slot.older;
    else slot.newer.older = slot.older;
    slot.older = undefined;
    slot.newer = undefined;
  }
}
