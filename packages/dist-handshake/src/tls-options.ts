import { isIP } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion,
  type TLSSocket,
  type TlsOptions,
} from "node:tls";
import { type IsthmusError, parseNodeName } from "@isthmus/wire";
import { handshakeError } from "./errors.ts";
import { tlsError } from "./tls-errors.ts";

/** PEM text. */
export type Pem = string | Buffer;

/** TLS distribution in one role, in the terms of OTP's `ssl_dist_optfile`, with secure defaults. */
export interface TlsSide {
  /** Our certificate and its chain. Required to accept; to dial only when the peer asks for one. */
  readonly cert?: Pem;
  /** The private key; default: looked for in `cert`. */
  readonly key?: Pem;
  /** Opens an encrypted `key`. */
  readonly passphrase?: string;
  /** The authorities that may have signed the peer's certificate. Required with `verify`: there is no default. */
  readonly ca?: Pem | readonly Pem[];
  /** Check the peer's certificate (`verify_peer`). Default true. When dialling this includes its name. */
  readonly verify?: boolean;
  /** When accepting with `verify`: refuse a peer without a certificate. Default true. */
  readonly failIfNoPeerCert?: boolean;
  /**
   * When dialling: the name sent as SNI and looked for in the certificate. Default: the host part of the wanted node
   * (an address is looked for in the certificate, and not sent). `false`: none is sent or looked for.
   */
  readonly serverName?: string | false;
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  /** OpenSSL cipher names, separated by colons. */
  readonly ciphers?: string;
  readonly honorCipherOrder?: boolean;
  /** Diffie-Hellman parameters, PEM. */
  readonly dhparam?: Pem;
}

/**
 * Options for `tls.connect`, to which the caller adds the address or a connected `socket`.
 * @param peer the wanted node: its host part is the name that the certificate must have, as `inet_tls_dist` does it
 * @throws IsthmusError `TLS_OPTIONS_INVALID`, `NODE_NAME_INVALID`
 */
export function tlsClientOptions(side: TlsSide, peer: string): ConnectionOptions {
  const name = side.serverName ?? parseNodeName(peer).host;
  return {
    secureContext: secureContext(side),
    rejectUnauthorized: side.verify ?? true,
    // SNI carries names only (RFC 6066); an empty one is not sent
    servername: name === false || isIP(name) !== 0 ? "" : name,
    checkServerIdentity: (_asked, cert) => (name === false ? undefined : checkServerIdentity(name, cert)),
  };
}

/**
 * Options for `tls.createServer`. With `verify` and `failIfNoPeerCert: false` ask {@link tlsPeerProblem} about each
 * connection, since Node.js then lets every certificate pass.
 * @throws IsthmusError `TLS_OPTIONS_INVALID`
 */
export function tlsServerOptions(side: TlsSide): TlsOptions {
  const settings = tlsServerSettings(side);
  secureContext(side);
  return settings;
}

/** As {@link tlsServerOptions}, but what only OpenSSL can judge is left to `tls.createServer`. */
export function tlsServerSettings(side: TlsSide): TlsOptions {
  if (side.cert === undefined) {
    throw invalid("a node that accepts TLS connections needs a certificate: set cert and key");
  }
  const verify = side.verify ?? true;
  return {
    ...contextOptions(side),
    ...(side.honorCipherOrder === undefined ? {} : { honorCipherOrder: side.honorCipherOrder }),
    requestCert: verify,
    rejectUnauthorized: verify && (side.failIfNoPeerCert ?? true),
  };
}

/** What is wrong with the certificate of an accepted peer; undefined when nothing is. */
export function tlsPeerProblem(socket: TLSSocket, side: TlsSide): IsthmusError | undefined {
  if (!(side.verify ?? true) || socket.authorized) return undefined;
  if (!hasPeerCertificate(socket) && side.failIfNoPeerCert === false) return undefined;
  const cause: unknown = socket.authorizationError;
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : cause;
  return (
    tlsError({ code }) ??
    handshakeError("TLS_CERT_UNTRUSTED", "The peer's certificate was not accepted. Look at the cause.", {
      cause,
    })
  );
}

/**
 * Whether the certificate of a connected peer is for the host part of `node`, the name that it gives in the
 * handshake; for use within `decide`. An acceptor of `inet_tls_dist` compares them when it has an allow list.
 * @throws IsthmusError `NODE_NAME_INVALID`
 */
export function tlsNodeProblem(socket: TLSSocket, node: string): IsthmusError | undefined {
  const { host } = parseNodeName(node);
  if (!hasPeerCertificate(socket)) {
    return handshakeError(
      "TLS_CERT_REQUIRED",
      `${node} has sent no certificate, so its name cannot be checked.`,
      {
        context: { node },
      },
    );
  }
  const problem = checkServerIdentity(host, socket.getPeerCertificate());
  return problem === undefined ? undefined : tlsError(problem);
}

function hasPeerCertificate(socket: TLSSocket): boolean {
  const found = socket.getPeerCertificate();
  // an empty object stands for none
  return found !== null && Object.keys(found).length > 0;
}

function secureContext(side: TlsSide): SecureContext {
  const options = contextOptions(side);
  return orInvalid(() => createSecureContext(options));
}

/** What `make` gives; when Node.js refuses the options, that in our codes. */
export function orInvalid<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw tlsError(error) ?? invalid("Node.js does not take them", error);
  }
}

/** @throws IsthmusError `TLS_OPTIONS_INVALID` for what Node.js would leave out without a word */
function contextOptions(side: TlsSide): SecureContextOptions {
  if ((side.verify ?? true) && side.ca === undefined) {
    throw invalid("to verify the peer, set ca to the authority of the cluster (or turn verify off)");
  }
  if (authorities(side).some((pem) => !isPem(pem))) throw invalid("ca is not PEM");
  if (side.dhparam !== undefined && !isPem(side.dhparam)) throw invalid("dhparam is not PEM");
  if (side.minVersion !== undefined && side.maxVersion !== undefined && side.minVersion > side.maxVersion) {
    throw invalid("minVersion is above maxVersion");
  }
  const key = side.key ?? side.cert;
  return {
    ...(side.cert === undefined ? {} : { cert: side.cert }),
    ...(key === undefined ? {} : { key }),
    ...(side.passphrase === undefined ? {} : { passphrase: side.passphrase }),
    // without an authority of our own nobody is trusted, rather than everybody whom the system trusts
    ca: authorities(side),
    ...(side.minVersion === undefined ? {} : { minVersion: side.minVersion }),
    ...(side.maxVersion === undefined ? {} : { maxVersion: side.maxVersion }),
    ...(side.ciphers === undefined ? {} : { ciphers: side.ciphers }),
    ...(side.dhparam === undefined ? {} : { dhparam: side.dhparam }),
  };
}

function isPem(text: Pem): boolean {
  return text.includes("-----BEGIN ");
}

function authorities({ ca }: TlsSide): Pem[] {
  if (ca === undefined) return [];
  return typeof ca === "string" || Buffer.isBuffer(ca) ? [ca] : [...ca];
}

function invalid(problem: string, cause?: unknown): IsthmusError {
  return handshakeError("TLS_OPTIONS_INVALID", `The TLS options cannot be used: ${problem}.`, { cause });
}
