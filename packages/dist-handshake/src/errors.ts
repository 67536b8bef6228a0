import { IsthmusError, type IsthmusErrorOptions } from "@isthmus/wire";

/**
 * The codes this package throws or rejects with. Match on these, never on messages.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `HANDSHAKE_TIMEOUT` | the peer did not send its next message in time | look at the load and the network between the nodes; raise `timeoutMs` |
 * | `HANDSHAKE_COOKIE_REJECTED` | the digest does not fit, or the peer closed right after ours | give both nodes the same cookie |
 * | `HANDSHAKE_NO_COOKIE` | no cookie is configured for this peer | configure one |
 * | `HANDSHAKE_NOT_ALLOWED` | one side refuses the other by policy | add the name to the allow list of the refusing side |
 * | `HANDSHAKE_FLAGS_REJECTED` | a mandatory capability is missing; the message names it | upgrade one side, or connect through a bridge |
 * | `HANDSHAKE_NOK` | both dialled at once and the other attempt wins | wait for the other connection |
 * | `HANDSHAKE_ALREADY_CONNECTED` | a connection of that name is up and stays | use it, or close it first |
 * | `HANDSHAKE_NAME_MISMATCH` | another node answered than the one asked for | look up the port again; check name and host |
 * | `HANDSHAKE_CLOSED` | the connection ended too early | see the peer's log; the message lists what is usual at this step |
 * | `HANDSHAKE_MALFORMED` | the peer sent what the protocol does not allow here | check that the port is an Erlang distribution port |
 * | `HANDSHAKE_TOO_LARGE` | a message longer than the limit | as above; or raise `maxFrameBytes` |
 * | `HANDSHAKE_PEER_SPEAKS_TLS` | TLS bytes on a connection without TLS | use TLS here too |
 * | `HANDSHAKE_ABORTED` | the caller's signal ended it | nothing |
 * | `HANDSHAKE_MD5_UNAVAILABLE` | the crypto library forbids MD5 (FIPS mode) | allow MD5; the protocol has no other digest |
 * | `HANDSHAKE_OPTIONS_INVALID` | a name, creation, flag word, limit or decision cannot be used | correct the call |
 * | `HANDSHAKE_OUT_OF_ORDER` | a machine was started twice, or fed before its start or after its end | correct the call |
 * | `COOKIE_INVALID` | not a cookie: empty, too long, or with other characters | correct it |
 * | `COOKIE_FILE_UNREADABLE` | the cookie file is missing, no regular file, or cannot be read | create it, or pass the cookie another way |
 * | `COOKIE_FILE_PERMISSIONS` | others than the owner may access the cookie file | `chmod 400` it |
 * | `TLS_CERT_UNTRUSTED` | the peer's certificate does not lead to our authorities | configure the right `ca` |
 * | `TLS_CERT_EXPIRED` | the peer's certificate is not valid at this time | renew it; check the clocks |
 * | `TLS_CERT_REJECTED` | the peer does not accept our certificate | give the peer our authority, or use another certificate |
 * | `TLS_CERT_REQUIRED` | one side wants a certificate and the other has sent none | configure `cert` and `key` |
 * | `TLS_NAME_MISMATCH` | the certificate is not for the host part of the node name | issue one with that name or address as subjectAltName |
 * | `TLS_PEER_NOT_TLS` | the peer answered without TLS | start it with `-proto_dist inet_tls`, or do not use TLS here |
 * | `TLS_NEGOTIATION_FAILED` | no TLS version or cipher in common, or the TLS handshake broke | align `minVersion`, `maxVersion`, `ciphers` |
 * | `TLS_CLOSED` | the connection ended during the TLS handshake | see the peer's log |
 * | `TLS_OPTIONS_INVALID` | a certificate, key or option cannot be used | correct it |
 * | `TLS_OPTIONS_UNSUPPORTED` | an option file asks for a check that Node.js cannot make | remove it, or check another way |
 * | `TLS_OPTFILE_INVALID` | the option file is missing or is not what `ssl_dist_optfile` expects | correct it |
 */
export const HANDSHAKE_ERROR_CODES = [
  "HANDSHAKE_TIMEOUT",
  "HANDSHAKE_COOKIE_REJECTED",
  "HANDSHAKE_NO_COOKIE",
  "HANDSHAKE_NOT_ALLOWED",
  "HANDSHAKE_FLAGS_REJECTED",
  "HANDSHAKE_NOK",
  "HANDSHAKE_ALREADY_CONNECTED",
  "HANDSHAKE_NAME_MISMATCH",
  "HANDSHAKE_CLOSED",
  "HANDSHAKE_MALFORMED",
  "HANDSHAKE_TOO_LARGE",
  "HANDSHAKE_PEER_SPEAKS_TLS",
  "HANDSHAKE_ABORTED",
  "HANDSHAKE_MD5_UNAVAILABLE",
  "HANDSHAKE_OPTIONS_INVALID",
  "HANDSHAKE_OUT_OF_ORDER",
  "COOKIE_INVALID",
  "COOKIE_FILE_UNREADABLE",
  "COOKIE_FILE_PERMISSIONS",
  "TLS_CERT_UNTRUSTED",
  "TLS_CERT_EXPIRED",
  "TLS_CERT_REJECTED",
  "TLS_CERT_REQUIRED",
  "TLS_NAME_MISMATCH",
  "TLS_PEER_NOT_TLS",
  "TLS_NEGOTIATION_FAILED",
  "TLS_CLOSED",
  "TLS_OPTIONS_INVALID",
  "TLS_OPTIONS_UNSUPPORTED",
  "TLS_OPTFILE_INVALID",
] as const;

/** One of {@link HANDSHAKE_ERROR_CODES}. */
export type HandshakeErrorCode = (typeof HANDSHAKE_ERROR_CODES)[number];

/** An {@link IsthmusError} whose code the compiler has checked. */
export function handshakeError(
  code: HandshakeErrorCode,
  message: string,
  options: IsthmusErrorOptions = {},
): IsthmusError {
  return new IsthmusError(code, message, options);
}
