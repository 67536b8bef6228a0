import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { IsthmusError } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import { MAX_MESSAGE_BYTES } from "./frames.ts";

/** How to reach NATS. */
export interface NatsOptions {
  /** Servers of one NATS system, such as `nats://host:4222`. */
  readonly servers: string | readonly string[];
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
  /** PEM. Given, the connection must be encrypted. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** First words of all subjects. @default "isthmus.trunk" */
  readonly prefix?: string;
}

/** What is used of a connection of the npm package `nats`. */
export interface NatsConnection {
  readonly info?: { readonly max_payload: number; readonly host: string; readonly port: number };
  publish(subject: string, payload?: Uint8Array): void;
  subscribe(subject: string, options: NatsSubscribe): { unsubscribe(): void };
  flush(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
  closed(): Promise<unknown>;
  isClosed(): boolean;
  isDraining(): boolean;
  status(): AsyncIterable<NatsEvent>;
}

/** What happens to a connection. */
interface NatsEvent {
  readonly type: string;
  /** Given when the server forbids something. */
  readonly permissionContext?: { readonly operation: string; readonly subject: string };
}

interface NatsSubscribe {
  readonly queue?: string;
  readonly callback: (
    error: unknown,
    message: { readonly subject: string; readonly data: Uint8Array },
  ) => void;
}

/** What is used of the npm package `nats`. */
export interface NatsPackage {
  connect(options: object): Promise<NatsConnection>;
}

/** Longest message that a trunk sends over NATS. */
const LONGEST_BYTES = MAX_MESSAGE_BYTES / 2;

/**
 * Connects to NATS. The connection does not come back by itself: whatever may have been lost, the trunk sends again.
 * @throws IsthmusError `PEER_DEPENDENCY_MISSING`, `TRUNK_UNREACHABLE`, `TRUNK_OPTIONS_INVALID`
 */
export async function connectNats(
  options: NatsOptions,
  signal: AbortSignal,
  load: () => Promise<NatsPackage> = () => import("nats"),
): Promise<NatsConnection> {
  const { connect } = await loadNats(load);
  signal.throwIfAborted();
  const { servers, token, user, password, tls } = options;
  const list = typeof servers === "string" ? [servers] : [...servers];
  let connection: NatsConnection;
  try {
    connection = await connect({
      servers: list,
      name: "isthmus trunk",
      reconnect: false,
      noEcho: true,
      ...(token === undefined ? {} : { token }),
      ...(user === undefined ? {} : { user, pass: password }),
      ...(tls === undefined ? {} : { tls: { ...tls, checkServerIdentity: identityCheck(list) } }),
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw trunkError("TRUNK_UNREACHABLE", `NATS cannot be reached: ${why}.`, { cause });
  }
  if (signal.aborted) {
    await connection.close();
    throw signal.reason;
  }
  const limit = connection.info?.max_payload ?? 0;
  if (limit >= LONGEST_BYTES) return connection;
  await connection.close();
  throw trunkError(
    "TRUNK_OPTIONS_INVALID",
    `The NATS server takes messages of ${limit} bytes; a trunk needs ${LONGEST_BYTES}. Raise max_payload there.`,
    { context: { limit } },
  );
}

/**
 * The npm package gives no name for a server that is given by its address, and then the certificate would have to be for
 * "localhost". @returns the check of a certificate, for one of these addresses in that case
 */
function identityCheck(
  servers: readonly string[],
): (name: string, certificate: PeerCertificate) => Error | undefined {
  const hosts = servers.map(
    (server) => new URL(server.includes("://") ? server : `nats://${server}`).hostname,
  );
  const addresses = hosts.map((host) => host.replace(/^\[(.*)\]$/, "$1")).filter((host) => isIP(host) > 0);
  return (name, certificate) => {
    if (name !== "localhost" || addresses.length === 0) return checkServerIdentity(name, certificate);
    const asked = hosts.includes(name) ? [name, ...addresses] : addresses;
    const wrong = asked.map((host) => checkServerIdentity(host, certificate));
    return wrong.includes(undefined) ? undefined : wrong[0];
  };
}

/** Calls `denied` with each subject that the server does not let us publish to, for as long as there is a connection. */
export async function watchDenied(
  connection: NatsConnection,
  denied: (subject: string) => void,
): Promise<void> {
  for await (const { permissionContext } of connection.status()) {
    if (permissionContext?.operation === "publish") denied(permissionContext.subject);
  }
}

/** The error for a subject that may not be used. */
export function natsDenied(what: "publish" | "subscribe", subject: string): IsthmusError {
  return trunkError(
    "TRUNK_DENIED",
    `The NATS server does not let us ${what} to ${subject}. Give its user that permission.`,
    { context: { subject } },
  );
}

async function loadNats(load: () => Promise<NatsPackage>): Promise<NatsPackage> {
  try {
    return await load();
  } catch (cause) {
    throw trunkError(
      "PEER_DEPENDENCY_MISSING",
      "A trunk over NATS needs the npm package nats, which cannot be loaded. Install it: npm install nats.",
      { cause, context: { package: "nats" } },
    );
  }
}

/**
 * The subjects of a trunk, all of them `PREFIX.FROM.TO.` and more: FROM is the site that publishes, TO the one that
 * subscribes. A site needs to publish to `PREFIX.SITE.>` and to subscribe to `PREFIX.*.SITE.>`.
 */
export class NatsSubjects {
  readonly #prefix: string;

  /** @throws IsthmusError `TRUNK_OPTIONS_INVALID` */
  constructor(prefix = "isthmus.trunk") {
    if (!/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(prefix)) {
      throw trunkError("TRUNK_OPTIONS_INVALID", "The prefix of the NATS subjects is not a subject.");
    }
    this.#prefix = prefix;
  }

  /** The first message of a connection. */
  hello(from: string, to: string): string {
    return `${this.#pair(from, to)}.hello`;
  }

  /** For whoever listens at a site. */
  hellos(to: string): string {
    return `${this.#prefix}.*.${token(to)}.hello`;
  }

  /** Who sent a hello, as its subject says. */
  sender(hello: string): string {
    return untoken(hello.split(".").at(-3) ?? "");
  }

  /** Every frame but DATA. */
  control(from: string, to: string): string {
    return `${this.#pair(from, to)}.control`;
  }

  /** DATA of one channel. The words of its name, such as two clusters, are words of the subject. */
  data(from: string, to: string, channel: string): string {
    return `${this.#pair(from, to)}.data.${channel.split(" ").map(clusterToken).join(".")}`;
  }

  /** A listener says that it knows no connection any more. */
  fresh(from: string, to: string): string {
    return `${this.#pair(from, to)}.fresh`;
  }

  /** All of these. */
  all(from: string, to: string): string {
    return `${this.#pair(from, to)}.>`;
  }

  #pair(from: string, to: string): string {
    return `${this.#prefix}.${token(from)}.${token(to)}`;
  }
}

/** A name as one word of a subject: what may not stand in one is written as `=` and the hexadecimal UTF-8. */
function token(name: string): string {
  return Array.from(Buffer.from(name), (byte) =>
    /[A-Za-z0-9_-]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `=${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}

/** The same for a word of a channel's name, where a cluster's name is written in this way already, but for its dots. */
function clusterToken(word: string): string {
  if (word === "") return "=";
  return word
    .split(/(=[0-9a-f]{2})/)
    .map((part, index) => (index % 2 === 1 ? part : token(part)))
    .join("");
}

function untoken(word: string): string {
  const bytes = word.replaceAll(/=([0-9a-f]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString();
}
