import type { Duplex } from "node:stream";
import { connectTls, type HandshakeOutcome, type LocalSide, runInitiator } from "@isthmus/dist-handshake";
import type { NodeResolver } from "@isthmus/epmd-client";
import { type Clock, parseNodeName } from "@isthmus/wire";
import { openSocket } from "../net/socket.ts";
import type { NodeTls } from "./options.ts";

/** What {@link dialNode} needs. */
export interface DialOptions {
  readonly resolver: NodeResolver;
  readonly tls: NodeTls | undefined;
  readonly setupTimeoutMs: number;
  readonly random: () => number;
  readonly clock: Clock;
}

/** A stream after its handshake. */
export interface Dialled {
  readonly stream: Duplex;
  readonly outcome: HandshakeOutcome;
  /** What came together with the last message of the handshake. */
  readonly rest: Buffer;
}

/**
 * Connects to `node` and does the handshake as the one who begins.
 * @throws IsthmusError `NODE_NAME_INVALID`, `NO_CONNECTION`, and the codes of epmd and handshake
 */
export async function dialNode(
  node: string,
  local: LocalSide,
  options: DialOptions,
  signal: AbortSignal,
): Promise<Dialled> {
  const { resolver, tls, setupTimeoutMs: timeoutMs, random, clock } = options;
  const endpoint = await resolver(parseNodeName(node), { signal, timeoutMs });
  const { host, port } = endpoint;
  const socket = await openSocket({ host, port, node, timeoutMs, signal });
  try {
    const stream =
      tls === undefined ? socket : await connectTls(socket, tls.dial, node, { timeoutMs, signal, clock });
    const { outcome, rest } = await runInitiator(stream, {
      local,
      peer: node,
      random,
      epmdHighVersion: endpoint.highVersion,
      lengthBytes: tls === undefined ? 2 : 4,
      timeoutMs,
      signal,
      clock,
    });
    return { stream, outcome, rest };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
