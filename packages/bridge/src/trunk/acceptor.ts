import { type Clock, type IsthmusError, type Logger, silentLogger, systemClock } from "@isthmus/wire";
import { type CredentialOptions, checkSites, credentials } from "./credentials.ts";
import { trunkError } from "./errors.ts";
import type { TrunkVersion } from "./frames.ts";
import { type AcceptedPeer, AcceptingHandshake } from "./handshake.ts";
import { type TrunkLimits, trunkLimits } from "./limits.ts";
import { TrunkLink, type TrunkSink } from "./link.ts";
import { shakeHands } from "./shake-hands.ts";
import type { Wire } from "./wire.ts";

/** Options of {@link TrunkAcceptor}. */
export interface AcceptorOptions {
  /** Our site's name. */
  readonly site: string;
  /** Most connections that have not proved who they are; more are closed at once. @default 64 */
  readonly maxPending?: number;
  /** How long a handshake may take. Milliseconds. @default 10000 */
  readonly handshakeMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** @default {@link TRUNK_VERSIONS} */
  readonly versions?: readonly TrunkVersion[];
  /** Calls a function at the end of the turn. @default process.nextTick */
  readonly defer?: (run: () => void) => void;
}

/** Options of {@link TrunkAcceptor.accept}. */
export interface AcceptOptions extends CredentialOptions {
  /** The far site's name. */
  readonly peer: string;
  readonly sink: TrunkSink;
  readonly limits?: Partial<TrunkLimits>;
  /** Deflate frames, if the far site does too. @default false */
  readonly deflate?: boolean;
  /** Hand over payloads in the parts in which they come; then they may have any length. @default false */
  readonly parts?: boolean;
}

const FAILURE_LOG_MS = 30_000;

/**
 * The sites that may connect to us, whatever way they come. Listeners (`startWebSocketListener`, `startNatsListener`)
 * hand the connections to it.
 */
export class TrunkAcceptor {
  readonly site: string;
  /** Connections that were refused, by the error's code. */
  readonly refused = new Map<string, number>();
  readonly #options: AcceptorOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: TrunkLimits;
  readonly #peers = new Map<string, { readonly link: TrunkLink; readonly accepted: AcceptedPeer }>();
  readonly #pending = new Set<() => void>();
  #closed = false;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  /** @throws IsthmusError `TRUNK_OPTIONS_INVALID` */
  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.site = options.site;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#limits = trunkLimits(options.handshakeMs === undefined ? {} : { handshakeMs: options.handshakeMs });
  }

  /** No more connections are taken at present. */
  get full(): boolean {
    return this.#closed || this.#pending.size >= (this.#options.maxPending ?? 64);
  }

  /** The links, by their far sites. */
  get links(): readonly TrunkLink[] {
    return Array.from(this.#peers.values(), ({ link }) => link);
  }

  /**
   * Lets a far site connect. Close the link to forbid it again.
   * @throws IsthmusError `TRUNK_OPTIONS_INVALID`
   */
  accept(options: AcceptOptions): TrunkLink {
    const { peer, sink, deflate = false, parts = false } = options;
    checkSites(this.site, peer);
    if (this.#closed || this.#peers.has(peer)) {
      throw trunkError(
        "TRUNK_OPTIONS_INVALID",
        `Site ${peer} is accepted already, or the acceptor is closed.`,
      );
    }
    const known = credentials(options);
    const limits = trunkLimits(options.limits);
    const link = new TrunkLink({
      ...{ site: this.site, peer, limits, parts, sink, clock: this.#clock, logger: this.#logger },
      defer: this.#options.defer ?? process.nextTick,
    });
    this.#peers.set(peer, {
      link,
      accepted: {
        ...{ site: this.site, limits, deflate, parts, credentials: known },
        begin: (resume, terms) => link.begin(resume, terms),
      },
    });
    link.onClosed = () => void this.#peers.delete(peer);
    return link;
  }

  /** Takes a connection, and closes it unless it turns out to be one of the sites. */
  take(wire: Wire): void {
    if (this.full) {
      wire.close();
      return;
    }
    const { versions } = this.#options;
    const handshake = new AcceptingHandshake({
      lookup: (site) => this.#peers.get(site)?.accepted,
      introduction: { site: this.site, limits: this.#limits, deflate: false, parts: false },
      certificateNames: wire.certificateNames,
      ...(versions === undefined ? {} : { versions }),
    });
    const stop = shakeHands(wire, handshake, this.#clock, this.#limits.handshakeMs, {
      established: (established) => {
        this.#pending.delete(stop);
        const link = this.#peers.get(handshake.site ?? "")?.link;
        if (link === undefined) wire.close();
        else link.ready(established, wire);
      },
      failed: (reason) => {
        this.#pending.delete(stop);
        this.#failed(reason, handshake.site, wire.description);
      },
    });
    this.#pending.add(stop);
  }

  /** Ends all handshakes and links. Any number of times. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#pending) stop();
    this.#pending.clear();
    for (const { link } of [...this.#peers.values()]) link.close();
  }

  /** Strangers must not fill the log. */
  #failed(reason: IsthmusError, site: string | undefined, wire: string): void {
    this.refused.set(reason.code, (this.refused.get(reason.code) ?? 0) + 1);
    if (this.#clock.now() - this.#loggedAt < FAILURE_LOG_MS) {
      this.#unlogged++;
      return;
    }
    this.#logger.warn(
      { wire, site, code: reason.code, reason: reason.message, unlogged: this.#unlogged },
      "trunk handshake failed",
    );
    this.#loggedAt = this.#clock.now();
    this.#unlogged = 0;
  }
}
