import type { TermWriter } from "../encode/term-writer.ts";
import type { TermScanner } from "./scan.ts";
import { wholeTermEnd } from "./token.ts";

/** What an entry of an array of positions takes. */
const POSITION_BYTES = 8;
const FIRST_BYTES = 64;
const NO_BYTES = Buffer.alloc(0);
/** Keys up to this length are copied by a loop. */
const LOOP_COPY_BYTES = 64;

/** The keys of a map that comes in pieces, as they came: whether they repeat is known at its end. */
export class KeyStore {
  #bytes: Buffer = NO_BYTES;
  #length = 0;
  readonly #starts: number[] = [];

  /** What all of them hold, bytes. */
  get cost(): number {
    return this.#length + this.#starts.length * POSITION_BYTES;
  }

  /**
   * Keeps the keys among the whole terms `bytes[at, end)`.
   * @param isKey whether the first of them is a key
   */
  add(bytes: Buffer, at: number, end: number, isKey: boolean): void {
    for (; at < end; isKey = !isKey) {
      const next = wholeTermEnd(bytes, at);
      if (isKey) this.#addOne(bytes, at, next);
      at = next;
    }
  }

  /** Refuses the map when two of them are the same, or become the same. */
  check(scanner: TermScanner, out: TermWriter): void {
    if (this.#starts.length > 1) scanner.checkKeys(this.#bytes, this.#length, this.#starts, out);
  }

  #addOne(bytes: Buffer, start: number, end: number): void {
    let to = this.#length;
    const length = to + end - start;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, this.#bytes.length * 2, FIRST_BYTES));
      this.#bytes.copy(larger, 0, 0, to);
      this.#bytes = larger;
    }
    this.#starts.push(to);
    this.#length = length;
    if (end - start > LOOP_COPY_BYTES) bytes.copy(this.#bytes, to, start, end);
    else for (let i = start; i < end; i++) this.#bytes[to++] = bytes[i] as number;
  }
}
