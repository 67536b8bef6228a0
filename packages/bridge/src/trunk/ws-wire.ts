import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { WebSocket } from "ws";
import { trunkError } from "./errors.ts";
import { MAX_MESSAGE_BYTES } from "./frames.ts";
import { WIRE_HIGH_WATER_BYTES, type Wire, type WireEvents } from "./wire.ts";
import { FrameWriter } from "./ws-frames.ts";

/** What both sides ask of the npm package `ws`. */
export const WEB_SOCKET_OPTIONS = {
  // frames are deflated one by one, if at all
  perMessageDeflate: false,
  maxPayload: MAX_MESSAGE_BYTES,
  // how long a peer may take to answer a close before the socket is destroyed
  closeTimeout: 2_000,
} as const;

/** A WebSocket as a {@link Wire}: one message of it is one message of the trunk. */
export class WebSocketWire implements Wire {
  readonly description: string;
  readonly certificateNames: readonly string[] | undefined;
  events: WireEvents | undefined;
  readonly #socket: WebSocket;
  readonly #writer: FrameWriter;
  #buffered = 0;
  #error: unknown;

  /**
   * Takes over an open WebSocket and the socket under it.
   * @param dials whether it is the side that opened it, whose messages are masked
   */
  constructor(socket: WebSocket, under: Socket, dials: boolean) {
    this.#socket = socket;
    this.#writer = new FrameWriter(under, !dials ? "none" : under instanceof TLSSocket ? "zero" : "random");
    this.description = `websocket ${under.remoteAddress ?? "?"}:${under.remotePort ?? "?"}`;
    this.certificateNames = certificateNames(under);
    socket.on("message", (data, isBinary) => {
      // text is nothing that a trunk sends; as bytes it is malformed
      if (isBinary) this.events?.message(data as Buffer);
      else this.#socket.close(1003);
    });
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", (code) => {
      const cause = this.#error;
      const why = cause instanceof Error ? cause.message : `the WebSocket was closed with code ${code}`;
      this.events?.closed(
        trunkError("TRUNK_BROKEN", `The connection ended: ${why}.`, cause === undefined ? {} : { cause }),
      );
    });
  }

  get buffered(): number {
    return this.#buffered;
  }

  send(message: Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#buffered += message.length;
    this.#writer.write(message, () => {
      const before = this.#buffered;
      this.#buffered -= message.length;
      if (before >= WIRE_HIGH_WATER_BYTES && this.#buffered < WIRE_HIGH_WATER_BYTES) this.events?.drained();
    });
  }

  close(): void {
    this.events = undefined;
    this.#socket.close(1000);
  }
}

/** The common name and the alternative names of the peer's certificate; undefined without one that was verified. */
function certificateNames(socket: Socket): readonly string[] | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject, subjectaltname } = socket.getPeerCertificate();
  const common = subject?.CN;
  return [...[common ?? []].flat(), ...alternativeNames(subjectaltname)];
}

/** Names out of `DNS:a, DNS:b`; those that are quoted, because they hold a comma, are not names of sites. */
export function alternativeNames(text: string | undefined): string[] {
  return (text ?? "")
    .split(", ")
    .filter((entry) => entry.startsWith("DNS:"))
    .map((entry) => entry.slice("DNS:".length));
}
