import type { Duplex } from "node:stream";
import { connect, createServer, type TLSSocket } from "node:tls";
import { type Clock, type IsthmusError, isIsthmusError, systemClock } from "@isthmus/wire";
import { handshakeError } from "./errors.ts";
import { DEFAULT_HANDSHAKE_TIMEOUT_MS } from "./handshake.ts";
import { quietForGood, quietForThisTurn } from "./quiet.ts";
import { tlsError } from "./tls-errors.ts";
import {
  orInvalid,
  type TlsSide,
  tlsClientOptions,
  tlsPeerProblem,
  tlsServerSettings,
} from "./tls-options.ts";

/** Options of {@link connectTls} and {@link acceptTls}. */
export interface TlsRunOptions {
  /** Time in milliseconds for the whole TLS handshake. Default {@link DEFAULT_HANDSHAKE_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /** Ends it with `HANDSHAKE_ABORTED`. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/**
 * TLS as client over a TCP socket that is connected or connecting; then use `runInitiator` with `lengthBytes: 4`.
 * On failure the socket is destroyed.
 * @param peer the wanted node, whose host part the certificate must carry
 * @throws IsthmusError rejects with `TLS_*`, `HANDSHAKE_TIMEOUT`, `HANDSHAKE_ABORTED`
 */
export async function connectTls(
  socket: Duplex,
  side: TlsSide,
  peer: string,
  options: TlsRunOptions = {},
): Promise<TLSSocket> {
  const settings = orDestroy(socket, () => tlsClientOptions(side, peer));
  return secured(socket, options, (done, failed) => {
    const secure = connect({ ...settings, socket });
    const closed = () => failed(undefined);
    secure.on("error", failed);
    secure.on("close", closed);
    secure.once("secureConnect", () => {
      quietForThisTurn(secure);
      secure.removeListener("error", failed);
      secure.removeListener("close", closed);
      done(secure);
    });
  });
}

/**
 * TLS as server over an accepted TCP socket; then use `runAcceptor` with `lengthBytes: 4`. On failure the socket is
 * destroyed. Reads the certificate anew each time, about a millisecond: a listener with many calls is better off with
 * a `tls.Server` of its own.
 * @throws IsthmusError rejects with `TLS_*`, `HANDSHAKE_TIMEOUT`, `HANDSHAKE_ABORTED`
 */
export async function acceptTls(
  socket: Duplex,
  side: TlsSide,
  options: TlsRunOptions = {},
): Promise<TLSSocket> {
  // Only a server verifies clients, and it does not say which raw socket a secure one belongs to: one server for each.
  const server = orDestroy(socket, () => {
    const settings = tlsServerSettings(side);
    return orInvalid(() => createServer(settings));
  });
  return secured(socket, options, (done, failed) => {
    server.once("tlsClientError", (error, secure) => {
      // a refused certificate is told as an end of the connection, with the reason beside it
      const refused = secure.authorizationError ? tlsPeerProblem(secure, side) : undefined;
      failed(refused ?? error);
    });
    server.once("secureConnection", (secure) => {
      const problem = tlsPeerProblem(secure, side);
      quietForThisTurn(secure);
      if (problem === undefined) {
        done(secure);
      } else {
        quietForGood(secure);
        failed(problem);
      }
    });
    server.emit("connection", socket);
  });
}

function secured(
  socket: Duplex,
  options: TlsRunOptions,
  begin: (done: (secure: TLSSocket) => void, failed: (error: unknown) => void) => void,
): Promise<TLSSocket> {
  const { signal } = options;
  const timeoutMs = options.timeoutMs ?? DEFAULT_HANDSHAKE_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    let over = false;
    const timer = (options.clock ?? systemClock).after(timeoutMs, () =>
      failed(
        handshakeError(
          "HANDSHAKE_TIMEOUT",
          `The TLS handshake was not complete within ${timeoutMs} ms. A node without TLS distribution does not answer either.`,
          {
            context: { timeoutMs },
          },
        ),
      ),
    );
    const onAbort = () =>
      failed(
        handshakeError("HANDSHAKE_ABORTED", "The TLS handshake was ended by its caller.", {
          cause: signal?.reason,
        }),
      );
    // the secure socket, which closes a little later, may know why
    const closed = () => setImmediate(() => failed(undefined));
    function finish(): void {
      over = true;
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      // the secure socket reports from now on
      quietForGood(socket);
      socket.removeListener("error", failed);
      socket.removeListener("close", closed);
    }
    function failed(error: unknown): void {
      if (over) return;
      finish();
      socket.destroy();
      reject(coded(error));
    }
    function done(secure: TLSSocket): void {
      if (over) return;
      finish();
      resolve(secure);
    }
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("error", failed);
    socket.on("close", closed);
    begin(done, failed);
  });
}

/** What `make` gives; when it throws, the socket goes too. */
function orDestroy<T>(socket: Duplex, make: () => T): T {
  try {
    return make();
  } catch (error) {
    quietForGood(socket);
    socket.destroy();
    throw error;
  }
}

function coded(error: unknown): IsthmusError {
  if (isIsthmusError(error)) return error;
  return (
    (error === undefined ? undefined : tlsError(error)) ??
    handshakeError(
      "TLS_CLOSED",
      "The connection ended during the TLS handshake. The peer's log may say why.",
      {
        cause: error,
      },
    )
  );
}
