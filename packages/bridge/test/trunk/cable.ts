import { trunkError } from "../../src/trunk/errors.ts";
import type { Wire, WireEvents } from "../../src/trunk/wire.ts";

/** One end of a cable. */
class End implements Wire {
  readonly description: string;
  readonly certificateNames: readonly string[] | undefined;
  events: WireEvents | undefined;
  /** Messages under way to the other end. */
  readonly sent: Buffer[] = [];
  /** A message was lost on the way; the next one that comes shows it. */
  gap = false;
  closed = false;
  other!: End;
  #wasFull = false;

  constructor(description: string, certificateNames?: readonly string[]) {
    this.description = description;
    this.certificateNames = certificateNames;
  }

  get buffered(): number {
    return this.sent.reduce((sum, message) => sum + message.length, 0);
  }

  send(message: Buffer): void {
    if (this.closed) return;
    this.sent.push(message);
    this.#wasFull = true;
  }

  close(): void {
    this.closed = true;
    this.events = undefined;
  }

  /** Hands the first message to the other end. */
  deliver(): boolean {
    const message = this.sent.shift();
    if (message === undefined) return false;
    if (this.gap) {
      this.other.fail();
      return true;
    }
    this.other.events?.message(message);
    if (this.#wasFull && this.sent.length === 0) {
      this.#wasFull = false;
      this.events?.drained();
    }
    return true;
  }

  /** Loses the first message that is under way. */
  drop(): void {
    if (this.sent.shift() !== undefined) this.gap = true;
  }

  /** The connection is gone, and this end notices. */
  fail(): void {
    const { events } = this;
    this.events = undefined;
    this.closed = true;
    events?.closed(trunkError("TRUNK_BROKEN", "The cable was cut."));
  }
}

/** Two wires joined in memory; messages move when the test says so. */
export class Cable {
  readonly dialing: End;
  readonly accepting: End;

  constructor(names: { readonly dialing?: readonly string[]; readonly accepting?: readonly string[] } = {}) {
    this.dialing = new End("dialing end", names.accepting);
    this.accepting = new End("accepting end", names.dialing);
    this.dialing.other = this.accepting;
    this.accepting.other = this.dialing;
  }

  /** Delivers messages in turn until none is under way and `idle` says that none will come. */
  settle(idle: () => boolean): void {
    for (;;) {
      const some = [this.dialing.deliver(), this.accepting.deliver()];
      const moved = idle();
      if (!some.includes(true) && !moved) break;
    }
    // an end that was closed is noticed at the other
    if (this.dialing.closed && !this.accepting.closed) this.accepting.fail();
    if (this.accepting.closed && !this.dialing.closed) this.dialing.fail();
  }

  /** Everything under way is lost, and both ends notice. */
  cut(): void {
    this.dialing.sent.length = 0;
    this.accepting.sent.length = 0;
    this.dialing.fail();
    this.accepting.fail();
  }
}
