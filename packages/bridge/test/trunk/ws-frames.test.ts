import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { FrameWriter, type Masking } from "../../src/trunk/ws-frames.ts";

/** The receiver of the npm package `ws`, which has no types. */
interface Receiver extends Omit<Writable, "on"> {
  on(event: "message", listener: (data: Buffer, isBinary: boolean) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
}
const { Receiver } = createRequire(import.meta.url)("ws") as {
  readonly Receiver: new (options: { isServer: boolean; maxPayload: number }) => Receiver;
};

/** A socket that writes when the test says so; until then bytes are where they were put. */
class SlowSocket {
  readonly waiting: { readonly bytes: Buffer; readonly done: (() => void) | undefined }[] = [];
  cork(): void {}
  uncork(): void {}
  write(bytes: Buffer, done?: () => void): void {
    this.waiting.push({ bytes, done });
  }

  /** Writes as much as `count` says. */
  flush(receiver: Receiver, count = this.waiting.length): void {
    for (const { bytes, done } of this.waiting.splice(0, count)) {
      // a receiver may unmask in place what it was given
      receiver.write(Buffer.from(bytes));
      done?.();
    }
  }
}

const LENGTHS = [0, 1, 47, 48, 125, 126, 8192, 8193, 65_535, 65_536, 65_700, 256 * 1024];

describe.each<Masking>(["none", "zero", "random"])("messages with masks: %s", (masking) => {
  it("are what the npm package ws takes, of any length, however slow the socket is", () => {
    const receiver = new Receiver({ isServer: masking !== "none", maxPayload: 0 });
    const received: Buffer[] = [];
    const errors: Error[] = [];
    receiver.on("message", (data) => received.push(data)).on("error", (error) => errors.push(error));
    const socket = new SlowSocket();
    const writer = new FrameWriter(socket as unknown as Socket, masking);
    const sent: Buffer[] = [];
    let written = 0;
    for (let round = 0; round < 20; round++) {
      for (const length of LENGTHS) {
        const message = randomBytes(length);
        sent.push(Buffer.from(message));
        writer.write(message, () => {
          written++;
        });
        if (sent.length % 3 === 0) socket.flush(receiver, 2);
      }
      if (round % 5 === 4) {
        socket.flush(receiver);
        expect(written).toBe(sent.length);
      }
    }
    expect(errors).toEqual([]);
    expect(received.length).toBe(sent.length);
    expect(received.every((message, i) => message.equals(sent[i]!))).toBe(true);
  });

  it("use the same memory again", () => {
    const socket = new SlowSocket();
    const writer = new FrameWriter(socket as unknown as Socket, masking);
    const memory = new Set<ArrayBufferLike>();
    for (let i = 0; i < 1000; i++) {
      for (const length of [100, 8000]) writer.write(Buffer.alloc(length), () => undefined);
      for (const { bytes, done } of socket.waiting.splice(0)) {
        memory.add(bytes.buffer);
        done?.();
      }
    }
    expect(memory.size).toBe(1);
  });
});

it("each message has another mask", () => {
  const socket = new SlowSocket();
  const writer = new FrameWriter(socket as unknown as Socket, "random");
  for (let i = 0; i < 5000; i++) writer.write(Buffer.alloc(0), () => undefined);
  const masks = new Set(socket.waiting.map(({ bytes }) => bytes.readUInt32BE(2)));
  expect(masks.size).toBeGreaterThan(4990);
});
