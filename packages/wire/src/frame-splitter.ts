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
 * one that straddles chunks is copied once, into a buffer of its own size, or given to {@link FrameSplitterOptions.pieces}.
 */
export class FrameSplitter {
  /** May be changed from within `onFrame`; it holds from the next frame on (handshake to channel: 2 to 4). */
  lengthBytes: 2 | 4;
  /** May be changed from within `onFrame`; it holds from the next frame on. */
  maxFrameBytes: number;
  readonly #onFrame: (bytes: Buffer, start: number, end: number) => void;
  readonly #pieces: PieceTaker | undefined;
  readonly #onOversized: ((head: Buffer, length: number) => void) | undefined;
  /** Bytes of a length prefix that is not complete yet (at most 3). */
  #head: Buffer = EMPTY;
  /** A frame that is being gathered, and how much of it is there. */
  #frame: Buffer | undefined;
  #filled = 0;
  /** Bytes to come of a frame that is taken in pieces. */
  #left = 0;
  /** Length of the frame that is being gathered, if it is too long; and what is still to be skipped of one. */
  #oversized = 0;
  #skip = 0;
  #stopped = false;

  constructor(options: FrameSplitterOptions) {
    this.lengthBytes = options.lengthBytes;
    this.maxFrameBytes = options.maxFrameBytes;
    this.#onFrame = options.onFrame;
    this.#pieces = options.pieces;
    this.#onOversized = options.onOversized;
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
    this.#skip = 0;
  }

  /**
   * Takes the next received bytes. `chunk` must not be reused by the caller.
   * @throws IsthmusError `FRAME_TOO_LARGE`; whatever `onFrame` or `pieces` throws
   */
  push(chunk: Buffer): void {
    let at = 0;
    if (this.#stopped) return;
    if (this.#skip > 0) {
      at = Math.min(this.#skip, chunk.length);
      this.#skip -= at;
    } else if (this.#left > 0) {
      at = Math.min(this.#left, chunk.length);
      this.#left -= at;
      (this.#pieces as PieceTaker).next(chunk, 0, at, this.#left);
    } else if (this.#frame !== undefined) {
      at = this.#fill(chunk, 0);
      if (this.#frame !== undefined || this.#skip > 0 || this.#stopped) return;
    } else if (this.#head.length > 0) {
      chunk = Buffer.concat([this.#head, chunk]);
      this.#head = EMPTY;
    }
    for (;;) {
      if (this.#stopped) return;
      const header = this.lengthBytes;
      if (chunk.length - at < header) {
        if (at < chunk.length) this.#head = Buffer.from(chunk.subarray(at));
        return;
      }
      const length = header === 4 ? chunk.readUInt32BE(at) : chunk.readUInt16BE(at);
      if (length > this.maxFrameBytes && this.#onOversized !== undefined) {
        this.#oversized = length;
        this.#frame = Buffer.allocUnsafeSlow(Math.min(length, OVERSIZED_HEAD_BYTES));
        this.#filled = 0;
        at = this.#fill(chunk, at + header);
        if (this.#frame !== undefined || this.#skip > 0) return;
        continue;
      }
      if (length > this.maxFrameBytes) {
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
        if (!this.#stopped) this.#left = length - (chunk.length - at);
        return;
      }
      // Not zeroed: every byte is written before anybody sees it.
      this.#frame = Buffer.allocUnsafeSlow(length);
      this.#filled = 0;
      this.#fill(chunk, at);
      return;
    }
  }

  /** Copies from `chunk` into the frame being gathered, or skips it; returns where it stopped reading. */
  #fill(chunk: Buffer, at: number): number {
    const frame = this.#frame!;
    const wanted = Math.min(frame.length - this.#filled, chunk.length - at);
    chunk.copy(frame, this.#filled, at, at + wanted);
    this.#filled += wanted;
    const stop = at + wanted;
    if (this.#filled < frame.length) return stop;
    this.#frame = undefined;
    this.#filled = 0;
    if (this.#oversized === 0) {
      this.#onFrame(frame, 0, frame.length);
      return stop;
    }
    const length = this.#oversized;
    this.#oversized = 0;
    (this.#onOversized as (head: Buffer, length: number) => void)(frame, length);
    const skipped = Math.min(length - frame.length, chunk.length - stop);
    this.#skip = length - frame.length - skipped;
    return stop + skipped;
  }
}
