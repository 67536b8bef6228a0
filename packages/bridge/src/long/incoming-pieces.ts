import type { Connection } from "@isthmus/core";
import { Signal } from "@isthmus/core/channel";
import { type Atom, type Pid, type Reference, TermReader } from "@isthmus/etf";
import { IsthmusError, type PieceTaker } from "@isthmus/wire";
import { GIVEN_UP_TAG, PIECE_TAG } from "./outgoing-pieces.ts";

const TUPLE_TAG = 104;
const PID_TAGS: readonly number[] = [88, 103];
const REFERENCE_TAGS: readonly number[] = [90, 101, 114];

/** A message of which some has come. */
interface Incomplete {
  readonly head: Signal;
  /** Pieces that are still to come. */
  left: number;
  /** Who takes them; undefined when they are gathered. */
  readonly next: PieceTaker["next"] | undefined;
  readonly gathered: Buffer[];
  bytes: number;
}

/** What {@link IncomingPieces} needs. */
export interface IncomingPiecesOptions {
  readonly source: Connection;
  /** The message that was begun is given up. */
  readonly givenUp: () => void;
  /** Longest message that is gathered. */
  readonly maxBytes: number;
}

/** Long messages of another bridge, as {@link OutgoingPieces} sends them. One object per connection. */
export class IncomingPieces {
  readonly #options: IncomingPiecesOptions;
  readonly #reader = new TermReader();
  #incomplete: Incomplete | undefined;

  constructor(options: IncomingPiecesOptions) {
    this.#options = options;
  }

  /**
   * Takes a message to {@link PIECES}.
   * @param long as `SignalRouter.long`, with the beginning of a message
   * @returns whether `signal` has become a message that is whole, because all of it had to be gathered
   * @throws IsthmusError `CONTROL_MALFORMED`, `FRAME_TOO_LARGE`, or a code of the term codec; the connection cannot go on
   */
  take(signal: Signal, long: (head: Signal) => PieceTaker["next"] | undefined): boolean {
    switch (signal.bytes[signal.bodyStart]) {
      case TUPLE_TAG:
        this.#begin(signal, long);
        return false;
      case PIECE_TAG:
        return this.#piece(signal);
      case GIVEN_UP_TAG:
        this.#incomplete = undefined;
        this.#options.givenUp();
        return false;
      default:
        throw malformed("is none");
    }
  }

  #begin(signal: Signal, long: (head: Signal) => PieceTaker["next"] | undefined): void {
    if (this.#incomplete !== undefined) throw malformed("begins a message within another");
    const reader = this.#reader;
    const { bytes, bodyStart, bodyEnd } = signal;
    reader.reset(bytes, bodyStart, bodyEnd);
    if (reader.tupleHeader() !== 4) throw malformed("begins no message");
    const to = this.#to();
    const total = reader.integer();
    const pieces = reader.integer();
    if (!isCount(total, 1) || !isCount(pieces, 2)) throw malformed("begins no message");
    const start = binaryAt(bytes, reader.offset, bodyEnd);
    const head = Object.assign(new Signal(), signal, { to, bodyStart: start });
    head.missingBytes = Math.max(1, total - (bodyEnd - start));
    head.missingPieces = pieces - 1;
    const next = long(head);
    this.#incomplete = { head, left: pieces - 1, next, gathered: [], bytes: 0 };
    if (next === undefined) this.#gather(this.#incomplete, bytes, start, bodyEnd);
  }

  #piece(signal: Signal): boolean {
    const incomplete = this.#incomplete;
    if (incomplete === undefined) throw malformed("belongs to no message");
    const { bytes, bodyStart, bodyEnd } = signal;
    const start = binaryAt(bytes, bodyStart, bodyEnd);
    const left = --incomplete.left;
    if (left === 0) this.#incomplete = undefined;
    if (incomplete.next === undefined) {
      this.#gather(incomplete, bytes, start, bodyEnd);
      if (left === 0) become(signal, incomplete);
      return left === 0;
    }
    incomplete.next(bytes, start, bodyEnd, left);
    // what came in the same chunk must not overtake it
    if (left === 0) this.#options.source.suspend();
    return false;
  }

  #to(): Pid | Reference | Atom {
    const reader = this.#reader;
    const tag = reader.bytes[reader.offset]!;
    if (PID_TAGS.includes(tag)) return reader.pid();
    return REFERENCE_TAGS.includes(tag) ? reader.reference() : reader.atom();
  }

  #gather(incomplete: Incomplete, bytes: Buffer, start: number, end: number): void {
    const { maxBytes } = this.#options;
    incomplete.bytes += end - start;
    if (incomplete.bytes > maxBytes)
      throw new IsthmusError(
        "FRAME_TOO_LARGE",
        `A bridge sends a message of more than ${maxBytes} bytes. Give both bridges the same max_message_bytes.`,
        { context: { limit: maxBytes } },
      );
    incomplete.gathered.push(bytes.subarray(start, end));
  }
}

/** Makes a signal the message that was gathered. */
function become(signal: Signal, { head, gathered }: Incomplete): void {
  const { kind, op, from, to, tokenStart, tokenEnd } = head;
  const token = head.bytes.subarray(tokenStart, Math.max(tokenStart, tokenEnd));
  const bytes = Buffer.concat([token, ...gathered]);
  Object.assign(signal, { kind, op, from, to, bytes, missingBytes: 0, tokenStart: 0 });
  signal.tokenEnd = token.length;
  signal.bodyStart = token.length;
  signal.bodyEnd = bytes.length;
}

/** Where the content of the binary at `at`, which ends at `end`, begins. */
function binaryAt(bytes: Buffer, at: number, end: number): number {
  const start = at + 5;
  if (start > end || bytes[at] !== PIECE_TAG || bytes.readUInt32BE(at + 1) !== end - start)
    throw malformed("is no binary");
  return start;
}

function isCount(value: number | bigint, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

function malformed(what: string): IsthmusError {
  return new IsthmusError("CONTROL_MALFORMED", `A piece of a long message ${what}.`);
}
