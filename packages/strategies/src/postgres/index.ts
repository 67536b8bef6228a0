/**
 * The strategy `postgres`: nodes that announce themselves with LISTEN and NOTIFY.
 *
 * @example
 * ```ts
 * const strategy = postgres({ url: "postgres://app:secret@db.internal/shop", channelName: "cluster" });
 * const topology = startTopology({ name: "shop", strategy, hooks });
 * ```
 * @packageDocumentation
 */
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { type OptionsInput, type OptionsOf, option } from "../options.ts";
import { postgresConnections } from "./connection.ts";
import { PAYLOAD_FORMATS } from "./payload.ts";
import { PostgresStrategy } from "./postgres-strategy.ts";

const OPTIONS = {
  url: option.optional(option.text({ secret: true })),
  hostname: option.optional(option.text({ aliases: ["host", "socket_dir"] })),
  port: option.optional(option.integer({ min: 1, max: 65_535 })),
  username: option.optional(option.text({ aliases: ["user"] })),
  password: option.optional(option.text({ secret: true })),
  database: option.optional(option.text()),
  ssl: option.optional(option.any<boolean | object>("true, false, or TLS options", sslOption)),
  channelName: option.any("a name of at most 63 bytes", channelOption, { default: "cluster" }),
  heartbeatInterval: option.milliseconds({ default: 5000, min: 100 }),
  missedHeartbeats: option.optional(option.integer({ min: 0, max: 1000 })),
  announce: option.boolean({ default: true }),
  payload: option.oneOf(PAYLOAD_FORMATS, { default: "name" }),
};

/** Options of {@link postgres}; docs/postgres.md describes each. */
export type PostgresOptions = OptionsInput<typeof OPTIONS>;

/** Nodes that tell each other of themselves by a channel of PostgreSQL, as libcluster_postgres. */
export const postgres = defineStrategy({
  name: "postgres",
  aliases: ["LibclusterPostgres.Strategy", "Cluster.Strategy.Postgres"],
  options: OPTIONS,
  create(options) {
    const {
      channelName,
      heartbeatInterval: heartbeatMs,
      missedHeartbeats,
      announce,
      payload: format,
    } = options;
    const open = postgresConnections(database(options), channelName);
    return new PostgresStrategy({ heartbeatMs, missedHeartbeats, announce, format }, open);
  },
});

/** The configuration of `pg`. */
function database(options: OptionsOf<typeof OPTIONS>): object {
  const { url, hostname: host, port, username: user, password, database: name, ssl } = options;
  const parts = { host, port, user, database: name };
  const given = Object.entries(parts).filter(([, value]) => value !== undefined);
  const tls = ssl === undefined ? {} : { ssl };
  if (url === undefined) {
    return { ...Object.fromEntries(given), ...(password === undefined ? {} : { password }), ...tls };
  }
  if (given.length > 0)
    throw invalid(`url says where the database is; ${given[0]![0]} must not be given besides.`);
  return { connectionString: connectionString(url, password), ...tls };
}

/** Ecto writes `ecto://` for the same. */
function connectionString(url: string, password: string | undefined): string {
  const text = url.replace(/^ecto:/, "postgresql:");
  if (!/^postgres(ql)?:$/.test(URL.canParse(text) ? new URL(text).protocol : "")) {
    throw invalid("url must be a URL such as postgres://user@host:5432/database; its value is not shown.");
  }
  const parsed = new URL(text);
  if (password !== undefined && parsed.password === "") parsed.password = encodeURIComponent(password);
  return parsed.href;
}

function channelOption(value: unknown): string | undefined {
  // longer ones LISTEN would cut and pg_notify refuse
  const fits = typeof value === "string" && value !== "" && Buffer.byteLength(value) <= 63;
  return fits && !value.includes("\0") ? value : undefined;
}

function sslOption(value: unknown): boolean | object | undefined {
  if (value === "true" || value === "false") return value === "true";
  return typeof value === "boolean" || (typeof value === "object" && value !== null) ? value : undefined;
}

function invalid(message: string): Error {
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { strategy: "postgres" } });
}
