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
  let connection: NatsConnection;
  try {
    connection = await connect({
      servers: typeof servers === "string" ? servers : [...servers],
      name: "isthmus trunk",
      reconnect: false,
      noEcho: true,
      ...(token === undefined ? {} : { token }),
      ...(user === undefined ? {} : { user, pass: password }),
      ...(tls === undefined ? {} : { tls }),
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

/** The subjects of a trunk. A site needs to subscribe to `prefix.site.>` and to publish to `prefix.*.site.>`. */
export class NatsSubjects {
  readonly #prefix: string;

  /** @throws IsthmusError `TRUNK_OPTIONS_INVALID` */
  constructor(prefix = "isthmus.trunk") {
    if (!/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(prefix)) {
      throw trunkError("TRUNK_OPTIONS_INVALID", "The prefix of the NATS subjects is not a subject.");
    }
    this.#prefix = prefix;
  }

  /** The first message of a connection; the last word of the subject is the connection's id. */
  hello(to: string, from: string, id: string): string {
    return `${this.#pair(to, from)}.hello.${id}`;
  }

  /** The other messages of a connection. */
  wire(to: string, from: string, id: string): string {
    return `${this.#pair(to, from)}.wire.${id}`;
  }

  /** A listener says that it knows no connection any more. */
  fresh(to: string, from: string): string {
    return `${this.#pair(to, from)}.fresh`;
  }

  /** For whoever listens at a site. */
  hellos(to: string): string {
    return `${this.#prefix}.${token(to)}.*.hello.*`;
  }

  /** Who sent a hello, as its subject says; undefined when the subject is not one of ours. */
  sender(subject: string): { readonly from: string; readonly id: string } | undefined {
    const words = subject.split(".");
    const [from = "", , id = ""] = words.slice(-3);
    return /^[0-9a-f]{24}$/.test(id) ? { from: untoken(from), id } : undefined;
  }

  #pair(to: string, from: string): string {
    return `${this.#prefix}.${token(to)}.${token(from)}`;
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

function untoken(word: string): string {
  const bytes = word.replaceAll(/=([0-9a-f]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString();
}
