import type { Clock, IsthmusError, Timer } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import { type NatsConnection, natsDenied } from "./nats-client.ts";
import { WIRE_HIGH_WATER_BYTES, type Wire, type WireEvents } from "./wire.ts";

/** So many bytes are sent before the server is asked whether it has them. */
const FLUSH_BYTES = 64 * 1024;
/** Length of a connection's id. */
export const CONNECTION_ID_BYTES = 12;
const NUMBER_AT = 1 + CONNECTION_ID_BYTES;
const HEADER_BYTES = NUMBER_AT + 4;
const NOTHING = Buffer.alloc(0);

/** What a message over NATS is: its first byte. The connection's id follows. */
const PART = {
  /** The message's number (32 bits, counted from 0), and a message of the trunk. */
  MESSAGE: 0,
  /** The sender has closed the connection. */
  CLOSED: 1,
  /** The name of a channel, over the subject of its DATA; and over the subject of control right after it. */
  CHECK: 2,
  ASK: 3,
  /** The same name, over the subject of control: a CHECK came; an ASK came. */
  CHECKED: 4,
  ASKED: 5,
} as const;

/** NATS may lose a check; so many that were lost in a row were not lost. */
const CHECKS = 3;
/** One that is not answered in any way is sent again after so long. */
const CHECK_MS = 5_000;
/** What does not come through is tried again after so long. */
const CHECK_AGAIN_MS = 15_000;

/** Where a {@link NatsWire} publishes. */
export interface NatsWay {
  /** For the first message, where it is not that for control. */
  readonly first?: string;
  readonly control: string;
  /** The subject of a channel's DATA. */
  data(channel: string): string;
}

/** Options of {@link NatsWire}. */
export interface NatsWireOptions {
  readonly connection: NatsConnection;
  /** Tells this connection of the trunk from others between the two sites. */
  readonly id: Buffer;
  readonly way: NatsWay;
  readonly clock: Clock;
  /** Called once when it is of no use any more; what was sent last may still be under way. */
  readonly onOver: () => void;
}

/** Whether DATA of a channel comes through. */
interface Lane {
  readonly subject: string;
  state: "asked" | "allowed" | "denied";
  checks: number;
  timer: Timer | undefined;
}

/**
 * NATS subjects as a {@link Wire}: one for each channel's DATA, one for all the rest. NATS keeps the order of what one
 * connection publishes but may lose some; so messages are numbered, over all subjects.
 */
export class NatsWire implements Wire {
  readonly description: string;
  readonly certificateNames = undefined;
  events: WireEvents | undefined;
  readonly #options: NatsWireOptions;
  readonly #lanes = new Map<string, Lane>();
  #next = 0;
  #expected = 0;
  #buffered = 0;
  #unflushed = 0;
  #over = false;

  constructor(options: NatsWireOptions) {
    this.#options = options;
    const { info } = options.connection;
    this.description = `nats ${info?.host ?? "?"}:${info?.port ?? "?"}`;
  }

  get buffered(): number {
    return this.#buffered;
  }

  send(message: Buffer, channel?: string): void {
    if (this.#over) return;
    const { way } = this.#options;
    const bytes = this.#part(PART.MESSAGE, HEADER_BYTES, message);
    bytes.writeUInt32BE(this.#next, NUMBER_AT);
    const control = this.#next === 0 ? (way.first ?? way.control) : way.control;
    this.#next = (this.#next + 1) >>> 0;
    this.#publish(channel === undefined ? control : this.#lane(channel).subject, bytes);
    this.#buffered += bytes.length;
    this.#unflushed += bytes.length;
    if (this.#unflushed >= FLUSH_BYTES) this.#flush();
  }

  check(channel: string): void {
    const lane = this.#lane(channel);
    if (lane.state === "allowed") this.events?.allowed(channel);
    else if (lane.timer === undefined) this.#check(channel, lane);
  }

  /** A message of one of the peer's subjects. */
  receive(bytes: Uint8Array): void {
    if (this.#over || !this.#isOurs(bytes)) return;
    // the client may use its buffer again
    const message = Buffer.from(bytes);
    switch (message[0]) {
      case PART.MESSAGE:
        this.#message(message);
        return;
      case PART.CLOSED:
        this.fail(trunkError("TRUNK_BROKEN", "The far site closed the connection over NATS."));
        return;
      case PART.CHECK:
        this.#tell(PART.CHECKED, message.subarray(NUMBER_AT));
        return;
      case PART.ASK:
        this.#tell(PART.ASKED, message.subarray(NUMBER_AT));
        return;
      case PART.CHECKED:
        this.#checked(message.toString("utf8", NUMBER_AT));
        return;
      case PART.ASKED:
        this.#asked(message.toString("utf8", NUMBER_AT));
        return;
      default:
      // of a later version, and without a number
    }
  }

  /** The server does not let us publish to this subject. */
  denied(subject: string): void {
    const { way } = this.#options;
    if (subject === way.control || subject === way.first) this.fail(natsDenied("publish", subject));
    for (const [channel, lane] of this.#lanes) {
      if (lane.subject !== subject || this.#over) continue;
      // messages with a number are lost, which the peer will notice, and the next connection finds it out beforehand
      if (lane.state === "allowed") this.fail(natsDenied("publish", subject));
      else this.#deny(channel, lane, natsDenied("publish", subject));
    }
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
    for (const { timer } of this.#lanes.values()) timer?.cancel();
    this.#tell(PART.CLOSED, NOTHING);
    this.#options.onOver();
  }

  #message(message: Buffer): void {
    const number = message.length < HEADER_BYTES ? undefined : message.readUInt32BE(NUMBER_AT);
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

  #lane(channel: string): Lane {
    let lane = this.#lanes.get(channel);
    if (lane === undefined) {
      const subject = this.#options.way.data(channel);
      lane = { subject, state: "asked", checks: 0, timer: undefined };
      this.#lanes.set(channel, lane);
    }
    return lane;
  }

  /** Sends a check, and what comes through in any case: when only that is answered the check did not. */
  #check(channel: string, lane: Lane): void {
    lane.timer?.cancel();
    lane.timer = this.#options.clock.after(CHECK_MS, () => this.#check(channel, lane));
    const name = Buffer.from(channel);
    this.#publish(lane.subject, this.#part(PART.CHECK, NUMBER_AT, name));
    this.#tell(PART.ASK, name);
  }

  #checked(channel: string): void {
    const lane = this.#lanes.get(channel);
    if (lane === undefined || lane.state === "allowed") return;
    lane.timer?.cancel();
    lane.timer = undefined;
    lane.state = "allowed";
    this.events?.allowed(channel);
  }

  #asked(channel: string): void {
    const lane = this.#lanes.get(channel);
    if (lane === undefined || lane.state === "allowed") return;
    lane.checks++;
    if (lane.checks < CHECKS) {
      this.#check(channel, lane);
      return;
    }
    const { subject } = lane;
    const reason = trunkError(
      "TRUNK_DENIED",
      `Nothing that we publish to ${subject} arrives: the far site may not subscribe to it. Give its user that permission.`,
      { context: { subject } },
    );
    this.#deny(channel, lane, reason);
  }

  #deny(channel: string, lane: Lane, reason: IsthmusError): void {
    lane.timer?.cancel();
    lane.checks = 0;
    lane.timer = this.#options.clock.after(CHECK_AGAIN_MS, () => this.#check(channel, lane));
    lane.state = "denied";
    this.events?.denied(channel, reason);
  }

  /** Whether it is for this connection: others between the sites use the same subjects. */
  #isOurs(bytes: Uint8Array): boolean {
    const { id } = this.#options;
    if (bytes.length < NUMBER_AT) return false;
    for (let i = 0; i < CONNECTION_ID_BYTES; i++) if (bytes[1 + i] !== id[i]) return false;
    return true;
  }

  #tell(kind: number, name: Buffer): void {
    this.#publish(this.#options.way.control, this.#part(kind, NUMBER_AT, name));
  }

  #part(kind: number, headerBytes: number, rest: Buffer): Buffer {
    const bytes = Buffer.allocUnsafe(headerBytes + rest.length);
    bytes[0] = kind;
    this.#options.id.copy(bytes, 1);
    rest.copy(bytes, headerBytes);
    return bytes;
  }

  #publish(subject: string, bytes: Buffer): void {
    const { connection } = this.#options;
    // whoever owns the connection hears that it is gone, and ends the wire
    if (!connection.isClosed() && !connection.isDraining()) connection.publish(subject, bytes);
  }

  #flush(): void {
    const bytes = this.#unflushed;
    this.#unflushed = 0;
    this.#options.connection.flush().then(
      () => {
        const before = this.#buffered;
        this.#buffered -= bytes;
        if (before >= WIRE_HIGH_WATER_BYTES && this.#buffered < WIRE_HIGH_WATER_BYTES) this.events?.drained();
      },
      (cause: unknown) => this.fail(trunkError("TRUNK_BROKEN", "The connection to NATS is gone.", { cause })),
    );
  }
}

/** The id of the connection that a message is of; undefined when it is none of ours. */
export function connectionId(bytes: Uint8Array): Buffer | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== PART.MESSAGE) return undefined;
  return Buffer.from(bytes.subarray(1, NUMBER_AT));
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
