import { asObject, asText, type JsonObject } from "./json.ts";
import type { PodAddress } from "./lookup.ts";

type Addresses = readonly PodAddress[];

/** A list that is being received. */
export interface NewList {
  put(object: JsonObject): void;
  readonly known: Map<string, Addresses>;
}

/**
 * The objects of the API and the addresses in them. Of an object that changes many times only its last state is read,
 * and no other object with it, so the work grows with what changes and not with what there is.
 */
export class Inventory {
  readonly #read: (object: JsonObject) => Addresses;
  #known = new Map<string, Addresses>();
  /** What has changed since it was looked at; undefined for what is gone. */
  #pending = new Map<string, JsonObject | undefined>();

  /** @param read finds the addresses of one object */
  constructor(read: (object: JsonObject) => Addresses) {
    this.#read = read;
  }

  /** A list to put objects into, for {@link Inventory.replace}; until then nothing changes. */
  newList(): NewList {
    const known = new Map<string, Addresses>();
    const put = (object: JsonObject): void => {
      const key = keyOf(object);
      if (key !== undefined) known.set(key, this.#read(object));
    };
    return { put, known };
  }

  /** Takes a list instead of all that was. */
  replace({ known }: NewList): void {
    this.#known = known;
    this.#pending.clear();
  }

  put(object: JsonObject): void {
    const key = keyOf(object);
    if (key !== undefined) this.#pending.set(key, object);
  }

  remove(object: JsonObject): void {
    const key = keyOf(object);
    if (key !== undefined) this.#pending.set(key, undefined);
  }

  /** Reads what has changed. @returns whether that changed any address */
  settle(): boolean {
    let changed = false;
    for (const [key, object] of this.#pending) {
      const before = this.#known.get(key) ?? [];
      const after = object === undefined ? [] : this.#read(object);
      if (object === undefined) this.#known.delete(key);
      else this.#known.set(key, after);
      changed ||= !same(before, after);
    }
    this.#pending.clear();
    return changed;
  }

  /** All addresses, as of the last {@link Inventory.settle} or {@link Inventory.replace}. */
  addresses(): Addresses {
    return [...this.#known.values()].flat();
  }
}

/** Objects are known by namespace and name; one without is none. */
function keyOf(object: JsonObject): string | undefined {
  const { name, namespace } = asObject(object["metadata"]);
  return asText(name) === undefined ? undefined : `${asText(namespace) ?? ""}/${name}`;
}

function same(one: Addresses, other: Addresses): boolean {
  return one.length === other.length && JSON.stringify(one) === JSON.stringify(other);
}
