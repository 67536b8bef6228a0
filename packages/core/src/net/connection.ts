import type { Duplex } from "node:stream";
import { FLAG, type HandshakeOutcome } from "@isthmus/dist-handshake";
import { type Atom, atom, type TermLimits, TermWriter } from "@isthmus/etf";
import type { TermTarget } from "@isthmus/etf/raw";
import { FrameSplitter, IsthmusError, isIsthmusError, type PieceTaker } from "@isthmus/wire";
import type { FragmentLimits } from "../channel/fragments.ts";
import { FrameReader, usesDistHeader } from "../channel/frame-reader.ts";
import type { Signal } from "../channel/signal.ts";
import { SignalWriter } from "../channel/signal-writer.ts";
import { coreError } from "../errors.ts";

/** Who is told what happens on a connection. All calls are synchronous. */
export interface ConnectionSink {
  /** One signal; `signal` holds during the call only. */
  signal(connection: Connection, signal: Signal): void;
  /** The beginning of a signal that is longer than {@link ConnectionLimits.longFrameBytes}; see `SignalRouter.long`. */
  long?(connection: Connection, signal: Signal): PieceTaker["next"] | undefined;
  /** What was written is gone, after {@link Connection.blocked} was true. */
  writable(connection: Connection): void;
  /** Called once. Nothing comes after it. */
  closed(connection: Connection, reason: IsthmusError): void;
}

/** Bounds of one connection, all in bytes. */
export interface ConnectionLimits {
  /** Longest frame taken from the peer. @default 128 MiB */
  readonly maxFrameBytes: number;
  /**
   * What becomes of longer frames: the connection is given up, or, in pass-through framing, the router gets the
   * beginning ({@link Signal.missingBytes}) and the rest is skipped. @default "close"
   */
  readonly oversized?: "close" | "skip";
  /**
   * Longer frames, in pass-through framing, are offered to the router when their beginning is there (`SignalRouter.long`).
   * At least 64 KiB. @default none are
   */
  readonly longFrameBytes?: number;
  /** With more than this waiting to be sent, the connection says it is `blocked`. @default 1 MiB */
  readonly highWaterBytes: number;
  /** With more than this waiting to be sent, the connection is given up. @default 512 MiB */
  readonly maxBacklogBytes: number;
  /**
   * How long reading rests between chunks of a one-way stream of short messages, in milliseconds. A BEAM whose messages
   * are read at once makes a system call for each; when they are left to gather it costs both sides less. Nothing rests
   * while anything is sent back, or much has come at once. @default 0, never
   */
  readonly gatherMs?: number;
  /** Bounds of the terms in control messages. */
  readonly terms?: Partial<TermLimits>;
  readonly fragments?: Partial<FragmentLimits>;
}

/** The bounds when none are given. */
export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  maxFrameBytes: 128 * 1024 * 1024,
  highWaterBytes: 1024 * 1024,
  maxBacklogBytes: 512 * 1024 * 1024,
};

/** Binaries from here on are not copied on their way out: then handing them over by themselves costs less. */
const ATTACH_BYTES = 32 * 1024;
const TICK = Buffer.alloc(4);
/** As many chunks in a row, with nothing sent back, are a one-way stream. */
const ONE_WAY_CHUNKS = 16;
/** A chunk of this size has gathered enough by itself. */
const FULL_BYTES = 16 * 1024;
/** When no more than this has gathered, it is no stream. */
const TRICKLE_BYTES = 512;

/**
 * One distribution connection after its handshake: bytes to signals, signals to bytes. Everything that is sent in one
 * turn of the event loop leaves in one write.
 */
export class Connection {
  /** The peer's node name; interned, compare it by identity. */
  readonly peer: Atom;
  /** The peer's incarnation. Its pids of another creation are dead. */
  readonly peerCreation: number;
  /** What both ends support. */
  readonly flags: bigint;
  /** See `targetOf` of `@isthmus/core/channel`. */
  target: TermTarget | undefined;
  /** Whether the peer is itself a hidden node. (A connection with us is a hidden one in any case, unless we publish.) */
  readonly hidden: boolean;
  /** Whether both ends are bridges: then the peer's pids have other creations than {@link Connection.peerCreation}, too. */
  readonly joinsBridges: boolean;
  /** Our name and creation on this connection. */
  readonly localName: string;
  readonly localCreation: number;
  /** Encodes signals to this peer. They leave at the end of the turn, in order. */
  readonly signals: SignalWriter;
  /** True while the peer reads too slowly; whoever feeds it should stop until `writable`. */
  blocked = false;
  /** Why it was closed; undefined while it is open. */
  closeReason: IsthmusError | undefined;

  readonly #stream: Duplex;
  readonly #sink: ConnectionSink;
  readonly #limits: ConnectionLimits;
  readonly #reader: FrameReader;
  readonly #splitter: FrameSplitter;
  readonly #out: TermWriter;
  readonly #flush: () => void;
  #flushing = false;
  /** Nothing may be sent any more. */
  #ended = false;
  #pauses = 0;
  #wrote = false;
  #read = false;
  #silentRounds = 0;
  /** Chunks in a row that came while nothing was sent back, and whether anything was since the last one. */
  #oneWay = 0;
  #answered = false;

  /** Takes over `stream` right after a handshake. Call {@link Connection.start} when the sink is ready. */
  constructor(stream: Duplex, outcome: HandshakeOutcome, sink: ConnectionSink, limits: ConnectionLimits) {
    this.peer = atom(outcome.peer);
    this.peerCreation = outcome.peerCreation;
    this.flags = outcome.flags;
    this.hidden = (outcome.peerFlags & FLAG.PUBLISHED) === 0n;
    this.joinsBridges = (outcome.flags & FLAG.BRIDGE) !== 0n;
    this.localName = outcome.localName;
    this.localCreation = outcome.localCreation;
    this.#stream = stream;
    this.#sink = sink;
    this.#limits = limits;
    this.#reader = new FrameReader(this.peer, outcome.flags, limits);
    const passThrough = !usesDistHeader(outcome.flags);
    const { longFrameBytes } = limits;
    this.#splitter = new FrameSplitter({
      lengthBytes: 4,
      maxFrameBytes: limits.maxFrameBytes,
      onOversized:
        limits.oversized === "skip" && passThrough
          ? (head, length) => this.#signal(this.#reader.readHead(head, length))
          : undefined,
      long:
        longFrameBytes !== undefined && passThrough
          ? { bytes: longFrameBytes, begin: (head, length) => this.#long(head, length) }
          : undefined,
      onFrame: (bytes, start, end) => {
        if (start < end) this.#signal(this.#reader.read(bytes, start, end)); // otherwise a tick
      },
      pieces: {
        begin: (bytes, start, end, length) => this.#reader.begin(bytes, start, end, length),
        next: (bytes, start, end, left) => this.#signal(this.#reader.readNext(bytes, start, end, left)),
      },
    });
    this.#flush = () => {
      this.#flushing = false;
      if (this.closeReason === undefined) this.#send();
    };
    // OTP 23, which has no V4_NC, reads short ports only
    this.#out = new TermWriter({
      shortPorts: (outcome.flags & FLAG.V4_NC) === 0n,
      attachBytes: ATTACH_BYTES,
    });
    this.signals = new SignalWriter(this.#out, outcome.flags, () => {
      if (this.#flushing) return;
      this.#flushing = true;
      // one write per turn: everything that this chunk of input causes goes out together
      process.nextTick(this.#flush);
    });
    stream.on("error", (error) => this.#fail(error));
    stream.on("close", () => this.close(closedByPeer(this.peer.text)));
    stream.on("end", () => this.close(closedByPeer(this.peer.text)));
    stream.on("drain", () => {
      if (this.closeReason === undefined && this.signals.frames.pending) this.#send();
      if (!this.blocked || this.backlog > limits.highWaterBytes) return;
      this.blocked = false;
      this.#sink.writable(this);
    });
  }

  /** Begins to read. `rest` is what came together with the last handshake message. */
  start(rest: Buffer): void {
    this.#stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    if (this.#pauses > 0) {
      if (rest.length > 0) this.#stream.unshift(rest);
      return;
    }
    if (rest.length > 0) this.#receive(rest);
    if (this.closeReason === undefined && this.#pauses === 0) this.#stream.resume();
  }

  /** Bytes that wait to be sent. */
  get backlog(): number {
    const { ready, pendingBytes } = this.signals.frames;
    let bytes = this.#out.length + this.#stream.writableLength + pendingBytes;
    for (const frame of ready) bytes += frame.length;
    return bytes;
  }

  /** Stops reading from the peer until as many calls of {@link Connection.resume}; ticks still go out. */
  pause(): void {
    if (this.#pauses++ === 0) this.#stream.pause();
  }

  /** Takes back one {@link Connection.pause}. */
  resume(): void {
    if (this.#pauses > 0 && --this.#pauses === 0 && this.closeReason === undefined) this.#stream.resume();
  }

  /** While a signal is dealt with: if reading was paused, what came behind it in the same chunk waits, too. */
  suspend(): void {
    if (this.#pauses > 0) this.#splitter.suspend();
  }

  /**
   * `intensity` times per tick time: sends a tick when nothing else was sent, and gives up a peer that is silent for
   * that many rounds.
   */
  tick(intensity: number): void {
    if (!this.#wrote && !this.#ended && this.backlog === 0) this.#stream.write(TICK);
    this.#wrote = false;
    // while we do not read, silence says nothing about the peer
    this.#silentRounds = this.#read || this.#pauses > 0 ? 0 : this.#silentRounds + 1;
    this.#read = false;
    if (this.#silentRounds >= intensity) {
      this.close(
        coreError(
          "TICK_TIMEOUT",
          `${this.peer.text} has been silent for the whole tick time; the connection was given up.`,
          {
            context: { node: this.peer.text },
          },
        ),
      );
    }
  }

  /**
   * Sends what waits, and says that nothing more comes: nothing may be sent afterwards. The peer closes the connection
   * when it has read all of it.
   */
  end(): void {
    if (this.closeReason !== undefined || this.#ended) return;
    this.signals.frames.flush();
    this.#send();
    this.#ended = true;
    this.#stream.end();
  }

  /** Sends what waits, then closes. Only the first call has an effect. */
  close(reason: IsthmusError): void {
    if (this.closeReason !== undefined) return;
    if (
      !this.#stream.destroyed &&
      !this.#stream.writableEnded &&
      this.backlog > this.#stream.writableLength
    ) {
      this.signals.frames.flush();
      this.#send();
    }
    if (this.closeReason !== undefined) return;
    this.closeReason = reason;
    this.#splitter.stop();
    this.#stream.removeAllListeners("data");
    // whatever the peer still sends is read and thrown away, so that our last bytes are not lost to a reset
    this.#stream.resume();
    if (!this.#stream.destroyed) {
      this.#stream.end();
      const linger = setTimeout(() => this.#stream.destroy(), 1000);
      linger.unref();
      this.#stream.once("close", () => clearTimeout(linger));
    }
    this.#sink.closed(this, reason);
  }

  /** Hands over what was written, and of long messages as much as may wait in the stream. */
  #send(): void {
    const stream = this.#stream;
    this.#answered = true;
    const { frames } = this.signals;
    if (frames.ready.length === 0 && !frames.pending && !this.#out.attached) {
      const bytes = this.#out.take();
      if (bytes.length === 0) return;
      this.#wrote = true;
      if (!stream.write(bytes)) this.#checkBacklog();
      return;
    }
    this.#wrote = true;
    stream.cork();
    this.#out.takeParts(frames.ready);
    this.#sendReady();
    while (frames.pending && stream.writableLength < this.#limits.highWaterBytes) {
      frames.nextFragment();
      this.#sendReady();
    }
    stream.uncork();
    if (stream.writableNeedDrain) this.#checkBacklog();
  }

  #sendReady(): void {
    const { ready } = this.signals.frames;
    for (const bytes of ready) this.#stream.write(bytes);
    ready.length = 0;
  }

  #checkBacklog(): void {
    const waiting = this.backlog;
    if (waiting > this.#limits.maxBacklogBytes) {
      this.close(
        coreError(
          "BACKLOG_EXCEEDED",
          `${this.peer.text} does not read: ${waiting} bytes wait to be sent, at most ${this.#limits.maxBacklogBytes} may.`,
          { context: { node: this.peer.text, waiting } },
        ),
      );
    } else if (waiting > this.#limits.highWaterBytes) this.blocked = true;
  }

  #receive(chunk: Buffer): void {
    this.#read = true;
    try {
      const rest = this.#splitter.push(chunk);
      if (rest !== undefined && rest.length > 0) this.#stream.unshift(rest);
    } catch (error) {
      this.#fail(error);
    }
    const { gatherMs = 0 } = this.#limits;
    if (gatherMs > 0) this.#gather(chunk.length, gatherMs);
  }

  /** Lets a one-way stream gather for a moment. */
  #gather(bytes: number, ms: number): void {
    const rested = this.#oneWay >= ONE_WAY_CHUNKS;
    this.#oneWay = this.#answered || (rested && bytes < TRICKLE_BYTES) ? 0 : this.#oneWay + 1;
    this.#answered = false;
    if (this.#oneWay < ONE_WAY_CHUNKS || bytes >= FULL_BYTES || this.closeReason !== undefined) return;
    this.pause();
    setTimeout(() => this.resume(), ms);
  }

  #signal(signal: Signal | undefined): void {
    if (signal !== undefined) this.#sink.signal(this, signal);
  }

  #long(head: Buffer, length: number): PieceTaker["next"] | undefined {
    let signal: Signal;
    try {
      signal = this.#reader.readHead(head, length);
    } catch (error) {
      // a control message that is as long as that
      if (isIsthmusError(error) && error.code === "ETF_TRUNCATED") return undefined;
      throw error;
    }
    const next = this.#sink.long?.(this, signal);
    if (next === undefined) return undefined;
    return (bytes, start, end, left) => {
      if (this.closeReason !== undefined) return;
      next(bytes, start, end, left);
      // whoever waits for its arrival must not be overtaken by what came in the same chunk
      if (left === 0) this.suspend();
    };
  }

  #fail(error: unknown): void {
    this.close(
      isIsthmusError(error)
        ? error
        : new IsthmusError("CONNECTION_CLOSED", `The connection to ${this.peer.text} broke.`, {
            cause: error,
            context: { node: this.peer.text },
          }),
    );
  }
}

function closedByPeer(node: string): IsthmusError {
  return coreError("CONNECTION_CLOSED", `${node} closed the connection.`, { context: { node } });
}
