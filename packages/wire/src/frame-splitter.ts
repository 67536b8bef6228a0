import { IsthmusError } from "./errors.ts";

/** Takes frames that straddle chunks piece by piece, where gathering them first would only be one more copy. */
export interface PieceTaker {
  /**
   * The beginning `[start, end)` of a frame of `length` bytes, of which more is to come.
   * @returns whether this and the rest of the frame is taken in pieces; otherwise it is gathered for `onFrame`
   */
  begin(bytes: Buffer, start: number, end: number, length: number): boolean;
  /** What comes next of a frame that was begun, and how many bytes are `left` after it. They may be kept as those of `onFrame`. */
  next(bytes: Buffer, start: number, end: number, left: number): void;
}

/** Decides what becomes of long frames when their beginning is there. */
export interface LongFrames {
  /** Frames with more bytes are long. {@link OVERSIZED_HEAD_BYTES} or more. */
  readonly bytes: number;
  /**
   * @param head the first {@link OVERSIZED_HEAD_BYTES} of a frame of `length` bytes; may be kept
   * @returns who takes the rest as it comes, as {@link PieceTaker.next}; undefined to have the frame gathered for `onFrame`
   */
  begin(head: Buffer, length: number): PieceTaker["next"] | undefined;
}

/** Options of {@link FrameSplitter}. */
export interface FrameSplitterOptions {
  /** Size of the big-endian length before each frame. */
  readonly lengthBytes: 2 | 4;
  /** Longer frames are refused as soon as their length is read, before their bytes arrive; see `onOversized`. */
  readonly maxFrameBytes: number;
  /**
   * Called in place of refusing with the beginning of a frame that is longer than `maxFrameBytes` ({@link
   * OVERSIZED_HEAD_BYTES} of it, or all) and its length; the rest is skipped as it comes. The bytes may be kept.
   */
  readonly onOversized?: ((head: Buffer, length: number) => void) | undefined;
  /** Who decides about frames that are long, and not too long. Default nobody: they are gathered. */
  readonly long?: LongFrames | undefined;
  /**
   * Called once per frame, in order, with the bytes `[start, end)` of `bytes`. The bytes are a view into what was
   * received and are never reused, so they may be kept, at the price of keeping the whole received chunk alive.
   */
  readonly onFrame: (bytes: Buffer, start: number, end: number) => void;
  /** Who may take frames in pieces. Default nobody. */
  readonly pieces?: PieceTaker | undefined;
}

/** As much is kept of a frame that is too long. */
export const OVERSIZED_HEAD_BYTES: number = 64 * 1024;

const EMPTY = Buffer.alloc(0);

/**
 * Cuts a byte stream into length-prefixed frames. A frame that lies within one received chunk is passed as a view;
 * one that straddles chunks is copied once, into a buffer of its own size, or given to {@link FrameSplitterOptions.pieces}
 * or {@link FrameSplitterOptions.long}.
 */
export class FrameSplitter {
  /** May be changed from within `onFrame`; it holds from the next frame on (handshake to channel: 2 to 4). */
  lengthBytes: 2 | 4;
  /** May be changed from within `onFrame`; it holds from the next frame on. */
  maxFrameBytes: number;
  readonly #onFrame: (bytes: Buffer, start: number, end: number) => void;
  readonly #pieces: PieceTaker | undefined;
  readonly #takeNext: PieceTaker["next"];
  readonly #onOversized: ((head: Buffer, length: number) => void) | undefined;
  readonly #long: LongFrames | undefined;
  /** Bytes of a length prefix that is not complete yet (at most 3). */
  #head: Buffer = EMPTY;
  /** A frame that is being gathered, and how much of it is there. */
  #frame: Buffer | undefined;
  #filled = 0;
  /** Bytes to come of a frame that is taken in pieces, and who takes them; undefined when they are skipped. */
  #left = 0;
  #next: PieceTaker["next"] | undefined;
  /** Length of the long frame of which the beginning is being gathered; whether it is too long. */
  #length = 0;
  #oversized = false;
  #stopped = false;
  #suspended = false;

  constructor(options: FrameSplitterOptions) {
    this.lengthBytes = options.lengthBytes;
    this.maxFrameBytes = options.maxFrameBytes;
    this.#onFrame = options.onFrame;
    const { pieces } = options;
    this.#pieces = pieces;
    this.#takeNext = (bytes, start, end, left) => pieces?.next(bytes, start, end, left);
    this.#onOversized = options.onOversized;
    this.#long = options.long;
  }

  /** Bytes held back because their frame is not complete. */
  get buffered(): number {
    return this.#head.length + this.#filled;
  }

  /** Drops what is held back and ignores everything from now on; for a connection that is being closed. */
  stop(): void {
    this.#stopped = true;
    this.#head = EMPTY;
    this.#frame = undefined;
    this.#filled = 0;
    this.#left = 0;
    this.#next = undefined;
  }

  /** From within a callback: {@link FrameSplitter.push} shall end after this frame, and give back what comes behind it. */
  suspend(): void {
    this.#suspended = true;
  }

  /**
   * Takes the next received bytes. `chunk` must not be reused by the caller.
   * @returns what was not taken because of {@link FrameSplitter.suspend}; hand it over again later
   * @throws IsthmusError `FRAME_TOO_LARGE`; whatever `onFrame` or `pieces` throws
   */
  push(chunk: Buffer): Buffer | undefined {
    let at = 0;
    if (this.#stopped) return undefined;
    if (this.#left > 0) at = this.#piece(chunk, 0);
    else if (this.#frame !== undefined) {
      at = this.#fill(chunk, 0);
      if (this.#frame !== undefined || this.#left > 0) return undefined;
    } else if (this.#head.length > 0) {
      chunk = Buffer.concat([this.#head, chunk]);
      this.#head = EMPTY;
    }
    for (;;) {
      if (this.#stopped) return undefined;
      if (this.#suspended) {
        this.#suspended = false;
        return chunk.subarray(at);
      }
      const header = this.lengthBytes;
      if (chunk.length - at < header) {
        if (at < chunk.length) this.#head = Buffer.from(chunk.subarray(at));
        return undefined;
      }
      const length = header === 4 ? chunk.readUInt32BE(at) : chunk.readUInt16BE(at);
      const oversized = length > this.maxFrameBytes;
      if (
        oversized
          ? this.#onOversized !== undefined
          : this.#long !== undefined && length > this.#long.bytes && chunk.length - at - header < length
      ) {
        this.#length = length;
        this.#oversized = oversized;
        this.#frame = Buffer.allocUnsafeSlow(Math.min(length, OVERSIZED_HEAD_BYTES));
        this.#filled = 0;
        at = this.#fill(chunk, at + header);
        if (this.#frame !== undefined || this.#left > 0) return undefined;
        continue;
      }
      if (oversized) {
        this.stop();
        throw new IsthmusError(
          "FRAME_TOO_LARGE",
          `The peer announced a frame of ${length} bytes; at most ${this.maxFrameBytes} are taken. Raise the limit if such messages are expected.`,
          { context: { length, limit: this.maxFrameBytes } },
        );
      }
      at += header;
      if (chunk.length - at >= length) {
        const start = at;
        at += length;
        this.#onFrame(chunk, start, at);
        continue;
      }
      if (at < chunk.length && this.#pieces?.begin(chunk, at, chunk.length, length) === true) {
        if (this.#stopped) return undefined;
        this.#left = length - (chunk.length - at);
        this.#next = this.#takeNext;
        return undefined;
      }
      // Not zeroed: every byte is written before anybody sees it.
      this.#frame = Buffer.allocUnsafeSlow(length);
      this.#filled = 0;
      this.#fill(chunk, at);
      return undefined;
    }
  }

  /** Hands over, or skips, what `chunk` has from `at` on of the frame that is taken in pieces; returns where that ends. */
  #piece(chunk: Buffer, at: number): number {
    const stop = at + Math.min(this.#left, chunk.length - at);
    this.#left -= stop - at;
    if (stop > at) this.#next?.(chunk, at, stop, this.#left);
    return stop;
  }

  /** Copies from `chunk` into the frame being gathered; returns where it stopped reading. */
  #fill(chunk: Buffer, at: number): number {
    const frame = this.#frame!;
    const wanted = Math.min(frame.length - this.#filled, chunk.length - at);
    chunk.copy(frame, this.#filled, at, at + wanted);
    this.#filled += wanted;
    const stop = at + wanted;
    if (this.#filled < frame.length) return stop;
    this.#frame = undefined;
    this.#filled = 0;
    const length = this.#length;
    if (length === 0) {
      this.#onFrame(frame, 0, frame.length);
      return stop;
    }
    this.#length = 0;
    return this.#begun(frame, length, chunk, stop);
  }

  /** The beginning of a long frame is there, and `chunk` goes on at `at`; returns where it stopped reading. */
  #begun(head: Buffer, length: number, chunk: Buffer, at: number): number {
    this.#next = undefined;
    if (this.#oversized) (this.#onOversized as (head: Buffer, length: number) => void)(head, length);
    else {
      this.#next = (this.#long as LongFrames).begin(head, length);
      if (this.#next === undefined && !this.#stopped) {
        this.#frame = Buffer.allocUnsafeSlow(length);
        head.copy(this.#frame);
        this.#filled = head.length;
        return this.#fill(chunk, at);
      }
    }
    if (this.#stopped) return at;
    this.#left = length - head.length;
    return this.#piece(chunk, at);
  }
}
