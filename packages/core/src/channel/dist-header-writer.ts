import type { Atom, AtomReferences } from "@isthmus/etf";

/** Slots of the atom cache of one direction (erts `external.h`: ERTS_ATOM_CACHE_SIZE). */
const SLOTS = 2048;
/** Atoms of one header (erts `external.h`: ERTS_MAX_INTERNAL_ATOM_CACHE_ENTRIES). */
const MAX_REFERENCES = 255;
const NEW = 8;

/** An atom that the peer knows by the number of a slot. */
interface Entry {
  readonly atom: Atom;
  readonly slot: number;
  /** Length of its text in UTF-8. */
  readonly bytes: number;
  /** The message that told the peer of it. */
  readonly entered: number;
  /** The last message that referred to it, and its number there. */
  message: number;
  index: number;
}

/**
 * The atom cache of what we send, and the distribution header of the message being written: one object per connection
 * (PROTOCOL 4.3). The terms of a message are written first and ask {@link DistHeaderWriter.refer} for the number of each
 * atom; then it is known what the header before them must say.
 */
export class DistHeaderWriter implements AtomReferences {
  readonly #entries = new Map<Atom, Entry>();
  readonly #slots: (Entry | undefined)[] = new Array(SLOTS).fill(undefined);
  /** Filled in turn, so that the oldest entry goes first. */
  #nextSlot = 0;
  #message = 0;
  /** What the present message refers to; `#count` of them hold. */
  readonly #refs: Entry[] = [];
  #count = 0;
  /** What the entries that are new in this message replaced, in their order. */
  readonly #replaced: (Entry | undefined)[] = [];
  #newBytes = 0;
  /** Whether a new atom needs a length of two bytes; then all of them have it. */
  #long = false;

  /** Begins a message. */
  begin(): void {
    this.#message++;
    this.#count = 0;
    this.#replaced.length = 0;
    this.#newBytes = 0;
    this.#long = false;
  }

  refer(a: Atom): number {
    const known = this.#entries.get(a);
    if (known !== undefined && known.message === this.#message) return known.index;
    if (this.#count === MAX_REFERENCES) return -1;
    const entry = known ?? this.#enter(a);
    entry.message = this.#message;
    entry.index = this.#count;
    this.#refs[this.#count++] = entry;
    return entry.index;
  }

  /** Bytes of the header, its count of atoms included. */
  get size(): number {
    const count = this.#count;
    if (count === 0) return 1;
    const lengths = this.#replaced.length * (this.#long ? 2 : 1);
    return 1 + (count >> 1) + 1 + count + lengths + this.#newBytes;
  }

  /** Writes the header, {@link DistHeaderWriter.size} bytes. */
  write(bytes: Buffer, at: number): void {
    const count = this.#count;
    bytes[at++] = count;
    if (count === 0) return;
    const flags = at;
    at += (count >> 1) + 1;
    bytes.fill(0, flags, at);
    for (let i = 0; i < count; i++) {
      const entry = this.#refs[i] as Entry;
      const isNew = entry.entered === this.#message;
      setNibble(bytes, flags, i, (isNew ? NEW : 0) | (entry.slot >> 8));
      bytes[at++] = entry.slot & 255;
      if (!isNew) continue;
      if (this.#long) bytes[at++] = entry.bytes >> 8;
      bytes[at++] = entry.bytes & 255;
      at += bytes.write(entry.atom.text, at, "utf8");
    }
    if (this.#long) setNibble(bytes, flags, count, 1);
  }

  /** The present message is not sent, so the peer does not learn what it would have entered. */
  abandon(): void {
    for (let i = this.#count - 1; i >= 0; i--) {
      const entry = this.#refs[i] as Entry;
      if (entry.entered !== this.#message) continue;
      const replaced = this.#replaced.pop();
      this.#entries.delete(entry.atom);
      this.#slots[entry.slot] = replaced;
      if (replaced !== undefined) this.#entries.set(replaced.atom, replaced);
    }
    this.#count = 0;
  }

  #enter(atom: Atom): Entry {
    const slots = this.#slots;
    let slot = this.#nextSlot;
    // what this message has referred to already must stay
    while (slots[slot]?.message === this.#message) slot = (slot + 1) % SLOTS;
    this.#nextSlot = (slot + 1) % SLOTS;
    const replaced = slots[slot];
    if (replaced !== undefined) this.#entries.delete(replaced.atom);
    this.#replaced.push(replaced);
    const bytes = Buffer.byteLength(atom.text, "utf8");
    this.#newBytes += bytes;
    if (bytes > 255) this.#long = true;
    const entry: Entry = { atom, slot, bytes, entered: this.#message, message: 0, index: 0 };
    slots[slot] = entry;
    this.#entries.set(atom, entry);
    return entry;
  }
}

/** Four bits of flags; the entry with an even number has the low ones. */
function setNibble(bytes: Buffer, flags: number, index: number, value: number): void {
  const at = flags + (index >> 1);
  bytes[at] = (bytes[at] as number) | ((index & 1) === 0 ? value : value << 4);
}
