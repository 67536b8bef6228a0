import { type Atom, Pid, Reference } from "@isthmus/etf";
import type { Identity, IdentityTranslator } from "@isthmus/etf/raw";
import type { IdentityIndex } from "./identity-index.ts";

/** One end of a translation: a cluster, as far as names of processes are concerned. */
export interface Place {
  /** The bridge's name there. */
  readonly self: Atom;
  /** The bridge's creation there. */
  readonly creation: number;
  /** How that cluster sees the others. */
  readonly index: IdentityIndex<Place>;
}

/**
 * Turns what one cluster calls a process into what another calls it: a process of the first cluster becomes a
 * stand-in, a stand-in for a process of the second becomes that process again, and one for a third cluster's becomes
 * the second cluster's stand-in for it.
 */
export class Translator implements IdentityTranslator {
  readonly #from: Place;
  readonly #to: Place;
  /** Most messages name the same node again and again. */
  #lastNode: Atom | undefined;
  #lastCreation = 0;
  #last: Identity | undefined;

  constructor(from: Place, to: Place) {
    this.#from = from;
    this.#to = to;
  }

  /** @throws IsthmusError `IDENTITY_LIMIT` */
  identity(node: Atom, creation: number): Identity {
    if (node === this.#lastNode && creation === this.#lastCreation && this.#last !== undefined)
      return this.#last;
    this.#last = this.#lookUp(node, creation);
    this.#lastNode = node;
    this.#lastCreation = creation;
    return this.#last;
  }

  pid(pid: Pid): Pid {
    const { node, creation } = this.identity(pid.node, pid.creation);
    return new Pid(node, pid.id, pid.serial, creation);
  }

  reference(ref: Reference): Reference {
    const { node, creation } = this.identity(ref.node, ref.creation);
    return new Reference(node, creation, ref.words);
  }

  #lookUp(node: Atom, creation: number): Identity {
    const to = this.#to;
    if (node === this.#from.self) {
      const standin = this.#from.index.get(creation);
      if (standin?.place === to) return standin.origin;
      if (standin !== undefined) {
        return to.index.standin(standin.place, standin.origin.node, standin.origin.creation, to.creation);
      }
    }
    // an index that nobody gave out, and the bridge's own processes, become stand-ins for nobody: they must not leak
    return to.index.standin(this.#from, node, creation, to.creation);
  }
}
