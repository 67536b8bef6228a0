import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/** Codes of the errors that `@isthmus/core` makes itself; those of epmd, handshake and codec come through as they are. */
export const CORE_ERROR_CODES = [
  /** A control message is not one of the protocol, or its parts are not what they must be. The connection is closed. */
  "CONTROL_MALFORMED",
  /** A peer used a pid of another node where only its own may stand. The connection is closed. */
  "CONTROL_NOT_OWN",
  /** A frame is neither of the negotiated framing nor a tick. The connection is closed. */
  "FRAME_MALFORMED",
  /** Incomplete messages of a peer go beyond a named limit. The connection is closed. */
  "FRAGMENT_LIMIT",
  /** Nothing came from the peer for the whole tick time. The connection is closed. */
  "TICK_TIMEOUT",
  /** The peer does not read: more than `maxBacklogBytes` wait to be sent. The connection is closed. */
  "BACKLOG_EXCEEDED",
  /** The peer ended the connection. */
  "CONNECTION_CLOSED",
  /** A newer connection of the same node took over. */
  "CONNECTION_REPLACED",
  /** The node is closed or closing. */
  "NODE_CLOSED",
  /** The node name given is our own. */
  "NODE_IS_SELF",
  /** A listener could not be opened. Choose another address or port. */
  "LISTEN_FAILED",
  /** The registered name is taken, or the process that should have it is dead. */
  "NAME_TAKEN",
  /** Nobody is registered under that name, or the process is dead (`noproc`). */
  "NO_PROCESS",
  /** The connection to the node went away, or could not be made (`noconnection`). */
  "NO_CONNECTION",
  /** No answer came within the time given. */
  "CALL_TIMEOUT",
  /** The called process ended before it answered; `context.reason` says why. */
  "CALL_EXIT",
  /** A process may not do that any more: it has ended. */
  "PROCESS_DEAD",
  /** No message came within the time given. */
  "RECEIVE_TIMEOUT",
  /** The mailbox is full, and its policy is to refuse. */
  "MAILBOX_FULL",
  /** An option is out of its range. */
  "OPTION_INVALID",
  /** The remote function raised, exited or threw; `context.reason` has the term. */
  "RPC_FAILED",
  /** The other node did not spawn the process; `context.reason` says why: `notsup`, `badopt`, `system_limit`. */
  "SPAWN_REFUSED",
  /** A process answered a request of `sys` with an error, which is `context.reason`. */
  "SYS_REFUSED",
  /** Living processes reached `maxProcesses`. Raise it, or find what spawns so many. */
  "PROCESS_LIMIT",
  /** A peer holds too many links and monitors: more than `maxRelationsPerNode`. The connection is closed. */
  "RELATION_LIMIT",
  /** What `raise` throws; only those who run exposed functions and handlers need to know it. */
  "RAISED",
  /** What came back is not what the protocol of that call says. */
  "REPLY_MALFORMED",
] as const;

/** One of {@link CORE_ERROR_CODES}. */
export type CoreErrorCode = (typeof CORE_ERROR_CODES)[number];

/** Makes an error with one of this package's codes. */
export function coreError(code: CoreErrorCode, message: string, options?: IsthmusErrorOptions): IsthmusError {
  return new IsthmusError(code, message, options);
}
