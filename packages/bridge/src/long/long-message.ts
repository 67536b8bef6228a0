import type { Connection } from "@isthmus/core";
import { CARRIED_LIMITS, RewrittenBody, type Signal, targetOf } from "@isthmus/core/channel";
import { TermWriter } from "@isthmus/etf";
import { type IdentityTranslator, TermStream } from "@isthmus/etf/raw";
import { IsthmusError } from "@isthmus/wire";
import { closeReason } from "../translate/not-carried.ts";
import { type Addressed, type Carrier, type CarrierEvents, sendMessage } from "./carrier.ts";

/** Binaries of this size are not copied. */
const ATTACH_BYTES = 4 * 1024;
/** So much is kept while the connection is being made, before nothing more is read. */
const MAX_HELD_BYTES = 1024 * 1024;
/** Each piece that goes on has what as much of the message has become. */
const PIECE_BYTES = 64 * 1024;

/** What {@link LongMessage} needs. */
export interface LongMessageOptions {
  /** Where it comes from. */
  readonly source: Connection;
  /** Its beginning, as `SignalRouter.long` gets it; must not change. */
  readonly head: Signal;
  readonly translator: IdentityTranslator;
  readonly addressed: Addressed;
  /** The bridge's connection to the node that it is for. */
  readonly target: Connection;
  /** Resolves when everything that was sent to that node before has arrived. */
  readonly open: (events: CarrierEvents) => Promise<Carrier>;
  /** Sees every part before it is carried; what it throws is given to `refused`. */
  readonly inspect: ((bytes: Buffer, start: number, end: number) => void) | undefined;
  /** It goes on while it comes. */
  readonly begun: () => void;
  /** It cannot be carried. @throws what the sender's connection is to be closed for */
  readonly refused: (error: unknown) => void;
  /** The connection that it went over was lost. */
  readonly broken: () => void;
  /** Nothing more is to be done. Called once. */
  readonly ended: () => void;
}

/**
 * A message that goes on while it comes. It may have a connection of its own (see {@link Carriers}), so signals must be
 * kept from overtaking each other: it begins when everything sent before has arrived, and its sender's node is not read
 * until it has arrived itself. Without a carrier it is gathered, and sent as any other.
 */
export class LongMessage {
  readonly #options: LongMessageOptions;
  /** What is still to come of it, in bytes or pieces. */
  #left: number;
  #state: "opening" | "streaming" | "gathering" | "ending" | "over" = "opening";
  #carrier: Carrier | undefined;
  #stream: TermStream | undefined;
  /** What came while the connection was being made. */
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  /** What was gathered. */
  #body: Buffer | undefined;
  #filled = 0;
  /** The piece that goes next, and how many bytes of the message it is still to have. */
  readonly #piece = new TermWriter({ attachBytes: ATTACH_BYTES });
  #room = PIECE_BYTES;
  #paused = false;

  constructor(options: LongMessageOptions) {
    this.#options = options;
    const { missingBytes, missingPieces } = options.head;
    this.#left = missingPieces === 0 ? missingBytes : missingPieces;
    // with the pieces of another bridge come signals of others, which are not held up at once
    if (missingPieces === 0) this.#pause();
    void this.#open();
  }

  /** Whether all of it has been sent, and only its arrival is waited for. */
  get sent(): boolean {
    return this.#state === "ending";
  }

  /**
   * What comes next of it, with `left` bytes to come; or the next piece, and how many are.
   * @throws what the sender's connection is to be closed for
   */
  take(bytes: Buffer, start: number, end: number, left: number): void {
    switch (this.#state) {
      case "opening":
        this.#held.push(bytes.subarray(start, end));
        this.#heldBytes += end - start;
        // what its sender sends next must not overtake it
        if (left === 0 || this.#heldBytes > MAX_HELD_BYTES) this.#pause();
        return;
      case "streaming":
        this.#left = left;
        this.#attempt(() => this.#go(bytes, start, end));
        return;
      case "gathering":
        this.#left = left;
        this.#add(bytes, start, end);
        if (left === 0) this.#attempt(() => this.#whole());
        return;
      default:
    }
  }

  /** Its sender's node is gone. */
  lost(): void {
    // what has been sent whole arrives
    if (this.#state !== "ending") this.#end();
  }

  async #open(): Promise<void> {
    const { source, open } = this.#options;
    let carrier: Carrier | undefined;
    try {
      carrier = await open({ writable: () => this.#resume(), closed: () => this.#closed() });
    } catch {
      // nobody has lost anything: whoever opens it says why it cannot be
    }
    if (carrier !== undefined && (this.#state !== "opening" || carrier.lost)) {
      carrier.close();
      carrier = undefined;
    }
    if (this.#state !== "opening") return;
    try {
      this.#attempt(() => (carrier === undefined ? this.#gather() : this.#begin(carrier)));
    } catch (error) {
      source.close(closeReason(error));
    }
  }

  #begin(carrier: Carrier): void {
    const { head, addressed, translator, target, inspect, begun } = this.#options;
    const { bodyStart, bodyEnd, missingBytes, missingPieces } = head;
    const bytes = bodyEnd - bodyStart + missingBytes;
    this.#carrier = carrier;
    this.#state = "streaming";
    const stream = new TermStream(translator, {
      target: targetOf(target),
      limits: CARRIED_LIMITS,
      maxHeldBytes: bytes,
      ...(inspect === undefined ? {} : { inspect }),
    });
    this.#stream = stream;
    carrier.begin({
      ...addressed,
      body: { writeTo: (out) => void stream.push(head.bytes, bodyStart, bodyEnd, out) },
      token: new RewrittenBody(translator).tokenOf(head, target),
      pieces: 1 + (missingPieces === 0 ? Math.ceil(missingBytes / PIECE_BYTES) : missingPieces),
      bytes,
    });
    begun();
    for (const held of this.#takeHeld()) this.#go(held, 0, held.length);
    if (!carrier.blocked) this.#resume();
  }

  /** What came meanwhile, as if it came now. */
  *#takeHeld(): Iterable<Buffer> {
    for (const held of this.#held.splice(0)) {
      this.#left -= this.#options.head.missingPieces === 0 ? held.length : 1;
      yield held;
    }
  }

  /** Carries on what has come. */
  #go(bytes: Buffer, start: number, end: number): void {
    const carrier = this.#carrier!;
    const stream = this.#stream!;
    const whole = this.#options.head.missingPieces > 0;
    // a piece of another bridge may be empty, and has its place among the others
    do {
      const stop = whole ? end : Math.min(end, start + this.#room);
      const complete = stream.push(bytes, start, stop, this.#piece);
      this.#room -= stop - start;
      start = stop;
      const last = this.#left === 0 && start === end;
      if (last && !complete) throw new IsthmusError("ETF_TRUNCATED", "A message ended before its term did.");
      if (this.#room > 0 && !last && !whole) continue;
      this.#room = PIECE_BYTES;
      carrier.piece(this.#piece);
    } while (start < end);
    if (this.#left === 0) {
      this.#state = "ending";
      // until the node has read it all
      this.#pause();
      carrier.end();
    } else if (carrier.blocked) this.#pause();
  }

  #gather(): void {
    const { bytes, bodyStart, bodyEnd, missingBytes } = this.#options.head;
    this.#state = "gathering";
    this.#body = Buffer.allocUnsafeSlow(bodyEnd - bodyStart + missingBytes);
    this.#add(bytes, bodyStart, bodyEnd);
    for (const held of this.#takeHeld()) this.#add(held, 0, held.length);
    this.#resume();
    if (this.#left === 0) this.#whole();
  }

  /** Keeps what has come. Of pieces it is not known how long they are together. */
  #add(bytes: Buffer, start: number, end: number): void {
    let body = this.#body!;
    if (this.#filled + end - start > body.length) {
      body = Buffer.allocUnsafeSlow(2 * (this.#filled + end - start));
      this.#body!.copy(body, 0, 0, this.#filled);
      this.#body = body;
    }
    this.#filled += bytes.copy(body, this.#filled, start, end);
  }

  /** All of it is there. */
  #whole(): void {
    const { head, addressed, translator, target, inspect } = this.#options;
    const bytes = this.#body!;
    const length = this.#filled;
    inspect?.(bytes, 0, length);
    if (target.closeReason === undefined) {
      const body = new RewrittenBody(translator).range({ bytes, atomRefs: undefined }, 0, length, target);
      const token = new RewrittenBody(translator).tokenOf(head, target);
      sendMessage(target.signals, addressed, body, token);
    } else this.#options.broken();
    this.#end();
  }

  /** The carrier is gone: because all has arrived, or too early. */
  #closed(): void {
    if (this.#state === "opening") return;
    const early = this.#state === "streaming";
    this.#end();
    if (early) this.#options.broken();
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#end();
      this.#options.refused(error);
    }
  }

  #end(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#carrier?.close();
    this.#body = undefined;
    this.#held.length = 0;
    this.#resume();
    this.#options.ended();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#options.source.pause();
  }

  #resume(): void {
    if (!this.#paused || this.#state === "ending") return;
    this.#paused = false;
    this.#options.source.resume();
  }
}
