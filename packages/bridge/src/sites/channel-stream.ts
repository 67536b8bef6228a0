import { Duplex } from "node:stream";
import type { TrunkLink } from "../trunk/link.ts";

/** Received and not read; beyond it the far site gets no more credit. */
const READ_AHEAD_BYTES = 64 * 1024;
/** So much is handed to the trunk at once, which copies what it cannot send. */
const SLICE_BYTES = 128 * 1024;
const NOTHING = Buffer.alloc(0);

type Done = (error?: Error | null) => void;

/** Options of {@link ChannelStream}. */
export interface ChannelStreamOptions {
  readonly link: TrunkLink;
  /** Channels, from us and to us. */
  readonly outgoing: string;
  readonly incoming: string;
  /** Nothing more is sent. Called once. */
  readonly onEnded: () => void;
}

/**
 * Two channels of a trunk as a stream of bytes. Each direction is one payload in parts, whose last part is empty. While
 * a channel is blocked writes wait; what is not read holds the far site's channel up, and no other.
 */
export class ChannelStream extends Duplex {
  readonly #options: ChannelStreamOptions;
  /** What goes on when the channel takes more. */
  #waiting: (() => void) | undefined;
  #paused = false;
  #ended = false;

  constructor(options: ChannelStreamOptions) {
    super({ readableHighWaterMark: READ_AHEAD_BYTES });
    this.#options = options;
  }

  /** Bytes of the far bridge. */
  receive(bytes: Buffer): void {
    if (this.destroyed || this.push(bytes) || this.#paused) return;
    this.#paused = true;
    this.#options.link.pause(this.#options.incoming);
  }

  /** The far bridge sends nothing more. */
  receiveEnd(): void {
    if (!this.destroyed) this.push(null);
  }

  /** The channel takes more. */
  writableAgain(): void {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }

  /** The session is over: nothing can be sent any more. */
  cut(reason: Error): void {
    this.#ended = true;
    this.destroy(reason);
  }

  override _read(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#options.link.resume(this.#options.incoming);
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.#send([chunk], 0, 0, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      0,
      0,
      done,
    );
  }

  override _final(done: Done): void {
    this.#end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#waiting = undefined;
    this._read();
    this.#end();
    done(error);
  }

  /** Sends from byte `at` of `chunks[index]` on. */
  #send(chunks: readonly Buffer[], index: number, at: number, done: Done): void {
    const { link, outgoing } = this.#options;
    try {
      while (index < chunks.length) {
        if (link.blocked(outgoing)) {
          this.#waiting = () => this.#send(chunks, index, at, done);
          return;
        }
        const chunk = chunks[index]!;
        const end = Math.min(chunk.length, at + SLICE_BYTES);
        link.send(outgoing, at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end), true, true);
        at = end;
        if (end === chunk.length) {
          index++;
          at = 0;
        }
      }
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }

  #end(): void {
    const { link, outgoing, onEnded } = this.#options;
    if (this.#ended) return;
    this.#ended = true;
    if (link.state !== "down") {
      link.send(outgoing, NOTHING, false);
      onEnded();
    }
  }
}
