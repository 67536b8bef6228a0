import { TermScanner } from "../raw/scan.ts";
import { TermDecoder } from "./term-decoder.ts";

/**
 * Decodes terms one after another from a range of bytes, strictly: what a BEAM refuses is refused. Reusable; makes
 * nothing but the terms. After an error `offset` may stand within a term; {@link TermReader.reset} before going on.
 *
 * @example
 * ```ts
 * const reader = new TermReader();
 * reader.reset(frame, 1, frame.length);
 * if (reader.tupleHeader() === 3) {
 *   const op = reader.integer();
 *   reader.skip();
 *   const to = reader.pid();
 * }
 * ```
 */
export class TermReader extends TermDecoder {
  #scanner: TermScanner | undefined;

  /** Moves behind one term, which is checked as {@link TermReader.term} would, and makes nothing. */
  skip(): void {
    this.#scanner ??= new TermScanner(this.limits);
    this.offset = this.#scanner.walk(this.bytes, this.offset, this.end, this.atomRefs, undefined, undefined);
  }
}
