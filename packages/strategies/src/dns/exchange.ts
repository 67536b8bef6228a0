import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect as connectTcp, isIPv6 } from "node:net";
import type { Clock } from "@isthmus/wire";
import { type QueryMessage, type ReplyMessage, readReply } from "./message.ts";
import type { ServerAddress } from "./server-address.ts";

/** What became of one query to one server. */
export type Exchange =
  | Exclude<ReplyMessage, { readonly kind: "foreign" }>
  /** Nothing came in time; `ignored` messages came that were no answers to the query. */
  | { readonly kind: "silent"; readonly ignored: number }
  | { readonly kind: "unreachable"; readonly cause: Error }
  /** Over TCP, where nobody can put in a word: not an answer. */
  | { readonly kind: "invalid" };

/** What an exchange needs besides the query. */
export interface ExchangeOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Ends it; it rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/**
 * Asks over UDP, from a port that the system chooses at random. Only datagrams from the server's address and port
 * are seen, and of these all that do not answer the query are passed over (RFC 5452 section 9.1).
 */
export function askUdp(
  server: ServerAddress,
  query: QueryMessage,
  options: ExchangeOptions,
): Promise<Exchange> {
  const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
  let ignored = 0;
  return exchange(
    options,
    () => ({ kind: "silent", ignored }),
    () => socket.close(),
    (settle) => {
      socket.on("error", (cause) => settle({ kind: "unreachable", cause }));
      socket.on("message", (bytes) => {
        const reply = readReply(query, bytes);
        if (reply.kind === "foreign") ignored++;
        else settle(reply);
      });
      socket.on("connect", () => send(socket, query, settle));
      // connected, so that the kernel checks the source and tells when the port is closed
      socket.connect(server.port, server.host);
    },
  );
}

function send(socket: UdpSocket, query: QueryMessage, settle: (outcome: Exchange) => void): void {
  socket.send(query.bytes, (cause) => {
    if (cause !== null) settle({ kind: "unreachable", cause });
  });
}

/** Asks over TCP (RFC 7766): a connection for one query. */
export function askTcp(
  server: ServerAddress,
  query: QueryMessage,
  options: ExchangeOptions,
): Promise<Exchange> {
  const socket = connectTcp({ host: server.host, port: server.port });
  const chunks: Buffer[] = [];
  let length = 0;
  return exchange(
    options,
    () => ({ kind: "silent", ignored: 0 }),
    () => socket.destroy(),
    (settle) => {
      socket.on("error", (cause) => settle({ kind: "unreachable", cause }));
      socket.on("end", () => settle({ kind: "invalid" }));
      socket.on("connect", () => {
        const prefix = Buffer.alloc(2);
        prefix.writeUInt16BE(query.bytes.length);
        socket.write(Buffer.concat([prefix, query.bytes]));
      });
      // a message is at most 65 535 bytes long: nothing grows beyond that and a chunk
      socket.on("data", (chunk) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length < 2) return;
        const received = Buffer.concat(chunks.splice(0), length);
        chunks.push(received);
        const end = 2 + received.readUInt16BE(0);
        if (length < end) return;
        const reply = readReply(query, received.subarray(2, end));
        settle(reply.kind === "foreign" || reply.kind === "truncated" ? { kind: "invalid" } : reply);
      });
    },
  );
}

/** Runs `begin` until it settles, the time is over, or the signal is aborted; then `end`, exactly once. */
function exchange(
  { timeoutMs, clock, signal }: ExchangeOptions,
  late: () => Exchange,
  end: () => void,
  begin: (settle: (outcome: Exchange) => void) => void,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    let over = false;
    const finish = (how: () => void): void => {
      if (over) return;
      over = true;
      timer.cancel();
      signal.removeEventListener("abort", aborted);
      end();
      how();
    };
    const aborted = (): void => finish(() => reject(signal.reason));
    const timer = clock.after(timeoutMs, () => finish(() => resolve(late())));
    signal.addEventListener("abort", aborted, { once: true });
    if (signal.aborted) aborted();
    else begin((outcome) => finish(() => resolve(outcome)));
  });
}
