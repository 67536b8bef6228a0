import { Socket } from "node:net";
import type { Clock } from "@isthmus/wire";
import { loadPeer } from "../peer-dependency.ts";

/** A connection to PostgreSQL that listens to one channel. */
export interface PostgresConnection {
  /** Sends a notification to the channel; without a payload only asks whether the server is there. */
  send(payload: string | undefined): Promise<void>;
  /** Takes leave of the server; `destroy` ends the wait for that. */
  close(): Promise<void>;
  /** Ends it at once. */
  destroy(): void;
}

/** What a connection tells. */
export interface ConnectionEvents {
  heard(payload: string): void;
  /** The connection has ended, though nobody closed it. Called once at most. */
  lost(error: unknown): void;
}

/** Opens connections of a {@link PostgresConnection}'s kind. */
export type OpenConnection = (
  events: ConnectionEvents,
  clock: Clock,
  signal: AbortSignal,
) => Promise<PostgresConnection>;

/** What is used of the npm package `pg`. */
export interface Pg {
  readonly Client: new (config: object) => PgClient;
}

interface PgClient {
  connect(): Promise<unknown>;
  query(text: string, values?: string[]): Promise<unknown>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  on(event: "notification", listener: (notification: PgNotification) => void): unknown;
}

interface PgNotification {
  readonly channel: string;
  readonly payload?: string | undefined;
}

const CONNECT_MS = 10_000;

/**
 * Opens connections with the npm package `pg`.
 * @param database its configuration; what is not there it takes from `PGHOST` and its like, as `psql` does
 */
export function postgresConnections(
  database: object,
  channel: string,
  load: () => Promise<Pg> = () => import("pg"),
): OpenConnection {
  return async (events, clock, signal) => {
    const { Client } = await loadPeer("postgres", "pg", load);
    signal.throwIfAborted();
    const socket = new Socket();
    const client = new Client({
      ...database,
      application_name: "isthmus",
      keepAlive: true,
      // ours, so that it can be destroyed
      stream: () => socket,
    });
    const destroy = (): void => void socket.destroy();
    let state: "opening" | "open" | "ended" = "opening";
    const end = (error: unknown): void => {
      const lost = state === "open";
      state = "ended";
      destroy();
      if (lost) events.lost(error);
    };
    client.on("error", end);
    client.on("end", () => end(new Error("The server ended the connection.")));
    client.on("notification", (notification) => {
      if (state !== "ended" && notification.channel === channel) events.heard(notification.payload ?? "");
    });

    const deadline = clock.after(CONNECT_MS, destroy);
    signal.addEventListener("abort", destroy, { once: true });
    try {
      await client.connect();
      await client.query(`LISTEN ${quoteIdentifier(channel)}`);
      state = "open";
    } catch (error) {
      end(error);
      throw error;
    } finally {
      deadline.cancel();
      signal.removeEventListener("abort", destroy);
    }
    return {
      async send(payload) {
        try {
          if (payload === undefined) await client.query("SELECT 1");
          else await client.query("SELECT pg_notify($1, $2)", [channel, payload]);
        } catch (error) {
          // why the server ends the connection is told to the query that waits, if there is one, and to nobody else
          if ((error as { readonly severity?: unknown }).severity === "FATAL") end(error);
          throw error;
        }
      },
      async close() {
        state = "ended";
        await client.end();
      },
      destroy() {
        state = "ended";
        destroy();
      },
    };
  };
}

/** A name as it stands in SQL, whatever it holds. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
