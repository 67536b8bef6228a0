const FIRST_BYTES = 64;
const EMPTY = Buffer.alloc(0);

/**
 * Bytes that are gathered until a part is complete. Each part gets memory of its own, because an output may refer to it
 * once it is complete.
 */
export class HeldBytes {
  /** What is held, in `[0, length)`. */
  bytes: Buffer = EMPTY;
  length = 0;

  /** Appends `source[start, end)`. */
  add(source: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, this.bytes.length * 2, FIRST_BYTES));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    source.copy(this.bytes, this.length, start, end);
    this.length = length;
  }

  /** Lets go of everything. */
  clear(): void {
    this.bytes = EMPTY;
    this.length = 0;
  }
}
