import { type Duplex, duplexPair } from "node:stream";
import { HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TermBody } from "../../src/channel/index.ts";
import { Connection, DEFAULT_CONNECTION_LIMITS } from "../../src/net/connection.ts";
import { leftPid, rightPid, settle } from "../support.ts";

describe("a connection that lets one-way streams gather", () => {
  let wire: Duplex;
  let receiver: Connection;
  let seen = 0;
  let message: Buffer;
  const numbers = new TermBody().of(Buffer.alloc(600, 7));

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    seen = 0;
    const [end, far] = duplexPair();
    const sender = make(end, "left@h", "right@h");
    sender.signals.send(leftPid(1), rightPid(2), numbers);
    message = await new Promise<Buffer>((resolve) => far.once("data", resolve));
    const pair = duplexPair();
    wire = pair[1];
    wire.resume();
    receiver = make(pair[0], "right@h", "left@h");
    receiver.start(Buffer.alloc(0));
  });
  afterEach(() => {
    vi.useRealTimers();
    wire.destroy();
  });

  function make(stream: Duplex, localName: string, peer: string): Connection {
    const [localCreation, peerCreation] = localName === "left@h" ? [11, 22] : [22, 11];
    const flags = HIDDEN_PASS_THROUGH;
    return new Connection(
      stream,
      {
        ...{ localName, localCreation, peer, peerCreation, flags, peerFlags: flags },
        ...{ hidden: true, version: 6, replacesOld: false },
      },
      { signal: () => seen++, writable: () => undefined, closed: () => undefined },
      { ...DEFAULT_CONNECTION_LIMITS, gatherMs: 1 },
    );
  }

  async function chunks(count: number, answer: boolean): Promise<void> {
    for (let i = 0; i < count; i++) {
      wire.write(Buffer.from(message));
      await settle();
      if (answer) receiver.signals.send(rightPid(2), leftPid(1), numbers);
      await settle();
    }
  }

  it("reads on only after a moment, and misses nothing", async () => {
    await chunks(16, false);
    expect(seen).toBe(16);
    await chunks(3, false);
    expect(seen).toBe(16);
    for (let left = 3; left > 0; left--) {
      vi.advanceTimersByTime(1);
      await settle();
      // a socket would have put them together
      expect(seen).toBe(20 - left);
    }
  });

  it("never rests while it answers", async () => {
    await chunks(100, true);
    expect(seen).toBe(100);
  });

  it("is closed in order while it rests", async () => {
    await chunks(16, false);
    receiver.close(new Error("done") as never);
    vi.advanceTimersByTime(1);
    await settle();
    expect(seen).toBe(16);
  });
});
