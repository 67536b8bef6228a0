import { Duplex } from "node:stream";
import { type HandshakeOutcome, HIDDEN_FULL, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { type Atom, atom, Pid, Reference, type Term, TermReader } from "@isthmus/etf";
import type { IsthmusError } from "@isthmus/wire";
import { SIGNAL, type Signal } from "../src/channel/index.ts";
import { Connection, type ConnectionLimits, DEFAULT_CONNECTION_LIMITS } from "../src/net/connection.ts";

export const FRAMINGS = [
  ["pass-through", HIDDEN_PASS_THROUGH],
  ["distribution header", HIDDEN_FULL],
] as const;

/** One end of a stream in memory. */
class End extends Duplex {
  other: End | undefined;
  /** While true, what is written to this end is not taken. */
  stuck = false;
  #waiting: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const pass = (): void => {
      this.other?.push(Buffer.from(chunk));
      done();
    };
    if (this.stuck) this.#waiting = pass;
    else pass();
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  unstick(): void {
    this.stuck = false;
    this.#waiting?.();
  }
}

/** What was seen on one end of a connection, with signals turned into plain values. */
export interface Seen {
  readonly signals: Record<string, unknown>[];
  readonly closed: IsthmusError[];
  writable: number;
}

export interface ConnectedPair {
  readonly left: Connection;
  readonly right: Connection;
  readonly seenLeft: Seen;
  readonly seenRight: Seen;
  /** The raw ends, to put bytes on the wire. */
  readonly leftEnd: End;
  readonly rightEnd: End;
}

/** Two connections joined in memory: `left@h`, creation 11, and `right@h`, creation 22. */
export function connectedPair(flags: bigint, limits: Partial<ConnectionLimits> = {}): ConnectedPair {
  const leftEnd = new End();
  const rightEnd = new End();
  leftEnd.other = rightEnd;
  rightEnd.other = leftEnd;
  const seenLeft: Seen = { signals: [], closed: [], writable: 0 };
  const seenRight: Seen = { signals: [], closed: [], writable: 0 };
  const all = { ...DEFAULT_CONNECTION_LIMITS, ...limits };
  const make = (end: End, seen: Seen, local: string, peer: string, creations: [number, number]): Connection =>
    new Connection(
      end,
      outcome(flags, local, peer, creations),
      {
        signal: (_connection, signal) => seen.signals.push(plain(signal)),
        writable: () => {
          seen.writable++;
        },
        closed: (_connection, reason) => seen.closed.push(reason),
      },
      all,
    );
  const left = make(leftEnd, seenLeft, "left@h", "right@h", [11, 22]);
  const right = make(rightEnd, seenRight, "right@h", "left@h", [22, 11]);
  left.start(Buffer.alloc(0));
  right.start(Buffer.alloc(0));
  return { left, right, seenLeft, seenRight, leftEnd, rightEnd };
}

function outcome(
  flags: bigint,
  localName: string,
  peer: string,
  [localCreation, peerCreation]: [number, number],
): HandshakeOutcome {
  return {
    peer,
    peerCreation,
    flags,
    peerFlags: flags,
    hidden: true,
    localName,
    localCreation,
    version: 6,
    replacesOld: false,
  };
}

const reader = new TermReader();

function plain(signal: Signal): Record<string, unknown> {
  const { kind, from, to, ref, unlinkId, groupLeader, flags, result } = signal;
  const seen: Record<string, unknown> = { kind };
  if (from !== undefined && kind !== SIGNAL.SPAWN_REPLY) seen["from"] = from;
  if (to !== undefined) seen["to"] = to;
  if (kind === SIGNAL.MONITOR || kind === SIGNAL.DEMONITOR || kind === SIGNAL.DOWN) seen["ref"] = ref;
  if (kind === SIGNAL.UNLINK || kind === SIGNAL.UNLINK_ACK) seen["unlinkId"] = unlinkId;
  if (kind === SIGNAL.GROUP_LEADER) seen["groupLeader"] = groupLeader;
  if (kind === SIGNAL.SPAWN_REPLY) Object.assign(seen, { ref, flags, result });
  if (kind === SIGNAL.SPAWN_REQUEST) {
    const { module, function: name, arity, options } = signal;
    Object.assign(seen, { ref, groupLeader, module, name, arity, options });
  }
  if (signal.bodyEnd > 0) {
    reader.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
    seen["body"] = reader.term();
  }
  return seen;
}

export const leftPid = (id: number): Pid => new Pid(atom("left@h"), id, 0, 11);
export const rightPid = (id: number): Pid => new Pid(atom("right@h"), id, 0, 22);
export const leftRef = (...words: number[]): Reference => new Reference(atom("left@h"), 11, words);
export const name = (text: string): Atom => atom(text);
export type { Term };

/** Lets everything that is scheduled for this turn and the next few happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
