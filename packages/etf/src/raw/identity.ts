import type { Atom } from "../terms/atom.ts";
import type { Pid } from "../terms/pid.ts";
import type { Port } from "../terms/port.ts";
import type { Reference } from "../terms/reference.ts";

/** A node name and creation: what makes an identifier belong to one incarnation of a node. */
export interface Identity {
  readonly node: Atom;
  /** Unsigned 32-bit. */
  readonly creation: number;
  /**
   * Who says what each identifier of this incarnation becomes, when not all of them keep their numbers. Node and
   * creation are not looked at then.
   */
  readonly each?: IdentifierTranslator | undefined;
  /** Whether identifiers of another incarnation may become the same as these. */
  readonly shared?: boolean | undefined;
}

/**
 * Decides what the identifiers of a node become. Different incarnations must become different ones (and none that is
 * left as it is): otherwise two keys of a map can become one, and the receiving BEAM drops the connection. Those that are
 * {@link Identity.shared} need not: a map of which two keys become one is refused then.
 */
export interface IdentityTranslator {
  /** @returns null to leave identifiers of this incarnation as they are */
  identity(node: Atom, creation: number): Identity | null;
}

/** Decides what single identifiers become. Different ones must become different ones. */
export interface IdentifierTranslator {
  /** What a pid becomes; what it throws ends the copy. */
  pid(pid: Pid): Pid;
  /** What a port becomes; what it throws ends the copy. */
  port(port: Port): Port;
  /** What a reference becomes; what it throws ends the copy. */
  reference(reference: Reference): Reference;
}
