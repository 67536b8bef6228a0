import { randomBytes } from "node:crypto";
import { type Clock, type IsthmusError, isIsthmusError, type Logger, type Timer } from "@isthmus/wire";
import type { Promised } from "./authentication.ts";
import { isName, malformed } from "./codec.ts";
import type { SessionCounters } from "./counters.ts";
import { trunkError } from "./errors.ts";
import { goodbye } from "./farewell.ts";
import { type Resumption, SESSION_BYTES, type SessionTerms } from "./frames.ts";
import type { Established } from "./handshake.ts";
import type { TrunkLimits } from "./limits.ts";
import { Session } from "./session.ts";
import type { Wire } from "./wire.ts";

/**
 * `down`: there is no session, nothing is taken. `up`: connected. `suspended`: the connection is gone, the session
 * waits for the next; payloads are taken as before, and wait.
 */
export type TrunkState = "down" | "up" | "suspended";

/** Who is told what happens on a trunk. All calls are synchronous, and none may throw but `data`. */
export interface TrunkSink {
  /** A session has begun. */
  up(link: TrunkLink): void;
  /** The connection is gone. Nothing is lost yet. */
  suspended(link: TrunkLink, reason: IsthmusError): void;
  /** There is a connection again. Nothing was lost. */
  resumed(link: TrunkLink): void;
  /**
   * The session is over. What was sent and is not known to have arrived may have arrived or not; what was to come does
   * not come. Nothing of this session comes after it.
   */
  lost(link: TrunkLink, reason: IsthmusError): void;
  /**
   * A payload, each once and in the order of its channel. The bytes may be kept, at the price of keeping the message
   * they came in. With `parts`, a part of one: `more` says that it goes on with the channel's next call.
   * Throwing ends the session: `TRUNK_CONSUMER_FAILED`.
   */
  data(link: TrunkLink, channel: string, bytes: Buffer, more: boolean): void;
  /**
   * What we send on the channel does not reach the far site, for NATS forbids it (`TRUNK_DENIED`). It waits until that
   * is otherwise, which is tried now and then. Other channels go on.
   * @param cut some of what was sent is lost, and what is sent from now on is a new beginning; the far site is told
   */
  denied(link: TrunkLink, channel: string, reason: IsthmusError, cut: boolean): void;
  /** Of what the far site sent on the channel some is lost; what comes from now on is a new beginning. */
  cut(link: TrunkLink, channel: string): void;
  /** What waited on the channel has gone, after {@link TrunkLink.blocked} was true. */
  writable(link: TrunkLink, channel: string): void;
}

/** The state of a trunk, for people. */
export interface TrunkStatus {
  readonly site: string;
  readonly peer: string;
  readonly state: TrunkState;
  /** Where the peer is; undefined without a connection. */
  readonly wire: string | undefined;
  /** Channels on which nothing that we send reaches the far site, for NATS forbids it. */
  readonly denied: readonly string[];
  /** Times that a session was taken up again. */
  readonly resumptions: number;
  /** Sessions that were lost. */
  readonly losses: number;
  /** Bytes held for sending, and bytes received that nobody has taken. */
  readonly outgoingBytes: number;
  readonly incomingBytes: number;
  /** Of the present session. */
  readonly counters: Readonly<SessionCounters> | undefined;
  /** Why the last connection ended; undefined before the first end. */
  readonly lastReason: { readonly code: string; readonly message: string } | undefined;
}

/** Options of {@link TrunkLink}. */
export interface TrunkLinkOptions {
  readonly site: string;
  readonly peer: string;
  readonly limits: TrunkLimits;
  readonly parts: boolean;
  readonly sink: TrunkSink;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Calls a function at the end of the turn. */
  readonly defer: (run: () => void) => void;
}

/**
 * The trunk to one far site: payloads on channels, each channel in order, each payload exactly once, with credit for
 * each channel. It lives over any number of connections and sessions. Made by {@link dialTrunk} or
 * {@link TrunkListener.accept}.
 */
export class TrunkLink {
  readonly site: string;
  readonly peer: string;
  /** Called when a connection is needed; set by who dials. */
  onWireLost: ((reason: IsthmusError) => void) | undefined;
  /** Called once, when it is closed. */
  onClosed: (() => void) | undefined;
  readonly #options: TrunkLinkOptions;
  readonly #pauses = new Map<string, number>();
  #session: Session | undefined;
  /** Whether the sink knows of the session. */
  #announced = false;
  #wire: Wire | undefined;
  #grace: Timer | undefined;
  #closed = false;
  #resumptions = 0;
  #losses = 0;
  #lastReason: IsthmusError | undefined;
  #idleWaiters: (() => void)[] = [];

  constructor(options: TrunkLinkOptions) {
    this.#options = options;
    this.site = options.site;
    this.peer = options.peer;
  }

  /** See {@link TrunkState}. */
  get state(): TrunkState {
    if (this.#session === undefined || !this.#announced) return "down";
    return this.#wire === undefined ? "suspended" : "up";
  }

  /** Whether it was closed for good. */
  get closed(): boolean {
    return this.#closed;
  }

  // ---- what a user calls

  /**
   * Takes a payload, or with `more` a part of one that goes on with the channel's next call. The bytes are copied, unless
   * they are `constant`: never changed afterwards. They leave at the end of the turn. Nothing is taken when it throws.
   * @throws IsthmusError `TRUNK_DOWN`, `TRUNK_BACKLOG`, `TRUNK_PAYLOAD_TOO_LARGE`, `TRUNK_CHANNELS`
   */
  send(channel: string, bytes: Buffer, more = false, constant = false): void {
    if (this.#session === undefined || !this.#announced) {
      throw trunkError("TRUNK_DOWN", `There is no session with site ${this.peer}.`, {
        context: { peer: this.peer },
      });
    }
    if (!isName(channel)) {
      throw trunkError("TRUNK_OPTIONS_INVALID", "A channel's name is empty, too long, or not plain text.");
    }
    this.#session.send(channel, bytes, more, constant);
  }

  /** True while so much waits on a channel that whoever feeds it should stop until `writable`. */
  blocked(channel: string): boolean {
    return this.#announced && (this.#session?.blocked(channel) ?? false);
  }

  /** Forgets what waits on a channel; what is sent from now on is a new beginning, and the far site is told. */
  cut(channel: string): void {
    this.#session?.cut(channel);
  }

  /** Hands over nothing of a channel until as many calls of {@link TrunkLink.resume}; other channels go on. */
  pause(channel: string): void {
    const pauses = this.#pauses.get(channel) ?? 0;
    this.#pauses.set(channel, pauses + 1);
    if (pauses === 0) this.#session?.pause(channel);
  }

  /** May hand over, before it returns, what has waited. */
  resume(channel: string): void {
    const pauses = this.#pauses.get(channel) ?? 0;
    if (pauses > 1) this.#pauses.set(channel, pauses - 1);
    else if (pauses === 1) {
      this.#pauses.delete(channel);
      this.#session?.resume(channel);
    }
  }

  /**
   * Waits until the far site has acknowledged everything, at most `ms` milliseconds.
   * @returns whether it has; false also when the session was lost meanwhile
   */
  async drain(ms: number): Promise<boolean> {
    const session = this.#session;
    if (session === undefined) return false;
    let timer: Timer | undefined;
    if (!session.idle) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.push(resolve);
        timer = this.#options.clock.after(ms, resolve);
      });
    }
    timer?.cancel();
    return this.#session === session && session.idle;
  }

  /** Ends the trunk for good, and tells the far site. What is under way is lost; see {@link TrunkLink.drain}. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#lose(trunkError("TRUNK_CLOSED", `The trunk to site ${this.peer} was closed.`));
    this.onClosed?.();
  }

  /** What is to be known of it at this moment. */
  status(): TrunkStatus {
    const reason = this.#lastReason;
    return {
      site: this.site,
      peer: this.peer,
      state: this.state,
      wire: this.#wire?.description,
      denied: this.#session?.denied ?? [],
      resumptions: this.#resumptions,
      losses: this.#losses,
      outgoingBytes: this.#session?.outgoingBytes ?? 0,
      incomingBytes: this.#session?.incomingBytes ?? 0,
      counters: this.#session === undefined ? undefined : { ...this.#session.counters },
      lastReason: reason === undefined ? undefined : { code: reason.code, message: reason.message },
    };
  }

  // ---- what a driver calls

  /** What to ask for in a hello. */
  resumption(): Resumption | undefined {
    const session = this.#session;
    return session === undefined ? undefined : { session: session.id, received: session.received };
  }

  /** The accepting side: the peer has proved who it is. From here on what we have received stands still. */
  begin(resume: Resumption | undefined, terms: SessionTerms): Promised {
    const session = this.#session;
    if (session !== undefined && resume?.session.equals(session.id)) {
      this.#broken(trunkError("TRUNK_BROKEN", "The far site has connected anew."));
      return { session: session.id, resumed: true, received: session.received };
    }
    this.#lose(trunkError("TRUNK_REPLACED", `Site ${this.peer} began a new session.`));
    const id = randomBytes(SESSION_BYTES);
    this.#session = this.#start(id, terms);
    this.#armGrace(terms.graceMs);
    return { session: id, resumed: false, received: 0 };
  }

  /** The accepting side: the peer is ready. */
  ready(established: Established, wire: Wire): void {
    // a later handshake may have come before
    if (this.#closed || !this.#session?.id.equals(established.session)) wire.close();
    else this.#attach(this.#session, established.received, wire);
  }

  /** The dialing side: the peer has answered. */
  welcomed(established: Established, wire: Wire): void {
    if (this.#closed) {
      wire.close();
      return;
    }
    if (established.resumed) {
      if (this.#session?.id.equals(established.session)) {
        this.#attach(this.#session, established.received, wire);
        return;
      }
      // the grace time ended during the handshake
      wire.close();
      this.onWireLost?.(trunkError("TRUNK_GRACE_OVER", "The session ended while it was taken up again."));
      return;
    }
    this.#lose(
      trunkError(
        "TRUNK_SESSION_UNKNOWN",
        `Site ${this.peer} does not have the session any more: it has restarted.`,
      ),
    );
    const session = this.#start(established.session, established.terms);
    this.#session = session;
    this.#attach(session, 0, wire);
  }

  // ----

  #start(id: Buffer, terms: SessionTerms): Session {
    this.#announced = false;
    const { limits, parts, clock, defer, sink } = this.#options;
    const session: Session = new Session({
      ...{ id, terms, limits, parts, clock, defer },
      isPaused: (channel) => this.#pauses.has(channel),
      owner: {
        data: (channel, bytes, more) => sink.data(this, channel, bytes, more),
        writable: (channel) => sink.writable(this, channel),
        cut: (channel) => sink.cut(this, channel),
        broken: (reason) => this.#broken(reason),
        failed: (reason) => {
          const wire = this.#wire;
          this.#lose(reason);
          if (wire !== undefined) this.onWireLost?.(reason);
        },
        idle: () => this.#wakeIdle(),
      },
    });
    return session;
  }

  #attach(session: Session, peerReceived: number, wire: Wire): void {
    this.#grace?.cancel();
    this.#wire = wire;
    const { sink, logger } = this.#options;
    const fields = { site: this.site, peer: this.peer, wire: wire.description };
    wire.events = {
      message: (message) => session.receive(message),
      drained: () => session.drained(),
      allowed: (channel) => {
        if (session.allowed(channel)) logger.info({ ...fields, channel }, "trunk channel is allowed again");
      },
      denied: (channel, reason) => this.#denied(session, channel, reason),
      closed: (reason) => this.#broken(reason),
    };
    if (this.#announced) {
      this.#resumptions++;
      logger.info(fields, "trunk resumed");
    } else logger.info({ ...fields, deflate: session.terms.deflate }, "trunk up");
    try {
      // before anything of it can come
      session.attach(wire, peerReceived);
    } catch (error) {
      const reason = isIsthmusError(error) ? error : malformed("see the cause", error);
      this.#lose(reason);
      this.onWireLost?.(reason);
      return;
    }
    if (this.#announced) sink.resumed(this);
    else {
      this.#announced = true;
      sink.up(this);
    }
  }

  #denied(session: Session, channel: string, reason: IsthmusError): void {
    const { news, cut } = session.deny(channel);
    if (!news && !cut) return;
    const { sink, logger } = this.#options;
    logger.error(
      { peer: this.peer, channel, code: reason.code, reason: reason.message, cut },
      "trunk channel is denied",
    );
    sink.denied(this, channel, reason, cut);
  }

  /** The connection is gone, or is of no use. */
  #broken(reason: IsthmusError): void {
    const wire = this.#wire;
    const session = this.#session;
    if (wire === undefined || session === undefined) return;
    this.#wire = undefined;
    wire.events = undefined;
    wire.close();
    session.detach();
    this.#lastReason = reason;
    this.#armGrace(session.terms.graceMs);
    const { sink, logger } = this.#options;
    logger.warn({ peer: this.peer, code: reason.code, reason: reason.message }, "trunk suspended");
    sink.suspended(this, reason);
    this.onWireLost?.(reason);
  }

  #armGrace(ms: number): void {
    this.#grace?.cancel();
    this.#grace = this.#options.clock.after(ms, () => {
      this.#lose(
        trunkError(
          "TRUNK_GRACE_OVER",
          `Site ${this.peer} could not be reached for ${ms} ms; what was under way is lost.`,
          { context: { graceMs: ms } },
        ),
      );
    });
  }

  #lose(reason: IsthmusError): void {
    this.#grace?.cancel();
    const session = this.#session;
    if (session === undefined) return;
    const wire = this.#wire;
    const announced = this.#announced;
    this.#session = undefined;
    this.#wire = undefined;
    this.#announced = false;
    session.end();
    if (wire !== undefined) {
      wire.events = undefined;
      wire.send(goodbye(reason));
      wire.close();
    }
    this.#wakeIdle();
    if (!announced) return;
    this.#losses++;
    this.#lastReason = reason;
    const { sink, logger } = this.#options;
    logger.warn({ peer: this.peer, code: reason.code, reason: reason.message }, "trunk lost");
    sink.lost(this, reason);
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}
