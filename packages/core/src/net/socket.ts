import { connect, createServer, type Socket } from "node:net";
import { isIsthmusError } from "@isthmus/wire";
import { coreError } from "../errors.ts";

/** Where to connect to. */
export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** For messages. */
  readonly node: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Opens a TCP connection.
 * @throws IsthmusError `NO_CONNECTION` with the system's error as cause
 */
export function openSocket(target: DialTarget): Promise<Socket> {
  const { host, port, node, timeoutMs, signal } = target;
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true });
    const settle = (error: unknown): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("connect", onReady);
      socket.removeListener("error", onError);
      if (error === undefined) {
        resolve(socket);
        return;
      }
      // an error that comes after this one has no reader, and needs none
      socket.on("error", () => undefined);
      socket.destroy();
      reject(
        isIsthmusError(error)
          ? error
          : coreError(
              "NO_CONNECTION",
              `${node} cannot be reached at ${host}:${port}. Is it running, and is the port open?`,
              {
                cause: error,
                context: { node, host, port },
              },
            ),
      );
    };
    const onReady = (): void => settle(undefined);
    const onError = (error: Error): void => settle(error);
    const onAbort = (): void => settle(signal.reason ?? new Error("aborted"));
    const timer = setTimeout(() => settle(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    if (signal.aborted) onAbort();
    else {
      signal.addEventListener("abort", onAbort);
      socket.once("connect", onReady);
      socket.once("error", onError);
    }
  });
}

/** Where to listen. */
export interface ListenTarget {
  /** Address to bind; undefined for all. */
  readonly host?: string | undefined;
  /** 0 for any free one. */
  readonly port: number;
}

/** An open listener. */
export interface Listener {
  readonly port: number;
  /** Takes no further connections; open ones stay. */
  close(): void;
}

/**
 * Listens for distribution connections.
 * @throws IsthmusError `LISTEN_FAILED` with the system's error as cause
 */
export function listen(target: ListenTarget, onSocket: (socket: Socket) => void): Promise<Listener> {
  const accept = (socket: Socket): void => {
    socket.on("error", () => undefined); // replaced by a meaningful handler as soon as somebody owns the socket
    onSocket(socket);
  };
  const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true }, accept);
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void =>
      reject(
        coreError(
          "LISTEN_FAILED",
          `Nothing can listen on ${target.host ?? "*"}:${target.port}. Choose another address or port.`,
          { cause: error, context: { host: target.host, port: target.port } },
        ),
      );
    server.once("error", onError);
    server.listen({ port: target.port, ...(target.host === undefined ? {} : { host: target.host }) }, () => {
      server.removeListener("error", onError);
      server.on("error", () => undefined);
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : target.port,
        close: () => server.close(),
      });
    });
  });
}
