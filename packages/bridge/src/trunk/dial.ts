import {
  type BackoffOptions,
  backoffDelay,
  type Clock,
  type IsthmusError,
  isIsthmusError,
  type Logger,
  silentLogger,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import { type CredentialOptions, checkSites, credentials } from "./credentials.ts";
import { trunkError } from "./errors.ts";
import type { TrunkVersion } from "./frames.ts";
import { type Credentials, DialingHandshake } from "./handshake.ts";
import { type TrunkLimits, trunkLimits } from "./limits.ts";
import { TrunkLink, type TrunkSink } from "./link.ts";
import { shakeHands } from "./shake-hands.ts";
import type { Wire } from "./wire.ts";

/** Opens a connection to a far site. Its promise settles soon after `signal` is aborted. */
export type OpenWire = (signal: AbortSignal) => Promise<Wire>;

/** Options of {@link dialTrunk}. */
export interface DialOptions extends CredentialOptions {
  /** Our site's name. */
  readonly site: string;
  /** The far site's name; another one that answers is refused. */
  readonly peer: string;
  /**
   * The way there: `webSocket(...)` or `natsDialer(...)`. With several they are tried in turn; the one that worked last
   * is tried first, for a session can be taken up again only where it was.
   */
  readonly open: OpenWire | readonly OpenWire[];
  readonly sink: TrunkSink;
  readonly limits?: Partial<TrunkLimits>;
  /** Deflate frames, if the far site does too. @default false */
  readonly deflate?: boolean;
  /** Hand over payloads in the parts in which they come; then they may have any length. @default false */
  readonly parts?: boolean;
  /** @default 200 ms to 10 s */
  readonly backoff?: BackoffOptions;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** A number in [0, 1). @default Math.random */
  readonly random?: () => number;
  /** @default {@link TRUNK_VERSIONS} */
  readonly versions?: readonly TrunkVersion[];
  /** Calls a function at the end of the turn. @default process.nextTick */
  readonly defer?: (run: () => void) => void;
}

const DEFAULT_BACKOFF: BackoffOptions = { firstMs: 200, maxMs: 10_000 };

/**
 * Begins to connect to a far site, and stays connected until the link is closed.
 * @throws IsthmusError `TRUNK_OPTIONS_INVALID`
 */
export function dialTrunk(options: DialOptions): TrunkLink {
  checkSites(options.site, options.peer);
  const limits = trunkLimits(options.limits);
  const known = credentials(options);
  const link = new TrunkLink({
    ...{ site: options.site, peer: options.peer, limits, sink: options.sink },
    parts: options.parts ?? false,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    defer: options.defer ?? process.nextTick,
  });
  new Dialer(link, options, limits, known).begin();
  return link;
}

/** Keeps one link connected. */
class Dialer {
  readonly #link: TrunkLink;
  readonly #options: DialOptions;
  readonly #limits: TrunkLimits;
  readonly #credentials: Credentials;
  readonly #ways: readonly OpenWire[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stopped = new AbortController();
  #way = 0;
  #attempt = 0;
  #timer: Timer | undefined;
  #stopHandshake: (() => void) | undefined;

  constructor(link: TrunkLink, options: DialOptions, limits: TrunkLimits, known: Credentials) {
    this.#link = link;
    this.#options = options;
    this.#limits = limits;
    this.#credentials = known;
    this.#ways = typeof options.open === "function" ? [options.open] : options.open;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    if (this.#ways.length === 0) {
      throw trunkError(
        "TRUNK_OPTIONS_INVALID",
        `There is no way to site ${options.peer}: give it an address.`,
      );
    }
  }

  begin(): void {
    const link = this.#link;
    link.onWireLost = (reason) => this.#later(reason);
    link.onClosed = () => {
      this.#stopped.abort();
      this.#timer?.cancel();
      this.#stopHandshake?.();
    };
    void this.#dial();
  }

  #later(reason: IsthmusError): void {
    if (this.#link.closed) return;
    const backoff = this.#options.backoff ?? DEFAULT_BACKOFF;
    const random = (this.#options.random ?? Math.random)();
    // another bridge of this site has taken over: to come back at once would only throw that one out again
    const attempt = reason.code === "TRUNK_REPLACED" ? Number.POSITIVE_INFINITY : this.#attempt;
    this.#attempt++;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(backoffDelay(attempt, backoff, random), () => void this.#dial());
  }

  async #dial(): Promise<void> {
    const { signal } = this.#stopped;
    const open = this.#ways[this.#way % this.#ways.length]!;
    let wire: Wire;
    try {
      wire = await this.#within(open);
    } catch (error) {
      if (!signal.aborted) this.#failed(unreachable(this.#link.peer, error));
      return;
    }
    if (signal.aborted) wire.close();
    else this.#shake(wire);
  }

  /** Waits for a connection as long as it may take, and not until it has noticed that it may not. */
  async #within(open: OpenWire): Promise<Wire> {
    const attempt = new AbortController();
    const { handshakeMs } = this.#limits;
    const { signal } = this.#stopped;
    const stop = (): void => attempt.abort(signal.reason);
    const timer = this.#clock.after(handshakeMs, () =>
      attempt.abort(
        trunkError("TRUNK_UNREACHABLE", `Site ${this.#link.peer} did not answer within ${handshakeMs} ms.`),
      ),
    );
    signal.addEventListener("abort", stop, { once: true });
    const aborted = new Promise<never>((_resolve, reject) => {
      attempt.signal.addEventListener("abort", () => reject(attempt.signal.reason), { once: true });
    });
    const opening = open(attempt.signal);
    try {
      return await Promise.race([opening, aborted]);
    } catch (error) {
      opening.then(
        (wire) => wire.close(),
        // it is what was thrown, or comes after it
        () => undefined,
      );
      throw error;
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  #shake(wire: Wire): void {
    const { site, peer, deflate = false, parts = false, versions } = this.#options;
    const handshake = new DialingHandshake({
      ...{ site, peer, deflate, parts, limits: this.#limits, credentials: this.#credentials },
      resume: this.#link.resumption(),
      certificateNames: wire.certificateNames,
      ...(versions === undefined ? {} : { versions }),
    });
    this.#stopHandshake = shakeHands(wire, handshake, this.#clock, this.#limits.handshakeMs, {
      established: (established) => {
        this.#attempt = 0;
        this.#link.welcomed(established, wire);
      },
      failed: (reason) => this.#failed(reason),
    });
  }

  #failed(reason: IsthmusError): void {
    this.#way++;
    this.#logger.warn(
      { peer: this.#link.peer, code: reason.code, reason: reason.message, attempt: this.#attempt },
      "trunk cannot connect",
    );
    this.#later(reason);
  }
}

function unreachable(peer: string, error: unknown): IsthmusError {
  if (isIsthmusError(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return trunkError("TRUNK_UNREACHABLE", `Site ${peer} cannot be reached: ${why}`, {
    cause: error,
    context: { peer },
  });
}
