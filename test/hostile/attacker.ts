import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Cookie, HIDDEN_FULL, runInitiator } from "@isthmus/dist-handshake";
import { encode, type Term } from "@isthmus/etf";

/** Options of {@link attack}. */
export interface AttackerOptions {
  readonly port: number;
  /** Whom it takes itself for. */
  readonly name: string;
  /** The node that it dials. */
  readonly victim: string;
  readonly cookie?: string;
  readonly flags?: bigint;
}

/** A peer that has passed the handshake, and now writes whatever it likes. */
export interface Attacker {
  readonly name: string;
  readonly creation: number;
  readonly socket: Socket;
  /** Settles when the victim has closed the connection. */
  readonly closed: Promise<unknown>;
  readonly open: boolean;
  /** One frame, its length in front. Waits while the victim does not read; returns false once the connection is gone. */
  frame(...parts: readonly (Buffer | Uint8Array)[]): Promise<boolean>;
  end(): void;
}

export const ATTACKER_CREATION = 66;

/** Opens a TCP connection and says nothing. */
export async function rawSocket(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  // the victim may cut it at any time, which is what the tests wait for by "close"
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Makes the handshake with the cookie. @throws what the handshake throws when it is refused */
export async function attack(options: AttackerOptions): Promise<Attacker> {
  const { name, victim, cookie = "biscuit", flags = HIDDEN_FULL } = options;
  const socket = await rawSocket(options.port);
  const local = { name, creation: ATTACKER_CREATION, flags, cookies: [Cookie.of(cookie)] };
  await runInitiator(socket, { local, peer: victim, timeoutMs: 5000 });
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("data", () => undefined);
  socket.resume();
  const attacker: Attacker = {
    name,
    creation: ATTACKER_CREATION,
    socket,
    closed,
    get open() {
      return !socket.destroyed && socket.writable;
    },
    async frame(...parts) {
      if (!attacker.open) return false;
      if (!socket.write(framed(...parts))) {
        await Promise.race([once(socket, "drain").catch(() => undefined), closed]);
      }
      return attacker.open;
    },
    end: () => socket.destroy(),
  };
  return attacker;
}

/** Parts with the length of all of them in front. */
export function framed(...parts: readonly (Buffer | Uint8Array)[]): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(parts.reduce((sum, { length: more }) => sum + more, 0));
  return Buffer.concat([length, ...parts]);
}

/** A distribution header without atoms. */
export const HEADER = Buffer.from([131, 68, 0]);

/** A term as it stands behind a distribution header. */
export function bare(term: Term): Buffer {
  return Buffer.from(encode(term).subarray(1));
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
