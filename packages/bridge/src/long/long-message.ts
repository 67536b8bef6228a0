import type { Connection } from "@isthmus/core";
import {
  type BodySource,
  CARRIED_LIMITS,
  RewrittenBody,
  type Signal,
  type SignalWriter,
  targetOf,
} from "@isthmus/core/channel";
import { TermWriter } from "@isthmus/etf";
import { type IdentityTranslator, TermStream } from "@isthmus/etf/raw";
import { type Clock, IsthmusError, type Timer } from "@isthmus/wire";
import { closeReason } from "../translate/not-carried.ts";
import type { Carrier, CarrierEvents } from "./carriers.ts";

/** Binaries of this size are not copied. */
const ATTACH_BYTES = 4 * 1024;
/** Nothing of the sender's node is read for longer, because the other node has not read everything yet. */
const BARRIER_MS = 5000;
/** Each fragment has what as much of the message has become. */
const FRAGMENT_BYTES = 64 * 1024;

/** What {@link LongMessage} needs. */
export interface LongMessageOptions {
  /** Where it comes from. */
  readonly source: Connection;
  /** Its beginning, as `SignalRouter.long` gets it; must not change. */
  readonly head: Signal;
  readonly translator: IdentityTranslator;
  /** The bridge's connection to the node that it is for. */
  readonly target: Connection;
  /** Resolves when that node has read everything that was sent to it on `target`. */
  readonly barrier: () => Promise<void>;
  readonly clock: Clock;
  readonly open: (events: CarrierEvents) => Promise<Carrier>;
  /** Writes the message. */
  readonly send: (signals: SignalWriter, body: BodySource, token: BodySource | undefined) => void;
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
 * A message that goes on while it comes. It has a connection of its own (see {@link Carriers}), so signals must be kept
 * from overtaking each other: it begins when everything sent before has arrived, and its sender's node is not read until
 * it has arrived itself. Without such a connection it is gathered, and sent as any other.
 */
export class LongMessage {
  readonly #options: LongMessageOptions;
  /** Length of its body. */
  readonly #bytes: number;
  #state: "opening" | "streaming" | "gathering" | "ending" | "over" = "opening";
  #carrier: Carrier | undefined;
  #stream: TermStream | undefined;
  /** What came while the connection was being made. */
  readonly #held: Buffer[] = [];
  #body: Buffer | undefined;
  #filled = 0;
  /** The present fragment, and how many bytes of the message it is still to have. */
  readonly #fragment = new TermWriter({ attachBytes: ATTACH_BYTES });
  #room = FRAGMENT_BYTES;
  #paused = false;

  constructor(options: LongMessageOptions) {
    this.#options = options;
    const { bodyStart, bodyEnd, missingBytes } = options.head;
    this.#bytes = bodyEnd - bodyStart + missingBytes;
    this.#pause();
    void this.#open();
  }

  /** Whether all of it has been sent, and only its arrival is waited for. */
  get sent(): boolean {
    return this.#state === "ending";
  }

  /** What comes next of it, with `left` bytes to come. @throws what the sender's connection is to be closed for */
  take(bytes: Buffer, start: number, end: number, left: number): void {
    switch (this.#state) {
      case "opening":
        this.#held.push(bytes.subarray(start, end));
        return;
      case "streaming":
        this.#attempt(() => this.#go(bytes, start, end, left));
        return;
      case "gathering":
        bytes.copy(this.#body!, this.#filled, start, end);
        this.#filled += end - start;
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
    const { source, barrier, open, clock } = this.#options;
    let carrier: Carrier | undefined;
    let timer: Timer | undefined;
    try {
      const read = barrier().then(
        () => true,
        () => false,
      );
      carrier = await open({ writable: () => this.#resume(), closed: () => this.#closed() });
      const late = new Promise<false>((resolve) => {
        timer = clock.after(BARRIER_MS, () => resolve(false));
      });
      if (!(await Promise.race([read, late]))) {
        carrier.close();
        carrier = undefined;
      }
    } catch {
      // nobody has lost anything: whoever opens it says why it cannot be
    } finally {
      timer?.cancel();
    }
    if (
      carrier !== undefined &&
      (this.#state !== "opening" || carrier.connection.closeReason !== undefined)
    ) {
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
    const { head, translator, target, send, inspect, begun } = this.#options;
    this.#carrier = carrier;
    this.#state = "streaming";
    const stream = new TermStream(translator, {
      target: targetOf(target),
      limits: CARRIED_LIMITS,
      maxHeldBytes: this.#bytes,
      ...(inspect === undefined ? {} : { inspect }),
    });
    this.#stream = stream;
    const beginning: BodySource = {
      fragments: 1 + Math.ceil(head.missingBytes / FRAGMENT_BYTES),
      writeTo: (out) => void stream.push(head.bytes, head.bodyStart, head.bodyEnd, out),
    };
    send(carrier.connection.signals, beginning, new RewrittenBody(translator).tokenOf(head, target));
    begun();
    let left = head.missingBytes;
    for (const bytes of this.#held.splice(0)) {
      left -= bytes.length;
      this.#go(bytes, 0, bytes.length, left);
    }
    if (!carrier.connection.blocked) this.#resume();
  }

  /** Carries a piece on. */
  #go(bytes: Buffer, start: number, end: number, left: number): void {
    const { connection } = this.#carrier!;
    const { frames } = connection.signals;
    const stream = this.#stream!;
    while (start < end) {
      const stop = Math.min(end, start + this.#room);
      const complete = stream.push(bytes, start, stop, this.#fragment);
      this.#room -= stop - start;
      start = stop;
      const last = left === 0 && start === end;
      if (last && !complete) throw new IsthmusError("ETF_TRUNCATED", "A message ended before its term did.");
      if (this.#room > 0 && !last) continue;
      this.#room = FRAGMENT_BYTES;
      frames.fragment(this.#fragment);
    }
    if (left === 0) {
      this.#state = "ending";
      // until the node has read it all
      this.#pause();
      connection.end();
    } else if (connection.blocked) this.#pause();
  }

  #gather(): void {
    const { bytes, bodyStart, bodyEnd } = this.#options.head;
    const body = Buffer.allocUnsafeSlow(this.#bytes);
    this.#state = "gathering";
    this.#body = body;
    this.#filled = bytes.copy(body, 0, bodyStart, bodyEnd);
    for (const piece of this.#held.splice(0)) this.#filled += piece.copy(body, this.#filled);
    this.#resume();
    if (this.#filled === body.length) this.#whole();
  }

  /** All of it is there. */
  #whole(): void {
    const { head, translator, target, send, inspect } = this.#options;
    const bytes = this.#body!;
    inspect?.(bytes, 0, bytes.length);
    if (target.closeReason === undefined) {
      const body = new RewrittenBody(translator).range(
        { bytes, atomRefs: undefined },
        0,
        bytes.length,
        target,
      );
      send(target.signals, body, new RewrittenBody(translator).tokenOf(head, target));
    } else this.#options.broken();
    this.#end();
  }

  /** The connection is gone: because all has arrived, or too early. */
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
