import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { FrameReader, type Signal } from "@isthmus/core/channel";
import { expandFlags } from "@isthmus/dist-handshake";
import { atom } from "@isthmus/etf";
import { FrameSplitter } from "@isthmus/wire";

/** What one end of a connection said after the handshake. */
export interface Spoken {
  /** Its node name. */
  readonly node: string;
  /** How often each control message came, by its number; those of OTP 28+ (37) by `37/flags`. */
  readonly ops: Map<string, number>;
  ticks: number;
  /** Messages that came in fragments. */
  fragmented: number;
  /** Frames with entries for the atom cache. */
  cached: number;
}

/** One connection that came to be, with what both ends said. */
export interface Conversation {
  readonly initiator: Spoken;
  readonly acceptor: Spoken;
  /** What both announced. */
  readonly flags: bigint;
}

/** A TCP proxy that keeps the bytes of every connection. */
export interface Recorder {
  readonly port: number;
  /** Reads what was recorded so far. @throws when either end said what the protocol does not have */
  conversations(): Conversation[];
  stop(): Promise<void>;
}

interface Recording {
  readonly initiator: Buffer[];
  readonly acceptor: Buffer[];
}

/** Starts one on loopback. @param target the port behind it, asked for with each connection */
export async function startRecorder(target: () => number): Promise<Recorder> {
  const recordings: Recording[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port: target(), noDelay: true });
    const recording: Recording = { initiator: [], acceptor: [] };
    recordings.push(recording);
    for (const [from, to, chunks] of [
      [near, far, recording.initiator],
      [far, near, recording.acceptor],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (!to.write(chunk)) from.pause();
      });
      to.on("drain", () => from.resume());
      from.on("end", () => to.end());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      // the other end learns of it by the close that follows
      from.on("error", () => undefined);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as { port: number }).port,
    conversations: () => recordings.map(conversation).filter((one) => one !== undefined),
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

/** Undefined when the handshake was not completed. */
function conversation(recording: Recording): Conversation | undefined {
  const [first, second] = [handshake(recording.initiator, "r"), handshake(recording.acceptor, "a")];
  if (first === undefined || second === undefined) return undefined;
  const flags = expandFlags(first.flags) & expandFlags(second.flags);
  return { initiator: spoken(first, flags), acceptor: spoken(second, flags), flags };
}

interface Half {
  readonly node: string;
  readonly flags: bigint;
  /** What came after the handshake. */
  readonly rest: Buffer;
}

/** Reads the handshake messages of one end, up to the last one, which begins with `last`. */
function handshake(chunks: readonly Buffer[], last: string): Half | undefined {
  const bytes = Buffer.concat(chunks);
  let hello: { readonly node: string; readonly flags: bigint } | undefined;
  for (let at = 0; at + 2 <= bytes.length; ) {
    const message = bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at));
    at += 2 + message.length;
    const tag = String.fromCharCode(message[0]!);
    // flags:64, [challenge:32 of the acceptor,] creation:32, nlen:16, name
    const name = last === "a" ? 17 : 13;
    if (tag === "N") {
      const end = name + 2 + message.readUInt16BE(name);
      hello = { node: message.toString("latin1", name + 2, end), flags: message.readBigUInt64BE(1) };
    }
    if (tag === last) return hello && { ...hello, rest: bytes.subarray(at) };
  }
  return undefined;
}

function spoken({ node, rest }: Half, flags: bigint): Spoken {
  const said: Spoken = { node, ops: new Map(), ticks: 0, fragmented: 0, cached: 0 };
  const reader = new FrameReader(atom(node), flags);
  const splitter = new FrameSplitter({
    lengthBytes: 4,
    maxFrameBytes: 2 ** 31,
    onFrame: (bytes, start, end) => {
      if (start === end) {
        said.ticks++;
        return;
      }
      if (bytes[start] === 131 && bytes[start + 1] === 69) said.fragmented++;
      if (bytes[start] === 131 && bytes[start + 1] === 68 && bytes[start + 2] !== 0) said.cached++;
      const signal = reader.read(bytes, start, end);
      if (signal === undefined) return;
      const op = nameOf(signal, bytes, start);
      said.ops.set(op, (said.ops.get(op) ?? 0) + 1);
    },
  });
  splitter.push(rest);
  return said;
}

/** The flags of `{37, Flags, ...}` are in the bytes behind the number, which every BEAM writes as small integers. */
function nameOf(signal: Signal, bytes: Buffer, start: number): string {
  if (signal.op !== 37) return String(signal.op);
  const at = bytes.indexOf(Buffer.from([97, 37, 97]), start);
  return `37/${bytes[at + 3]}`;
}
