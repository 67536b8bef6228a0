import { backoffDelay, type IsthmusError, type Timer } from "@isthmus/wire";
import type { StrategyContext } from "../contract.ts";
import { strategiesError } from "../errors.ts";
import { isMeant, type NamePattern } from "../name-pattern.ts";
import { FloodGate, type FloodLimits } from "./flood-gate.ts";
import { Membership } from "./membership.ts";
import { decodeGossipPacket, encodeHeartbeat, encryptHeartbeat, gossipKey } from "./packet.ts";
import { RepeatedNotes } from "./repeated-notes.ts";
import { GossipSocket, type GossipSocketOptions } from "./socket.ts";

/** Options of {@link GossipRun}. */
export interface GossipRunOptions {
  readonly socket: GossipSocketOptions;
  readonly secret: string | undefined;
  /** Whether we send heartbeats. */
  readonly announce: boolean;
  /** The longest time between two of our heartbeats; each is 1 to so many milliseconds. */
  readonly heartbeatInterval: number;
  /** See {@link Membership}. */
  readonly expiryMs: number | undefined;
  readonly maxNodes: number;
  /** Undefined for all. */
  readonly allowedNodes: readonly NamePattern[] | undefined;
  readonly flood: FloodLimits;
}

/** After the socket has failed. */
const REOPEN = { firstMs: 1000, maxMs: 30_000 };

/** Sends heartbeats and listens for those of others, from its making until `stop`. */
export class GossipRun {
  readonly #context: StrategyContext;
  readonly #options: GossipRunOptions;
  readonly #key: Buffer | undefined;
  readonly #members: Membership;
  readonly #gate: FloodGate;
  readonly #notes: RepeatedNotes;
  readonly #onAbort = (): void => void this.stop();
  #socket: GossipSocket | undefined;
  #opening: Promise<void>;
  #timer: Timer | undefined;
  #announce: boolean;
  /** How often in a row the socket could not be opened. */
  #failures = 0;
  /** Whether a failure was reported last. */
  #failing = false;
  /** When the group was joined last. */
  #joined = 0;
  /** Code of the error with which sending fails at present. */
  #sendError: string | undefined;
  #stopped = false;

  constructor(context: StrategyContext, options: GossipRunOptions) {
    const { secret, announce, expiryMs, maxNodes, flood } = options;
    this.#context = context;
    this.#options = options;
    this.#announce = announce && context.passive !== true;
    this.#key = secret === undefined ? undefined : gossipKey(secret);
    this.#members = new Membership({ expiryMs, maxNodes });
    this.#gate = new FloodGate(flood, context.clock);
    this.#notes = new RepeatedNotes(context.logger, context.clock);
    context.signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#stopped = context.signal.aborted;
    this.#opening = this.#open();
  }

  /** Sends a heartbeat now, and makes sure that those of others arrive. */
  refresh(): void {
    if (this.#stopped) return;
    if (this.#socket !== undefined) {
      this.#rejoin();
      this.#beat();
    } else if (this.#timer !== undefined) {
      this.#opening = this.#open();
    }
  }

  /** No more heartbeats. */
  drain(): void {
    this.#announce = false;
  }

  /** Any number of times. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#context.signal.removeEventListener("abort", this.#onAbort);
    this.#timer?.cancel();
    await this.#opening;
    await this.#socket?.close();
  }

  async #open(): Promise<void> {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    try {
      const socket = await GossipSocket.open(this.#options.socket, {
        packet: (packet, sender) => this.#received(packet, sender),
        failed: (error) => void this.#lost(error),
      });
      this.#socket = socket;
    } catch (cause) {
      this.#openFailed(cause);
      return;
    }
    this.#failures = 0;
    this.#joined = this.#context.clock.now();
    if (this.#failing) this.#report();
    this.#beat();
  }

  #openFailed(cause: unknown): void {
    const { port, ifAddr, multicastAddr } = this.#options.socket;
    const message =
      `Heartbeats for ${multicastAddr} cannot be sent and received on ${ifAddr} port ${port}: ${text(cause)}. ` +
      "Check the addresses, and that there is a route for them.";
    this.#fail(strategiesError("DISCOVERY_FAILED", message, { cause, context: { port, multicastAddr } }));
    if (this.#stopped) return;
    const delay = backoffDelay(this.#failures++, REOPEN, Math.random());
    this.#timer = this.#context.clock.after(delay, () => {
      this.#opening = this.#open();
    });
  }

  /** The socket is of no use any more: a new one is made after a while. */
  async #lost(cause: unknown): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#timer?.cancel();
    this.#openFailed(cause);
    await socket?.close();
  }

  /** Sends, looks who is silent, and waits for the next time. */
  #beat(): void {
    if (this.#stopped || this.#socket === undefined) return;
    if (this.#announce) void this.#send(this.#socket);
    this.#lookAround();
    if (this.#socket === undefined) return;
    this.#timer?.cancel();
    const delay = 1 + Math.floor(Math.random() * this.#options.heartbeatInterval);
    this.#timer = this.#context.clock.after(delay, () => this.#beat());
  }

  async #send(socket: GossipSocket): Promise<void> {
    const { logger, self } = this.#context;
    const heartbeat = encodeHeartbeat(self);
    try {
      await socket.send(this.#key === undefined ? heartbeat : encryptHeartbeat(heartbeat, this.#key));
      if (this.#sendError !== undefined) logger.info({}, "gossip: heartbeats can be sent again");
      this.#sendError = undefined;
    } catch (error) {
      // the socket was closed meanwhile
      if (this.#stopped || socket !== this.#socket) return;
      const code = (error as NodeJS.ErrnoException).code ?? "unknown";
      const level = this.#sendError === code ? "debug" : "warn";
      this.#sendError = code;
      logger[level](
        { code },
        `gossip: a heartbeat could not be sent, others will not hear of us: ${text(error)}`,
      );
    }
  }

  #lookAround(): void {
    const { clock, logger } = this.#context;
    const now = clock.now();
    const gone = this.#members.expire(now);
    if (gone.length > 0) {
      logger.info({ nodes: gone }, "gossip: nodes whose heartbeats are not heard any more are forgotten");
      this.#report();
    }
    const { expiryMs } = this.#options;
    if (expiryMs === undefined || !this.#members.isSilent(now) || now - this.#joined < expiryMs) return;
    this.#rejoin();
    const message =
      `No heartbeat of any node was heard for ${expiryMs} ms. ` +
      "Either they are all gone, or the network does not carry heartbeats any more.";
    this.#fail(strategiesError("DISCOVERY_FAILED", message, { context: { expiryMs } }));
  }

  #rejoin(): void {
    this.#joined = this.#context.clock.now();
    try {
      this.#socket?.rejoin();
    } catch (error) {
      void this.#lost(error);
    }
  }

  #received(packet: Buffer, sender: string): void {
    if (this.#stopped) return;
    if (!this.#gate.passes(sender)) {
      this.#notes.add("flood", { sender }, "gossip: more packets than the limits allow, some were dropped");
      return;
    }
    const found = decodeGossipPacket(packet, this.#context.self, this.#key);
    if (found.kind === "heartbeat") this.#heard(found.node, sender);
    else if (found.kind !== "own") this.#notes.add(found.kind, { sender }, this.#explain(found.kind));
  }

  #heard(node: string, sender: string): void {
    const { clock, logger } = this.#context;
    if (!isMeant(node, this.#options.allowedNodes)) {
      const message = "gossip: a heartbeat names a node that allowed_nodes does not allow; it was dropped";
      this.#notes.add("not_allowed", { sender, node }, message);
      return;
    }
    const known = this.#members.heard(node, clock.now());
    if (known === "full") {
      const message = "gossip: there are more nodes than max_nodes; those heard last are not connected";
      this.#notes.add("full", { sender, node }, message);
    } else if (known === "new") {
      logger.debug({ node, sender }, "gossip: a new node was heard");
      this.#report();
    } else if (this.#failing) this.#report();
  }

  #explain(kind: "foreign" | "malformed" | "undecryptable"): string {
    if (kind === "malformed") return "gossip: a heartbeat that makes no sense was dropped";
    if (kind === "undecryptable")
      return "gossip: a packet that our secret does not open was dropped; its sender may have another secret";
    return this.#key === undefined
      ? "gossip: a packet that is no heartbeat was dropped; its sender may have a secret, and we have none"
      : "gossip: a heartbeat without encryption was dropped, as we have a secret";
  }

  #report(): void {
    if (this.#stopped) return;
    this.#failing = false;
    this.#context.report({ ok: true, nodes: this.#members.nodes });
  }

  #fail(error: IsthmusError): void {
    if (this.#stopped) return;
    this.#failing = true;
    this.#context.report({ ok: false, error });
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
