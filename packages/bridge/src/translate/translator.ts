import { type Atom, Pid, type Port, Reference } from "@isthmus/etf";
import type { IdentifierTranslator, Identity, IdentityTranslator } from "@isthmus/etf/raw";
import { bridgeError } from "../errors.ts";
import { type Identifier, withIdentity } from "./identifier.ts";
import type { IdentityIndex, Standin } from "./identity-index.ts";

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
  /** What the tables of the first cluster stand for. */
  readonly #tabled: Identity;
  /** Most messages name the same node again and again. */
  #lastNode: Atom | undefined;
  #lastCreation = 0;
  #lastChanges = 0;
  #last: Identity | undefined;

  constructor(from: Place, to: Place) {
    this.#from = from;
    this.#to = to;
    const each = one((identifier) => this.#fromTable(identifier));
    this.#tabled = { node: from.self, creation: 0, each };
  }

  /** @throws IsthmusError `IDENTITY_LIMIT` */
  identity(node: Atom, creation: number): Identity {
    const changes = this.#from.index.changes + this.#to.index.changes;
    if (
      node === this.#lastNode &&
      creation === this.#lastCreation &&
      changes === this.#lastChanges &&
      this.#last !== undefined
    )
      return this.#last;
    this.#last = this.#lookUp(node, creation);
    this.#lastNode = node;
    this.#lastCreation = creation;
    this.#lastChanges = changes;
    return this.#last;
  }

  /** @throws IsthmusError `IDENTITY_LIMIT`, `TERM_NOT_FOR_TARGET` */
  pid(pid: Pid): Pid {
    const { node, creation, each } = this.identity(pid.node, pid.creation);
    return each === undefined ? new Pid(node, pid.id, pid.serial, creation) : each.pid(pid);
  }

  /** @throws IsthmusError `IDENTITY_LIMIT`, `TERM_NOT_FOR_TARGET` */
  reference(ref: Reference): Reference {
    const { node, creation, each } = this.identity(ref.node, ref.creation);
    return each === undefined ? new Reference(node, creation, ref.words) : each.reference(ref);
  }

  #lookUp(node: Atom, creation: number): Identity {
    const from = this.#from;
    const to = this.#to;
    const ours = node === from.self;
    const mirror = !ours && from.index.isMirror(node);
    if (ours || mirror) {
      const late = from.index.narrowedLate;
      if (from.index.isTable(creation))
        return late || mirror ? { ...this.#tabled, shared: true } : this.#tabled;
      const known = from.index.get(creation);
      const standin = ours || known?.mirror === node ? known : undefined;
      if (standin !== undefined) {
        const { place, origin } = standin;
        const identity = place === to ? this.#home(origin) : this.#shown(this.#standin(place, origin));
        // by its other name, the first cluster may mention the same process
        return late || standin.mirror !== undefined ? { ...identity, shared: true } : identity;
      }
    }
    // an index that nobody gave out, and the bridge's own processes, become stand-ins for nobody: they must not leak
    const nobody = this.#standin(from, { node, creation });
    // given out later, it would be shown with the same words as what was made up
    if (ours || mirror) from.index.avoid(creation);
    return this.#shown(nobody);
  }

  #standin(place: Place, { node, creation }: Identity): Standin<Place> {
    return this.#to.index.standin(place, node, creation, this.#to.creation);
  }

  /** What a stand-in of the second cluster is for the rewriter. */
  #shown(standin: Standin<Place>): Identity {
    const { index, creation } = this.#to;
    if (!index.narrow) return standin;
    const each = one((identifier) => index.show(standin, identifier, creation));
    return { node: standin.node, creation: standin.creation, each };
  }

  /** What came from the second cluster, as it is known there. */
  #home(origin: Identity): Identity {
    const { index, self } = this.#to;
    if (origin.node !== self || !index.isTable(origin.creation)) return origin;
    const each = one((identifier) => this.#givenUp(withIdentity(identifier, origin)));
    return { node: self, creation: origin.creation, each };
  }

  /** A number that stood for nothing when the second cluster mentioned it. */
  #givenUp(shown: Identifier): Identifier {
    if (this.#to.index.find(shown) === undefined) return shown;
    throw bridgeError(
      "TERM_NOT_FOR_TARGET",
      "An identifier was made up by a peer and would be taken for another.",
      { context: { bridge: this.#to.self.text } },
    );
  }

  /** What stands in a table of the first cluster. */
  #fromTable(shown: Identifier): Identifier {
    const slot = this.#from.index.find(shown);
    const { index, creation } = this.#to;
    if (slot === undefined) {
      return index.show(this.#standin(this.#from, shown), shown, creation);
    }
    const { place, origin } = slot.standin;
    if (place === this.#to) return slot.own;
    return index.show(this.#standin(place, origin), slot.own, creation);
  }
}

function one(translate: (identifier: Identifier) => Identifier): IdentifierTranslator {
  return {
    pid: (pid) => translate(pid) as Pid,
    port: (port) => translate(port) as Port,
    reference: (reference) => translate(reference) as Reference,
  };
}
