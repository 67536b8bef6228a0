import type { Atom, Pid, Port, Reference } from "@isthmus/etf";
import { type Identity, isNarrow } from "@isthmus/etf/raw";
import { bridgeError } from "../errors.ts";
import { type Identifier, withIdentity } from "./identifier.ts";
import { NARROW_PIDS, NARROW_PORTS, NARROW_REFERENCES, NarrowTable, type Slot } from "./narrow-table.ts";

/**
 * A foreign incarnation of a node as one cluster sees it: its processes appear there under the bridge's name, with
 * {@link Standin.creation} in the place of their own creation. Id, serial and reference words stay as they are, unless
 * OTP 23 cannot read them; see {@link IdentityIndex.show}.
 */
export interface Standin<Place> extends Identity {
  /** The bridge's name in the cluster that sees it, or while it has a mirror there, that one's. */
  node: Atom;
  /** The last mirror, whose name it was shown under with the same creation. */
  mirror: Atom | undefined;
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

/** Wide pids, ports and references that may be shown to a cluster with OTP 23 at a time, of each kind. */
export const DEFAULT_MAX_NARROWED = 1_000_000;

/**
 * How everything foreign is shown to one cluster: an index for each (place, node, creation) that was mentioned to it,
 * kept for the life of the process. It grows with node incarnations, not with processes (ADDRESS_TRANSLATION, 4.3-4.5).
 */
export class IdentityIndex<Place extends object> {
  readonly #self: Atom;
  readonly #limit: number;
  readonly #byIndex = new Map<number, Standin<Place>>();
  readonly #byOrigin = new Map<Place, Map<Atom, Map<number, Standin<Place>>>>();
  readonly #pids: NarrowTable<Place, Pid>;
  readonly #ports: NarrowTable<Place, Port>;
  readonly #references: NarrowTable<Place, Reference>;
  /** Creations of the tables. */
  readonly #tables = new Set<number>();
  /** Creations that a peer has made up. */
  readonly #avoided = new Set<number>();
  /** Names that mirrors have had. */
  readonly #mirrors = new Set<Atom>();
  #narrow = false;
  #narrowedLate = false;
  #changes = 0;
  readonly #listeners = new Set<() => void>();
  #next: number;

  /**
   * @param self the bridge's name in this cluster
   * @param first see {@link firstIndex}
   * @param limit how many stand-ins there may be; a peer that makes up node names cannot go beyond it
   * @param maxNarrowed how many identifiers of each kind may be shown in a narrow form at a time
   */
  constructor(self: Atom, first: number, limit: number, maxNarrowed: number = DEFAULT_MAX_NARROWED) {
    this.#self = self;
    this.#next = first;
    this.#limit = limit;
    this.#pids = new NarrowTable(NARROW_PIDS, self, maxNarrowed);
    this.#ports = new NarrowTable(NARROW_PORTS, self, maxNarrowed);
    this.#references = new NarrowTable(NARROW_REFERENCES, self, maxNarrowed);
  }

  get size(): number {
    return this.#byIndex.size + this.#tables.size;
  }

  /** Identifiers that are shown in a narrow form at present. */
  get narrowed(): number {
    return this.#pids.size + this.#ports.size + this.#references.size;
  }

  /** Whether the cluster has nodes of OTP 23, which drop the connection over wide numbers. */
  get narrow(): boolean {
    return this.#narrow;
  }

  /** From now on, nothing is shown to the cluster that OTP 23 cannot read. */
  becomeNarrow(): void {
    if (this.#narrow) return;
    this.#narrow = true;
    this.#narrowedLate = this.#byIndex.size > 0;
    this.#changed();
  }

  /** Whether wide identifiers may have been shown as they are, before it became narrow: then they have two names. */
  get narrowedLate(): boolean {
    return this.#narrowedLate;
  }

  /** Counts what has changed in how things are shown that were shown before. */
  get changes(): number {
    return this.#changes;
  }

  /** Calls `listener` after each such change. @returns a function that ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What an index stands for; undefined for one that was not given out by this process, or belongs to a table. */
  get(creation: number): Standin<Place> | undefined {
    return this.#byIndex.get(creation);
  }

  /**
   * From now on the processes of an incarnation are shown under the name of a mirror, or under the bridge's again. What
   * they were called before keeps its meaning.
   * @param standin of this index
   * @param mirror the mirror's name; undefined when it is gone
   */
  rename(standin: Standin<Place>, mirror: Atom | undefined): void {
    standin.node = mirror ?? this.#self;
    if (mirror !== undefined) {
      standin.mirror = mirror;
      this.#mirrors.add(mirror);
    }
    this.#changed();
  }

  /** Whether mirrors have had this name. */
  isMirror(node: Atom): boolean {
    return this.#mirrors.has(node);
  }

  /** Whether identifiers with this creation stand for others one by one. */
  isTable(creation: number): boolean {
    return this.#tables.has(creation);
  }

  /**
   * How an identifier is shown: with the creation of its stand-in and its own numbers. Numbers that OTP 23 cannot read
   * are replaced in a cluster that has such nodes, under a creation that means nothing but that.
   * @param standin of this index
   * @param reserved see {@link IdentityIndex.standin}
   * @throws IsthmusError `TERM_NOT_FOR_TARGET` when there is no room, `IDENTITY_LIMIT`
   */
  show<T extends Identifier>(standin: Standin<Place>, own: T, reserved: number): T;
  show(standin: Standin<Place>, own: Identifier, reserved: number): Identifier {
    if (!this.#narrow || isNarrow(own)) return withIdentity(own, standin);
    const newCreation = (): number => this.#newTable(reserved);
    switch (own.kind) {
      case "pid":
        return this.#pids.show(standin, own, newCreation);
      case "port":
        return this.#ports.show(standin, own, newCreation);
      default:
        return this.#references.show(standin, own, newCreation);
    }
  }

  /** What an identifier of a table stands for; undefined when that was given up, or never there. */
  find<T extends Identifier>(shown: T): Slot<Place, T> | undefined;
  find(shown: Identifier): Slot<Place, Identifier> | undefined {
    switch (shown.kind) {
      case "pid":
        return this.#pids.find(shown);
      case "port":
        return this.#ports.find(shown);
      default:
        return this.#references.find(shown);
    }
  }

  /** Whose a pid or alias is that the cluster knows under the bridge's name; undefined for nobody's. */
  owner(shown: Pid | Reference): Standin<Place> | undefined {
    return (
      this.#byIndex.get(shown.creation) ??
      (this.#tables.has(shown.creation) ? this.find(shown)?.standin : undefined)
    );
  }

  /** What its own cluster calls a pid or alias; `owner` is what {@link IdentityIndex.owner} says. */
  own<T extends Pid | Reference>(shown: T, owner: Standin<Place>): T {
    const slot = shown.creation === owner.creation ? undefined : this.find(shown);
    return slot?.own ?? withIdentity(shown, owner.origin);
  }

  /** Something depends on what `shown` stands for: it is not given up until as many calls of `release`. */
  hold(shown: Pid | Reference): void {
    if (!this.#tables.has(shown.creation)) return;
    if (shown.kind === "pid") this.#pids.hold(shown);
    else this.#references.hold(shown);
  }

  /** Takes back one `hold`. */
  release(shown: Pid | Reference): void {
    if (!this.#tables.has(shown.creation)) return;
    if (shown.kind === "pid") this.#pids.release(shown);
    else this.#references.release(shown);
  }

  /** A peer has used this creation under the bridge's name, though nothing was shown with it: nothing ever will be. */
  avoid(creation: number): void {
    if (!this.#byIndex.has(creation) && !this.#tables.has(creation)) this.#avoided.add(creation);
  }

  /**
   * The stand-in for an incarnation, made when it is mentioned for the first time.
   * @param reserved the bridge's own creation in this cluster, which must not be confused with an index
   * @throws IsthmusError `IDENTITY_LIMIT`
   */
  standin(place: Place, node: Atom, creation: number, reserved: number): Standin<Place> {
    const known = this.#byOrigin.get(place)?.get(node)?.get(creation);
    if (known !== undefined) return known;
    const index = this.#take(reserved);
    const standin: Standin<Place> = {
      node: this.#self,
      mirror: undefined,
      creation: index,
      place,
      origin: { node, creation },
    };
    const nodes = this.#byOrigin.get(place) ?? new Map<Atom, Map<number, Standin<Place>>>();
    this.#byOrigin.set(place, nodes);
    const creations = nodes.get(node);
    if (creations === undefined) nodes.set(node, new Map([[creation, standin]]));
    else creations.set(creation, standin);
    this.#byIndex.set(index, standin);
    return standin;
  }

  #changed(): void {
    this.#changes++;
    for (const listener of [...this.#listeners]) listener();
  }

  #newTable(reserved: number): number {
    const creation = this.#take(reserved);
    this.#tables.add(creation);
    return creation;
  }

  /** The next index that is free. */
  #take(reserved: number): number {
    if (this.size >= this.#limit) {
      throw bridgeError(
        "IDENTITY_LIMIT",
        `${this.#limit} node incarnations were mentioned to ${this.#self.text}; no further one is taken. A peer may be making up node names.`,
        { context: { bridge: this.#self.text, limit: this.#limit } },
      );
    }
    do {
      this.#next = this.#next >= LAST_INDEX ? FIRST_INDEX : this.#next + 1;
    } while (
      this.#next === reserved ||
      this.#byIndex.has(this.#next) ||
      this.#tables.has(this.#next) ||
      this.#avoided.has(this.#next)
    );
    return this.#next;
  }
}
