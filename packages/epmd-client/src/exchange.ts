import { connect, type Socket } from "node:net";
import { type Clock, systemClock } from "@isthmus/wire";
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
    let connected = false;
    const settle = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      socket.off("connect", onConnect).off("data", onData).off("end", onEnd).off("error", onError);
    };
    const fail = (error: unknown): void => {
      settle();
      discard(socket);
      reject(error);
    };
    /** Ends the exchange when `read` has the reply, or the reason why there will be none. */
    const advance = (read: () => { readonly reply: T } | undefined): void => {
      try {
        const complete = read();
        if (complete === undefined) return;
        if (reader.trailing > 0) throw tooMuch(where, reader.trailing, context);
        settle();
        resolve({ reply: complete.reply, socket });
      } catch (error) {
        fail(error);
      }
    };
    const onAbort = (): void => fail(aborted());
    const onConnect = (): void => {
      connected = true;
      socket.write(request);
    };
    const onData = (chunk: Buffer): void => advance(() => reader.push(chunk));
    const onEnd = (): void => advance(() => reader.end());
    const onError = (error: Error): void => fail(networkError(error, where, connected, context));
    const timer = clock.after(timeoutMs, () => fail(tooLate(where, timeoutMs, context)));
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("connect", onConnect).on("data", onData).on("end", onEnd).on("error", onError);
  });
}

/** Ends a connection whose late errors have no one to tell. */
export function discard(socket: Socket): void {
  socket.on("error", () => undefined).destroy();
}

type Context = Readonly<Record<string, unknown>>;

/** Node's socket errors as ours: before the connection epmd is unreachable, afterwards the answer is missing. */
function networkError(cause: Error, where: string, connected: boolean, context: Context): Error {
  const reason = (cause as NodeJS.ErrnoException).code ?? cause.message;
  return connected
    ? epmdError("EPMD_NO_REPLY", `The connection to ${where} broke before it had answered (${reason}).`, {
        cause,
        context,
      })
    : epmdError(
        "EPMD_UNREACHABLE",
        `No connection to ${where} (${reason}). Start it with \`epmd -daemon\`, or check host and port.`,
        { cause, context },
      );
}

function tooLate(where: string, timeoutMs: number, context: Context): Error {
  return epmdError(
    "EPMD_TIMEOUT",
    `${where} did not answer within ${timeoutMs} ms. Look at the host and the network, or raise timeoutMs.`,
    { context: { ...context, timeoutMs } },
  );
}

function tooMuch(where: string, bytes: number, context: Context): Error {
  return epmdError(
    "EPMD_REPLY_MALFORMED",
    `${where} sent ${bytes} bytes more than its answer has. Check that the port is epmd's.`,
    { context: { ...context, bytes } },
  );
}
