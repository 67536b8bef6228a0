import type { Atom } from "../terms/atom.ts";

/** A node name and creation: what makes an identifier belong to one incarnation of a node. */
export interface Identity {
  readonly node: Atom;
  /** Unsigned 32-bit. */
  readonly creation: number;
}

/**
 * Decides what the identifiers of a node become. Different incarnations must become different ones (and none that is
 * left as it is): otherwise two keys of a map can become one, and the receiving BEAM drops the connection.
 */
export interface IdentityTranslator {
  /** @returns null to leave identifiers of this incarnation as they are */
  identity(node: Atom, creation: number): Identity | null;
}
