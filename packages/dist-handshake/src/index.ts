/**
 * The distribution handshake of Erlang nodes, both roles: capability flags, cookies, the two state machines without
 * I/O, and a driver that runs them on a stream.
 * @packageDocumentation
 */
export {
  type AcceptDecision,
  type AcceptedPeer,
  AcceptorHandshake,
  type AcceptorOptions,
} from "./acceptor.ts";
export { Cookie, type CookieFileOptions, cookieFiles } from "./cookie.ts";
export { digest } from "./digest.ts";
export { HANDSHAKE_ERROR_CODES, type HandshakeErrorCode } from "./errors.ts";
export {
  expandFlags,
  FLAG,
  flagNames,
  HIDDEN_FULL,
  HIDDEN_PASS_THROUGH,
  MANDATORY,
  MANDATORY_25,
  type MandatorySince,
  missingMandatory,
  REQUIRED_DEFAULT,
} from "./flags.ts";
export {
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_MAX_HANDSHAKE_FRAME_BYTES,
  type HandshakeOutcome,
  type HandshakeStep,
  type LocalSide,
} from "./handshake.ts";
export { InitiatorHandshake, type InitiatorOptions } from "./initiator.ts";
export { type HandshakeRun, type RunOptions, runAcceptor, runInitiator } from "./run.ts";
export { simultaneousDecision } from "./simultaneous.ts";
export { parseSslDistOptions, readSslDistOptfile, type SslDistOptions } from "./ssl-dist-optfile.ts";
export {
  type AcceptedName,
  type AcceptorState,
  type Ended,
  type InitiatorState,
  TRANSITIONS,
} from "./states.ts";
export { acceptTls, connectTls, type TlsRunOptions } from "./tls-connect.ts";
export { tlsError } from "./tls-errors.ts";
export {
  type Pem,
  type TlsSide,
  tlsClientOptions,
  tlsNodeProblem,
  tlsPeerProblem,
  tlsServerOptions,
} from "./tls-options.ts";
