import {
  type Connection,
  type HiddenNode,
  type NodeOptions,
  type SignalRouter,
  startNode,
} from "@isthmus/core";
import { FLAG, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import type { Atom, TermWriter } from "@isthmus/etf";
import { type Clock, IsthmusError, isIsthmusError, type Logger, parseNodeName } from "@isthmus/wire";
import { reachedWithin } from "../routing/barriers.ts";
import { type Beginning, type Carrier, type CarrierEvents, sendMessage } from "./carrier.ts";

/** Connections of this kind to one cluster at a time; the names of as many nodes are all that a cluster ever sees. */
const MAX_CARRIERS = 8;
/** Each step of connecting may take that long: meanwhile nothing of the sender's node is read. */
const SETUP_MS = 3000;
/** For so long no connection is tried to a node that has refused one, or did not answer. */
const RETRY_MS = 60_000;

/** Nothing of the sender's node is read for longer, because the other node has not read everything yet. */
const BARRIER_MS = 5000;

/** What {@link Carriers} needs. */
export interface CarriersOptions {
  /** As for the bridge's own node there. */
  readonly node: Omit<NodeOptions, "router" | "creation" | "name"> & { readonly name: string };
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Connections to nodes of one cluster over which single long messages go: what has begun on a connection cannot be taken
 * back but by ending it (PROTOCOL 4.4), so it must have nothing else to lose. Each is a hidden node of its own,
 * `NAME-long-1@HOST` and so on, that nobody can connect to and epmd does not know.
 */
export class Carriers {
  readonly #options: CarriersOptions;
  readonly #names: string[];
  readonly #nodes = new Set<HiddenNode>();
  /** Nodes that have refused one, or did not answer, and when they may be asked again. */
  readonly #refused = new Map<Atom, number>();
  #closed = false;

  constructor(options: CarriersOptions) {
    this.#options = options;
    const { name, host } = parseNodeName(options.node.name);
    this.#names = Array.from({ length: MAX_CARRIERS }, (_, i) => `${name}-long-${i + 1}@${host}`);
  }

  /** Whether a message to `node` may be sent in this way at present. */
  available(node: Atom): boolean {
    if (this.#closed || this.#names.length === 0) return false;
    const until = this.#refused.get(node);
    if (until === undefined) return true;
    if (this.#options.clock.now() < until) return false;
    this.#refused.delete(node);
    return true;
  }

  /**
   * Connects to `node`, and waits until that has read everything that was sent to it before.
   * @param reached resolves when it has
   * @throws IsthmusError the codes of {@link HiddenNode.connect}, `NODE_CLOSED`, `NO_CONNECTION`
   */
  async open(node: Atom, reached: Promise<void>, events: CarrierEvents): Promise<Carrier> {
    const { clock } = this.#options;
    const carrier = await this.#connect(node, events);
    if (await reachedWithin(clock, BARRIER_MS, reached)) return carrier;
    carrier.close();
    // whoever sends it the next ones is not to wait, too
    this.#refused.set(node, clock.now() + RETRY_MS);
    throw new IsthmusError("NO_CONNECTION", `${node.text} has not read what was sent to it before.`);
  }

  async #connect(node: Atom, events: CarrierEvents): Promise<Carrier> {
    const { node: like, logger, clock } = this.#options;
    const name = this.#closed ? undefined : this.#names.shift();
    if (name === undefined)
      throw new IsthmusError("NODE_CLOSED", "No further connection for a long message.");
    let ended = false;
    const router: SignalRouter = {
      route: () => true,
      up: () => undefined,
      writable: () => events.writable(),
      down: () => {
        if (!ended) events.closed();
      },
    };
    let own: HiddenNode | undefined;
    const close = (): void => {
      if (ended) return;
      ended = true;
      void this.#end(name, own);
    };
    try {
      own = await startNode({
        ...like,
        ...{
          name,
          router,
          listen: false,
          setupTimeoutMs: SETUP_MS,
          flags: (like.flags ?? HIDDEN_PASS_THROUGH) | FLAG.FRAGMENTS,
        },
      });
      this.#nodes.add(own);
      await own.connect(node.text);
      const connection = own.connection(node);
      if (connection === undefined || (connection.flags & FLAG.FRAGMENTS) === 0n)
        throw new IsthmusError("NO_CONNECTION", `${node.text} takes no fragments.`);
      return new ConnectionCarrier(connection, close);
    } catch (error) {
      close();
      this.#refused.set(node, clock.now() + RETRY_MS);
      if (this.#closed) throw error;
      const { code, message } = isIsthmusError(error) ? error : { code: undefined, message: String(error) };
      logger.info(
        { node: name, peer: node.text, code, reason: message },
        "long messages to this node are gathered: it takes no further connection",
      );
      throw error;
    }
  }

  async #end(name: string, own: HiddenNode | undefined): Promise<void> {
    await own?.close();
    if (own !== undefined) this.#nodes.delete(own);
    this.#names.push(name);
  }

  /** Ends all that are open, for good. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(Array.from(this.#nodes, (node) => node.close()));
  }
}

/** A connection for one message, whose pieces are its fragments. */
class ConnectionCarrier implements Carrier {
  readonly #connection: Connection;
  readonly close: () => void;

  constructor(connection: Connection, close: () => void) {
    this.#connection = connection;
    this.close = close;
  }

  get lost(): boolean {
    return this.#connection.closeReason !== undefined;
  }

  get blocked(): boolean {
    return this.#connection.blocked;
  }

  begin({ body, token, pieces: fragments, ...addressed }: Beginning): void {
    const first = { fragments, writeTo: (out: TermWriter) => body.writeTo(out) };
    sendMessage(this.#connection.signals, addressed, first, token);
  }

  piece(out: TermWriter): void {
    this.#connection.signals.frames.fragment(out);
  }

  /** The peer closes it when it has read it all. */
  end(): void {
    this.#connection.end();
  }
}
