import { type Atom, type Pid, Reference } from "@isthmus/etf";

/** OTP 23 refuses pids of others beyond 15 bits of id and 13 of serial (PROTOCOL section 6), so ours stay within. */
const IDS = 2 ** 15;
const SERIALS = 2 ** 13;
/** The first word of a reference that may be an alias has 18 bits. */
const WORD0 = 2 ** 18;

/** The number of a local pid, `id + serial * 2^15`; -1 when no pid of ours looks like that. */
export function pidNumber(pid: Pid): number {
  return pid.id < IDS && pid.serial < SERIALS ? pid.id + pid.serial * IDS : -1;
}

/** The two numbers of a pid from the one of {@link pidNumber}. */
export function pidParts(number: number): { readonly id: number; readonly serial: number } {
  return { id: number % IDS, serial: Math.floor(number / IDS) };
}

/** Gives out pid numbers in order, from 1, around a circle of 2^28, past those that are in use. */
export class PidNumbers {
  #last = 0;

  /** @param taken whether a living process has this number; not all may be taken */
  next(taken: (number: number) => boolean): number {
    do this.#last = (this.#last + 1) % (IDS * SERIALS);
    while (this.#last === 0 || taken(this.#last));
    return this.#last;
  }
}

/** Makes references that are good for monitors, aliases and requests alike: three words, the last 0. */
export class References {
  readonly #node: Atom;
  readonly #creation: () => number;
  #last = 0;

  constructor(node: Atom, creation: () => number) {
    this.#node = node;
    this.#creation = creation;
  }

  /** The next one. There are 2^50. */
  next(): Reference {
    const number = ++this.#last;
    return new Reference(this.#node, this.#creation(), [number % WORD0, Math.floor(number / WORD0), 0]);
  }

  /** The number of a reference of ours; 0 for any other. */
  number(ref: Reference): number {
    const words = ref.words;
    if (ref.node !== this.#node || ref.creation !== this.#creation() || words.length !== 3 || words[2] !== 0)
      return 0;
    return referenceNumber(ref);
  }
}

/** The number of a reference that is known to be one of ours. */
export function referenceNumber(ref: Reference): number {
  return (ref.words[0] as number) + (ref.words[1] as number) * WORD0;
}

/** A map key that is the same for equal pids. */
export function pidKey(pid: Pid): string {
  return `${pid.node.text}/${pid.id}/${pid.serial}/${pid.creation}`;
}

/** A map key that is the same for equal references. */
export function referenceKey(ref: Reference): string {
  return `${ref.node.text}/${ref.creation}/${ref.words.join("/")}`;
}

/** Whether two pids are the same process. */
export function samePid(a: Pid, b: Pid): boolean {
  return a.id === b.id && a.serial === b.serial && a.creation === b.creation && a.node === b.node;
}
