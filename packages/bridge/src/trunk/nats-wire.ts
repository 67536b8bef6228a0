import type { IsthmusError } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import type { NatsConnection } from "./nats-client.ts";
import { WIRE_HIGH_WATER_BYTES, type Wire, type WireEvents } from "./wire.ts";

/** So many bytes are sent before the server is asked whether it has them. */
const FLUSH_BYTES = 64 * 1024;
const HEADER_BYTES = 4;

/**
 * Two NATS subjects as a {@link Wire}. NATS keeps the order of one publisher's messages but may lose some; so each
 * begins with its number (32 bits, counted from 0), and a message without one says that the sender closed.
 */
export class NatsWire implements Wire {
  readonly description: string;
  readonly certificateNames = undefined;
  events: WireEvents | undefined;
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #onOver: () => void;
  #next: number;
  #expected: number;
  #buffered = 0;
  #unflushed = 0;
  #over = false;

  /**
   * @param subject where messages go
   * @param first number of the first message that comes, for one that was taken already
   * @param onOver called once when it is of no use any more; what was sent last may still be under way
   */
  constructor(
    connection: NatsConnection,
    subject: string,
    description: string,
    first: { readonly sent: number; readonly received: number },
    onOver: () => void,
  ) {
    this.#connection = connection;
    this.#subject = subject;
    this.description = description;
    this.#next = first.sent;
    this.#expected = first.received;
    this.#onOver = onOver;
  }

  get buffered(): number {
    return this.#buffered;
  }

  send(message: Buffer): void {
    if (this.#over) return;
    const numbered = Buffer.allocUnsafe(HEADER_BYTES + message.length);
    numbered.writeUInt32BE(this.#next, 0);
    message.copy(numbered, HEADER_BYTES);
    this.#next = (this.#next + 1) >>> 0;
    this.#publish(numbered);
    this.#buffered += numbered.length;
    this.#unflushed += numbered.length;
    if (this.#unflushed >= FLUSH_BYTES) this.#flush();
  }

  /** A message of the peer. */
  receive(bytes: Uint8Array): void {
    if (this.#over) return;
    if (bytes.length < HEADER_BYTES) {
      this.fail(trunkError("TRUNK_BROKEN", "The far site closed the connection over NATS."));
      return;
    }
    // the client may use its buffer again
    const message = Buffer.from(bytes);
    const number = message.readUInt32BE(0);
    if (number !== this.#expected) {
      this.fail(
        trunkError("TRUNK_GAP", `NATS lost messages: number ${number} came, not ${this.#expected}.`, {
          context: { expected: this.#expected, came: number },
        }),
      );
      return;
    }
    this.#expected = (number + 1) >>> 0;
    this.events?.message(message.subarray(HEADER_BYTES));
  }

  /** It is of no use any more, and whoever has it is told. */
  fail(reason: IsthmusError): void {
    const { events } = this;
    this.close();
    events?.closed(reason);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.events = undefined;
    this.#publish(undefined);
    this.#onOver();
  }

  #publish(bytes: Buffer | undefined): void {
    // whoever owns the connection hears that it is gone, and ends the wire
    if (!this.#connection.isClosed() && !this.#connection.isDraining()) {
      this.#connection.publish(this.#subject, bytes);
    }
  }

  #flush(): void {
    const bytes = this.#unflushed;
    this.#unflushed = 0;
    this.#connection.flush().then(
      () => {
        const before = this.#buffered;
        this.#buffered -= bytes;
        if (before >= WIRE_HIGH_WATER_BYTES && this.#buffered < WIRE_HIGH_WATER_BYTES) this.events?.drained();
      },
      (cause: unknown) => this.fail(trunkError("TRUNK_BROKEN", "The connection to NATS is gone.", { cause })),
    );
  }
}

/** Why a connection to NATS ended, as an error of the wires over it. */
export function natsClosed(cause: unknown): IsthmusError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return trunkError(
    "TRUNK_BROKEN",
    `The connection to NATS ended${why}.`,
    cause instanceof Error ? { cause } : {},
  );
}
