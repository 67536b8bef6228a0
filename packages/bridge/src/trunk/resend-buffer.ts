import { MAX_DATA_HEAD_BYTES, writeData } from "./data-frame.ts";
import { PAGE_BYTES } from "./frames.ts";

/** As many empty pages are kept for later: making one costs more than filling it. */
const MAX_SPARE = 32;

/** In place of a channel's number: frames that are not DATA. */
export const CONTROL = -1;

interface Page {
  readonly bytes: Buffer;
  /** Where each frame begins; the first has the sequence number `firstSeq`. */
  readonly starts: number[];
  /** The channel of each DATA frame; {@link CONTROL} for others. */
  readonly channels: number[];
  firstSeq: number;
  filled: number;
  sent: number;
  /** How many frames `sent` are. */
  sentFrames: number;
}

/**
 * The frames with a sequence number that the peer has not acknowledged, encoded, in pages that are only appended to until
 * the peer has all of them: what is handed to a socket may be sent from there at any time. A page is used again as a whole.
 */
export class ResendBuffer {
  /** Frames that were appended since the session began; the sequence number of the last one. */
  lastSeq = 0;
  /** All up to this were acknowledged. */
  acknowledged = 0;
  #pages: Page[] = [];
  /** The first page that has something unsent; all before it are sent. */
  #next = 0;
  #bytes = 0;
  readonly #spare: Page[] = [];
  readonly #maxBytes: number;
  readonly #maxFrames: number;

  constructor(maxBytes: number, maxFrames: number) {
    this.#maxBytes = maxBytes;
    this.#maxFrames = maxFrames;
  }

  /** Bytes that are not acknowledged, rounded up to the pages that hold them. */
  get bytes(): number {
    return this.acknowledged === this.lastSeq ? 0 : this.#bytes;
  }

  get full(): boolean {
    return this.lastSeq - this.acknowledged >= this.#maxFrames || this.bytes >= this.#maxBytes;
  }

  /** The number that the next frame must carry. */
  get nextSeq(): number {
    return this.lastSeq + 1;
  }

  /** Copies an encoded frame with the number {@link ResendBuffer.nextSeq}. */
  append(frame: Uint8Array): void {
    const page = this.#pageFor(frame.length);
    page.bytes.set(frame, page.filled);
    this.#grow(page, frame.length, CONTROL);
  }

  /** Appends a DATA frame with the number {@link ResendBuffer.nextSeq}, with a copy of `bytes`. */
  appendData(channel: number, flags: number, bytes: Uint8Array): void {
    const page = this.#pageFor(MAX_DATA_HEAD_BYTES + bytes.length);
    const end = writeData(page.bytes, page.filled, this.nextSeq, channel, flags, bytes);
    this.#grow(page, end - page.filled, channel);
  }

  /** A page with room for so many bytes. */
  #pageFor(length: number): Page {
    const last = this.#pages.at(-1);
    if (last !== undefined && last.filled + length <= last.bytes.length) return last;
    const spare = length <= PAGE_BYTES ? this.#spare.pop() : undefined;
    const page = spare ?? {
      bytes: Buffer.allocUnsafeSlow(Math.max(PAGE_BYTES, length)),
      ...{ starts: [], channels: [], firstSeq: 0, filled: 0, sent: 0, sentFrames: 0 },
    };
    page.firstSeq = this.nextSeq;
    this.#pages.push(page);
    return page;
  }

  #grow(page: Page, length: number, channel: number): void {
    this.lastSeq++;
    page.starts.push(page.filled);
    page.channels.push(channel);
    page.filled += length;
    this.#bytes += length;
  }

  /** The next unsent frames as one message; undefined when all are sent. */
  next(): Buffer | undefined {
    const page = this.#unsent();
    if (page === undefined) return undefined;
    const message = page.bytes.subarray(page.sent, page.filled);
    page.sent = page.filled;
    page.sentFrames = page.starts.length;
    return message;
  }

  /** The channel of the next unsent frame, {@link CONTROL} when it is not DATA; undefined when all are sent. */
  get nextChannel(): number | undefined {
    const page = this.#unsent();
    return page?.channels[page.sentFrames];
  }

  /** The next unsent frames as far as they are of one channel, or of none, as one message. */
  nextRun(): { readonly message: Buffer; readonly firstSeq: number; readonly lastSeq: number } | undefined {
    const page = this.#unsent();
    if (page === undefined) return undefined;
    const from = page.sentFrames;
    let to = from + 1;
    while (to < page.channels.length && page.channels[to] === page.channels[from]) to++;
    const end = page.starts[to] ?? page.filled;
    const message = page.bytes.subarray(page.sent, end);
    page.sent = end;
    page.sentFrames = to;
    return { message, firstSeq: page.firstSeq + from, lastSeq: page.firstSeq + to - 1 };
  }

  /** The first page with something unsent. */
  #unsent(): Page | undefined {
    for (; this.#next < this.#pages.length; this.#next++) {
      const page = this.#pages[this.#next]!;
      if (page.sent < page.filled) return page;
      // the last page may still grow
      if (this.#next === this.#pages.length - 1) return undefined;
    }
    return undefined;
  }

  /** Forgets all frames up to `seq`. @returns false when no such frame was ever appended */
  acknowledge(seq: number): boolean {
    if (seq > this.lastSeq) return false;
    if (seq <= this.acknowledged) return true;
    this.acknowledged = seq;
    let done = 0;
    // the last page is kept to be filled up
    while (done < this.#pages.length - 1 && this.#pages[done + 1]!.firstSeq <= seq + 1) done++;
    if (done > 0) {
      for (const page of this.#pages.splice(0, done)) {
        this.#bytes -= page.filled;
        this.#keep(page);
      }
      this.#next = Math.max(0, this.#next - done);
    }
    return true;
  }

  /** The peer has all of it, so nothing waits to be sent from it, on a wire that still counts. */
  #keep(page: Page): void {
    if (this.#spare.length >= MAX_SPARE || page.bytes.length !== PAGE_BYTES) return;
    page.starts.length = page.channels.length = page.filled = page.sent = page.sentFrames = 0;
    this.#spare.push(page);
  }

  /** Everything that is not acknowledged is unsent again. @returns how many frames of it were sent before */
  rewind(): number {
    let again = 0;
    for (const page of this.#pages) {
      const skipped = Math.min(page.starts.length, Math.max(0, this.acknowledged + 1 - page.firstSeq));
      again += Math.max(0, page.sentFrames - skipped);
      page.sent = page.starts[skipped] ?? page.filled;
      page.sentFrames = skipped;
    }
    this.#next = 0;
    return again;
  }
}
