import { Duplex } from "node:stream";

/** A stream whose other end is the test: `give` is what arrives, `sent` what was written. */
export class WireDuplex extends Duplex {
  readonly sent: Buffer[] = [];
  ended = false;

  give(bytes: Buffer): void {
    this.push(bytes);
  }

  giveEnd(): void {
    this.push(null);
  }

  get written(): Buffer {
    return Buffer.concat(this.sent);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.ended = true;
    done();
  }
}

/** Lets everything that is due run: timers of the stream module, promises, immediates. */
export async function settle(turns = 4): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** The bytes in pieces: whole, one by one, or cut at the given places. */
export function pieces(bytes: Buffer, how: "whole" | "bytes" | readonly number[]): Buffer[] {
  if (how === "whole") return [bytes];
  if (how === "bytes") return Array.from(bytes, (byte) => Buffer.from([byte]));
  const cuts = [...new Set(how.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
  return [...cuts, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : cuts[i - 1], end));
}

/** Frames with their length before each. */
export function framed(frames: readonly Buffer[], lengthBytes: 2 | 4): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(lengthBytes);
      length.writeUIntBE(frame.length, 0, lengthBytes);
      return [length, frame];
    }),
  );
}
