import type { IsthmusError } from "@isthmus/wire";

/**
 * One connection between two sites that carries messages: a WebSocket, or NATS subjects. It keeps their
 * order. Whatever is lost on the way is noticed at the latest with the next message that comes, and ends the wire; so a
 * wire delivers a beginning of what was sent, and nothing else.
 */
export interface Wire {
  /** Where the peer is, for the log. */
  readonly description: string;
  /**
   * Names that the peer's certificate gives it; undefined without one. The carrier has verified the certificate.
   */
  readonly certificateNames: readonly string[] | undefined;
  /** Bytes that wait to be sent. */
  readonly buffered: number;
  /** Must be set before the first turn after the wire is there is over. */
  events: WireEvents | undefined;
  /**
   * Sends a message. Its bytes are not changed before the peer has all of it, or the wire is closed. Does nothing once
   * the wire is closed.
   * @param channel whose DATA it is, on a wire with `check`; undefined for all other frames
   */
  send(message: Buffer, channel?: string): void;
  /**
   * Given where each channel's DATA goes a way of its own, which somebody may forbid. A message then holds DATA of one
   * channel or none, and the first DATA of a channel comes after {@link WireEvents.allowed}, for which this asks.
   */
  check?(channel: string): void;
  /** Sends what waits, then closes. {@link WireEvents} are told nothing any more. Any number of times. */
  close(): void;
}

/** Who is told what happens on a wire. */
export interface WireEvents {
  /** The bytes may be kept, at the price of keeping the message. */
  message(message: Buffer): void;
  /** `buffered` went below {@link WIRE_HIGH_WATER_BYTES}. */
  drained(): void;
  /** DATA of this channel arrives. */
  allowed(channel: string): void;
  /** DATA of this channel would not arrive; nothing of it was sent here. It is tried again until it does. */
  denied(channel: string, reason: IsthmusError): void;
  /** It ended by itself. Called once at most; nothing comes after it. */
  closed(reason: IsthmusError): void;
}

/** While more waits in a wire, nothing but acknowledgements, credits and keep-alive is added to it. */
export const WIRE_HIGH_WATER_BYTES = 256 * 1024;
