import type { IsthmusError } from "@isthmus/wire";
import { type HandshakeErrorCode, handshakeError } from "./errors.ts";

const UNTRUSTED =
  "The peer's certificate does not lead to an authority that we trust. Configure the authority that signed it as ca.";
const EXPIRED =
  "The peer's certificate is not valid at this time. Renew it, and compare the clocks of both hosts.";
const REJECTED =
  "The peer does not accept our certificate. Give the peer the authority that signed it, or use another certificate.";
const PEER_WANTS =
  "The peer requires a certificate of us and has got none. Configure cert and key for this role.";
const WE_WANT =
  "We require a certificate of the peer, and it has sent none, or has none that our authorities signed. Configure one there.";
const NOT_TLS =
  "The peer does not speak TLS on this port. Start it with -proto_dist inet_tls, or connect without TLS.";
const NEGOTIATION =
  "Both sides have no TLS version or cipher in common, or the TLS handshake broke. Align the versions and ciphers.";
const INVALID =
  "The certificate or key cannot be used. Check that they are PEM, fit together, and the passphrase.";
const CLOSED = "The connection ended during the TLS handshake. The peer's log may say why.";

type Entry = readonly [HandshakeErrorCode, string];

/** Node's and OpenSSL's error codes, in ours. All that is known about them stands here. */
const CODES: Readonly<Record<string, Entry>> = {
  ...all(
    ["TLS_CERT_UNTRUSTED", UNTRUSTED],
    [
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "CERT_SIGNATURE_FAILURE",
      "CERT_UNTRUSTED",
      "CERT_REJECTED",
      "CERT_REVOKED",
      "CERT_CHAIN_TOO_LONG",
      "INVALID_CA",
      "INVALID_PURPOSE",
      "PATH_LENGTH_EXCEEDED",
      "ERR_SSL_CERTIFICATE_VERIFY_FAILED",
    ],
  ),
  ...all(["TLS_CERT_EXPIRED", EXPIRED], ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]),
  ...all(
    ["TLS_CERT_REJECTED", REJECTED],
    [
      "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
      "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
      "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
      "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
      "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
      "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
      "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED",
      "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
    ],
  ),
  ...all(
    ["TLS_CERT_REQUIRED", PEER_WANTS],
    [
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      "ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED",
      "ERR_SSL_SSLV3_ALERT_NO_CERTIFICATE",
    ],
  ),
  ...all(["TLS_CERT_REQUIRED", WE_WANT], ["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"]),
  ...all(
    ["TLS_PEER_NOT_TLS", NOT_TLS],
    [
      "ERR_SSL_WRONG_VERSION_NUMBER",
      "ERR_SSL_PACKET_LENGTH_TOO_LONG",
      "ERR_SSL_HTTP_REQUEST",
      "ERR_SSL_HTTPS_PROXY_REQUEST",
      "ERR_SSL_UNKNOWN_PROTOCOL",
      "ERR_SSL_RECORD_TOO_SMALL",
      "ERR_SSL_BAD_RECORD_TYPE",
      "ERR_SSL_UNEXPECTED_MESSAGE",
    ],
  ),
  ...all(
    ["TLS_OPTIONS_INVALID", INVALID],
    [
      "ERR_TLS_INVALID_PROTOCOL_VERSION",
      "ERR_TLS_PROTOCOL_VERSION_CONFLICT",
      "ERR_TLS_REQUIRED_SERVER_NAME",
      "ERR_SSL_NO_CIPHER_MATCH",
      "ERR_SSL_EE_KEY_TOO_SMALL",
      "ERR_SSL_CA_MD_TOO_WEAK",
      "ERR_SSL_NO_CERTIFICATE_SET",
    ],
  ),
};

/**
 * A TLS failure in our codes; undefined when `error` has nothing to do with TLS. The cause is kept.
 * @param error what a `tls.TLSSocket`, `tls.Server` (`tlsClientError`) or `tls.createSecureContext` gave
 */
export function tlsError(error: unknown): IsthmusError | undefined {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code !== "string") {
    return typeof message === "string" && /PEM|passphrase|mac verify|decrypt/i.test(message)
      ? made(["TLS_OPTIONS_INVALID", INVALID], error)
      : undefined;
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const { host } = error as { host?: unknown };
    return handshakeError(
      "TLS_NAME_MISMATCH",
      `The peer's certificate is not for ${typeof host === "string" ? host : "the host of its node name"}. Issue one that has this host as subjectAltName.`,
      { cause: error },
    );
  }
  const entry = Object.hasOwn(CODES, code) ? CODES[code] : undefined;
  if (entry !== undefined) return made(entry, error);
  // TLSSocket reports the end of the connection before its handshake was complete with these words only
  if (code === "ECONNRESET" && String(message).includes("before secure TLS connection")) {
    return made(["TLS_CLOSED", CLOSED], error);
  }
  if (code.startsWith("ERR_OSSL_")) return made(["TLS_OPTIONS_INVALID", INVALID], error);
  if (code.startsWith("ERR_SSL_") || code === "EPROTO")
    return made(["TLS_NEGOTIATION_FAILED", NEGOTIATION], error);
  return undefined;
}

function made([code, message]: Entry, cause: unknown): IsthmusError {
  return handshakeError(code, message, { cause });
}

function all(entry: Entry, codes: readonly string[]): Record<string, Entry> {
  return Object.fromEntries(codes.map((code) => [code, entry]));
}
