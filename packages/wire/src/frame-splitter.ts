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
  /** Longer frames are refused as soon as their length is read, before their bytes arrive. */
  readonly maxFrameBytes: number;
  /**
   * Called once per frame, in order, with the bytes `[start, end)` of `bytes`. The bytes are a view into what was
   * received and are never reused, so they may be kept, at the price of keeping the whole received chunk alive.
   */
  readonly onFrame: (bytes: Buffer, start: number, end: number) => void;
  /** Who may take frames in pieces. Default nobody. */
  readonly pieces?: PieceTaker | undefined;
}

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
  /** Bytes of a length prefix that is not complete yet (at most 3). */
  #head: Buffer = EMPTY;
  /** A frame that is being gathered, and how much of it is there. */
  #frame: Buffer | undefined;
  #filled = 0;
  /** Bytes to come of a frame that is taken in pieces. */
  #left = 0;
  #stopped = false;

  constructor(options: FrameSplitterOptions) {
    this.lengthBytes = options.lengthBytes;
    this.maxFrameBytes = options.maxFrameBytes;
    this.#onFrame = options.onFrame;
    this.#pieces = options.pieces;
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
  }

  /**
   * Takes the next received bytes. `chunk` must not be reused by the caller.
   * @throws IsthmusError `FRAME_TOO_LARGE`; whatever `onFrame` or `pieces` throws
   */
  push(chunk: Buffer): void {
    let at = 0;
    if (this.#stopped) return;
    if (this.#left > 0) {
      at = Math.min(this.#left, chunk.length);
      this.#left -= at;
      (this.#pieces as PieceTaker).next(chunk, 0, at, this.#left);
    } else if (this.#frame !== undefined) {
      at = this.#fill(chunk, 0);
      if (this.#frame !== undefined || this.#stopped) return;
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

  /** Copies from `chunk` into the frame being gathered; returns where it stopped reading. */
  #fill(chunk: Buffer, at: number): number {
    const frame = this.#frame!;
    const wanted = Math.min(frame.length - this.#filled, chunk.length - at);
    chunk.copy(frame, this.#filled, at, at + wanted);
    this.#filled += wanted;
    if (this.#filled === frame.length) {
      this.#frame = undefined;
      this.#filled = 0;
      this.#onFrame(frame, 0, frame.length);
    }
    return at + wanted;
  }
}
