import { randomFillSync } from "node:crypto";
import type { Socket } from "node:net";
import { maskBytes } from "./bufferutil.ts";
import { PAGE_BYTES } from "./frames.ts";

/** FIN and the opcode of a binary message. */
const BINARY = 0x82;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;
/** Most bytes before the payload: two, the length, the mask. */
const MAX_HEAD_BYTES = 2 + 8 + MASK_BYTES;
/** Up to this length a payload is copied behind its head: two buffers in one write cost more. */
const MAX_COPY_BYTES = 8 * 1024;
const SLAB_BYTES = PAGE_BYTES + MAX_HEAD_BYTES;
/** As many slabs that nothing waits in are kept for later. */
const MAX_SPARE = 4;
const RANDOM_BYTES = 8 * 1024;

/** Bytes that wait to be written, or are written over when none do. */
interface Slab {
  readonly bytes: Buffer;
  filled: number;
  /** Frames in it that wait to be written. */
  pending: number;
}

/**
 * How a dialing side masks (RFC 6455, section 5.3): `none` is that of the accepting side, `zero` writes a mask of zeros, which
 * changes nothing. Masks keep proxies from taking a message for a request (section 10.3); what is encrypted no proxy reads.
 */
export type Masking = "none" | "zero" | "random";

/**
 * Writes binary messages of a WebSocket to its socket (RFC 6455, section 5.2): each is one frame and one write, out of buffers
 * that are used again. Whoever else writes whole frames to the socket at once may go on to do so.
 */
export class FrameWriter {
  readonly #socket: Socket;
  readonly #masking: Masking;
  readonly #random = Buffer.allocUnsafe(RANDOM_BYTES);
  #randomAt = RANDOM_BYTES;
  readonly #spare: Slab[] = [];
  #slab: Slab = newSlab();

  constructor(socket: Socket, masking: Masking) {
    this.#socket = socket;
    this.#masking = masking;
  }

  /** @param written called when the socket has it, or has ended before */
  write(message: Buffer, written: () => void): void {
    const copied = this.#masking === "random" || message.length <= MAX_COPY_BYTES;
    const slab = this.#slabFor(copied ? MAX_HEAD_BYTES + message.length : MAX_HEAD_BYTES);
    const start = slab.filled;
    const head = this.#head(slab.bytes, start, message.length);
    slab.pending++;
    slab.filled = head;
    const done = (): void => {
      this.#done(slab);
      written();
    };
    if (!copied) {
      this.#socket.cork();
      this.#socket.write(slab.bytes.subarray(start, head));
      this.#socket.write(message, done);
      this.#socket.uncork();
      return;
    }
    if (this.#masking === "random") {
      const mask = slab.bytes.subarray(head - MASK_BYTES, head);
      maskBytes(message, mask, slab.bytes, head, message.length);
    } else message.copy(slab.bytes, head);
    slab.filled = head + message.length;
    this.#socket.write(slab.bytes.subarray(start, slab.filled), done);
  }

  /** Writes what comes before the payload. @returns where the payload begins */
  #head(bytes: Buffer, start: number, length: number): number {
    const masked = this.#masking === "none" ? 0 : MASKED;
    bytes[start] = BINARY;
    let end = start + 2;
    if (length < LENGTH_16) bytes[start + 1] = masked | length;
    else if (length < 0x10000) {
      bytes[start + 1] = masked | LENGTH_16;
      end = bytes.writeUInt16BE(length, end);
    } else {
      bytes[start + 1] = masked | LENGTH_64;
      bytes.writeUInt32BE(0, end);
      end = bytes.writeUInt32BE(length, end + 4);
    }
    if (this.#masking === "zero") end = bytes.writeUInt32BE(0, end);
    else if (this.#masking === "random") end = this.#writeMask(bytes, end);
    return end;
  }

  /** Nobody may know it before (RFC 6455, section 5.3); to ask for four bytes at a time would be slow. */
  #writeMask(bytes: Buffer, at: number): number {
    if (this.#randomAt === RANDOM_BYTES) {
      randomFillSync(this.#random);
      this.#randomAt = 0;
    }
    bytes.writeUInt32LE(this.#random.readUInt32LE(this.#randomAt), at);
    this.#randomAt += MASK_BYTES;
    return at + MASK_BYTES;
  }

  #slabFor(length: number): Slab {
    const slab = this.#slab;
    if (slab.pending === 0) slab.filled = 0;
    if (slab.filled + length <= slab.bytes.length) return slab;
    this.#slab = length <= SLAB_BYTES ? (this.#spare.pop() ?? newSlab()) : newSlab(length);
    return this.#slab;
  }

  #done(slab: Slab): void {
    slab.pending--;
    if (slab.pending > 0 || slab === this.#slab) return;
    slab.filled = 0;
    if (this.#spare.length < MAX_SPARE && slab.bytes.length === SLAB_BYTES) this.#spare.push(slab);
  }
}

function newSlab(length = SLAB_BYTES): Slab {
  return { bytes: Buffer.allocUnsafeSlow(length), filled: 0, pending: 0 };
}
