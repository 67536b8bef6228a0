import type { Cookie, TlsSide } from "@isthmus/dist-handshake";
import type { NodeResolver } from "@isthmus/epmd-client";
import type { Clock, IsthmusError, Logger, PieceTaker } from "@isthmus/wire";
import type { Signal } from "../channel/signal.ts";
import type { Connection, ConnectionLimits } from "../net/connection.ts";
import type { ProcessTableOptions } from "../process/table.ts";

/** Distribution over TLS, as `-proto_dist inet_tls` does it. */
export interface NodeTls {
  /** What we show and trust when we connect. */
  readonly dial: TlsSide;
  /** What we show and trust when others connect to us. Needs a certificate. */
  readonly accept: TlsSide;
}

/**
 * Sees every signal before the node does. A bridge is one of these.
 * All calls are synchronous and on the message path: no promises, no copies, nothing thrown.
 */
export interface SignalRouter {
  /** @returns true when the signal was dealt with; false leaves it to the node's own processes */
  route(connection: Connection, signal: Signal): boolean;
  /**
   * The beginning of a signal is there that is longer than `ConnectionLimits.longFrameBytes`: `signal` has
   * {@link Signal.missingBytes}, and its body is not whole.
   * @returns who takes the rest, piece by piece, with how much is `left` after each; what it throws closes the connection,
   * and after `down` nothing more comes. Undefined to have it gathered for `route`, as without this method
   */
  long?(connection: Connection, signal: Signal): PieceTaker["next"] | undefined;
  /** A connection is up; nothing has been received on it. */
  up(connection: Connection): void;
  /** A connection is gone; nothing more is sent or received on it. */
  down(connection: Connection, reason: IsthmusError): void;
  /** What was written is gone, after {@link Connection.blocked} was true. */
  writable(connection: Connection): void;
}

/** A name that another node chooses, as for `erl -sname undefined`. */
export interface DynamicName {
  /** The node that is asked, `name@host`. */
  readonly from: string;
  /** The part after `@` of our name. @default the host part of `from` */
  readonly host?: string;
}

/** Options of {@link startNode}. */
export interface NodeOptions {
  /**
   * Full node name, `name@host`. Hosts with a dot are long names; the peers must use the same kind. Or the node that is
   * to give us one when we connect to it (a dynamic node name, OTP 23 and later): then nobody needs to connect to us,
   * and `listen`, `epmd` and `creation` do not apply.
   */
  readonly name: string | DynamicName;
  /**
   * The secret shared with the peers: text, a {@link Cookie}, several (the first is used to dial, any is accepted, for
   * rotation), or a function of the peer's name.
   */
  readonly cookie: string | Cookie | readonly Cookie[] | ((peer: string) => readonly Cookie[]);
  /** Where to listen; `false` for a node that only dials (peers then cannot connect back). @default all addresses, any free port */
  readonly listen?: { readonly host?: string; readonly port?: number } | false;
  /** The port mapper to register with; `false` for none (peers need a static port). @default 127.0.0.1, `ERL_EPMD_PORT` or 4369 */
  readonly epmd?: { readonly host?: string; readonly port?: number } | false;
  /** How to find other nodes. @default ask epmd on the node's host, on the same epmd port */
  readonly resolver?: NodeResolver;
  /** Which nodes may connect; a refused one is told `not_allowed`. @default all that know the cookie */
  readonly allow?: (peer: string) => boolean;
  readonly tls?: NodeTls;
  /** `net_ticktime`, in seconds: a peer that is silent that long is gone. Must be the same on both ends. @default 60 */
  readonly tickTimeSeconds?: number;
  /** `net_tickintensity`: ticks in that time. 4 to 1000. @default 4 */
  readonly tickIntensity?: number;
  /** Each step of connecting may take that long. @default 7000 */
  readonly setupTimeoutMs?: number;
  /** Creation to announce when there is no epmd to give one. 4 to 2^32-1. @default random */
  readonly creation?: number;
  /** Capability flags to announce. @default everything this node does */
  readonly flags?: bigint;
  readonly limits?: Partial<ConnectionLimits>;
  /** Incoming connections in handshake at once. @default 128 */
  readonly maxPendingHandshakes?: number;
  /**
   * Connections being made at once; further ones fail with `NO_CONNECTION`. An answer to a peer's request makes one
   * when the asker is on a third node, so peers have a say in it. @default 1000
   */
  readonly maxDialling?: number;
  /** Actions that wait for one node while it is being connected. @default 10000 */
  readonly maxQueuedPerNode?: number;
  /** Limits of local processes, and where what remote processes print goes. */
  readonly processes?: ProcessTableOptions;
  readonly router?: SignalRouter;
  readonly logger?: Logger;
  readonly clock?: Clock;
}
