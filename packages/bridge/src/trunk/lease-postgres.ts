import { createHash, randomBytes } from "node:crypto";
import { Socket } from "node:net";
import { systemClock } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import {
  KeptLease,
  type Lease,
  type LeaseOptions,
  type LeaseStore,
  type LeaseStoreEvents,
  leaseTtl,
} from "./lease.ts";

/** What is used of the npm package `pg`. */
export interface PgPackage {
  readonly Client: new (config: object) => PgClient;
}

interface PgClient {
  connect(): Promise<unknown>;
  query(text: string, values?: readonly string[]): Promise<{ readonly rows: readonly unknown[] }>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  on(
    event: "notification",
    listener: (notification: { readonly payload?: string | undefined }) => void,
  ): unknown;
}

/** Options of {@link postgresLease}. */
export interface PostgresLeaseOptions extends LeaseOptions {
  /**
   * Configuration of the npm package `pg`: `connectionString`, or `host`, `port`, `user`, `password`, `database`, `ssl`;
   * what is not there it takes from `PGHOST` and its like. It must lead to the server itself, or to a pooler that
   * keeps sessions: advisory locks belong to a session.
   */
  readonly database: object;
  /** @default loads the npm package `pg` */
  readonly load?: () => Promise<PgPackage>;
}

const MIN_TTL_MS = 3_000;
const MAX_TTL_MS = 600_000;

/**
 * A lease that is a session-level advisory lock of a PostgreSQL server (14 or newer).
 *
 * The lock goes with the session, which the server ends when it hears nothing of it for `ttlMs`. The server may also
 * lose it at once (an administrator ends the session, a standby is promoted) while the holder does not know; so whoever
 * gets the lock waits for `ttlMs` before it counts, unless the last holder said that it has ended, which all that wait
 * hear by NOTIFY.
 * @throws IsthmusError `LEASE_OPTIONS_INVALID`
 */
export function postgresLease(options: PostgresLeaseOptions): Lease {
  const ttlMs = leaseTtl(options, MIN_TTL_MS, MAX_TTL_MS);
  return new KeptLease(new PostgresStore(options, ttlMs), ttlMs, options);
}

/** A session with the server. */
interface Session {
  readonly client: PgClient;
  readonly socket: Socket;
  /** What was said last of the lock, by others, since this session began. */
  lastWord: "released" | "taken" | undefined;
  locked: boolean;
}

class PostgresStore implements LeaseStore {
  readonly description: string;
  events: LeaseStoreEvents | undefined;
  readonly #options: PostgresLeaseOptions;
  readonly #ttlMs: number;
  /** The lock's number, and the channel on which is said what becomes of it. */
  readonly #key: string;
  readonly #channel: string;
  /** Nobody else says a word with it. */
  readonly #id = randomBytes(12).toString("hex");
  #session: Session | undefined;

  constructor(options: PostgresLeaseOptions, ttlMs: number) {
    this.#options = options;
    this.#ttlMs = ttlMs;
    this.description = `${options.name} (PostgreSQL)`;
    const hash = createHash("sha256").update(`isthmus lease ${options.name}`).digest();
    this.#key = hash.readBigInt64BE(0).toString();
    this.#channel = `isthmus_lease_${hash.toString("hex", 0, 8)}`;
  }

  async tryAcquire(): Promise<{ readonly settleMs: number } | undefined> {
    const session = this.#session ?? (await this.#open());
    const { rows } = await this.#query(session, "SELECT pg_try_advisory_lock($1::bigint) AS got", [
      this.#key,
    ]);
    if ((rows[0] as { readonly got?: unknown } | undefined)?.got !== true) return undefined;
    session.locked = true;
    // our own word comes back, in its place among all others: what was heard before it was said before
    await this.#say(session, `taken ${this.#id}`);
    const orderly = session.lastWord === "released";
    session.lastWord = undefined;
    return { settleMs: orderly ? 0 : this.#ttlMs };
  }

  async renew(): Promise<boolean> {
    const session = this.#session;
    if (session === undefined) return false;
    await this.#query(session, "SELECT 1");
    return this.#session === session && session.locked;
  }

  async release(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    session.locked = false;
    // said before it is free: nobody can have taken it in between
    await this.#say(session, "released");
    await this.#query(session, "SELECT pg_advisory_unlock($1::bigint)", [this.#key]);
    await this.#say(session, "free");
    this.abandon();
  }

  abandon(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.socket.destroy();
  }

  async #say(session: Session, word: string): Promise<void> {
    await this.#query(session, "SELECT pg_notify($1, $2)", [this.#channel, word]);
  }

  async #open(): Promise<Session> {
    const { Client } = await loadPg(this.#options.load ?? (() => import("pg")));
    const socket = new Socket();
    const client = new Client({
      ...this.#options.database,
      application_name: "isthmus lease",
      keepAlive: true,
      // ours, so that it can be destroyed
      stream: () => socket,
    });
    const session: Session = { client, socket, lastWord: undefined, locked: false };
    const end = (cause: unknown): void => {
      socket.destroy();
      if (this.#session !== session) return;
      this.#session = undefined;
      this.events?.lost(cause);
    };
    client.on("error", end);
    client.on("end", () => end(new Error("The server ended the session.")));
    client.on("notification", ({ payload = "" }) => this.#heard(session, payload));
    await this.#within(session, client.connect());
    try {
      await this.#within(session, client.query(`SET idle_session_timeout = ${this.#ttlMs}`));
      await this.#within(session, client.query(`LISTEN ${this.#channel}`));
    } catch (error) {
      end(error);
      throw error;
    }
    this.#session = session;
    return session;
  }

  #heard(session: Session, word: string): void {
    if (word === "free") this.events?.mayBeFree();
    else if (word === "released") session.lastWord = "released";
    else if (word !== `taken ${this.#id}`) session.lastWord = "taken";
  }

  #query(
    session: Session,
    text: string,
    values: readonly string[] = [],
  ): Promise<{ readonly rows: readonly unknown[] }> {
    return this.#within(session, session.client.query(text, values));
  }

  /** A server that does not answer is as good as gone. */
  async #within<T>(session: Session, work: Promise<T>): Promise<T> {
    const clock = this.#options.clock ?? systemClock;
    const timer = clock.after(this.#ttlMs / 3, () => session.socket.destroy());
    try {
      return await work;
    } finally {
      timer.cancel();
    }
  }
}

async function loadPg(load: () => Promise<PgPackage>): Promise<PgPackage> {
  try {
    return await load();
  } catch (cause) {
    throw trunkError(
      "PEER_DEPENDENCY_MISSING",
      "A lease in PostgreSQL needs the npm package pg, which cannot be loaded. Install it: npm install pg.",
      { cause, context: { package: "pg" } },
    );
  }
}
