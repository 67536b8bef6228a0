import { type Duplex, duplexPair } from "node:stream";
import { HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { decode } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { TermBody } from "../../src/channel/index.ts";
import { Connection, DEFAULT_CONNECTION_LIMITS } from "../../src/net/connection.ts";
import { leftPid, rightPid, settle } from "../support.ts";

function connection(stream: Duplex, [localName, peer]: [string, string], seen: unknown[]): Connection {
  const [localCreation, peerCreation] = localName === "left@h" ? [11, 22] : [22, 11];
  return new Connection(
    stream,
    {
      ...{ localName, localCreation, peer, peerCreation },
      ...{ flags: HIDDEN_PASS_THROUGH, peerFlags: HIDDEN_PASS_THROUGH },
      ...{ hidden: true, version: 6, replacesOld: false },
    },
    {
      signal: (_connection, { bytes, bodyStart, bodyEnd }) =>
        seen.push(decode(Buffer.concat([Buffer.of(131), bytes.subarray(bodyStart, bodyEnd)]))),
      writable: () => undefined,
      closed: (_connection, reason) => seen.push(reason.code),
    },
    DEFAULT_CONNECTION_LIMITS,
  );
}

describe("a connection that is paused before it is started", () => {
  it("reads nothing, not even what came with the handshake, until it goes on; then all in order", async () => {
    const [end, far] = duplexPair();
    const sender = connection(end, ["left@h", "right@h"], []);
    for (let i = 1; i <= 6; i++) sender.signals.send(leftPid(1), rightPid(2), new TermBody().of(i));
    const bytes = await new Promise<Buffer>((resolve) => far.once("data", resolve));
    const [own, wire] = duplexPair();
    const seen: unknown[] = [];
    const receiver = connection(own, ["right@h", "left@h"], seen);
    receiver.pause();
    receiver.start(bytes.subarray(0, 100));
    wire.write(bytes.subarray(100));
    await settle();
    expect(seen).toEqual([]);
    receiver.resume();
    await settle();
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
