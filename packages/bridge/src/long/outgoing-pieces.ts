import type { Connection } from "@isthmus/core";
import type { BodySource } from "@isthmus/core/channel";
import { Atom, atom, Pid, type TermWriter } from "@isthmus/etf";
import { type Clock, IsthmusError, type Timer } from "@isthmus/wire";
import type { Beginning, Carrier, CarrierEvents } from "./carrier.ts";

/** To whom bridges send what {@link IncomingPieces} puts together. */
export const PIECES: Atom = atom("isthmus_pieces");

/** BINARY_EXT. */
export const PIECE_TAG = 109;
/** The empty list: what was begun is given up. */
export const GIVEN_UP_TAG = 106;

/** Nothing of a sender's node is read while its message waits for another one to be sent. */
const TURN_MS = 5000;
const GIVEN_UP: BodySource = { writeTo: (out) => out.u8(GIVEN_UP_TAG) };

/**
 * Long messages to another bridge, on the connection with it: each goes in messages of its sender to {@link PIECES}, among
 * those of others. First `{To, Bytes, Pieces, Piece}`, then one binary after the other; or `[]`, when the rest does not come.
 * One at a time, the others wait. One object per connection.
 */
export class OutgoingPieces {
  readonly #connection: Connection;
  readonly #clock: Clock;
  #current: PieceCarrier | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /**
   * Waits until the message may begin.
   * @throws IsthmusError `NO_CONNECTION` when others take too long, or the connection is gone
   */
  async open(events: CarrierEvents): Promise<Carrier> {
    const connection = this.#connection;
    const end = this.#clock.now() + TURN_MS;
    while (this.#current !== undefined && connection.closeReason === undefined) {
      const left = end - this.#clock.now();
      if (left <= 0) throw new IsthmusError("NO_CONNECTION", "Another long message is on its way.");
      await this.#turn(left);
    }
    if (connection.closeReason !== undefined) throw connection.closeReason;
    const carrier = new PieceCarrier(connection, events, () => this.#next());
    this.#current = carrier;
    return carrier;
  }

  /** The connection takes more. */
  writable(): void {
    this.#current?.events.writable();
  }

  /** The connection is gone. */
  lost(): void {
    this.#current?.gone();
    this.#next();
  }

  /** Until another message is over, or `ms` milliseconds. */
  #turn(ms: number): Promise<void> {
    let timer: Timer | undefined;
    return new Promise<void>((resolve) => {
      timer = this.#clock.after(ms, resolve);
      this.#waiting.add(resolve);
    }).finally(() => timer?.cancel());
  }

  #next(): void {
    this.#current = undefined;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

class PieceCarrier implements Carrier {
  readonly events: CarrierEvents;
  readonly #connection: Connection;
  readonly #over: () => void;
  #sender: Pid | undefined;
  #left = 0;
  #closed = false;
  readonly #parts: Buffer[] = [];

  constructor(connection: Connection, events: CarrierEvents, over: () => void) {
    this.#connection = connection;
    this.events = events;
    this.#over = over;
  }

  get lost(): boolean {
    return this.#connection.closeReason !== undefined;
  }

  get blocked(): boolean {
    return this.#connection.blocked;
  }

  begin({ sender, to, body, token, pieces, bytes }: Beginning): void {
    const first: BodySource = {
      writeTo: (out) => {
        out.tupleHeader(4);
        if (to instanceof Pid) out.pid(to);
        else if (to instanceof Atom) out.atom(to);
        else out.reference(to);
        out.integer(bytes);
        out.integer(pieces);
        out.u8(PIECE_TAG);
        const mark = out.mark();
        out.u32(0);
        body.writeTo(out);
        out.patchU32(mark, out.mark() - mark - 4);
      },
    };
    this.#connection.signals.sendName(sender, PIECES, first, token);
    this.#sender = sender;
    this.#left = pieces - 1;
  }

  piece(from: TermWriter): void {
    const length = from.length;
    const parts = this.#parts;
    from.takeParts(parts);
    const binary: BodySource = {
      writeTo: (out) => {
        out.u8(PIECE_TAG);
        out.u32(length);
        for (const part of parts) out.copy(part, 0, part.length);
      },
    };
    this.#connection.signals.sendName(this.#sender!, PIECES, binary);
    parts.length = 0;
    this.#left--;
  }

  end(): void {
    this.gone();
  }

  /** The connection is gone, or nothing more is to be sent. */
  gone(): void {
    if (this.#closed) return;
    this.#finish();
    this.events.closed();
  }

  close(): void {
    if (this.#closed) return;
    if (this.#left > 0 && !this.lost) this.#connection.signals.sendName(this.#sender!, PIECES, GIVEN_UP);
    this.#finish();
  }

  #finish(): void {
    this.#closed = true;
    this.#over();
  }
}
