import { type Clock, type IsthmusError, isIsthmusError, type Timer } from "@isthmus/wire";
import { countField, decodeMessage, encodeMessage, type Frame, malformed } from "./codec.ts";
import { newCounters, type SessionCounters } from "./counters.ts";
import { type DataFrame, readData } from "./data-frame.ts";
import { farewell } from "./farewell.ts";
import { KIND, type SessionTerms } from "./frames.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { TrunkLimits } from "./limits.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";
import { WIRE_HIGH_WATER_BYTES, type Wire } from "./wire.ts";

/**
 * So many frames, or bytes, are acknowledged at once; a few together with something else that is sent; fewer after
 * {@link ACK_DELAY_MS}, or twice that.
 */
const ACK_FRAMES = 64;
const ACK_BYTES = 256 * 1024;
const ACK_ALONG_FRAMES = 16;
const ACK_DELAY_MS = 20;
/** Messages up to this length are sent together with acknowledgements and credits. */
const MAX_COPY_BYTES = 16 * 1024;

/** Who is told what happens in a session. All calls are synchronous. */
export interface SessionOwner {
  /** A payload, or with `parts` a part of one; `more` says whether the payload goes on. */
  data(channel: string, bytes: Buffer, more: boolean): void;
  /** What waited has gone, after the channel was blocked. */
  writable(channel: string): void;
  /** Nothing more comes on a channel. */
  cut(channel: string): void;
  /** The wire is of no use any more; the session goes on over another. */
  broken(reason: IsthmusError): void;
  /** The session cannot go on. */
  failed(reason: IsthmusError): void;
  /** Everything was acknowledged. */
  idle(): void;
}

/** Options of {@link Session}. */
export interface SessionOptions {
  readonly id: Buffer;
  readonly terms: SessionTerms;
  readonly limits: TrunkLimits;
  /** Hand over the parts of payloads as they come, instead of whole payloads. */
  readonly parts: boolean;
  readonly clock: Clock;
  /** Calls a function at the end of the turn. */
  readonly defer: (run: () => void) => void;
  readonly owner: SessionOwner;
  /** Whether a channel that the peer opens is paused. */
  readonly isPaused: (channel: string) => boolean;
}

/**
 * What two sites have in common from the first connection until the grace time after the last: numbered frames, each
 * kept until it is acknowledged. A wire may be taken away and another given at any time; nothing is lost or repeated.
 * Knows no I/O.
 */
export class Session {
  readonly id: Buffer;
  readonly terms: SessionTerms;
  readonly counters: SessionCounters = newCounters();
  readonly #owner: SessionOwner;
  readonly #clock: Clock;
  readonly #defer: (run: () => void) => void;
  readonly #sending: Sending;
  readonly #receiving: Receiving;
  readonly #keepAlive: KeepAlive;
  readonly #flush: () => void;
  /** The DATA frame at hand. */
  readonly #data: DataFrame = { seq: 0, channel: 0, flags: 0, start: 0, end: 0 };
  #flushing = false;
  #ended = false;
  #wire: Wire | undefined;
  /** What the peer was told last that we have received, and what came since. */
  #toldReceived = 0;
  #untoldBytes = 0;
  #tellReceived = false;
  #tellTimer: Timer | undefined;
  #pingDue = false;
  #pings = 0;
  #pongDue: number | undefined;

  constructor(options: SessionOptions) {
    const { id, terms, limits, parts, clock, defer, owner, isPaused } = options;
    this.id = id;
    this.terms = terms;
    this.#owner = owner;
    this.#clock = clock;
    this.#defer = defer;
    const { counters } = this;
    this.#sending = new Sending(terms, limits, counters);
    this.#receiving = new Receiving({
      ...{ terms, limits, counters, parts, isPaused },
      deliver: (channel, bytes, more) => owner.data(channel, bytes, more),
      cut: (channel) => owner.cut(channel),
      creditDue: () => this.#schedule(),
    });
    const ask = (): void => {
      this.#pingDue = true;
      this.#schedule();
    };
    this.#keepAlive = new KeepAlive(clock, limits, ask, (reason) => owner.broken(reason));
    this.#flush = () => {
      this.#flushing = false;
      this.#send();
    };
  }

  /** Sequence number of the last frame that came. */
  get received(): number {
    return this.#receiving.received;
  }

  /** Everything that was sent has been acknowledged. */
  get idle(): boolean {
    return this.#sending.idle;
  }

  /** Bytes held for sending: not acknowledged, and waiting for credit. */
  get outgoingBytes(): number {
    return this.#sending.bytes;
  }

  /** Bytes held that were received and not handed over. */
  get incomingBytes(): number {
    return this.#receiving.bytes;
  }

  /**
   * Goes on over `wire`, sending again what the peer has not received.
   * @param peerReceived sequence number of the last frame that the peer has
   * @throws IsthmusError `TRUNK_PROTOCOL` when it was never sent
   */
  attach(wire: Wire, peerReceived: number): void {
    this.#sending.acknowledged(peerReceived);
    this.#wire = wire;
    this.#sending.again(wire.check === undefined ? undefined : (channel) => wire.check!(channel));
    this.#receiving.again();
    this.#tellReceived = this.received > 0;
    this.#keepAlive.start();
    this.#schedule();
  }

  /** The wire is gone; what is sent waits for the next. */
  detach(): void {
    this.#wire = undefined;
    this.#keepAlive.stop();
    this.#tellTimer?.cancel();
    this.#tellTimer = undefined;
    this.#pongDue = undefined;
    this.#pingDue = false;
  }

  /** Ends it: nothing is handed over or sent any more. */
  end(): void {
    this.detach();
    this.#ended = true;
    this.#receiving.end();
  }

  /** More room in the wire. */
  drained(): void {
    this.#schedule();
  }

  /** Channels whose DATA does not come through. */
  get denied(): readonly string[] {
    return this.#sending.denied;
  }

  /** See {@link Sending.allowed}. */
  allowed(channel: string): boolean {
    this.#schedule();
    return this.#sending.allowed(channel);
  }

  /** See {@link Sending.deny}. */
  deny(channel: string): { readonly news: boolean; readonly cut: boolean } {
    this.#schedule();
    return this.#sending.deny(channel);
  }

  /** See {@link Sending.cut}. */
  cut(channel: string): void {
    this.#sending.cut(channel);
    this.#schedule();
  }

  /** See {@link Sending.send}. */
  send(channel: string, bytes: Buffer, more: boolean, constant: boolean): void {
    this.#sending.send(channel, bytes, more, constant);
    this.#schedule();
  }

  blocked(channel: string): boolean {
    return this.#sending.blocked(channel);
  }

  pause(channel: string): void {
    this.#receiving.pause(channel);
  }

  /** May hand over, before it returns, what has waited. */
  resume(channel: string): void {
    try {
      this.#receiving.resume(channel);
    } catch (error) {
      this.#wrong(error);
    }
  }

  /** A message from the wire that is attached. */
  receive(message: Buffer): void {
    const wire = this.#wire;
    this.#keepAlive.heard();
    try {
      let at = 0;
      for (const data = this.#data; readData(message, at, data); at = data.end) {
        this.#receiving.takeData(message, data);
        if (this.#ended || this.#wire !== wire) return;
      }
      for (const frame of at === message.length ? [] : decodeMessage(message.subarray(at))) {
        this.#frame(frame);
        if (this.#ended || this.#wire !== wire) return;
      }
      this.#tellSoon(message.length);
    } catch (error) {
      this.#wrong(error);
    }
  }

  #frame(frame: Frame): void {
    switch (frame[0]) {
      case KIND.OPEN:
      case KIND.DATA:
      case KIND.CUT:
      case KIND.SKIP:
        this.#receiving.take(frame);
        return;
      case KIND.ACK:
        this.#acknowledged(countField(frame, 1));
        return;
      case KIND.CREDIT:
        this.#granted(countField(frame, 1), countField(frame, 2));
        return;
      case KIND.PING:
        this.#pongDue = countField(frame, 1);
        this.#schedule();
        return;
      case KIND.PONG:
        return;
      case KIND.GOODBYE:
        this.#owner.failed(farewell(frame));
        return;
      case KIND.HELLO:
      case KIND.PROOF:
      case KIND.WELCOME:
      case KIND.READY:
        throw malformed("a frame of the handshake came after it");
      default:
      // of a later minor version, and without a sequence number
    }
  }

  /** Acknowledges at once when much came, else after a while, if nothing else is sent before. */
  #tellSoon(bytes: number): void {
    const behind = this.received - this.#toldReceived;
    if (behind === 0) return;
    this.#untoldBytes += bytes;
    if (behind >= ACK_FRAMES || this.#untoldBytes >= ACK_BYTES) {
      this.#tellReceived = true;
      this.#schedule();
    } else if (this.#tellTimer === undefined) this.#tellLater();
  }

  /** One timer for many frames: to cancel it whenever something is acknowledged would cost more than the rest. */
  #tellLater(): void {
    const told = this.#toldReceived;
    this.#tellTimer = this.#clock.after(ACK_DELAY_MS, () => {
      this.#tellTimer = undefined;
      if (this.#toldReceived === this.received) return;
      if (this.#toldReceived !== told) this.#tellLater();
      else {
        this.#tellReceived = true;
        this.#schedule();
      }
    });
  }

  #acknowledged(seq: number): void {
    this.#sending.acknowledged(seq);
    if (this.#sending.waiting) this.#schedule();
    else if (this.idle) this.#owner.idle();
  }

  #granted(channel: number, limit: number): void {
    this.#sending.granted(channel, limit);
    if (this.#sending.waiting) this.#schedule();
  }

  #schedule(): void {
    if (this.#flushing || this.#ended) return;
    this.#flushing = true;
    // one message per turn: everything that this turn causes goes out together
    this.#defer(this.#flush);
  }

  #send(): void {
    if (this.#ended) return;
    this.#sending.fill();
    const wire = this.#wire;
    if (wire?.check !== undefined) this.#sendApart(wire);
    else if (wire !== undefined) {
      let control = this.#control();
      while (wire.buffered < WIRE_HIGH_WATER_BYTES) {
        const message = this.#sending.next();
        if (message === undefined) break;
        if (control === undefined) wire.send(message);
        else {
          // a message more costs more than to copy a short one
          const along = message.length <= MAX_COPY_BYTES;
          wire.send(along ? Buffer.concat([control, message]) : control);
          if (!along) wire.send(message);
          control = undefined;
        }
      }
      if (control !== undefined) wire.send(control);
    }
    this.#sending.unblock((channel) => {
      if (!this.#ended) this.#owner.writable(channel);
    });
    if (this.idle) this.#owner.idle();
  }

  /** The same over a wire on which each channel's DATA goes its own way. */
  #sendApart(wire: Wire): void {
    const control = this.#control();
    if (control !== undefined) wire.send(control);
    while (wire.buffered < WIRE_HIGH_WATER_BYTES) {
      const next = this.#sending.nextApart();
      if (next === undefined) return;
      wire.send(next.message, next.channel);
    }
  }

  /** The frames without a sequence number that are to be sent now. */
  #control(): Buffer | undefined {
    const behind = this.received - this.#toldReceived;
    const other = this.#pingDue || this.#pongDue !== undefined || this.#receiving.creditDue;
    if (!this.#tellReceived && behind < ACK_ALONG_FRAMES && !other) return undefined;
    const frames: Buffer[] = [];
    if (this.#tellReceived || behind > 0) {
      frames.push(encodeMessage(KIND.ACK, this.received));
      this.#toldReceived = this.received;
      this.#tellReceived = false;
      this.#untoldBytes = 0;
    }
    for (const [channel, limit] of this.#receiving.credits()) {
      frames.push(encodeMessage(KIND.CREDIT, channel, limit));
    }
    if (this.#pongDue !== undefined) frames.push(encodeMessage(KIND.PONG, this.#pongDue));
    this.#pongDue = undefined;
    if (this.#pingDue) frames.push(encodeMessage(KIND.PING, ++this.#pings));
    this.#pingDue = false;
    return Buffer.concat(frames);
  }

  #wrong(error: unknown): void {
    const reason = isIsthmusError(error) ? error : malformed("see the cause", error);
    // what is missing comes again over the next wire
    if (reason.code === "TRUNK_GAP") this.#owner.broken(reason);
    else this.#owner.failed(reason);
  }
}
