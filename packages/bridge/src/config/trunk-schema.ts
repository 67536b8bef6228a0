import * as v from "valibot";
import { DEFAULT_TRUNK_LIMITS } from "../trunk/limits.ts";
import {
  flag,
  isRecord,
  limitsOf,
  map,
  oneOf,
  oneOrMany,
  port,
  secret,
  secretFile,
  text,
  whole,
} from "./schema-parts.ts";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

const path = (what = "the path of a file") => v.optional(text(what));

const listenTls = {
  certificate: text("the path of a file"),
  key: text("the path of a file"),
  passphrase: v.optional(secret),
  ca: path(),
};
const listen = {
  host: v.optional(text("an address")),
  port: port(0),
  path: v.optional(v.pipe(text("a path"), v.startsWith("/", "must begin with a slash."))),
  max_connections: v.optional(whole("a number of connections", 1, 100_000)),
  tls: v.optional(map(listenTls)),
};
const natsTls = { ca: path(), certificate: path(), key: path() };
const nats = {
  servers: oneOrMany(text("the address of a server, nats://host:port")),
  token: v.optional(secret),
  user: v.optional(text("a text")),
  password: v.optional(secret),
  prefix: v.optional(
    v.pipe(
      text("the first words of the subjects"),
      v.regex(/^[\w-]+(\.[\w-]+)*$/, "must be words with dots between them."),
    ),
  ),
  tls: v.optional(map(natsTls)),
};
const siteTls = {
  ca: path(),
  certificate: path(),
  key: path(),
  passphrase: v.optional(secret),
  server_name: v.optional(text("the name of a host")),
};
const limits = limitsOf(DEFAULT_TRUNK_LIMITS, 0);
const site = {
  connect: v.optional(oneOrMany(text("an address: ws://, wss:// or nats://"))),
  proxy: v.optional(
    v.union(
      [v.literal(false), text("the address of an HTTP proxy, or false")],
      "must be an address, or false.",
    ),
  ),
  secret: v.optional(secret),
  certificate: v.optional(flag),
  deflate: v.optional(flag),
  limits: v.optional(map(limits)),
  tls: v.optional(map(siteTls)),
};

/** Another site. */
export const siteSchema = map(site);

const trunk = {
  site: text("the name of this site"),
  listen: v.optional(map(listen)),
  nats: v.optional(map(nats)),
  sites: v.custom<Record<string, unknown>>(isRecord, "must be a map of names to sites."),
};

/** Our site, and the ways to others, each of which is looked at by itself. */
export const trunkSchema = map(trunk);

const database = {
  url: v.optional(secret),
  host: v.optional(text("a host")),
  port: v.optional(port(1)),
  user: v.optional(text("a text")),
  password: v.optional(secret),
  database: v.optional(text("the name of a database")),
  ca: path(),
};
const lease = {
  lease: oneOf("consul", "postgres", "kubernetes"),
  name: v.pipe(
    text("a name that all bridges of the group give"),
    v.maxLength(200, "is longer than 200 characters."),
  ),
  ttl_seconds: v.optional(whole("seconds", 3, 600)),
  url: v.optional(text("the address of the service, http://host:port or https://host:port")),
  token: v.optional(secret),
  token_file: path(),
  namespace: v.optional(text("the name of a namespace")),
  ca: path(),
  database: v.optional(map(database)),
};

/** The lease of which only one bridge of several has it. */
export const leaseSchema = map(lease);

/** The keys that may stand in each place. */
export const TRUNK_KEYS: Readonly<Record<string, readonly string[]>> = {
  trunk: Object.keys(trunk),
  "trunk.listen": Object.keys(listen),
  "trunk.listen.tls": Object.keys(listenTls),
  "trunk.listen.tls.passphrase": Object.keys(secretFile),
  "trunk.nats": Object.keys(nats),
  "trunk.nats.token": Object.keys(secretFile),
  "trunk.nats.password": Object.keys(secretFile),
  "trunk.nats.tls": Object.keys(natsTls),
  "trunk.sites.*": Object.keys(site),
  "trunk.sites.*.secret": Object.keys(secretFile),
  "trunk.sites.*.limits": Object.keys(limits),
  "trunk.sites.*.tls": Object.keys(siteTls),
  "trunk.sites.*.tls.passphrase": Object.keys(secretFile),
  high_availability: Object.keys(lease),
  "high_availability.token": Object.keys(secretFile),
  "high_availability.database": Object.keys(database),
  "high_availability.database.url": Object.keys(secretFile),
  "high_availability.database.password": Object.keys(secretFile),
};
