import { backoffDelay, type IsthmusError, isIsthmusError, type Timer } from "@isthmus/wire";
import type { Strategy, StrategyContext } from "../contract.ts";
import { strategiesError } from "../errors.ts";
import type { OpenConnection, PostgresConnection } from "./connection.ts";
import { Members } from "./members.ts";
import { goodbye, heartbeat, type PayloadFormat, parsePayload } from "./payload.ts";

/** What a {@link PostgresStrategy} does. */
export interface PostgresStrategyOptions {
  readonly heartbeatMs: number;
  /** Heartbeats that a node may leave out; 0 for any number. */
  readonly missedHeartbeats: number | undefined;
  readonly announce: boolean;
  readonly format: PayloadFormat;
}

const RECONNECT = { firstMs: 500, maxMs: 30_000 };
const DEFAULT_MISSED_HEARTBEATS = 3;
/** Heartbeats without a sign of the server, after which the connection is taken for dead. */
const PATIENCE = 3;
const FAREWELL_MS = 1000;

/**
 * Nodes that announce themselves on a channel of PostgreSQL. While there is no connection nobody can be heard, so
 * nobody is taken for dead then.
 */
export class PostgresStrategy implements Strategy {
  readonly #options: PostgresStrategyOptions;
  readonly #open: OpenConnection;
  readonly #random: () => number;
  readonly #members = new Members();
  readonly #abort = new AbortController();
  #context!: StrategyContext;
  #missed = 0;
  #connection: PostgresConnection | undefined;
  #opening: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #failures = 0;
  /** Heartbeats since the last sign of the server. */
  #silence = 0;
  #sending = false;
  #overfull = false;
  #announcing: boolean;
  /** Whether there was a list yet; an empty one at the very start would only mean that nobody was heard yet. */
  #reported = false;
  #stopped: Promise<void> | undefined;

  constructor(options: PostgresStrategyOptions, open: OpenConnection, random: () => number = Math.random) {
    this.#options = options;
    this.#announcing = options.announce;
    this.#open = open;
    this.#random = random;
  }

  start(context: StrategyContext): void {
    const { missedHeartbeats, format } = this.#options;
    this.#context = context;
    if (context.passive === true) this.#announcing = false;
    // with the originals that say no goodbye nobody is ever taken for gone
    const unlimited = context.compat && format !== "heartbeat";
    this.#missed = missedHeartbeats ?? (unlimited ? 0 : DEFAULT_MISSED_HEARTBEATS);
    context.signal.addEventListener("abort", () => void this.stop(), { once: true });
    this.#connect();
  }

  refresh(): void {
    if (this.#abort.signal.aborted || this.#timer === undefined) return;
    if (this.#connection === undefined) {
      this.#timer.cancel();
      this.#connect();
    } else if (!this.#sending) void this.#announce(this.#connection);
  }

  drain(): void {
    const connection = this.#connection;
    const words = connection && this.#lastWords();
    this.#announcing = false;
    if (connection === undefined || words === undefined) return;
    connection.send(words).catch((err: unknown) => {
      this.#context.logger.debug({ err }, "the goodbye could not be sent to PostgreSQL");
    });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#opening;
    if (connection !== undefined) await this.#leave(connection);
  }

  async #leave(connection: PostgresConnection): Promise<void> {
    const { clock, logger } = this.#context;
    const words = this.#lastWords();
    const late = clock.after(FAREWELL_MS, () => connection.destroy());
    try {
      if (words !== undefined) await connection.send(words);
      await connection.close();
    } catch (err) {
      logger.debug({ err }, "the connection to PostgreSQL ended before the goodbye");
    } finally {
      late.cancel();
    }
  }

  #lastWords(): string | undefined {
    return this.#announcing ? goodbye(this.#options.format, this.#context.self) : undefined;
  }

  #connect(): void {
    this.#timer = undefined;
    this.#opening = this.#opened();
  }

  async #opened(): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#abort;
    let connection: PostgresConnection;
    const events = {
      heard: (payload: string) => this.#heard(payload),
      lost: (error: unknown) => this.#lost(connection, error),
    };
    try {
      connection = await this.#open(events, clock, signal);
    } catch (error) {
      this.#failed(failure("PostgreSQL cannot be used", error));
      return;
    }
    if (signal.aborted) {
      connection.destroy();
      return;
    }
    this.#connection = connection;
    this.#silence = 0;
    this.#sending = false;
    this.#members.renew(clock.now());
    if (this.#reported) this.#report();
    this.#beat(connection);
  }

  #lost(connection: PostgresConnection, error: unknown): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#timer?.cancel();
    this.#failed(failure("The connection to PostgreSQL is lost", error));
  }

  #failed(error: IsthmusError): void {
    if (this.#abort.signal.aborted) return;
    this.#context.report({ ok: false, error });
    const delay = backoffDelay(this.#failures++, RECONNECT, this.#random());
    this.#timer = this.#context.clock.after(delay, () => this.#connect());
  }

  #beat(connection: PostgresConnection): void {
    const { heartbeatMs } = this.#options;
    const { clock } = this.#context;
    if (this.#silence >= PATIENCE) {
      this.#lost(connection, new Error(this.#announcing ? NO_ECHO : NO_ANSWER));
      connection.destroy();
      return;
    }
    this.#timer = clock.after(heartbeatMs, () => {
      // by now everyone who is there has been heard
      if (!this.#reported) this.#report();
      this.#beat(connection);
    });
    // what we do not hear of others may be the connection's fault as long as we do not hear ourselves
    if (this.#silence > 0) this.#members.renew(clock.now());
    else this.#expire();
    this.#silence++;
    if (!this.#sending) void this.#announce(connection);
  }

  async #announce(connection: PostgresConnection): Promise<void> {
    const sign = this.#announcing ? heartbeat(this.#options.format, this.#context.self) : undefined;
    this.#sending = true;
    try {
      await connection.send(sign);
      // a sign of life is heard by ourselves as well
      if (sign === undefined) this.#alive();
    } catch (error) {
      // a connection that has ended says so itself
      this.#context.logger.debug({ err: error }, "the heartbeat could not be sent to PostgreSQL");
    } finally {
      if (this.#connection === connection) this.#sending = false;
    }
  }

  /** A sign of the server. */
  #alive(): void {
    this.#silence = 0;
    this.#failures = 0;
  }

  #heard(payload: string): void {
    const { self, clock, logger } = this.#context;
    const announcement = parsePayload(payload);
    if (announcement === undefined) {
      logger.debug({ payload: payload.slice(0, 100) }, "a notification that names no node is ignored");
      return;
    }
    const { type, node } = announcement;
    if (node === self) {
      this.#alive();
      return;
    }
    const changed = type === "alive" ? this.#members.hear(node, clock.now()) : this.#members.forget(node);
    if (changed === true) this.#report();
    if (changed === undefined && !this.#overfull) {
      this.#overfull = true;
      logger.warn({ node }, "more nodes announce themselves than are kept; see who writes to the channel");
    }
  }

  #expire(): void {
    if (this.#missed === 0) return;
    const { clock, logger } = this.#context;
    const silent = this.#members.expire(clock.now() - this.#missed * this.#options.heartbeatMs);
    if (silent.length === 0) return;
    logger.debug({ nodes: silent }, "these nodes have not announced themselves for too long");
    this.#report();
  }

  #report(): void {
    if (this.#abort.signal.aborted) return;
    this.#reported = true;
    this.#context.report({ ok: true, nodes: this.#members.nodes });
  }
}

const NO_ECHO =
  "our own announcements do not come back. A pooler such as PgBouncer in transaction mode cannot LISTEN; connect directly";
const NO_ANSWER = "the server does not answer";

function failure(what: string, cause: unknown): IsthmusError {
  if (isIsthmusError(cause)) return cause;
  const { code } = cause as { readonly code?: unknown };
  const reason = cause instanceof Error && cause.message !== "" ? cause.message : String(code);
  return strategiesError("DISCOVERY_FAILED", `${what}: ${reason}.`, {
    cause,
    context: typeof code === "string" ? { reason: code } : {},
  });
}
