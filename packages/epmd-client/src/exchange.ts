import { connect, type Socket } from "node:net";
import { type Clock, isIsthmusError, systemClock } from "@isthmus/wire";
import { epmdEnvironment } from "./environment.ts";
import { epmdError } from "./errors.ts";
import { checkInteger } from "./node-info.ts";
import { type ReplyFormat, ReplyReader } from "./reply-reader.ts";

/** Where an epmd listens. */
export interface EpmdAddress {
  /** Default "127.0.0.1". */
  readonly host?: string;
  /** Default `ERL_EPMD_PORT`, else 4369. */
  readonly port?: number;
  /** 4 or 6 to resolve a host name to that kind of address only. */
  readonly family?: 4 | 6;
}

/** Options of every request. */
export interface EpmdRequestOptions extends EpmdAddress {
  /** Milliseconds for the whole request, connecting included. Default 5000. */
  readonly timeoutMs?: number;
  /** Ends the request with `EPMD_ABORTED`. */
  readonly signal?: AbortSignal;
  /** Longest answer that is taken, in bytes. Default 1 MiB. */
  readonly maxReplyBytes?: number;
  /** Default the real clock. */
  readonly clock?: Clock;
}

/** Default of `timeoutMs`. */
export const DEFAULT_TIMEOUT_MS = 5000;

/** A complete exchange; the connection is still open and has no listeners. */
export interface Exchanged<T> {
  readonly reply: T;
  readonly socket: Socket;
}

/**
 * Connects, sends one request and waits for its reply. On success the caller owns the socket; on failure it is gone.
 * @throws IsthmusError `EPMD_UNREACHABLE`, `EPMD_TIMEOUT`, `EPMD_ABORTED`, `EPMD_NO_REPLY`, `EPMD_REPLY_MALFORMED`,
 * `EPMD_REPLY_TOO_LARGE`, `EPMD_OPTIONS_INVALID`
 */
export async function exchange<T>(
  request: Buffer,
  format: ReplyFormat<T>,
  options: EpmdRequestOptions,
): Promise<Exchanged<T>> {
  const host = options.host ?? "127.0.0.1";
  const port = checkInteger("port", options.port ?? epmdEnvironment().port, 1, 65535);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { signal, clock = systemClock } = options;
  const where = `epmd at ${host.includes(":") ? `[${host}]` : host}:${port}`;
  const context = { host, port };
  const aborted = () =>
    epmdError("EPMD_ABORTED", `The request to ${where} was aborted.`, { cause: signal?.reason, context });
  if (signal?.aborted) throw aborted();

  const reader = new ReplyReader(format, options.maxReplyBytes);
  return await new Promise<Exchanged<T>>((resolve, reject) => {
    const socket = connect({
      host,
      port,
      noDelay: true,
      ...(options.family === undefined ? {} : { family: options.family }),
    });
    const settle = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      socket.removeAllListeners("connect").removeAllListeners("data").removeAllListeners("close");
      socket.removeListener("end", onEnd).removeListener("error", onError);
    };
    const fail = (error: unknown): void => {
      settle();
      // A late error of a socket that is being destroyed has no one to tell.
      socket.on("error", () => undefined).destroy();
      reject(isIsthmusError(error) ? error : networkError(error, where, socket.connecting, context));
    };
    const done = (complete: { readonly reply: T }): void => {
      if (reader.trailing > 0) {
        fail(
          epmdError(
            "EPMD_REPLY_MALFORMED",
            `${where} sent ${reader.trailing} bytes more than its answer has.`,
            {
              context,
            },
          ),
        );
        return;
      }
      settle();
      resolve({ reply: complete.reply, socket });
    };
    const onAbort = (): void => fail(aborted());
    const onError = (error: Error): void => fail(error);
    const onEnd = (): void => {
      try {
        done(reader.end());
      } catch (error) {
        fail(error);
      }
    };
    const timer = clock.after(timeoutMs, () =>
      fail(
        epmdError(
          "EPMD_TIMEOUT",
          `${where} did not answer within ${timeoutMs} ms. Look at the host and the network, or raise timeoutMs.`,
          { context: { ...context, timeoutMs } },
        ),
      ),
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk) => {
      try {
        const complete = reader.push(chunk);
        if (complete !== undefined) done(complete);
      } catch (error) {
        fail(error);
      }
    });
    socket.on("end", onEnd).on("error", onError);
  });
}

/** Node's socket errors as ours: before the connection epmd is unreachable, afterwards the answer is missing. */
function networkError(
  cause: unknown,
  where: string,
  connecting: boolean,
  context: Readonly<Record<string, unknown>>,
): Error {
  const reason =
    cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
  return connecting || reason !== "ECONNRESET"
    ? epmdError(
        "EPMD_UNREACHABLE",
        `No connection to ${where} (${reason}). Start it with \`epmd -daemon\`, or check host and port.`,
        { cause, context },
      )
    : epmdError("EPMD_NO_REPLY", `${where} reset the connection before it had answered.`, { cause, context });
}
