import type { Atom } from "@isthmus/etf";
import type { Identity } from "@isthmus/etf/raw";
import { bridgeError } from "../errors.ts";

/**
 * A foreign incarnation of a node as one cluster sees it: its processes appear there under the bridge's name, with
 * {@link Standin.creation} in the place of their own creation. Id, serial and reference words stay as they are.
 */
export interface Standin<Place> extends Identity {
  /** The bridge's name in the cluster that sees it. */
  readonly node: Atom;
  /** The index. Never used for another origin. */
  readonly creation: number;
  /** Where it really lives. */
  readonly place: Place;
  /** Its real name and creation there. */
  readonly origin: Identity;
}

/** Creations 0 to 3 mean something else in the old one-byte forms, and 0 is a wildcard on OTP 23. */
export const FIRST_INDEX = 4;
export const LAST_INDEX = 2 ** 32 - 1;
const INDEXES = LAST_INDEX - FIRST_INDEX + 1;

/**
 * Where a bridge without a state file begins to count its indexes: anywhere. Pids of an earlier run may live on in the
 * memory of a cluster, so two runs must not give out the same index; a run uses some hundred of four thousand million.
 * @param random a number in [0, 1)
 */
export function firstIndex(random: number): number {
  return FIRST_INDEX + Math.floor(random * INDEXES);
}

/**
 * How everything foreign is shown to one cluster: an index for each (place, node, creation) that was mentioned to it,
 * kept for the life of the process. It grows with node incarnations, not with processes (ADDRESS_TRANSLATION, 4.3-4.5).
 */
export class IdentityIndex<Place extends object> {
  readonly #self: Atom;
  readonly #limit: number;
  readonly #byIndex = new Map<number, Standin<Place>>();
  readonly #byOrigin = new Map<Place, Map<Atom, Map<number, Standin<Place>>>>();
  #next: number;

  /**
   * @param self the bridge's name in this cluster
   * @param first see {@link firstIndex}
   * @param limit how many stand-ins there may be; a peer that makes up node names cannot go beyond it
   */
  constructor(self: Atom, first: number, limit: number) {
    this.#self = self;
    this.#next = first;
    this.#limit = limit;
  }

  get size(): number {
    return this.#byIndex.size;
  }

  /** What an index stands for; undefined for one that was not given out by this process. */
  get(creation: number): Standin<Place> | undefined {
    return this.#byIndex.get(creation);
  }

  /**
   * The stand-in for an incarnation, made when it is mentioned for the first time.
   * @param reserved the bridge's own creation in this cluster, which must not be confused with an index
   * @throws IsthmusError `IDENTITY_LIMIT`
   */
  standin(place: Place, node: Atom, creation: number, reserved: number): Standin<Place> {
    const known = this.#byOrigin.get(place)?.get(node)?.get(creation);
    if (known !== undefined) return known;
    if (this.#byIndex.size >= this.#limit) {
      throw bridgeError(
        "IDENTITY_LIMIT",
        `${this.#limit} node incarnations were mentioned to ${this.#self.text}; no further one is taken. A peer may be making up node names.`,
        { context: { bridge: this.#self.text, node: node.text, limit: this.#limit } },
      );
    }
    do {
      this.#next = this.#next >= LAST_INDEX ? FIRST_INDEX : this.#next + 1;
    } while (this.#next === reserved || this.#byIndex.has(this.#next));
    const standin: Standin<Place> = {
      node: this.#self,
      creation: this.#next,
      place,
      origin: { node, creation },
    };
    const nodes = this.#byOrigin.get(place) ?? new Map<Atom, Map<number, Standin<Place>>>();
    this.#byOrigin.set(place, nodes);
    const creations = nodes.get(node);
    if (creations === undefined) nodes.set(node, new Map([[creation, standin]]));
    else creations.set(creation, standin);
    this.#byIndex.set(this.#next, standin);
    return standin;
  }
}
